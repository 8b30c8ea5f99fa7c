"""Transactions: how one is written down, and what is refused before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from consul_onex import ConsulClient, InvalidRequestError, TransactionError
from consul_onex.api.txn import MAX_BYTES, MAX_OPERATIONS, Transaction
from consul_onex.models.catalog import (
    CatalogCheck,
    CatalogCheckDefinition,
    CatalogServiceDefinition,
)
from consul_onex.models.service import (
    Connect,
    Locality,
    MeshGateway,
    Proxy,
    ServiceAddress,
    ServicePort,
    Upstream,
)
from consul_onex.models.txn import TxnResult
from tests.support.canary import Bottom

DONE: dict[str, Any] = {"Results": [], "Errors": None}

Step = Callable[[Transaction], Any]


def client(bottom: Bottom) -> ConsulClient:
    return ConsulClient(transport=bottom, check_server=False)


def web(**fields: Any) -> CatalogServiceDefinition:
    return CatalogServiceDefinition(service="web", **fields)


def checked(**fields: Any) -> CatalogCheck:
    return CatalogCheck(name="disk", definition=CatalogCheckDefinition(**fields))


def sent(bottom: Bottom) -> Any:
    return json.loads(bottom.last.content)


def agent_of(version: str) -> httpx.MockTransport:
    """An agent of that version, which carries out every transaction."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/txn":
            return httpx.Response(200, json=DONE)
        return httpx.Response(200, json={"Config": {"Version": version, "Datacenter": "dc1"}})

    return httpx.MockTransport(answer)


# -- a list -----------------------------------------------------------------------------------


async def test_a_transaction_is_only_a_list_and_can_be_committed_again() -> None:
    bottom = Bottom(httpx.Response(200, json=DONE), httpx.Response(200, json=DONE))
    async with client(bottom) as c:
        t = c.txn.begin()
        assert (len(t), t.operations, bottom.requests) == (0, (), [])

        assert t.kv.set("a", b"1") is t
        before = t.operations
        assert await t.commit() == TxnResult()
        await t.node.delete("bar").commit()

    first, second = (json.loads(request.content) for request in bottom.requests)
    assert second == [*first, {"Node": {"Verb": "delete", "Node": {"Node": "bar"}}}]
    assert (len(before), len(t)) == (1, 2)
    assert repr(t) == "<Transaction operations=2>"


async def test_another_view_can_commit_it() -> None:
    bottom = Bottom(httpx.Response(200, json=DONE))
    async with client(bottom) as c:
        t = c.txn.begin().kv.get("a")
        await c.using(datacenter="dc2", consistency="stale").txn.commit(t)

    assert bottom.last.url.query in (b"dc=dc2&stale", b"dc=dc2&stale=")


def test_no_value_is_shown() -> None:
    c = ConsulClient(transport=Bottom())
    t = c.txn.begin().kv.set("a", "s3cret").kv.lock("a", "5f", "s3cret")

    assert [operation.verb for operation in t.operations] == ["set", "lock"]
    assert "s3cret" not in repr(t.operations)
    assert "czNjcmV0" not in repr(t.operations)


@pytest.mark.parametrize(
    "value", [b"x", bytearray(b"x"), memoryview(b"x"), "x"], ids=lambda value: type(value).__name__
)
async def test_a_value_is_bytes_or_text(value: Any) -> None:
    bottom = Bottom(httpx.Response(200, json=DONE))
    async with client(bottom) as c:
        await c.txn.begin().kv.set("a", value).commit()

    assert sent(bottom) == [{"KV": {"Verb": "set", "Key": "a", "Value": "eA=="}}]


# -- what is refused --------------------------------------------------------------------------

