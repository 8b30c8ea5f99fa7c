"""Transactions, as a real agent carries them out, or does not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import pytest

from consul_onex import (
    BadRequestError,
    ConsulClient,
    InvalidKeyError,
    InvalidRequestError,
    OperationError,
    PayloadTooLargeError,
    PermissionDeniedError,
    TransactionError,
    UnknownDatacenterError,
)
from consul_onex.api.txn import MAX_BYTES, MAX_OPERATIONS, Transaction
from consul_onex.models.catalog import (
    CatalogCheck,
    CatalogCheckDefinition,
    CatalogServiceDefinition,
    Node,
)
from consul_onex.models.check import HealthCheck
from consul_onex.models.service import AgentService, Weights
from consul_onex.models.txn import TxnResult
from tests.contract.conftest import NewSession, Recorder
from tests.support.agents import Agent, Datacenters
from tests.support.lossless import lost

NewNode = Callable[..., str]
"""Gives the name of a node, which is gone afterwards."""


@pytest.fixture
async def new_node(c: ConsulClient) -> AsyncIterator[NewNode]:
    made: list[str] = []

    def name(start: str = "node") -> str:
        made.append(f"{start}-{uuid4().hex}")
        return made[-1]

    yield name
    t = c.txn.begin()
    for node in made:
        t.node.delete(node)
    await t.commit()


async def rolled_back(transaction: Transaction) -> tuple[OperationError, ...]:
    """What failed of a transaction that is not carried out."""
    with pytest.raises(TransactionError) as caught:
        await transaction.commit()
    return caught.value.errors


def web(**fields: Any) -> CatalogServiceDefinition:
    return CatalogServiceDefinition(service="web", **fields)


# -- keys -------------------------------------------------------------------------------------


async def test_what_is_written_is_read_in_the_same_transaction(
    c: ConsulClient, prefix: str
) -> None:
    a, b = prefix + "a", prefix + "b"
    result = await (
        c.txn.begin()
        .kv.set(a, "1", flags=2**64 - 1)
        .kv.get(a)
        .kv.set(b, b"2")
        .kv.get_tree(prefix)
        .kv.delete(a)
        .kv.check_not_exists(a)
        .commit()
    )

    assert [(pair.key, pair.value) for pair in result.pairs] == [
        *((a, b""), (a, b"1"), (b, b""), (a, b"1"), (b, b"2"))
    ]
    assert result.pairs[1].flags == 2**64 - 1
    assert result.known_leader is None
    assert await c.kv.keys(prefix) == [b]


async def test_check_and_set_and_check_and_delete(c: ConsulClient, prefix: str) -> None:
    key = prefix + "a"
    made = (await c.txn.begin().kv.cas(key, "1", 0).commit()).pairs[0]
    index = made.modify_index
    assert (await c.txn.begin().kv.check_index(key, index).commit()).pairs == [made]

    assert [
        [error.what for error in await rolled_back(t)]
        for t in (
            c.txn.begin().kv.cas(key, "2", 0),
            c.txn.begin().kv.cas(key, "2", index + 1),
            c.txn.begin().kv.delete_cas(key, index + 1),
        )
    ] == [
        [f'failed to set key "{key}", index is stale'],
        [f'failed to set key "{key}", index is stale'],
        [f'failed to delete key "{key}", index is stale'],
    ]
    [error] = await rolled_back(c.txn.begin().kv.check_index(key, index + 1))
    assert f"current modify index {index} != {index + 1}" in error.what

    changed = (await c.txn.begin().kv.cas(key, "2", index).commit()).pairs[0]
    assert changed.create_index == index < changed.modify_index
    gone = c.txn.begin().kv.delete_cas(key, changed.modify_index)
    assert await gone.commit() == TxnResult()
    # Twice, since what is gone already is as it should be.
    assert await gone.commit() == TxnResult()
    assert await c.kv.get(key) is None


async def test_a_tree_is_deleted_and_its_neighbours_are_not(c: ConsulClient, prefix: str) -> None:
    t = c.txn.begin()
    for name in ("app/a", "app/b", "apple"):
        t.kv.set(prefix + name, "x")
    await t.kv.delete_tree(prefix + "app/").kv.delete_tree(prefix + "nothing").commit()

    assert await c.kv.keys(prefix) == [prefix + "apple"]


async def test_a_key_is_locked_checked_and_unlocked(
    c: ConsulClient, prefix: str, new_session: NewSession
) -> None:
    key, mine, theirs = prefix + "lock", await new_session(), await new_session()

    held = (await c.txn.begin().kv.lock(key, mine, "me", flags=7).commit()).pairs[0]
    assert (held.session, held.lock_index, held.flags) == (mine, 1, 7)
    fenced = c.txn.begin().kv.check_session(key, mine).kv.set(prefix + "data", "1")
    assert [pair.key for pair in (await fenced.commit()).pairs] == [key, prefix + "data"]

    [error] = await rolled_back(c.txn.begin().kv.lock(key, theirs))
    assert error.what == f'failed to lock key "{key}", lock is already held'
    [error] = await rolled_back(c.txn.begin().kv.unlock(key, theirs))
    assert "held by another session" in error.what
    stale = c.txn.begin().kv.check_session(key, theirs).kv.set(prefix + "data", "2")
    [error] = await rolled_back(stale)
    assert (error.index, theirs in error.what) == (0, True)

    freed = (await c.txn.begin().kv.unlock(key, mine, "free").commit()).pairs[0]
    assert freed.session is None
    assert [pair.value for pair in await c.kv.list(prefix)] == [b"1", b"free"]


async def test_a_session_that_is_not_there_holds_nothing(c: ConsulClient, prefix: str) -> None:
    gone = str(uuid4())
    t = c.txn.begin()
    t.kv.lock(prefix + "a", gone).kv.lock(prefix + "a", "no id").kv.check_session(prefix, gone)

    assert [(error.index, error.what) for error in await rolled_back(t)] == [
        (0, f'invalid session "{gone}"'),
        (1, "failed session lookup: index error: UUID must be 36 characters"),
        (2, f'failed to check session, key "{prefix}" doesn\'t exist'),
    ]


async def test_a_server_that_knows_no_empty_answer_says_so(c: ConsulClient, prefix: str) -> None:
    errors = await rolled_back(c.txn.begin().kv.get_or_empty(prefix + "a"))

    assert errors == (OperationError(0, 'unknown KV verb "get-or-empty"'),)


@pytest.mark.parametrize(
    "odd",
    ["//{}", "/{}", "../{}", "{}//a", "./{}", "{}/..", "{}/", "{}\0\r\n\x1b", "{} ?#%2F+", "{}é€𝄞"],
    ids=ascii,
)
async def test_any_text_is_a_key(c: ConsulClient, odd: str) -> None:
    key = odd.format(uuid4().hex)
    result = await c.txn.begin().kv.set(key, "x").kv.get(key).commit()
    gone = await c.txn.begin().kv.delete(key).kv.check_not_exists(key).commit()

    assert [pair.key for pair in result.pairs] == [key, key]
    assert result.pairs[1].value == b"x"
    assert gone == TxnResult()


async def test_what_no_url_can_name_is_said_to_be_for_transactions(c: ConsulClient) -> None:
    long = "a" * 100_000
    with pytest.raises(InvalidKeyError, match=r"only a transaction \(c\.txn\)"):
        await c.kv.get(long)

    result = await c.txn.begin().kv.set(long, "x").kv.get(long).kv.delete(long).commit()

    assert result.pairs[1].value == b"x"


@pytest.mark.parametrize("value", [b"", b"\0", bytes(range(256)) * 1500], ids=len)
async def test_every_byte_of_a_value_survives(c: ConsulClient, prefix: str, value: bytes) -> None:
    result = await c.txn.begin().kv.set(prefix + "a", value).kv.get(prefix + "a").commit()

    assert result.pairs[1].value == value
    assert (await c.kv.list(prefix))[0].value == value


# -- all or none ------------------------------------------------------------------------------


async def test_as_many_operations_of_every_kind_as_there_may_be(
    c: ConsulClient, prefix: str, new_node: NewNode
) -> None:
    node = new_node()
    t = c.txn.begin().node.set(node, "10.0.0.1").service.set(node, web())
    t.check.set(node, CatalogCheck(name="disk", status="passing", service_id="web"))
    for n in range(MAX_OPERATIONS - 4):
        t.kv.set(f"{prefix}{n:02}", str(n))
    result = await t.kv.get_tree(prefix).commit()

    assert len(t) == MAX_OPERATIONS
    assert len(result.results) == 3 + 2 * (MAX_OPERATIONS - 4)
    assert [pair.text() for pair in result.pairs[-2:]] == ["58", "59"]


async def test_what_is_too_much_is_not_sent_and_would_be_refused(
    observed: ConsulClient, recorder: Recorder, prefix: str
) -> None:
    many, wide = observed.txn.begin(), observed.txn.begin()
    for n in range(MAX_OPERATIONS + 1):
        many.kv.set(f"{prefix}{n}", "")
    wide.kv.set(prefix + "a", b"x" * MAX_BYTES)
    for t in (many, wide):
        with pytest.raises(InvalidRequestError, match=r"^txn\.commit: "):
            await t.commit()
    assert recorder.requests == []

    for t in (many, wide):
        t.max_operations, t.max_bytes = 128, 2 * MAX_BYTES
        with pytest.raises(PayloadTooLargeError):
            await t.commit()
    assert await observed.kv.keys(prefix) == []


async def test_the_last_byte_counts(c: ConsulClient, prefix: str) -> None:
    def transaction(size: int) -> Transaction:
        t = c.txn.begin(max_bytes=size)
        # The key is ASCII: a character is a byte. The rest is the frame around it.
        frame = len(json.dumps([{"KV": {"Verb": "delete", "Key": prefix}}], separators=(",", ":")))
        return t.kv.delete(prefix + "a" * (size - frame))

    assert await transaction(MAX_BYTES).commit() == TxnResult()
    with pytest.raises(PayloadTooLargeError, match="524289 bytes"):
        await transaction(MAX_BYTES + 1).commit()


async def test_one_that_fails_undoes_the_others_and_each_that_failed_is_named(
    c: ConsulClient, prefix: str, new_node: NewNode
) -> None:
    node = new_node()
    await c.kv.put(prefix + "a", "1")
    t = (
        c.txn.begin()
        .kv.set(prefix + "b", "2")
        .kv.cas(prefix + "a", "2", 1)
        .node.set(node, "10.0.0.1")
        .kv.get(prefix + "missing")
        .service.get(node, "web")
        .kv.check_not_exists(prefix + "a")
        .kv.delete(prefix + "a")
        .check.get(node, "disk")
        .service.set(f"no-{node}", web())
        .check.set(node, CatalogCheck(name="disk", service_id="web"))
    )

    assert [(error.index, error.what) for error in await rolled_back(t)] == [
        (1, f'failed to set key "{prefix}a", index is stale'),
        (3, f'key "{prefix}missing" doesn\'t exist'),
        (4, f'service "web" on node "{node}" doesn\'t exist'),
        (5, f'key "{prefix}a" exists'),
        (7, f'check "disk" on node "{node}" doesn\'t exist'),
        (8, "Missing node registration"),
        (9, "Missing service registration"),
    ]
    assert [(pair.key, pair.value) for pair in await c.kv.list(prefix)] == [(prefix + "a", b"1")]
    [error] = await rolled_back(c.txn.begin().node.get(node))
    assert error.what == f'node "{node}" doesn\'t exist'


async def test_very_much_that_failed_is_told_as_far_as_it_goes(
    c: ConsulClient, prefix: str
) -> None:
    t = c.txn.begin()
    for n in range(MAX_OPERATIONS):
        t.kv.get(f"{prefix}{n}" + "é" * 500)
    errors = await rolled_back(t)

    assert 5 < len(errors) < MAX_OPERATIONS
    assert [error.index for error in errors] == list(range(len(errors)))
    assert all("é" * 500 in error.what for error in errors[:-1])


async def test_nothing_to_do_is_done(c: ConsulClient) -> None:
    assert await c.txn.begin().commit() == TxnResult(known_leader=True)


async def test_a_list_is_committed_as_often_as_it_is_wanted(c: ConsulClient, prefix: str) -> None:
    t = c.txn.begin().kv.check_not_exists(prefix + "a").kv.set(prefix + "a", "1")
    await t.commit()

    assert [error.index for error in await rolled_back(t)] == [0]
    await c.kv.delete(prefix + "a")
    assert (await t.commit()).pairs[0].key == prefix + "a"


# -- nodes, services, checks --------------------------------------------------------------------


async def test_nothing_that_consul_says_is_lost(c: ConsulClient, new_node: NewNode) -> None:
    node = new_node()
    node_id = str(uuid4())
    service = web(
        id="web1",
        tags=["a"],
        address="10.0.0.2",
        port=80,
        meta={"a": "b"},
        weights=Weights(passing=5, warning=2),
        enable_tag_override=True,
    )
    check = CatalogCheck(
        check_id="c1",
        name="disk",
        status="warning",
        notes="n",
        output="o",
        service_id="web1",
        definition=CatalogCheckDefinition(
            http="http://localhost",
            header={"a": ["b"]},
            method="PUT",
            body_text="x",
            tls_skip_verify=True,
            tcp="localhost:1",
            interval=10.0,
            timeout=1.5,
            deregister_critical_service_after=60.0,
        ),
    )
    written = await (
        c.txn.begin()
        .node.set(
            node,
            "10.0.0.1",
            node_id=node_id,
            tagged_addresses={"lan": "10.0.0.1"},
            meta={"rack": "7"},
        )
        .service.set(node, service)
        .check.set(node, check)
        .commit()
    )
    t = c.txn.begin().node.get(node).node.get(node_id=node_id)
    t.service.get(node, "web1").check.get(node, "c1")
    read = await t.commit()
    answer = await c.request("PUT", "/v1/txn", json=[each.to_wire() for each in t.operations])
    said = answer.json()

    assert said.pop("Errors") is None
    assert lost(said, read) == []
    assert written.results == [read.results[0], *read.results[2:]]
    assert read.results[0].node == read.results[1].node
    index = written.results[0].node.create_index if written.results[0].node else 0
    assert [row.node or row.service or row.check for row in written.results] == [
        Node(
            id=node_id,
            node=node,
            address="10.0.0.1",
            datacenter="dc1",
            tagged_addresses={"lan": "10.0.0.1"},
            meta={"rack": "7"},
            create_index=index,
            modify_index=index,
        ),
        AgentService(
            id="web1",
            service="web",
            tags=["a"],
            address="10.0.0.2",
            port=80,
            meta={"a": "b"},
            weights=Weights(passing=5, warning=2),
            enable_tag_override=True,
            proxy=read.results[2].service.proxy if read.results[2].service else None,
            connect=read.results[2].service.connect if read.results[2].service else None,
            create_index=index,
            modify_index=index,
        ),
        HealthCheck(
            node=node,
            check_id="c1",
            name="disk",
            status="warning",
            notes="n",
            output="o",
            service_id="web1",
            service_name="web",
            service_tags=["a"],
            definition=read.results[3].check.definition if read.results[3].check else None,
            create_index=index,
            modify_index=index,
        ),
    ]


async def test_a_node_is_written_as_a_whole_and_deleted_with_what_is_on_it(
    c: ConsulClient, new_node: NewNode
) -> None:
    node = new_node()
    first = await c.txn.begin().node.cas(node, "10.0.0.1", 0, meta={"a": "b"}).commit()
    made = first.results[0].node
    assert made is not None
    [error] = await rolled_back(c.txn.begin().node.cas(node, "10.0.0.2", 0))
    assert error.what == f'failed to set node "{node}", index is stale'

    changing = c.txn.begin().node.cas(node, "10.0.0.2", made.modify_index).service.set(node, web())
    changed = (await changing.commit()).results[0].node
    assert changed is not None
    assert (changed.address, changed.meta) == ("10.0.0.2", {})

    [error] = await rolled_back(c.txn.begin().node.delete_cas(node, made.modify_index))
    assert error.what == f'failed to delete node "{node}", index is stale'
    assert await c.txn.begin().node.delete_cas(node, changed.modify_index).commit() == TxnResult()
    gone = c.txn.begin().node.get(node).service.get(node, "web")
    assert [error.index for error in await rolled_back(gone)] == [0, 1]
    [error] = await rolled_back(c.txn.begin().node.delete_cas(node, changed.modify_index))
    assert "index is stale" in error.what
    assert await c.txn.begin().node.delete(node).commit() == TxnResult()


async def test_a_node_gets_another_name_by_its_id(c: ConsulClient, new_node: NewNode) -> None:
    old, new, node_id = new_node(), new_node(), str(uuid4())
    await c.txn.begin().node.set(old, "10.0.0.1", node_id=node_id).commit()
    await c.txn.begin().node.set(new, "10.0.0.1", node_id=node_id).commit()

    assert len(await rolled_back(c.txn.begin().node.get(old))) == 1
    row = (await c.txn.begin().node.get(node_id=node_id).commit()).results[0]
    assert row.node is not None
    assert row.node.node == new


async def test_an_instance_is_written_checked_and_deleted(
    c: ConsulClient, new_node: NewNode
) -> None:
    node = new_node()
    t = c.txn.begin().node.set(node, "10.0.0.1").service.cas(node, web(id="web1", port=80), 0)
    made = (await t.commit()).results[1].service
    assert made is not None

    stale = f'service "web1" on node "{node}", index is stale'
    [error] = await rolled_back(c.txn.begin().service.cas(node, web(id="web1"), 0))
    assert error.what == f"failed to set {stale}"
    t = c.txn.begin().service.delete_cas(node, "web", 1, service_id="web1")
    [error] = await rolled_back(t)
    assert error.what == f"failed to delete {stale}"

    t = c.txn.begin().service.cas(node, web(id="web1", port=81), made.modify_index)
    changed = (await t.commit()).results[0].service
    assert changed is not None
    assert changed.port == 81
    t = c.txn.begin()
    t.service.delete_cas(node, "web", changed.modify_index, service_id="web1")
    assert await t.commit() == TxnResult()
    t = c.txn.begin().service.delete(node, "web", service_id="web1").service.delete("x", "web")
    assert await t.commit() == TxnResult()
    [error] = await rolled_back(c.txn.begin().service.get(node, "web1"))
    assert error.what == f'service "web1" on node "{node}" doesn\'t exist'


async def test_an_instance_without_an_id_has_its_name(c: ConsulClient, new_node: NewNode) -> None:
    node = new_node()
    t = c.txn.begin().node.set(node, "1").service.set(node, web()).service.get(node, "web")
    result = await t.service.delete(node, "web").commit()

    assert [row.service.id for row in result.results if row.service] == ["web", "web"]
    await rolled_back(c.txn.begin().service.get(node, "web"))


async def test_a_check_is_written_checked_and_deleted(c: ConsulClient, new_node: NewNode) -> None:
    node = new_node()
    disk = CatalogCheck(check_id="disk", name="disk")
    t = c.txn.begin().node.set(node, "10.0.0.1").check.cas(node, disk, 0)
    made = (await t.commit()).results[1].check
    assert made is not None
    assert made.status == "critical"

    [error] = await rolled_back(c.txn.begin().check.cas(node, disk, 0))
    assert error.what == f'failed to set check "disk" on node "{node}", index is stale'
    [error] = await rolled_back(c.txn.begin().check.delete_cas(node, "disk", 1))
    assert error.what == f'failed to delete check "disk" on node "{node}", index is stale'

    well = disk.replace(status="passing")
    t = c.txn.begin().check.cas(node, well, made.modify_index)
    changed = (await t.commit()).results[0].check
    assert changed is not None
    assert changed.status == "passing"
    t = c.txn.begin().check.delete_cas(node, "disk", changed.modify_index)
    assert await t.commit() == TxnResult()
    assert await c.txn.begin().check.delete(node, "disk").check.delete("x", "y").commit() == (
        TxnResult()
    )


@pytest.mark.parametrize("odd", ["a/b", "a b", "a?b#c", "100%", "é€", "../x", "a\nb"], ids=ascii)
async def test_a_name_is_any_text(c: ConsulClient, new_node: NewNode, odd: str) -> None:
    node = new_node(odd)
    service = CatalogServiceDefinition(service=odd, id=odd)
    result = await (
        c.txn.begin()
        .node.set(node, "10.0.0.1")
        .service.set(node, service)
        .check.set(node, CatalogCheck(name=odd, service_id=odd))
        .node.get(node)
        .service.get(node, odd)
        .check.get(node, odd)
        .check.delete(node, odd)
        .service.delete(node, odd)
        .commit()
    )

    found, instance, check = result.results[3:]
    assert (found.node, instance.service, check.check) == (
        result.results[0].node,
        result.results[1].service,
        result.results[2].check,
    )
    assert check.check is not None
    assert (check.check.node, check.check.service_name, check.check.check_id) == (node, odd, odd)


async def test_what_this_server_would_drop_is_refused_and_it_would_drop_it(
    agent: Agent, observed: ConsulClient, recorder: Recorder, new_node: NewNode
) -> None:
    node = new_node()
    proxy = web(kind="connect-proxy")
    typed = CatalogCheck(name="disk", type="http")
    t = observed.txn.begin().node.set(node, "1").service.set(node, proxy).check.set(node, typed)
    with pytest.raises(InvalidRequestError, match=r"ignores Kind of a service in a transaction"):
        await t.commit()
    assert [request.method for request in recorder.requests] == ["GET"]

    async with ConsulClient(agent.url, check_server=False) as unaware:
        result = await unaware.txn.commit(t)
    service, check = result.results[1].service, result.results[2].check
    assert service is not None
    assert check is not None
    assert (service.kind, check.type) == ("", "")


# -- where, and how fresh -----------------------------------------------------------------------


@pytest.mark.parametrize("consistency", ["default", "stale", "consistent"])
async def test_only_what_reads_is_as_fresh_as_the_view_says(
    observed: ConsulClient, recorder: Recorder, prefix: str, consistency: str
) -> None:
    view = observed.using(consistency=consistency)
    await view.txn.begin().kv.set(prefix + "a", "1").commit()
    result = await view.txn.begin().kv.get(prefix + "a").kv.get_tree(prefix).commit()

    written, read = (str(request.url.params).rstrip("=") for request in recorder.requests)
    assert (written, read) == ("", "" if consistency == "default" else consistency)
    assert [pair.value for pair in result.pairs] == [b"1", b"1"]
    assert (result.known_leader, result.last_contact, result.index) == (True, 0.0, 0)


async def test_a_namespace_is_refused_where_there_are_none(c: ConsulClient, prefix: str) -> None:
    # This server would take it, and write to the one namespace it has.
    for t in (
        c.using(namespace="team").txn.begin().kv.set(prefix + "a", "1"),
        c.using(namespace="team").txn.begin().kv.get(prefix + "a"),
    ):
        with pytest.raises(InvalidRequestError, match="has no namespaces"):
            await t.commit()

    assert await c.kv.keys(prefix) == []


async def test_a_node_is_of_the_datacenter_that_it_is_written_to(datacenters: Datacenters) -> None:
    node = f"node-{uuid4().hex}"
    async with ConsulClient(datacenters.dc1.url) as c:
        here, there = c, c.using(datacenter="dc2")
        for view, datacenter in ((here, "dc1"), (there, "dc2")):
            row = (await view.txn.begin().node.set(node, "10.0.0.1").commit()).results[0]
            assert row.node is not None
            assert row.node.datacenter == datacenter
            await view.txn.begin().node.delete(node).commit()


async def test_a_datacenter_that_is_not_there_is_unknown(c: ConsulClient, prefix: str) -> None:
    view = c.using(datacenter="dc9")
    for t in (view.txn.begin().kv.get(prefix), view.txn.begin().kv.set(prefix, "")):
        with pytest.raises(UnknownDatacenterError):
            await t.commit()


# -- access -----------------------------------------------------------------------------------


@pytest.fixture
async def manager(acl_agent: Agent) -> AsyncIterator[ConsulClient]:
    async with ConsulClient(acl_agent.url, token=acl_agent.token) as client:
        yield client


@pytest.fixture
async def mine(manager: ConsulClient) -> AsyncIterator[str]:
    prefix = f"contract/{uuid4().hex}/"
    yield prefix
    await manager.kv.delete_tree(prefix)


@pytest.fixture
async def reader(manager: ConsulClient, mine: str) -> AsyncIterator[ConsulClient]:
    """A view of who may read one key, and nothing else."""
    rules = f'key "{mine}open" {{ policy = "read" }}'
    made = await manager.request(
        "PUT", "/v1/acl/policy", json={"Name": uuid4().hex, "Rules": rules}
    )
    policy = made.json()["ID"]
    answer = await manager.request("PUT", "/v1/acl/token", json={"Policies": [{"ID": policy}]})
    token = answer.json()
    yield manager.using(token=token["SecretID"])
    await manager.request("DELETE", f"/v1/acl/token/{token['AccessorID']}")
    await manager.request("DELETE", f"/v1/acl/policy/{policy}")


async def test_what_may_not_be_read_is_left_out(
    manager: ConsulClient, reader: ConsulClient, mine: str
) -> None:
    await manager.txn.begin().kv.set(mine + "open", "1").kv.set(mine + "shut", "2").commit()
    t = reader.txn.begin().kv.get(mine + "open").kv.get(mine + "shut").kv.get_tree(mine)
    result = await t.commit()

    assert [(pair.key, pair.value) for pair in result.pairs] == [(mine + "open", b"1")] * 2


async def test_what_may_not_be_written_or_checked_fails(reader: ConsulClient, mine: str) -> None:
    denied = (
        reader.txn.begin()
        .kv.set(mine + "open", "2")
        .kv.get(mine + "open")
        .node.set("x", "1")
        .kv.check_not_exists(mine + "shut")
    )

    assert await rolled_back(denied) == (
        OperationError(0, "Permission denied"),
        OperationError(2, "Permission denied"),
        OperationError(3, "Permission denied"),
    )


async def test_a_token_that_is_not_there_may_nothing(manager: ConsulClient, mine: str) -> None:
    view = manager.using(token=str(uuid4()))
    for t in (view.txn.begin().kv.get(mine), view.txn.begin().kv.set(mine + "a", "1")):
        with pytest.raises(PermissionDeniedError, match="ACL not found"):
            await t.commit()


async def test_there_is_no_operation_on_sessions(c: ConsulClient) -> None:
    # Consul's own Go client has a type for one, but no place to put it.
    session = {"Session": {"Verb": "delete", "Session": {"ID": str(uuid4())}}}
    with pytest.raises(BadRequestError, match='unknown field "Session"'):
        await c.request("PUT", "/v1/txn", json=[session])
