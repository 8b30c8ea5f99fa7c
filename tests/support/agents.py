"""Start real Consul agents for tests, and stop every one of them.

All on 127.0.0.1 with ports, a directory and a session of their own; an agent is only ever signalled
through its own process handle, because other agents may be running on the same machine. What a
function here returns is writable and in the catalog; `stop()` or the end of its `with` block leaves
no process and no file.

Everything blocks: this is set-up code, and must not depend on the library under test.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeAlias

from tests.support import consul_binary

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | float | bool | None"
Config: TypeAlias = "Mapping[str, Json]"

HOST = "127.0.0.1"
START_DEADLINE = 60.0  # seconds; far above any start seen, for a machine that is busy

# With Consul's defaults, meant for real networks, a cluster takes 7 s to start, 14 s to fail over.
_FAST_GOSSIP: Config = {
    "gossip_interval": "50ms",
    "probe_interval": "200ms",
    "probe_timeout": "100ms",
    "suspicion_mult": 3,
}


class AgentError(Exception):
    """An agent died, or did not become what was waited for; the text ends with its log."""


class PortTakenError(AgentError):
    """Another process took one of the agent's ports between the choice and the start."""


class Answer(NamedTuple):
    """What an agent said; `headers` look up without regard to case."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Ports:
    api: int
    server: int
    serf_lan: int
    serf_wan: int


@dataclass(frozen=True, slots=True)
class Tls:
    """Files for a client of an agent that verifies both ways."""

    ca_file: Path
    client_cert: Path
    client_key: Path

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca_file))
        context.load_cert_chain(self.client_cert, self.client_key)
        return context


@dataclass(eq=False)
class Agent:
    """One agent process, and what it takes to start the same agent again."""

    name: str
    binary: Path
    directory: Path
    ports: Ports
    config: Config
    dev: bool = False
    token: str | None = field(default=None, repr=False)
    tls: Tls | None = None
    unix_socket: Path | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _paused: bool = field(default=False, repr=False)

    @property
    def port(self) -> int:
        """The port of the HTTP API, or of HTTPS where there is TLS."""
        return self.ports.api

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{HOST}:{self.port}"

    @property
    def datacenter(self) -> str:
        return str(self.config["datacenter"])

    @property
    def pid(self) -> int:
        """The process id; that of the last process after it has ended."""
        return self._started().pid

    @property
    def running(self) -> bool:
        """Whether there is a process; a paused one counts."""
        return self._process is not None and self._process.poll() is None

    @property
    def responsive(self) -> bool:
        return self.running and not self._paused

    # -- Life and death -----------------------------------------------------------------------

    def launch(self) -> None:
        """Start the process without waiting for it; the log goes on where it was."""
        config_file = self.directory / "agent.json"
        config_file.write_text(json.dumps(self.config))
        mode = ["-dev"] if self.dev else []
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [self.binary, "agent", *mode, "-config-file", config_file],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=clean_environment(),
                start_new_session=True,
            )
        self._paused = False

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers, like a machine that hangs."""
        self._started().send_signal(signal.SIGSTOP)
        self._paused = True

    def resume(self) -> None:
        """SIGCONT, after `pause`."""
        self._started().send_signal(signal.SIGCONT)
        self._paused = False

    def terminate(self) -> None:
        """SIGTERM, without waiting: how an agent ends its open requests is worth watching."""
        self._started().send_signal(signal.SIGTERM)

    def wait_exit(self, seconds: float = START_DEADLINE) -> int:
        """Wait for the end of a process that was told to end; its return code."""
        return self._started().wait(seconds)

    def kill(self) -> None:
        """SIGKILL, which ends a paused one too, and reap; nothing where it has ended already."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._paused = False

    def restart(self, *, wipe: bool = False) -> None:
        """Kill and start again with the same ports and data, and wait until it is writable.

        `wipe` empties the data directory first: a new machine under an old address. A `-dev` agent
        keeps nothing in any case.
        """
        self.kill()
        if wipe:
            shutil.rmtree(self.directory / "data", ignore_errors=True)
        self.launch()
        self.wait_ready()

    def stop(self) -> None:
        """Kill, and delete everything it wrote."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- Asking it ----------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        body: Json | bytes = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = 10.0,
    ) -> Answer:
        """One request with the agent's token, for set-up and audits.

        A `body` that is neither bytes nor str is sent as JSON. Any status is an answer; OSError and
        http.client.HTTPException are raised where there is none within `timeout` seconds.
        """
        own = {"X-Consul-Token": self.token} if self.token else {}
        data = body if body is None or isinstance(body, bytes | str) else json.dumps(body)
        connection = self._connection(timeout)
        try:
            connection.request(method, path, data, {**own, **(headers or {})})
            # What is answered with "Connection: close" is no longer the connection's to close.
            with connection.getresponse() as response:
                return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def log_tail(self, characters: int = 3000) -> str:
        text = self._log_file.read_text(errors="replace") if self._log_file.exists() else ""
        return text[-characters:]

    # -- Waiting ------------------------------------------------------------------------------

    def wait(self, done: Callable[[], bool], what: str, seconds: float = START_DEADLINE) -> None:
        """Poll `done` until it is true; no answer, or one that makes no sense yet, is not true."""
        deadline = time.monotonic() + seconds
        while self.running and time.monotonic() < deadline:
            try:
                if done():
                    return
            except (OSError, http.client.HTTPException, ValueError):
                pass
            time.sleep(0.02)
        ended = "" if self.running else " (it has ended)"
        tail = self.log_tail()
        error = PortTakenError if "address already in use" in tail and ended else AgentError
        raise error(f"{self.name} is not {what}{ended}. Its log ends with:\n{tail}")

    def wait_writable(self, datacenter: str | None = None, seconds: float = START_DEADLINE) -> None:
        """Wait until a write through this agent is committed.

        The write is a check-and-set of a key that is not there: it goes through the leader's log
        and answers false, so no test finds a key of ours.
        """
        path = f"/v1/kv/tests-support-not-there?cas=1&dc={datacenter or self.datacenter}"

        def committed() -> bool:
            answer = self.request("PUT", path, b"", timeout=2)
            return answer.status == 200 and answer.json() is False

        self.wait(committed, f"writable in {datacenter or self.datacenter}", seconds)

    def wait_in_catalog(self) -> None:
        """Wait until the catalog has this agent, alive."""
        self.wait(self._is_in_catalog, "passing in the catalog")

    def wait_ready(self) -> None:
        self.wait_writable()
        self.wait_in_catalog()

    # -- Details ------------------------------------------------------------------------------

    @property
    def _log_file(self) -> Path:
        return self.directory / "agent.log"

    def _is_in_catalog(self) -> bool:
        checks = self.request("GET", f"/v1/health/node/{self.name}", timeout=2).json()
        return any(c["CheckID"] == "serfHealth" and c["Status"] == "passing" for c in checks)

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        if self.tls:
            context = self.tls.context()
            return http.client.HTTPSConnection(HOST, self.port, timeout=timeout, context=context)
        return http.client.HTTPConnection(HOST, self.port, timeout=timeout)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise AgentError(f"{self.name} was never started")
        return self._process


