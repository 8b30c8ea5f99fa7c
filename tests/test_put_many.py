"""Many keys written at once: in which requests, how many at a time, and what failure leaves."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from consul_onex import (
    ConfigurationError,
    ConsulClient,
    InvalidKeyError,
    InvalidRequestError,
    OutcomeUnknownError,
    PartlyWrittenError,
    PermissionDeniedError,
)
from consul_onex.api.txn import MAX_BYTES, MAX_OPERATIONS
from consul_onex.transport import Retry

Answer = Callable[[int], Awaitable[httpx.Response]]
"""What comes of a request, by its number."""

DONE: Any = {"Results": [], "Errors": None}


class Store(httpx.AsyncBaseTransport):
    """Takes transactions and single puts, and answers as it is told to."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.requests: list[httpx.Request] = []
        self.inside = 0
        self.most = 0
        self._answer = answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        number = len(self.requests)
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await anyio.lowlevel.checkpoint()
            if self._answer is not None:
                return await self._answer(number)
            return httpx.Response(200, json=DONE if request.url.path == "/v1/txn" else True)
        finally:
            self.inside -= 1

    @property
    def batches(self) -> list[list[str]]:
        """The keys of each request."""
        return [
            [operation["KV"]["Key"] for operation in json.loads(request.content)]
            if request.url.path == "/v1/txn"
            else [request.url.path.removeprefix("/v1/kv/")]
            for request in self.requests
        ]


def client(store: Store) -> ConsulClient:
    return ConsulClient(transport=store, layers=[])


def keys(number: int) -> dict[str, bytes | str]:
    return {f"k{at}": b"v" for at in range(number)}


# -- which requests --------------------------------------------------------------------------------


async def test_every_key_is_in_one_transaction_of_as_many_as_it_may_have() -> None:
    store, pairs = Store(), keys(2 * MAX_OPERATIONS + 1)
    async with client(store) as c:
        await c.kv.put_many(pairs)

    assert [len(batch) for batch in store.batches] == [MAX_OPERATIONS, MAX_OPERATIONS, 1]
    assert [key for batch in store.batches for key in batch] == list(pairs)


async def test_nothing_is_sent_for_no_keys() -> None:
    store = Store()
    async with client(store) as c:
        await c.kv.put_many({})

    assert store.requests == []


async def test_no_transaction_has_more_bytes_than_it_may() -> None:
    store, pairs = Store(), {f"k{at}": bytes(100_000) for at in range(7)}
    async with client(store) as c:
        await c.kv.put_many(pairs)

    assert [len(batch) for batch in store.batches] == [3, 3, 1]
    assert all(len(request.content) <= MAX_BYTES for request in store.requests)


async def test_a_value_that_no_transaction_takes_goes_by_itself() -> None:
    large = bytes(MAX_BYTES)
    store = Store()
    async with client(store) as c:
        await c.kv.put_many({"a": "1", "large": large, "b": "2"}, flags=7, concurrency=1)

    assert store.batches == [["large"], ["a", "b"]]
    assert store.requests[0].content == large
    assert store.requests[0].url.query == b"flags=7"


async def test_the_largest_value_that_a_transaction_takes_goes_in_one() -> None:
    around = len(json.dumps([{"KV": {"Verb": "set", "Key": "k", "Value": ""}}]).replace(" ", ""))
    most = (MAX_BYTES - around) // 4 * 3
    store = Store()
    async with client(store) as c:
        await c.kv.put_many({"k": bytes(most)})
        await c.kv.put_many({"k": bytes(most + 1)})

    assert [request.url.path for request in store.requests] == ["/v1/txn", "/v1/kv/k"]


async def test_a_view_says_in_each_operation_where_the_key_is() -> None:
    store = Store()
    async with ConsulClient(transport=store, layers=[], check_server=False) as c:
        await c.using(namespace="team", partition="part").kv.put_many({"k": "v"})

    (operation,) = json.loads(store.requests[0].content)
    assert (operation["KV"]["Namespace"], operation["KV"]["Partition"]) == ("team", "part")


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_so_many_requests_are_in_flight_and_no_more(concurrency: int) -> None:
    store = Store()
    async with client(store) as c:
        await c.kv.put_many(keys(10 * MAX_OPERATIONS), concurrency=concurrency)

    assert (len(store.requests), store.most) == (10, concurrency)


async def test_progress_is_told_after_each_request() -> None:
    told: list[tuple[int, int]] = []
    async with client(Store()) as c:
        await c.kv.put_many(keys(130), concurrency=1, progress=lambda *how: told.append(how))

    assert told == [(64, 130), (128, 130), (130, 130)]


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pairs", "kind"),
    [
        ({"good": "v", "": "v"}, InvalidRequestError),
        ({"good": "v", 5: "v"}, InvalidRequestError),
        ({"good": "v", "\ud800": "v"}, InvalidRequestError),
        ({"good": "v", "k": 5}, InvalidRequestError),
        ({"good": "v", "a//b": bytes(MAX_BYTES)}, InvalidKeyError),
    ],
    ids=["empty", "number", "surrogate", "value", "no URL"],
)
async def test_what_cannot_be_written_is_refused_before_anything_is(
    pairs: Any, kind: type[InvalidRequestError]
) -> None:
    store = Store()
    async with client(store) as c:
        with pytest.raises(kind):
            await c.kv.put_many(pairs)

    assert store.requests == []


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"concurrency": True}, {"flags": -1}])
async def test_an_option_that_cannot_be_meant_is_refused(wrong: Any) -> None:
    store = Store()
    async with client(store) as c:
        with pytest.raises((ConfigurationError, InvalidRequestError)):
            await c.kv.put_many({"k": "v"}, **wrong)

    assert store.requests == []


