"""A watch without a server: what it delivers, swallows, waits out and raises."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import anyio
import anyio.lowlevel
import httpx
import pytest

from consul_onex import (
    BadRequestError,
    CircuitOpenError,
    ClientClosedError,
    ConsulClient,
    ConsulConnectionError,
    ConsulError,
    ConsulTimeoutError,
    Cursor,
    DecodeError,
    InvalidRequestError,
    NoLeaderError,
    OverloadedError,
    PermissionDeniedError,
    QueryMeta,
    RateLimitedError,
    ServerError,
    UnknownDatacenterError,
    Watch,
)
from consul_onex.changes import Added, Removed, Resync, Snapshot
from consul_onex.transport import Datacenters, Limit
from tests.support import fault_server
from tests.support.fault_server import SILENCE, Seen, reply

PAIR = b'[{"Key": "k", "Value": "djE="}]'


class Clock:
    """Time that passes only where a test lets it."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.pauses: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.time += seconds
        await anyio.lowlevel.checkpoint()


@dataclass(frozen=True)
class Answer:
    """What one read returns, the index it has, and how long it took."""

    value: str
    index: int | None
    took: float = 0.0
    datacenter: str | None = None


Step = Answer | ConsulError


class Reads:
    """A read that answers as the script says, with the cursor as the wire would leave it."""

    def __init__(self, clock: Clock, script: Iterable[Step]) -> None:
        self.asked: list[int | None] = []
        self._clock = clock
        self._script = list(script)

    async def __call__(self, cursor: Cursor) -> str:
        self.asked.append(cursor.index)
        step = self._script.pop(0)
        if isinstance(step, ConsulError):
            cursor.restart()
            raise step
        self._clock.time += step.took
        cursor.advance(QueryMeta(index=step.index, datacenter=step.datacenter))
        return step.value


def followed(
    *script: Step, dice: float = 1.0, wait: float = 60.0
) -> tuple[Watch[str], Clock, Reads]:
    clock = Clock()
    reads = Reads(clock, script)
    watch = Watch(reads, wait=wait, now=clock.now, sleep=clock.sleep, dice=lambda: dice)
    return watch, clock, reads


def refused() -> PermissionDeniedError:
    return PermissionDeniedError("no", status=403)


async def test_the_first_value_is_delivered_at_once() -> None:
    watch, clock, reads = followed(Answer("a", 7))

    value = await anext(watch)

    assert (value, reads.asked, clock.pauses) == ("a", [None], [])
    assert (watch.cursor.index, watch.resynchronised, watch.failures) == (7, False, 0)


async def test_each_step_waits_beyond_the_answer_before() -> None:
    watch, _, reads = followed(Answer("a", 7), Answer("b", 9), Answer("c", 12))

    values = [await anext(watch) for _ in range(3)]

    assert (values, reads.asked) == (["a", "b", "c"], [None, 7, 9])


async def test_an_equal_value_is_swallowed_however_its_index_moved() -> None:
    watch, _, reads = followed(
        Answer("a", 7), Answer("a", 8), Answer("a", 8, took=60), Answer("b", 9)
    )

    values = [await anext(watch) for _ in range(2)]

    assert (values, reads.asked) == (["a", "b"], [None, 7, 8, 8])


async def test_what_was_there_before_the_last_value_is_news_again() -> None:
    watch, _, _ = followed(Answer("a", 7), Answer("b", 8), Answer("a", 9))

    assert [await anext(watch) for _ in range(3)] == ["a", "b", "a"]