class _Together:
    """Agents that are stopped together."""

    @property
    def agents(self) -> list[Agent]:
        raise NotImplementedError

    def stop(self) -> None:
        for agent in self.agents:
            agent.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@dataclass(eq=False)
class Cluster(_Together):
    """The servers of one datacenter and the client agents in front of them."""

    servers: list[Agent]
    clients: list[Agent]

    @property
    def agents(self) -> list[Agent]:
        return [*self.servers, *self.clients]

    def leader(self) -> Agent:
        """The server that most servers call leader; LookupError while there is none.

        Dead and paused servers are not asked, and never the answer: for a second or two after
        a leader's death the others still name it.
        """
        alive = [server for server in self.servers if server.responsive]
        votes = Counter(address for server in alive if (address := _leader_according_to(server)))
        for server in alive:
            if votes[f"{HOST}:{server.ports.server}"] > len(self.servers) // 2:
                return server
        raise LookupError("no leader")

    def followers(self) -> list[Agent]:
        """The other servers, as far as they are alive and not paused."""
        leader = self.leader()
        return [server for server in self.servers if server is not leader and server.responsive]

    def wait_leader(self, seconds: float = START_DEADLINE) -> Agent:
        """The leader, as soon as there is one."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.leader()
            except LookupError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.02)


@dataclass(eq=False)
class Datacenters(_Together):
    """Two single servers, each a datacenter, joined over the WAN."""

    dc1: Agent
    dc2: Agent

    @property
    def agents(self) -> list[Agent]:
        return [self.dc1, self.dc2]

    def wait_joined(self) -> None:
        """Wait until each can write in the other; after a restart too."""
        self.dc1.wait_writable("dc2")
        self.dc2.wait_writable("dc1")


@dataclass(eq=False)
class Guarded(_Together):
    """Two datacenters with ACLs: dc1, which knows the tokens, a client agent of it, and dc2.

    Who is not dc1's server asks it what a token may do, and remembers for five seconds; that it
    could not ask is remembered as a refusal. The agents' `token` may do everything; it can be taken
    from them, and given back.
    """

    dc1: Agent
    client: Agent
    dc2: Agent
    _management: str = field(repr=False)

    @property
    def agents(self) -> list[Agent]:
        return [self.dc1, self.client, self.dc2]

    @property
    def token(self) -> str:
        return str(self.dc1.token)

    def grant(self) -> None:
        """Make the token, or make it again."""
        token: Config = {
            "AccessorID": self._accessor,
            "SecretID": self.token,
            "Policies": [{"Name": "global-management"}],
            "Local": False,
        }
        self._manage("PUT", "/v1/acl/token", token)

    def revoke(self) -> None:
        """Delete it."""
        self._manage("DELETE", f"/v1/acl/token/{self._accessor}")

    @property
    def _accessor(self) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, self.token))

    def _manage(self, method: str, path: str, body: Json = None) -> None:
        answer = self.dc1.request(method, path, body, {"X-Consul-Token": self._management})
        if answer.status != 200:
            raise AgentError(f"{method} {path}: {answer.status} {answer.body!r}")


# -- Topologies -----------------------------------------------------------------------------------


def dev_agent(*, binary: Path | None = None, extra: Config | None = None) -> Agent:
    """A `-dev` server: there in 0.2 s, all in memory, and on a Unix socket as well."""

    def build() -> list[Agent]:
        agent = _server("dev", _binary(binary), dev=True, extra=extra)
        # The directory's path is short: that of a socket may have 104 characters at most.
        agent.unix_socket = agent.directory / "http.sock"
        listen = f"{HOST} unix://{agent.unix_socket}"
        agent.config = merged(agent.config, {"addresses": {"http": listen}})
        return [agent]

    return _started(build)[0]


def single_agent(*, binary: Path | None = None, extra: Config | None = None) -> Agent:
    """One server that keeps its data on disk: it can be killed and started again."""
    return _started(lambda: [_server("single", _binary(binary), extra=extra)])[0]


def acl_agent(*, binary: Path | None = None, extra: Config | None = None) -> Agent:
    """A server that denies what is not allowed; `token` is that of the management."""
    token = str(uuid.uuid4())
    acl: Config = {
        "primary_datacenter": "dc1",
        "acl": {
            "enabled": True,
            "default_policy": "deny",
            "down_policy": "extend-cache",
            "tokens": {"master": token, "agent": token},
        },
    }

    def build() -> list[Agent]:
        agent = _server("acl", _binary(binary), dev=True, extra=merged(acl, extra))
        agent.token = token
        return [agent]

    return _started(build)[0]


def tls_agent(*, binary: Path | None = None, extra: Config | None = None) -> Agent:
    """A server with HTTPS only, which answers only who shows a certificate of its CA."""

    def build() -> list[Agent]:
        agent = _server("tls", _binary(binary), dev=True)
        agent.tls, config = _certificates(agent)
        agent.config = merged(merged(agent.config, config), extra)
        return [agent]

    return _started(build)[0]


def cluster(
    servers: int = 3,
    clients: int = 1,
    *,
    binary: Path | None = None,
    extra: Config | None = None,
) -> Cluster:
    """One datacenter of several servers, whose leader can be killed, and client agents."""

    def build() -> list[Agent]:
        ports = free_ports(servers + clients)
        lan: Config = {"retry_join": [f"{HOST}:{own.serf_lan}" for own in ports[:servers]]}
        common = merged(lan, extra)
        expect: Config = {"bootstrap_expect": servers}
        path = _binary(binary)
        return [
            _server(f"server-{n + 1}", path, ports=own, extra=merged(expect, common))
            if n < servers
            else _agent(f"client-{n - servers + 1}", path, own, common)
            for n, own in enumerate(ports)
        ]

    agents = _started(build)
    return Cluster(agents[:servers], agents[servers:])


def two_datacenters(*, binary: Path | None = None, extra: Config | None = None) -> Datacenters:
    """dc1 and dc2, each one server that keeps its data, and each writable from the other."""

    def build() -> list[Agent]:
        ports = free_ports(2)
        wan: Config = {"retry_join_wan": [f"{HOST}:{own.serf_wan}" for own in ports]}
        return [
            _server(dc, _binary(binary), ports=own, extra=merged({"datacenter": dc, **wan}, extra))
            for dc, own in zip(("dc1", "dc2"), ports, strict=True)
        ]

    datacenters = Datacenters(*_started(build))
    try:
        datacenters.wait_joined()
    except BaseException:
        datacenters.stop()
        raise
    return datacenters


def guarded_datacenters(*, binary: Path | None = None, extra: Config | None = None) -> Guarded:
    """dc1 and dc2 with ACLs, and a client agent in dc1; each can write in both."""
    management, token = str(uuid.uuid4()), str(uuid.uuid4())
    acl: Config = {
        "primary_datacenter": "dc1",
        "acl": {
            "enabled": True,
            "default_policy": "deny",
            "down_policy": "extend-cache",
            "token_ttl": "5s",
            "policy_ttl": "5s",
            "tokens": {"master": management, "agent": management},
        },
    }

    def build() -> list[Agent]:
        first, second, third = free_ports(3)
        path = _binary(binary)
        wan = [f"{HOST}:{own.serf_wan}" for own in (first, third)]
        server = merged(merged(acl, {"retry_join_wan": wan}), extra)
        client = merged(merged(acl, {"retry_join": [f"{HOST}:{first.serf_lan}"]}), extra)
        built = [
            _server("dc1", path, ports=first, extra=server),
            _agent("client", path, second, client),
            _server("dc2", path, ports=third, extra=merged({"datacenter": "dc2"}, server)),
        ]
        for agent in built:
            agent.token = management
        return built

    dc1, client, dc2 = _started(build)
    guarded = Guarded(dc1, client, dc2, management)
    try:
        for agent in guarded.agents:
            agent.token = token
        guarded.grant()
        for agent in guarded.agents:
            for datacenter in ("dc1", "dc2"):
                agent.wait_writable(datacenter)
    except BaseException:
        guarded.stop()
        raise
    return guarded


# -- Parts ----------------------------------------------------------------------------------------


def free_ports(agents: int) -> list[Ports]:
    """Ports for so many agents, all different, each free for TCP and for UDP (Serf needs both).

    They are held while the others are chosen, and are drawn from below the range from which systems
    give ports to outgoing connections: otherwise some client could sit on an agent's port while the
    agent is down. The randomness is the system's, since a test runner may seed `random` alike in
    every worker.
    """
    held: list[socket.socket] = []
    found: list[int] = []
    try:
        for port in random.SystemRandom().sample(range(12_000, 32_000), 5_000):
            if _hold(port, held):
                found.append(port)
            if len(found) == 4 * agents:
                break
    finally:
        for each in held:
            each.close()
    return [Ports(*found[start : start + 4]) for start in range(0, 4 * agents, 4)]


def _hold(port: int, held: list[socket.socket]) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        held.append(socket.socket(socket.AF_INET, kind))
        try:
            held[-1].bind((HOST, port))
        except OSError:
            return False
    return True


def clean_environment() -> dict[str, str]:
    """The environment without Consul's variables, which would configure the child."""
    return {key: value for key, value in os.environ.items() if not key.startswith("CONSUL_")}


