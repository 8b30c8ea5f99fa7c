"""The harness itself: what it starts answers, and what it stops is gone."""

import http.client
import os
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.support import agents, consul_binary
from tests.support.agents import Agent, Cluster, Datacenters, Guarded


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    "start",
    [
        agents.dev_agent,
        agents.single_agent,
        agents.acl_agent,
        agents.tls_agent,
        agents.cluster,
        agents.two_datacenters,
        agents.guarded_datacenters,
    ],
)
@pytest.mark.usefixtures("consul_binary")
def test_what_is_started_answers_and_is_gone_afterwards(
    start: Callable[[], Agent | Cluster | Datacenters | Guarded],
) -> None:
    with start() as topology:
        started = [topology] if isinstance(topology, Agent) else topology.agents
        answers = [agent.request("GET", "/v1/agent/self").json() for agent in started]

    assert [answer["Config"]["NodeName"] for answer in answers] == [a.name for a in started]
    assert not any(agent.running or is_there(agent.pid) for agent in started)
    assert not any(agent.directory.exists() for agent in started)


def test_a_paused_agent_is_gone_after_stop(consul_binary: Path) -> None:
    with agents.dev_agent(binary=consul_binary) as agent:
        agent.pause()
        with pytest.raises(TimeoutError):
            agent.request("GET", "/v1/status/leader", timeout=0.2)

    assert not is_there(agent.pid)


def test_a_connection_is_closed_where_its_answer_does_not_end(tmp_path: Path) -> None:
    with socket.create_server((agents.HOST, 0)) as listener, ThreadPoolExecutor(1) as pool:

        def begin_to_answer() -> bytes:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(30)
                connection.recv(65_536)
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n1"
                )
                return connection.recv(1)

        ports = agents.Ports(listener.getsockname()[1], 0, 0, 0)
        agent = Agent("none", tmp_path, tmp_path, ports, {})
        left = pool.submit(begin_to_answer)
        with pytest.raises(TimeoutError) as raised:
            agent.request("GET", "/", timeout=0.2)

        # The error is still there, and with it all that was under way.
        assert raised.value is not None
        assert left.result() == b""


def test_a_resumed_agent_answers_again(agent: Agent) -> None:
    agent.pause()
    agent.resume()

    assert agent.request("GET", "/v1/status/leader").status == 200


def test_a_terminated_agent_ends_by_itself(consul_binary: Path) -> None:
    with agents.dev_agent(binary=consul_binary) as agent:
        agent.terminate()

        assert agent.wait_exit() in (0, 1)
        assert not agent.running


def test_the_wait_for_readiness_leaves_no_key(consul_binary: Path) -> None:
    with agents.dev_agent(binary=consul_binary) as agent:
        assert agent.request("GET", "/v1/kv/?recurse").status == 404


def test_restart_keeps_data_and_ports(fresh_agent: Agent) -> None:
    fresh_agent.request("PUT", "/v1/kv/kept", b"1")
    url, pid = fresh_agent.url, fresh_agent.pid

    fresh_agent.restart()

    assert fresh_agent.request("GET", "/v1/kv/kept?raw").body == b"1"
    assert fresh_agent.url == url
    assert fresh_agent.pid != pid
    assert not is_there(pid)


def test_restart_can_wipe_the_data(fresh_agent: Agent) -> None:
    fresh_agent.request("PUT", "/v1/kv/lost", b"1")

    fresh_agent.restart(wipe=True)

    assert fresh_agent.request("GET", "/v1/kv/lost").status == 404


def test_a_taken_port_is_told_from_other_failures(fresh_agent: Agent) -> None:
    fresh_agent.kill()

    with (
        socket.create_server((agents.HOST, fresh_agent.port)),
        pytest.raises(agents.PortTakenError, match="address already in use"),
    ):
        fresh_agent.restart()