REFUSED: list[tuple[str, Step]] = [
    ("a key is text of one character or more", lambda t: t.kv.get("")),
    ("a key is text", lambda t: t.kv.get(b"a")),  # type: ignore[arg-type]
    ("a key is text", lambda t: t.kv.get_or_empty("")),
    ("a prefix is text", lambda t: t.kv.get_tree("")),
    ("a key is text", lambda t: t.kv.set("", b"")),
    ("a key is text", lambda t: t.kv.cas("", b"", 0)),
    ("a key is text", lambda t: t.kv.lock("", "5f")),
    ("a key is text", lambda t: t.kv.unlock("", "5f")),
    ("a key is text", lambda t: t.kv.check_index("", 1)),
    ("a key is text", lambda t: t.kv.check_session("", "5f")),
    ("a key is text", lambda t: t.kv.check_not_exists("")),
    ("a key is text", lambda t: t.kv.delete("")),
    ("a key is text", lambda t: t.kv.delete_cas("", 1)),
    ("the key has a lone surrogate", lambda t: t.kv.set("a\ud800", b"")),
    ("the value has a lone surrogate", lambda t: t.kv.set("a", "\ud800")),
    ("a value is bytes or str, not int", lambda t: t.kv.set("a", 1)),  # type: ignore[arg-type]
    ("everything=True", lambda t: t.kv.delete_tree("")),
    ("the prefix has a lone surrogate", lambda t: t.kv.delete_tree("\udc80")),
    # For Consul, that no session holds the key: an empty variable would pass for a lock.
    ("a session is text", lambda t: t.kv.check_session("a", "")),
    ("a session is text", lambda t: t.kv.lock("a", "")),
    ("a session is text", lambda t: t.kv.unlock("a", "")),
    # These would never succeed, or mean something else.
    ("index is a whole number from 1", lambda t: t.kv.check_index("a", 0)),
    ("index is a whole number from 1", lambda t: t.kv.delete_cas("a", 0)),
    ("index is a whole number from 1", lambda t: t.node.delete_cas("n", 0)),
    ("index is a whole number from 1", lambda t: t.service.delete_cas("n", "web", 0)),
    ("index is a whole number from 1", lambda t: t.check.delete_cas("n", "disk", 0)),
    ("index is a whole number from 0", lambda t: t.kv.cas("a", b"", -1)),
    ("index is a whole number from 0", lambda t: t.kv.cas("a", b"", 2**64)),
    ("index is a whole number from 0", lambda t: t.kv.cas("a", b"", True)),
    ("index is a whole number from 0", lambda t: t.node.cas("n", "1", -1)),
    ("index is a whole number from 0", lambda t: t.service.cas("n", web(), -1)),
    ("index is a whole number from 0", lambda t: t.check.cas("n", checked(), -1)),
    ("KVOperation.flags: ", lambda t: t.kv.set("a", b"", -1)),
    ("KVOperation.flags: ", lambda t: t.kv.set("a", b"", 2**64)),
    ("KVOperation.flags: ", lambda t: t.kv.set("a", b"", 1.5)),  # type: ignore[arg-type]
    ("name the node, or give its id", lambda t: t.node.get()),
    ("name the node, or give its id", lambda t: t.node.get("")),
    ("a node is text", lambda t: t.node.set("", "1")),
    ("a node is text", lambda t: t.node.delete("")),
    ("a node is text", lambda t: t.service.get("", "web")),
    ("a service is text", lambda t: t.service.get("n", "")),
    ("a service is text", lambda t: t.service.delete("n", "")),
    ("a service is text", lambda t: t.service.delete("n", "web", service_id="")),
    ("a node is text", lambda t: t.check.get("", "disk")),
    ("a check is text", lambda t: t.check.get("n", "")),
    ("a check is text", lambda t: t.check.delete("n", "")),
]


@pytest.mark.parametrize(("said", "step"), REFUSED, ids=[str(n) for n in range(len(REFUSED))])
def test_what_cannot_be_meant_is_refused_and_not_added(said: str, step: Step) -> None:
    t = ConsulClient(transport=Bottom()).txn.begin()

    with pytest.raises(InvalidRequestError, match=said):
        step(t)

    assert len(t) == 0


@pytest.mark.parametrize(
    ("field", "step"),
    [
        ("Connect", lambda t: t.service.set("n", web(connect=Connect(native=True)))),
        ("Locality", lambda t: t.service.set("n", web(locality=Locality(region="x")))),
        ("Ports", lambda t: t.service.set("n", web(ports=[ServicePort(name="a", port=1)]))),
        ("SocketPath", lambda t: t.service.cas("n", web(socket_path="/s"), 1)),
        ("Proxy.Config", lambda t: t.service.set("n", web(proxy=Proxy(config={"a": 1})))),
        (
            "Proxy.Upstreams",
            lambda t: t.service.set("n", web(proxy=Proxy(upstreams=[Upstream()]))),
        ),
        ("Definition.UDP", lambda t: t.check.set("n", checked(udp="x:1"))),
        ("Definition.TTL", lambda t: t.check.cas("n", checked(ttl=10.0), 1)),
    ],
)
def test_what_no_server_carries_in_a_transaction_is_refused(field: str, step: Step) -> None:
    t = ConsulClient(transport=Bottom()).txn.begin()

    with pytest.raises(InvalidRequestError, match=rf"carries no {field} of a .* c\.catalog\."):
        step(t)

    assert len(t) == 0