def merged(config: Config, extra: Config | None) -> Config:
    """`config` with what `extra` says instead or besides, mapping by mapping."""
    result = dict(config)
    for key, value in (extra or {}).items():
        mine = result.get(key)
        if isinstance(mine, Mapping) and isinstance(value, Mapping):
            result[key] = merged(mine, value)
        else:
            result[key] = value
    return result


def _binary(given: Path | None) -> Path:
    binary = given or consul_binary.find()
    if binary is None:
        raise consul_binary.ConsulBinaryError(f"No consul here. {consul_binary.HOW_TO_GET_ONE}")
    return binary


def _started(build: Callable[[], list[Agent]], attempts: int = 5) -> list[Agent]:
    """Start what `build` makes; again with new ports where one of them has been taken meanwhile."""
    for attempt in range(1, attempts + 1):
        agents = build()
        try:
            _launch_and_wait(agents)
            return agents
        except BaseException as error:
            for agent in agents:
                agent.stop()
            if not isinstance(error, PortTakenError) or attempt == attempts:
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")


def _launch_and_wait(agents: Iterable[Agent]) -> None:
    for agent in agents:
        agent.launch()
    for agent in agents:
        agent.wait_ready()


def _server(
    name: str,
    binary: Path,
    *,
    dev: bool = False,
    ports: Ports | None = None,
    extra: Config | None = None,
) -> Agent:
    """A server, not started. `-dev` has its own timing and refuses `bootstrap_expect`."""
    server: Config = {
        "server": True,
        "bootstrap_expect": 1,
        "performance": {"raft_multiplier": 1},
        "gossip_wan": _FAST_GOSSIP,
        "retry_interval_wan": "500ms",
    }
    own = {} if dev else server
    return _agent(name, binary, ports or free_ports(1)[0], merged(own, extra), dev=dev)