def test_an_agent_that_cannot_start_says_why(consul_binary: Path) -> None:
    with pytest.raises(agents.AgentError, match="no_such_option"):
        agents.dev_agent(binary=consul_binary, extra={"no_such_option": 1})


def test_free_ports_all_differ() -> None:
    ports = agents.free_ports(50)

    numbers = {n for own in ports for n in (own.api, own.server, own.serf_lan, own.serf_wan)}
    assert len(numbers) == 200


def test_merged_goes_into_mappings() -> None:
    config: agents.Config = {"ports": {"http": 1, "dns": 2}, "server": True}

    assert agents.merged(config, {"ports": {"dns": -1}}) == {
        "ports": {"http": 1, "dns": -1},
        "server": True,
    }


def test_consul_variables_do_not_reach_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "from outside")

    assert "CONSUL_HTTP_TOKEN" not in agents.clean_environment()
    assert "PATH" in agents.clean_environment()


def test_the_dev_agent_listens_on_a_unix_socket(agent: Agent) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(agent.unix_socket))
        connection.sendall(b"GET /v1/status/leader HTTP/1.0\r\n\r\n")

        assert connection.recv(100).startswith(b"HTTP/1.0 200")


def test_a_token_is_taken_away_and_given_back(guarded: Guarded) -> None:
    guarded.revoke()
    refused = guarded.dc1.request("GET", "/v1/kv/x")
    guarded.grant()
    allowed = guarded.dc1.request("GET", "/v1/kv/x")

    assert (refused.status, refused.body) == (403, b"ACL not found")
    assert allowed.status == 404


def test_acl_denies_without_the_token(acl_agent: Agent) -> None:
    anonymous = acl_agent.request("PUT", "/v1/kv/x", b"1", {"X-Consul-Token": ""})
    management = acl_agent.request("PUT", "/v1/kv/x", b"1")

    assert (anonymous.status, management.status) == (403, 200)


def ask_without_client_certificate(agent: Agent, ca_file: Path) -> int:
    context = ssl.create_default_context(cafile=str(ca_file))
    connection = http.client.HTTPSConnection(agents.HOST, agent.port, timeout=5, context=context)
    with closing(connection):
        connection.request("GET", "/v1/status/leader")
        return connection.getresponse().status


def test_tls_refuses_without_the_client_certificate(tls_agent: Agent) -> None:
    assert tls_agent.tls is not None

    with pytest.raises(ssl.SSLError, match="certificate"):
        ask_without_client_certificate(tls_agent, tls_agent.tls.ca_file)
    assert tls_agent.request("GET", "/v1/status/leader").status == 200


def test_another_server_leads_when_the_leader_is_killed(cluster: Cluster) -> None:
    first = cluster.leader()
    assert first not in cluster.followers()
    assert len(cluster.followers()) == 2

    first.kill()
    second = cluster.wait_leader()
    cluster.clients[0].wait_writable()
    first.restart()

    assert second is not first
    assert second.name in {server.name for server in cluster.servers}
    assert len(cluster.followers()) == 2


def test_a_paused_leader_is_not_called_leader(cluster: Cluster) -> None:
    first = cluster.leader()

    first.pause()

    assert cluster.wait_leader() is not first


def test_each_datacenter_writes_in_the_other(datacenters: Datacenters) -> None:
    datacenters.dc1.request("PUT", "/v1/kv/from-dc1?dc=dc2", b"1")

    assert datacenters.dc2.request("GET", "/v1/kv/from-dc1?raw").body == b"1"
    assert [agent.datacenter for agent in datacenters.agents] == ["dc1", "dc2"]


def test_consul_bin_that_cannot_run_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CONSUL_BIN", str(tmp_path / "nothing"))

    with pytest.raises(consul_binary.ConsulBinaryError, match="CONSUL_BIN"):
        consul_binary.find()


def test_consul_bin_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = tmp_path / "own-consul"
    own.touch(0o755)
    monkeypatch.setenv("CONSUL_BIN", str(own))

    assert consul_binary.find() == own