# -- what fails ------------------------------------------------------------------------------------


async def test_what_fails_first_is_told_as_it_is_where_nothing_was_written() -> None:
    async def refuse(_: int) -> httpx.Response:
        return httpx.Response(403, text="Permission denied")

    store = Store(refuse)
    async with client(store) as c:
        with pytest.raises(PermissionDeniedError):
            await c.kv.put_many(keys(1000), concurrency=2)

    assert len(store.requests) == 2


async def test_a_failure_in_the_middle_names_what_was_written_and_what_was_not() -> None:
    async def second_fails(number: int) -> httpx.Response:
        return httpx.Response(*((403,) if number == 2 else (200,)), json=DONE)

    store = Store(second_fails)
    async with client(store) as c:
        with pytest.raises(PartlyWrittenError) as caught:
            await c.kv.put_many(keys(200), concurrency=1)

    first, second = store.batches
    assert (caught.value.written, caught.value.unknown) == (tuple(first), ())
    assert caught.value.unwritten == (*second, *(f"k{at}" for at in range(128, 200)))
    assert isinstance(caught.value.__cause__, PermissionDeniedError)
    assert "kv.put_many: 64 of 200 keys were written, and 0 may have been: " in str(caught.value)


@pytest.mark.parametrize("lost", [httpx.ReadError("reset"), httpx.Response(200, text="hello")])
async def test_where_the_answer_is_lost_the_keys_may_have_been_written(
    lost: httpx.Response | httpx.ReadError,
) -> None:
    async def lose(_: int) -> httpx.Response:
        if isinstance(lost, Exception):
            raise lost
        return httpx.Response(lost.status_code, text=lost.text)

    async with client(Store(lose)) as c:
        with pytest.raises(PartlyWrittenError) as caught:
            await c.kv.put_many(keys(100), concurrency=1)

    assert caught.value.unknown == tuple(f"k{at}" for at in range(64))
    assert (caught.value.written, len(caught.value.unwritten)) == ((), 36)


async def test_what_is_in_flight_at_a_failure_is_waited_for() -> None:
    failed = anyio.Event()

    async def first_is_slow(number: int) -> httpx.Response:
        if number == 1:
            await failed.wait()
            return httpx.Response(200, json=DONE)
        failed.set()
        return httpx.Response(403, text="Permission denied")

    store = Store(first_is_slow)
    async with client(store) as c:
        with pytest.raises(PartlyWrittenError) as caught:
            await c.kv.put_many(keys(1000), concurrency=2)

    assert len(store.requests) == 2
    assert caught.value.written == tuple(store.batches[0])


async def test_of_several_failures_the_first_is_told() -> None:
    second = anyio.Event()

    async def both_fail(number: int) -> httpx.Response:
        if number == 1:
            await second.wait()
            raise httpx.ReadError("reset")
        second.set()
        return httpx.Response(403, text="Permission denied")

    async with client(Store(both_fail)) as c:
        with pytest.raises(PartlyWrittenError) as caught:
            await c.kv.put_many(keys(1000), concurrency=2)

    assert isinstance(caught.value.__cause__, PermissionDeniedError)
    assert caught.value.unknown == tuple(f"k{at}" for at in range(64))


async def test_a_lost_answer_is_no_end_where_it_may_be_sent_again() -> None:
    async def first_is_lost(number: int) -> httpx.Response:
        if number == 1:
            raise httpx.ReadError("reset")
        return httpx.Response(200, json=DONE)

    store = Store(first_is_lost)
    async with ConsulClient(transport=store, layers=[Retry(initial=0)]) as c:
        await c.kv.put_many({"k": "v"})

    assert store.batches == [["k"], ["k"]]


async def test_a_progress_that_fails_ends_it_with_its_own_error() -> None:
    def progress(written: int, _: int) -> None:
        raise LookupError(written)

    store = Store()
    async with client(store) as c:
        with pytest.raises(LookupError, match="64"):
            await c.kv.put_many(keys(1000), concurrency=1, progress=progress)

    assert len(store.requests) == 1


async def test_a_cancelled_one_sends_no_more() -> None:
    async def never(_: int) -> httpx.Response:
        scope.cancel()
        await anyio.sleep_forever()
        raise AssertionError("unreachable")

    store = Store(never)
    async with client(store) as c:
        with anyio.CancelScope() as scope:
            await c.kv.put_many(keys(1000), concurrency=2)

    assert scope.cancelled_caught
    assert (len(store.requests), store.inside) == (2, 0)


async def test_an_unknown_outcome_holds_no_value() -> None:
    async def lose(_: int) -> httpx.Response:
        raise httpx.ReadError("reset")

    async with client(Store(lose)) as c:
        with pytest.raises(PartlyWrittenError) as caught:
            await c.kv.put_many({"k": "hidden-value"})

    assert isinstance(caught.value.__cause__, OutcomeUnknownError)
    assert "hidden-value" not in f"{caught.value!r} {caught.value} {vars(caught.value)}"