def _agent(name: str, binary: Path, ports: Ports, extra: Config, *, dev: bool = False) -> Agent:
    directory = Path(tempfile.mkdtemp(prefix="consul-"))
    common: Config = {
        "node_name": name,
        "datacenter": "dc1",
        "bind_addr": HOST,
        "client_addr": HOST,
        "ports": {
            "http": ports.api,
            "https": -1,
            "server": ports.server,
            "serf_lan": ports.serf_lan,
            "serf_wan": ports.serf_wan,
            "dns": -1,
            "grpc": -1,
            **_later_ports(binary),
        },
        # Agents on one machine would have one id and refuse each other.
        "disable_host_node_id": True,
        "disable_update_check": True,
        "leave_on_terminate": False,
        "skip_leave_on_interrupt": True,
    }
    on_disk: Config = {
        "data_dir": str(directory / "data"),
        "gossip_lan": {**_FAST_GOSSIP, "gossip_nodes": 3},
        "retry_interval": "500ms",
    }
    config = merged(common if dev else merged(common, on_disk), extra)
    return Agent(name, binary, directory, ports, config, dev)


@cache
def _later_ports(binary: Path) -> dict[str, int]:
    """Off as well: a fixed port that servers open since Consul 1.14, and earlier ones refuse."""
    numbers = re.search(r"v(\d+)\.(\d+)", consul_binary.version(binary))
    newer = numbers is not None and (int(numbers[1]), int(numbers[2])) >= (1, 14)
    return {"grpc_tls": -1} if newer else {}