@pytest.mark.parametrize(
    "passing",
    [
        CircuitOpenError("open", circuit="consul.default"),
        ConsulConnectionError("refused"),
        ConsulTimeoutError("late"),
        NoLeaderError("election", status=500),
        OverloadedError("full"),
        RateLimitedError("slower", status=429),
        ServerError("EOF", status=500),
        UnknownDatacenterError("no path", status=500),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_error_that_passes_is_waited_out(passing: ConsulError) -> None:
    watch, clock, reads = followed(Answer("a", 7), passing, Answer("b", 8))

    values = [await anext(watch) for _ in range(2)]

    assert values == ["a", "b"]
    # After the error the read starts over: the agent may have come back empty.
    assert (reads.asked, clock.pauses) == ([None, 7, None], [0.25])


async def test_the_pauses_after_errors_grow_to_two_seconds_and_after_half_a_minute_to_ten() -> None:
    errors = [ConsulConnectionError("refused") for _ in range(20)]
    watch, clock, _ = followed(*errors, Answer("a", 7))

    await anext(watch)

    assert clock.pauses == [0.25, 0.5, 1] + [2] * 15 + [10, 10]


@pytest.mark.parametrize(("dice", "pauses"), [(0.0, []), (0.5, [0.125, 0.25, 0.5])])
async def test_each_pause_is_drawn_at_random_up_to_its_bound(
    dice: float, pauses: Sequence[float]
) -> None:
    errors = [ConsulConnectionError("refused") for _ in range(3)]
    watch, clock, _ = followed(*errors, Answer("a", 7), dice=dice)

    await anext(watch)

    assert clock.pauses == pauses


async def test_an_outage_of_days_overflows_nothing() -> None:
    errors = [ConsulConnectionError("refused") for _ in range(3000)]
    watch, clock, _ = followed(*errors, Answer("a", 7))

    await anext(watch)

    assert clock.pauses[-1] == 10


async def test_a_success_forgets_the_failures_before_it() -> None:
    watch, clock, _ = followed(
        ConsulConnectionError("refused"),
        ConsulConnectionError("refused"),
        Answer("a", 7),
        ConsulConnectionError("refused"),
        Answer("b", 8),
    )

    values = [await anext(watch) for _ in range(2)]

    assert (values, clock.pauses, watch.failures) == (["a", "b"], [0.25, 0.5, 0.25], 0)


async def test_the_failures_in_a_row_can_be_seen_while_they_last() -> None:
    seen: list[int] = []
    clock = Clock()
    reads = Reads(clock, [*(ConsulConnectionError("refused") for _ in range(3)), Answer("a", 7)])

    async def look(seconds: float) -> None:
        seen.append(watch.failures)
        await clock.sleep(seconds)

    watch = Watch(reads, now=clock.now, sleep=look, dice=lambda: 1.0)
    await anext(watch)

    assert (seen, watch.failures) == ([1, 2, 3], 0)


@pytest.mark.parametrize(
    "lasting",
    [
        BadRequestError("no", status=400),
        ClientClosedError("closed"),
        DecodeError("not JSON"),
        InvalidRequestError("no"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_error_that_stays_is_raised_at_once(lasting: ConsulError) -> None:
    watch, clock, _ = followed(Answer("a", 7), lasting)
    await anext(watch)

    with pytest.raises(type(lasting)) as raised:
        await anext(watch)

    assert raised.value is lasting
    assert clock.pauses == []


async def test_a_watch_may_be_asked_again_after_an_error() -> None:
    watch, _, reads = followed(
        Answer("a", 7), BadRequestError("no", status=400), Answer("a", 7), Answer("b", 8)
    )
    await anext(watch)
    with pytest.raises(BadRequestError):
        await anext(watch)

    value = await anext(watch)

    # It still knows what it has delivered.
    assert (value, reads.asked) == ("b", [None, 7, None, 7])


async def test_a_refusal_is_raised_once_it_has_lasted_35_seconds() -> None:
    """An agent goes on refusing a good token for 30 s after an outage (hashicorp/consul#11704)."""
    clock = Clock()
    asked: list[float] = []

    async def read(_: Cursor) -> str:
        asked.append(clock.time)
        clock.time += 5
        raise refused()

    watch = Watch(read, now=clock.now, sleep=clock.sleep, dice=lambda: 0.0)
    with pytest.raises(PermissionDeniedError):
        await anext(watch)

    # Seconds since the first refusal.
    assert [at - asked[0] for at in asked] == [0, 5, 10, 15, 20, 25, 30, 35]


async def test_a_refusal_that_ends_is_forgotten() -> None:
    watch, clock, _ = followed(
        Answer("a", 7),
        *(refused() for _ in range(15)),
        Answer("b", 8),
        *(refused() for _ in range(15)),
        Answer("c", 9),
    )

    values = [await anext(watch) for _ in range(3)]

    # 25.75 s of refusals twice: more than 35 together, but not in one go.
    assert values == ["a", "b", "c"]
    assert sum(clock.pauses) == 2 * 25.75


async def test_a_watch_that_was_refused_is_patient_again_when_asked_again() -> None:
    watch, clock, _ = followed(*(refused() for _ in range(20)), refused(), Answer("a", 7))
    with pytest.raises(PermissionDeniedError):
        await anext(watch)
    raised_after = len(clock.pauses)

    value = await anext(watch)

    assert (value, raised_after, len(clock.pauses)) == ("a", 19, 20)


async def test_an_index_that_goes_back_is_told() -> None:
    watch, _, reads = followed(Answer("a", 90), Answer("b", 12), Answer("b", 12), Answer("c", 13))

    seen = [(await anext(watch), watch.resynchronised) for _ in range(3)]

    # It starts over, and the break is told of the value after it and of no other.
    assert seen == [("a", False), ("b", True), ("c", False)]
    assert reads.asked == [None, 90, None, 12]


async def test_a_break_that_changed_nothing_is_told_with_the_next_value() -> None:
    watch, _, _ = followed(Answer("a", 90), Answer("a", 12), Answer("a", 12), Answer("b", 13))
    await anext(watch)

    value = await anext(watch)

    assert (value, watch.resynchronised) == ("b", True)


async def test_a_break_during_an_outage_is_told() -> None:
    watch, _, _ = followed(Answer("a", 90), ConsulConnectionError("refused"), Answer("b", 12))
    await anext(watch)

    value = await anext(watch)

    assert (value, watch.resynchronised) == ("b", True)


async def test_an_outage_without_a_break_is_not_told_as_one() -> None:
    watch, _, _ = followed(Answer("a", 90), ConsulConnectionError("refused"), Answer("b", 91))
    await anext(watch)

    value = await anext(watch)

    assert (value, watch.resynchronised) == ("b", False)


async def test_another_datacenters_history_is_told() -> None:
    watch, _, _ = followed(Answer("a", 90), Answer("b", 400, datacenter="dc2"))
    await anext(watch)

    value = await anext(watch)

    assert (value, watch.resynchronised) == ("b", True)


async def test_waking_for_nothing_is_slowed_to_once_a_second() -> None:
    idle = [Answer("a", index) for index in range(8, 13)]
    watch, clock, _ = followed(Answer("a", 7), *idle, Answer("b", 13))

    await anext(watch)
    await anext(watch)

    # Two without a pause, so that a neighbour now and then does not delay the news.
    assert clock.pauses == [1, 1, 1]


async def test_the_two_free_wakes_come_back_with_time() -> None:
    watch, clock, reads = followed(
        Answer("a", 7),
        *(Answer("a", 8 + n) for n in range(3)),
        Answer("a", 11, took=20),
        Answer("a", 12),
        Answer("a", 13),
        Answer("b", 14),
    )

    await anext(watch)
    await anext(watch)

    assert clock.pauses == [1, 1]
    assert reads.asked == [None, 7, 8, 9, 10, 11, 12, 13]


async def test_a_wait_that_ended_by_itself_is_not_paced() -> None:
    over = [Answer("a", 7, took=61) for _ in range(5)]
    watch, clock, _ = followed(Answer("a", 7), *over, Answer("b", 8))

    await anext(watch)
    await anext(watch)

    assert clock.pauses == []


async def test_a_read_without_an_index_cannot_be_watched() -> None:
    watch, _, _ = followed(Answer("a", None))

    with pytest.raises(InvalidRequestError, match="cannot be watched"):
        await anext(watch)


async def test_a_second_reader_is_refused_and_the_first_goes_on() -> None:
    reading, answer = anyio.Event(), anyio.Event()

    async def read(cursor: Cursor) -> str:
        reading.set()
        await answer.wait()
        cursor.advance(QueryMeta(index=7))
        return "a"

    watch = Watch(read)
    values: list[str] = []

    async def first() -> None:
        values.append(await anext(watch))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            await reading.wait()
            with pytest.raises(InvalidRequestError, match="another task"):
                await anext(watch)
            answer.set()

    assert values == ["a"]


async def test_a_cancelled_step_leaves_the_watch_usable() -> None:
    reading = anyio.Event()
    asked: list[int | None] = []

    async def read(cursor: Cursor) -> str:
        asked.append(cursor.index)
        if len(asked) == 2:
            reading.set()
            await anyio.sleep_forever()
        cursor.advance(QueryMeta(index=6 + len(asked)))
        return f"value {len(asked)}"

    watch = Watch(read)
    await anext(watch)

    async def step() -> None:
        await anext(watch)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(step)
            await reading.wait()
            tasks.cancel_scope.cancel()
    value = await anext(watch)

    # Where it was: a cancelled read has lost nothing.
    assert (value, asked) == ("value 3", [None, 7, 7])


async def test_after_its_async_with_a_watch_is_over() -> None:
    watch, _, reads = followed(Answer("a", 7), Answer("b", 8))

    async with watch:
        inside = await anext(watch)
    outside = [value async for value in watch]

    assert (inside, outside, reads.asked) == ("a", [], [None])


# -- history that goes back ------------------------------------------------------------------------


def told(value: bytes | None, index: int) -> httpx.Response:
    headers = {"X-Consul-Index": str(index)}
    if value is None:
        return httpx.Response(404, headers=headers)
    pair = {"Key": "k", "Value": b64encode(value).decode()}
    return httpx.Response(200, json=[pair], headers=headers)


class Agent:
    """Tells by default one thing after the other, and another to who wants to be sure."""

    def __init__(self, *answers: httpx.Response, sure: httpx.Response) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)
        self._sure = sure

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.query.decode("ascii"))
        return self._sure if "consistent" in request.url.params else self._answers.pop(0)


async def follow(agent: Agent, consistency: str = "default") -> list[tuple[bytes | None, bool]]:
    """The first two values that are delivered, and whether history broke before."""
    transport = httpx.MockTransport(agent)
    async with ConsulClient(transport=transport, consistency=consistency) as c:
        watch = c.kv.watch("k")
        pairs = [(await anext(watch), watch.resynchronised) for _ in range(2)]
    return [(pair.value if pair is not None else None, broken) for pair, broken in pairs]


async def test_a_deletion_from_before_what_was_seen_is_not_believed_at_once() -> None:
    # A server that was just restarted answers as if it were empty.
    agent = Agent(told(b"red", 10), told(None, 1), told(b"blue", 11), sure=told(b"red", 10))

    assert await follow(agent) == [(b"red", False), (b"blue", False)]
    assert agent.asked == ["", "index=10&wait=60s", "consistent=", "index=10&wait=60s"]


async def test_a_history_that_did_go_back_is_told() -> None:
    agent = Agent(told(b"red", 10), told(None, 1), sure=told(None, 1))

    assert await follow(agent) == [(b"red", False), (None, True)]


async def test_who_asked_for_stale_answers_gets_them_as_they_are() -> None:
    agent = Agent(told(b"red", 10), told(b"old", 9), sure=told(b"red", 10))

    assert await follow(agent, "stale") == [(b"red", False), (b"old", True)]
    assert not any("consistent" in query for query in agent.asked)


async def test_an_error_while_making_sure_is_waited_out_as_any_other() -> None:
    agent = Agent(
        *(told(b"red", 10), told(None, 1), told(b"blue", 11)),
        sure=httpx.Response(500, text="No cluster leader"),
    )

    assert await follow(agent) == [(b"red", False), (b"blue", False)]


# -- what is between -------------------------------------------------------------------------------


async def test_a_proxy_that_cuts_after_half_a_minute_is_asked_for_less() -> None:
    clock = Clock()

    def script(seen: Seen) -> fault_server.Answer:
        wait = re.search(r"wait=(\d+)s", seen.target)
        if wait is None:
            return reply(body=PAIR, headers={"X-Consul-Index": "7"})
        clock.time += min(int(wait[1]), 30)
        if int(wait[1]) > 30:
            return SILENCE
        return reply(404, headers={"X-Consul-Index": "8"})

    async with fault_server.fault_server(script) as server, ConsulClient(server.url) as c:
        watch = Watch(lambda cursor: c.kv.get("k", cursor=cursor), now=clock.now, sleep=clock.sleep)
        with anyio.fail_after(10):
            pairs = [await anext(watch), await anext(watch)]

    assert [pair is not None for pair in pairs] == [True, False]
    assert [seen.target.partition("?")[2] for seen in server.requests] == [
        "",
        "index=7&wait=60s",
        "",
        "index=7&wait=60s",
        "",
        "index=7&wait=24s",
    ]


async def test_another_datacenter_takes_over_under_a_watch_and_hands_it_back() -> None:
    down = False
    moved = anyio.Event()

    def home(seen: Seen) -> fault_server.Answer:
        if down:
            return SILENCE
        if "index=" in seen.target:
            return fault_server.Answer(hold=moved)
        return reply(body=PAIR, headers={"X-Consul-Index": "700"})

    def away(seen: Seen) -> fault_server.Answer:
        if "index=" in seen.target:
            return fault_server.Answer(hold=moved)
        return reply(404, headers={"X-Consul-Index": "7"})

    changes: list[object] = []
    async with (
        fault_server.fault_server(home) as one,
        fault_server.fault_server(away) as other,
        ConsulClient(
            one.url, datacenter="dc1", layers=[Datacenters({"dc2": other.url}), Limit()]
        ) as c,
    ):
        watch = c.using(failover=["dc2"]).kv.watch("k").changes()
        with anyio.fail_after(20):
            changes.append(await anext(watch))
            async with anyio.create_task_group() as tasks:

                async def follow() -> None:
                    while len(changes) < 5:
                        changes.append(await anext(watch))

                tasks.start_soon(follow)
                for takes_over, now_down in ((one, True), (other, False)):
                    asked = len(takes_over.requests)
                    await takes_over.wait_requests(max(asked, 2))
                    down, now = now_down, moved
                    moved = anyio.Event()
                    now.set()
                    while len(changes) < (3 if now_down else 5):
                        await anyio.lowlevel.checkpoint()

    assert [type(change) for change in changes] == [Snapshot, Resync, Removed, Resync, Added]
    # No index of one history is ever sent to the other.
    assert not any("index=700" in seen.target for seen in other.requests)
    assert not any("index=7&" in seen.target for seen in one.requests)