@pytest.mark.parametrize(
    ("field", "since", "step"),
    [
        ("Kind", "1.14", lambda t: t.service.set("n", web(kind="connect-proxy"))),
        (
            "Proxy.MeshGateway",
            "1.14",
            lambda t: t.service.cas("n", web(proxy=Proxy(mesh_gateway=MeshGateway())), 1),
        ),
        (
            "TaggedAddresses",
            "1.21",
            lambda t: t.service.set(
                "n", web(tagged_addresses={"lan": ServiceAddress(address="1", port=1)})
            ),
        ),
        ("Definition.GRPC", "1.14", lambda t: t.check.set("n", checked(grpc="x:1"))),
        ("Definition.TCPUseTLS", "1.21", lambda t: t.check.cas("n", checked(tcp_use_tls=True), 1)),
        ("Type", "1.21", lambda t: t.check.set("n", CatalogCheck(name="disk", type="http"))),
    ],
)
async def test_what_older_servers_drop_is_sent_to_newer_ones_only(
    field: str, since: str, step: Step
) -> None:
    major, minor = since.split(".")
    older = f"{major}.{int(minor) - 1}.9"
    async with ConsulClient(transport=agent_of(older)) as c:
        t = c.txn.begin()
        step(t)
        with pytest.raises(InvalidRequestError, match=f"^txn.commit: Consul {older} ignores") as e:
            await t.commit()
    async with ConsulClient(transport=agent_of(f"{since}.0")) as c:
        t = c.txn.begin()
        step(t)
        assert await t.commit() == TxnResult()

    assert field in str(e.value)
    assert str(e.value).endswith(f"in a transaction, which came with Consul {since}")


# -- limits -----------------------------------------------------------------------------------


async def test_too_many_operations_are_not_sent() -> None:
    bottom = Bottom(httpx.Response(200, json=DONE))
    async with client(bottom) as c:
        t = c.txn.begin()
        for n in range(MAX_OPERATIONS):
            t.kv.delete(f"a{n}")
        await t.commit()
        assert len(sent(bottom)) == MAX_OPERATIONS == 64

        with pytest.raises(InvalidRequestError, match="65 operations.* take 64.*max_operations"):
            await t.kv.delete("a").commit()

    assert len(bottom.requests) == 1


async def test_too_many_bytes_are_not_sent() -> None:
    bottom = Bottom(httpx.Response(200, json=DONE))
    async with client(bottom) as c:
        frame = len(json.dumps([{"KV": {"Verb": "delete", "Key": ""}}], separators=(",", ":")))
        room = MAX_BYTES - frame
        await c.txn.begin().kv.delete("a" * room).commit()
        assert len(bottom.last.content) == MAX_BYTES == 524_288

        with pytest.raises(InvalidRequestError, match="524289 bytes.* take 524288.*max_bytes"):
            await c.txn.begin().kv.delete("a" * (room + 1)).commit()

    assert len(bottom.requests) == 1


async def test_limits_are_the_callers_where_the_server_takes_more() -> None:
    bottom = Bottom(httpx.Response(200, json=DONE))
    async with client(bottom) as c:
        t = c.txn.begin(max_operations=128, max_bytes=2 * MAX_BYTES)
        for n in range(128):
            t.kv.set(f"a{n}", b"x" * 4096)
        await t.commit()

    assert len(sent(bottom)) == 128
    assert len(bottom.last.content) > MAX_BYTES


# -- where ------------------------------------------------------------------------------------


async def test_operations_are_told_where_they_belong() -> None:
    bottom = Bottom(httpx.Response(200, json=DONE))
    async with client(bottom) as c:
        view = c.using(datacenter="dc2", namespace="team", partition="part")
        await (
            view.txn.begin()
            .kv.get("a")
            .node.get("n")
            .service.set("n", web())
            .service.set("n", web(namespace="other"))
            .check.get("n", "disk")
            .commit()
        )

    pair, node, service, own, check = sent(bottom)
    tenancy = {"Namespace": "team", "Partition": "part"}
    assert pair["KV"].items() >= tenancy.items()
    assert service["Service"]["Service"].items() >= tenancy.items()
    assert check["Check"]["Check"].items() >= tenancy.items()
    assert own["Service"]["Service"]["Namespace"] == "other"
    assert node["Node"]["Node"] == {"Node": "n", "Datacenter": "dc2", "Partition": "part"}


# -- what failed ------------------------------------------------------------------------------


async def test_an_error_says_first_what_failed() -> None:
    failed = [{"OpIndex": 1, "What": 'key "a" exists'}, {"OpIndex": 7, "What": "no"}]
    bottom = Bottom(httpx.Response(409, json={"Results": None, "Errors": failed}))
    async with client(bottom) as c:
        with pytest.raises(TransactionError) as caught:
            await c.txn.begin().kv.get("a").commit()

    assert caught.value.detail == 'operation 1: key "a" exists; operation 7: no'
    assert str(caught.value) == f"txn.commit: Consul answered 409: {caught.value.detail}"
