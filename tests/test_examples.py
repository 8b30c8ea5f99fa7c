"""The examples and the demo run as they stand, and print what they say they print."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import httpx
import pytest

from tests.support.agents import Agent, Datacenters, clean_environment
from tests.support.served import Served

ROOT = Path(__file__).resolve().parents[1]

WITH_AN_AGENT = {
    "back_up_the_servers": """\
        saved: what 1 server knows
        whole: True
        not whole: the snapshot is damaged: it ends before its end
        """,
    "choose_your_layers": """\
        kv.put -> 200 (1 attempt)
        kv.delete -> 200 (1 attempt)
        kv.get -> 404 (1 attempt)
        consul.default is closed
        """,
    "configure_from_the_environment": """\
        <ConsulClient ADDRESS datacenter=dc1>
        knows: ['dc1']
        look at: CONSUL_TIMEOUT
        because: CONSUL_TIMEOUT cannot be used: input should be a valid number, unable to parse \
string as a number
        """,
    "count_with_compare_and_set": """\
        counted: 10
        fresh: True
        stale: False
        """,
    "find_and_pick": """\
        well: [8081, 8083]
        picked one of them: True
        """,
    "follow_instances": """\
        at first: 0
        new: examples-shop 8080
        changed: 8080 is now 8081
        gone: examples-shop
        """,
    "leader_election": """\
        all see that it is their turn: True
        all see that it is their turn: True
        all see that it is their turn: True
        leads now: None
        """,
    "move_in_a_transaction": """\
        moved: True
        nothing was done: operation 0 failed
        moved: False
        there: {'examples/draft': 'hello again', 'examples/letter': 'hello'}
        """,
    "onex_node": """\
        registered for examples.a
        configured: {'timeout': 30}
        gone: True
        """,
    "put_and_get": """\
        bytes: b'{"open":8,"close":20}'
        json:  {'open': 8, 'close': 20}
        typed: 20
        listed: examples/shop/hours
        listed: examples/shop/name
        afterwards: None
        """,
    "rate_limited_job": """\
        jobs done: 6
        never more than two at once: True
        """,
    "register_with_heartbeats": """\
        at first: critical
        found: examples-shop at port 8080
        """,
    "self_registering_service": """\
        found: examples-shop at port 8080
        afterwards: []
        """,
    "watch_a_key": """\
        now: good morning
        now: good evening
        now: (no such key)
        """,
}
WITH_NONE = {
    "mock_with_respx": """\
        red grey red
        kv.get: Consul answered 500: No cluster leader; gave up after 2 attempts
        6 requests
        """,
}
WITH_TWO_DATACENTERS = {
    "use_two_datacenters": """\
        known: dc1, dc2
        read: dc1
        read: dc2
        answered by: dc2
        """,
}


def run(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=ROOT,
        env={**clean_environment(), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def fake() -> Iterator[Served]:
    """A fake agent on a port."""
    started = Served()
    yield started
    started.end()


def prints_what_it_should_and_cleans_up(name: str, address: str) -> None:
    printed = run(f"examples/{name}.py", CONSUL_HTTP_ADDR=address)

    assert printed.replace(address, "ADDRESS") == dedent(WITH_AN_AGENT[name])
    with httpx.Client(base_url=address) as http:
        assert http.get("/v1/kv/examples/?keys").status_code == 404
        assert "examples" not in http.get("/v1/kv/onex/?keys").text
        assert '"examples-' not in http.get("/v1/agent/services").text


@pytest.mark.parametrize("name", WITH_AN_AGENT)
def test_an_example_prints_what_it_should_and_cleans_up(name: str, agent: Agent) -> None:
    prints_what_it_should_and_cleans_up(name, agent.url)


@pytest.mark.parametrize("name", WITH_AN_AGENT)
def test_it_does_so_on_a_fake_agent_too(name: str, fake: Served) -> None:
    prints_what_it_should_and_cleans_up(name, fake.url)


@pytest.mark.parametrize("name", WITH_NONE)
def test_the_mocked_example_needs_no_agent(name: str) -> None:
    printed = run(f"examples/{name}.py", CONSUL_HTTP_ADDR="http://127.0.0.1:1")

    assert printed == dedent(WITH_NONE[name])


@pytest.mark.parametrize("name", WITH_TWO_DATACENTERS)
def test_an_example_reads_from_two_datacenters(name: str, datacenters: Datacenters) -> None:
    printed = run(f"examples/{name}.py", CONSUL_HTTP_ADDR=datacenters.dc1.url)

    assert printed == dedent(WITH_TWO_DATACENTERS[name])


@pytest.mark.parametrize("name", WITH_TWO_DATACENTERS)
def test_it_reads_from_two_that_are_fake_too(name: str) -> None:
    started = Served("--datacenter", "dc1", "dc2")
    printed = run(f"examples/{name}.py", CONSUL_HTTP_ADDR=started.url)

    assert started.end() == (0, b"")
    assert printed == dedent(WITH_TWO_DATACENTERS[name])


def test_no_example_is_forgotten_here() -> None:
    tested = {*WITH_AN_AGENT, *WITH_NONE, *WITH_TWO_DATACENTERS}

    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == tested


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.stem)
def test_an_example_is_short_and_says_what_it_needs(path: Path) -> None:
    source = path.read_text()
    header = re.match(r"# /// script\n((?:# .*\n)+)# ///\n\"\"\"", source)
    assert header is not None
    script = tomllib.loads(re.sub(r"^# ", "", header[1], flags=re.MULTILINE))

    assert script["requires-python"] == ">=3.11"
    imported = set(re.findall(r"^(?:import|from) (respx|starlette)\b", source, re.MULTILINE))
    assert set(script["dependencies"]) == {"consul-onex", *imported}
    assert 15 <= source.count("\n") <= 40


def tells_its_story(printed: str) -> None:
    assert "\n'gold'\n" in printed
    assert "\n[8080]\n" in printed
    painters = re.findall(r"^(\w+) has the brush$", printed, re.MULTILINE)
    assert sorted(painters) == ["Ada", "Grace"]
    assert printed.count("\n") <= 42


def test_the_demo_tells_its_story_in_memory() -> None:
    printed = run("-m", "tests.demo")

    assert printed.startswith("There is no Consul here: an agent in memory stands in for it.\n")
    tells_its_story(printed)


def test_the_demo_tells_it_to_a_consul_and_cleans_up(agent: Agent) -> None:
    printed = run("-m", "tests.demo", CONSUL_HTTP_ADDR=agent.url)

    assert printed.startswith(f"<ConsulClient {agent.url}>\n")
    tells_its_story(printed)
    name = re.search(r'"(demo-[0-9a-f]{4})/', printed)
    assert name is not None
    assert agent.request("GET", f"/v1/kv/{name[1]}/?keys").status == 404
    assert name[1].encode() not in agent.request("GET", "/v1/agent/services").body


def test_the_demo_starts_a_consul_of_its_own(consul_binary: Path) -> None:
    printed = run("-m", "tests.demo", "real", CONSUL_BIN=str(consul_binary))

    assert printed.startswith("A Consul of our own is running at http://127.0.0.1:")
    tells_its_story(printed)


def test_the_demo_fails_where_no_consul_answers() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.demo"],
        cwd=ROOT,
        env={**clean_environment(), "CONSUL_HTTP_ADDR": "http://127.0.0.1:1:1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("The demo failed. CONSUL_HTTP_ADDR has")