def _certificates(agent: Agent) -> tuple[Tls, Config]:
    """A CA, the client's files, and the configuration for an agent that verifies both ways."""
    directory = agent.directory / "tls"
    directory.mkdir()
    for command in (
        ["ca", "create"],
        ["cert", "create", "-server", "-dc", "dc1", "-additional-ipaddress", HOST],
        ["cert", "create", "-cli", "-dc", "dc1"],
    ):
        _consul_tls(agent.binary, command, directory)
    for key in directory.glob("*-key.pem"):
        key.chmod(0o600)
    ca_file = directory / "consul-agent-ca.pem"
    client = directory / "dc1-cli-consul-0"
    tls = Tls(ca_file, client.with_suffix(".pem"), directory / "dc1-cli-consul-0-key.pem")
    config: Config = {
        "ports": {"http": -1, "https": agent.port},
        "ca_file": str(ca_file),
        "cert_file": str(directory / "dc1-server-consul-0.pem"),
        "key_file": str(directory / "dc1-server-consul-0-key.pem"),
        "verify_incoming": True,
        "verify_outgoing": True,
        "verify_server_hostname": True,
    }
    return tls, config


def _consul_tls(binary: Path, command: Sequence[str], directory: Path) -> None:
    subprocess.run(
        [binary, "tls", *command],
        cwd=directory,
        env=clean_environment(),
        check=True,
        capture_output=True,
    )


def _leader_according_to(server: Agent) -> str | None:
    try:
        return str(server.request("GET", "/v1/status/leader", timeout=1).json())
    except (OSError, http.client.HTTPException, ValueError):
        return None
