"""Two datacenters: through the own agent, directly, and in place of one that does not answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import anyio
import httpx
import pytest

from consul_onex import (
    ConsulClient,
    ConsulConnectionError,
    Cursor,
    KVPair,
    ServerError,
    UnknownDatacenterError,
    Watch,
)
from consul_onex.transport import Datacenters, Deadline, Layer, Limit
from tests.contract.conftest import Recorder
from tests.support import agents


class Network(Recorder):
    """A recorder on whose way some agents cannot be reached."""

    def __init__(self) -> None:
        super().__init__()
        self.down: set[int] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.port in self.down:
            self.requests.append(request)
            raise httpx.ConnectError("no route to this agent", request=request)
        return await super().handle_async_request(request)

    def asked(self, agent: agents.Agent) -> list[httpx.Request]:
        return [request for request in self.requests if request.url.port == agent.port]


@pytest.fixture
async def dc1(datacenters: agents.Datacenters) -> AsyncIterator[ConsulClient]:
    async with ConsulClient(datacenters.dc1.url) as client:
        yield client


@pytest.fixture
async def dc2(datacenters: agents.Datacenters) -> AsyncIterator[ConsulClient]:
    async with ConsulClient(datacenters.dc2.url) as client:
        yield client


@pytest.fixture
async def key(dc1: ConsulClient, dc2: ConsulClient) -> AsyncIterator[str]:
    """A key that says in each datacenter where it is."""
    name = f"datacenters/{uuid4().hex}"
    await dc1.kv.put(name, b"in dc1")
    await dc2.kv.put(name, b"in dc2")
    yield name
    for c in (dc1, dc2):
        await c.kv.delete_tree(name)


@pytest.fixture
async def network() -> Network:
    return Network()


@pytest.fixture
async def c(datacenters: agents.Datacenters, network: Network) -> AsyncIterator[ConsulClient]:
    """A client of dc1's agent that asks dc2's agent directly, and tries everything once."""
    layers: list[Layer] = [Deadline(20), Datacenters({"dc2": datacenters.dc2.url}), Limit()]
    async with ConsulClient(datacenters.dc1.url, transport=network, layers=layers) as client:
        yield client


async def read(c: ConsulClient, key: str, cursor: Cursor | None = None) -> bytes | None:
    pair = await c.kv.get(key, cursor=cursor)
    return pair.value if pair is not None else None


# -- by name -------------------------------------------------------------------------------------


async def test_the_own_agent_asks_another_datacenter(
    dc1: ConsulClient, dc2: ConsulClient, key: str
) -> None:
    away = dc1.using(datacenter="dc2")

    assert await read(away, key) == b"in dc2"
    await away.kv.put(key, b"written from dc1")
    assert await read(dc2, key) == b"written from dc1"
    assert await read(dc1, key) == b"in dc1"
    await away.kv.delete(key)
    assert (await read(dc2, key), await read(dc1, key)) == (None, b"in dc1")


async def test_without_an_address_a_datacenter_is_asked_through_the_own_agent(
    datacenters: agents.Datacenters, network: Network, key: str
) -> None:
    async with ConsulClient(datacenters.dc1.url, transport=network) as c:
        value = await read(c.using(datacenter="dc2"), key)

    assert value == b"in dc2"
    assert [request.url.port for request in network.requests] == [datacenters.dc1.port]


async def test_with_an_address_it_is_asked_directly(
    c: ConsulClient, datacenters: agents.Datacenters, network: Network, key: str
) -> None:
    away = c.using(datacenter="dc2")

    await away.kv.put(key, b"x" * 1000, flags=7)
    pair = await away.kv.get(key)

    assert pair is not None
    assert (pair.value, pair.flags) == (b"x" * 1000, 7)
    assert network.asked(datacenters.dc1) == []
    for request in network.requests:
        assert request.url.params["dc"] == "dc2"
        assert request.headers["host"] == f"127.0.0.1:{datacenters.dc2.port}"
        assert request.headers.get_list("host") == [request.headers["host"]]
        # Another address, but the same request: its time-outs went along.
        assert request.extensions["timeout"]["read"] > 0


async def test_the_own_datacenter_is_asked_at_the_own_agent(
    c: ConsulClient, datacenters: agents.Datacenters, network: Network, key: str
) -> None:
    for view in (c, c.using(datacenter="dc1"), c.using(datacenter="dc2").using(datacenter=None)):
        assert await read(view, key) == b"in dc1"

    assert len(network.asked(datacenters.dc1)) == 3


async def test_unusual_keys_arrive_directly_too(
    c: ConsulClient, dc2: ConsulClient, key: str
) -> None:
    names = [f"{key}/{name}" for name in ("a b", "%2e%2e", "?recurse", "ü#+&=")]
    away = c.using(datacenter="dc2", consistency="consistent")

    for name in names:
        await away.kv.put(name, name)

    assert [pair.text() for pair in await dc2.kv.list(key + "/")] == sorted(names, key=str.encode)
    assert await away.kv.keys(key + "/", separator="é") == sorted(names, key=str.encode)


async def test_what_is_about_the_agent_itself_stays_with_it(
    c: ConsulClient, datacenters: agents.Datacenters, network: Network
) -> None:
    away = c.using(datacenter="dc2", failover=["dc2"])

    agent = await away.request("GET", "/v1/agent/self")
    leader = await away.status.leader()
    known = await away.catalog.datacenters()

    assert agent.json()["Config"]["Datacenter"] == "dc1"
    assert leader == f"127.0.0.1:{datacenters.dc1.ports.server}"
    assert sorted(known) == ["dc1", "dc2"]
    assert network.asked(datacenters.dc2) == []
    assert [dict(request.url.params) for request in network.requests] == [{}, {}, {}]


async def test_an_unknown_datacenter_is_an_error(dc1: ConsulClient, key: str) -> None:
    nowhere = dc1.using(datacenter="dc3")

    for operation, call in {
        "kv.get": nowhere.kv.get(key),
        "kv.list": nowhere.kv.list(key),
        "kv.put": nowhere.kv.put(key, b""),
        "kv.delete": nowhere.kv.delete(key),
    }.items():
        with pytest.raises(UnknownDatacenterError) as raised:
            await call
        assert raised.value.operation == operation


# -- history -------------------------------------------------------------------------------------


async def test_each_datacenter_has_a_history_of_its_own(
    c: ConsulClient, network: Network, key: str
) -> None:
    cursor = Cursor(wait=5)
    seen: list[tuple[bytes | None, str | None, bool]] = []

    with anyio.fail_after(5):
        for view in (c, c.using(datacenter="dc2"), c):
            value = await read(view, key, cursor)
            seen.append((value, cursor.datacenter, cursor.resynchronised))

    # It waited nowhere: an index of one means nothing in the other.
    assert network.blocking == []
    assert seen == [(b"in dc1", None, False), (b"in dc2", "dc2", True), (b"in dc1", None, True)]


async def test_a_watch_in_another_datacenter_waits_there(
    c: ConsulClient, dc2: ConsulClient, datacenters: agents.Datacenters, network: Network, key: str
) -> None:
    watch = c.using(datacenter="dc2").kv.watch(key)
    seen: list[KVPair | None] = []

    async def follow() -> None:
        seen.extend([await anext(watch) for _ in range(2)])

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            await network.blocks()
            await dc2.kv.put(key, b"new")

    assert [pair and pair.value for pair in seen] == [b"in dc2", b"new"]
    assert network.asked(datacenters.dc1) == []


# -- in place of another -------------------------------------------------------------------------


async def test_nothing_is_asked_elsewhere_unless_a_view_says_so(
    c: ConsulClient, datacenters: agents.Datacenters, network: Network, key: str
) -> None:
    network.down = {datacenters.dc1.port}

    with pytest.raises(ConsulConnectionError):
        await c.kv.get(key)

    assert network.asked(datacenters.dc2) == []


async def test_a_read_is_answered_elsewhere_while_its_own_agent_is_dead(
    c: ConsulClient, datacenters: agents.Datacenters, network: Network, key: str
) -> None:
    view = c.using(failover=["dc2"])
    cursor = Cursor()

    alive = await read(view, key)
    network.down = {datacenters.dc1.port}
    dead = await read(view, key, cursor)
    elsewhere = cursor.datacenter
    network.down = set()
    again = await read(view, key)

    assert (alive, dead, again) == (b"in dc1", b"in dc2", b"in dc1")
    assert elsewhere == "dc2"


async def test_a_real_dead_agent_is_no_different(datacenters: agents.Datacenters, key: str) -> None:
    nobody = agents.free_ports(1)[0].api
    usual = ConsulClient(f"http://127.0.0.1:{nobody}")
    direct: list[Layer] = [Deadline(20), Datacenters({"dc2": datacenters.dc2.url}), Limit()]

    async with usual, ConsulClient(f"http://127.0.0.1:{nobody}", layers=direct) as c:
        assert await read(c.using(failover=["dc2"]), key) == b"in dc2"
        # Without an address there is only the dead agent to ask.
        with pytest.raises(ConsulConnectionError):
            await usual.using(failover=["dc2"], timeout=1).kv.get(key)


async def test_what_is_missing_is_an_answer_and_asked_nowhere_else(
    c: ConsulClient, datacenters: agents.Datacenters, network: Network, dc1: ConsulClient, key: str
) -> None:
    await dc1.kv.delete(key)

    value = await read(c.using(failover=["dc2"]), key)

    assert value is None
    assert network.asked(datacenters.dc2) == []


async def test_the_datacenters_of_a_failover_are_asked_in_order(
    c: ConsulClient, datacenters: agents.Datacenters, network: Network, key: str
) -> None:
    # The own agent knows no dc3, and dc2 is asked next.
    view = c.using(datacenter="dc3", failover=["dc4", "dc2"])

    value = await read(view, key)

    assert value == b"in dc2"
    assert [request.url.params["dc"] for request in network.requests] == ["dc3", "dc4", "dc2"]


async def test_the_last_failure_is_told(
    c: ConsulClient, datacenters: agents.Datacenters, network: Network, key: str
) -> None:
    network.down = {datacenters.dc1.port, datacenters.dc2.port}

    with pytest.raises(ConsulConnectionError):
        await c.using(failover=["dc2"]).kv.get(key)

    network.down = {datacenters.dc2.port}
    with pytest.raises(UnknownDatacenterError):
        await c.using(datacenter="dc2", failover=["dc3"]).kv.get(key)


async def test_writes_are_never_made_elsewhere(
    c: ConsulClient, datacenters: agents.Datacenters, network: Network, key: str
) -> None:
    view = c.using(failover=["dc2"])
    network.down = {datacenters.dc1.port}

    for call in (view.kv.put(key, b"x"), view.kv.put(key, b"x", cas=0), view.kv.delete(key)):
        with pytest.raises(ConsulConnectionError):
            await call

    assert network.asked(datacenters.dc2) == []


async def test_an_index_is_not_taken_along(
    c: ConsulClient, datacenters: agents.Datacenters, network: Network, key: str
) -> None:
    view = c.using(failover=["dc2"])
    cursor = Cursor(wait=60)

    with anyio.fail_after(10):
        values = [await read(view, key, cursor)]
        network.down = {datacenters.dc1.port}
        values.append(await read(view, key, cursor))

    # Asked with it at home, it would have waited a minute: dc2 answered at once.
    first, home, away = network.requests
    assert values == [b"in dc1", b"in dc2"]
    assert "index" not in first.url.params
    assert {"index", "wait"} <= set(home.url.params)
    assert not {"index", "wait"} & set(away.url.params)
    assert (cursor.datacenter, cursor.resynchronised) == ("dc2", True)


async def test_a_watch_goes_over_and_comes_back(
    c: ConsulClient,
    dc2: ConsulClient,
    datacenters: agents.Datacenters,
    network: Network,
    key: str,
) -> None:
    watch: Watch[KVPair | None] = c.using(failover=["dc2"], wait=1).kv.watch(key)
    seen: list[tuple[bytes | None, bool]] = []

    async def step() -> None:
        pair = await anext(watch)
        seen.append((pair.value if pair else None, watch.resynchronised))

    with anyio.fail_after(20):
        await step()
        network.down = {datacenters.dc1.port}
        await step()
        # It waits in dc2 now, with dc2's index.
        await dc2.kv.put(key, b"new in dc2")
        await step()
        network.down = set()
        await step()

    assert seen == [
        (b"in dc1", False),
        (b"in dc2", True),
        (b"new in dc2", False),
        (b"in dc1", True),
    ]


async def test_a_datacenter_that_cannot_be_reached_is_the_servers_trouble(
    datacenters: agents.Datacenters, key: str
) -> None:
    # Only what dc1's agent says of it is known here: it is not dc1 that failed.
    async with ConsulClient(datacenters.dc1.url) as c:
        with pytest.raises((UnknownDatacenterError, ServerError)):
            await c.using(datacenter="DC2", timeout=2).kv.get(key)
        assert await read(c, key) == b"in dc1"
