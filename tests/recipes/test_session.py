"""A session that is kept: when it is renewed, until when it is believed in, how it ends."""

# A block that is cancelled is what is tested here: it has more than one statement, and what it
# binds is bound.
# ruff: noqa: PT012
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from consul_onex import (
    BadRequestError,
    ConsulClient,
    InvalidRequestError,
    OutcomeUnknownError,
    ServerError,
    SessionLostError,
)
from consul_onex.recipes import KeptSession, SessionKeeper, SessionState
from consul_onex.recipes.session import boot_time, within
from consul_onex.transport import Breaker, Deadline, Layer, Limit, Retry
from tests.recipes.support import Bench, ByClock, Clock, Timed, down, lost
from tests.support.agents import Agent

# -- renewals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dice", "every"), [(0.0, 5.0), (1.0, 4.0)])
async def test_it_is_renewed_every_third_of_its_ttl_or_a_little_earlier(
    b: ConsulClient, bench: Bench, clock: Clock, dice: float, every: float
) -> None:
    renewed: list[int] = []
    async with SessionKeeper(b, ttl=15, now=clock.now, sleep=clock.sleep, dice=lambda: dice):
        for _ in range(4):
            await clock.advance(every - 0.01)
            renewed.append(bench.count("renew"))
            await clock.advance(0.01)
            renewed.append(bench.count("renew"))

    assert renewed == [0, 1, 1, 2, 2, 3, 3, 4]


async def test_a_failed_renewal_is_jeopardy_and_the_next_success_ends_it(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    states: list[SessionState] = []
    async with SessionKeeper(b, ttl=15, **timed) as session:
        await clock.advance(4)
        states.append(session.state)
        with bench.failing("renew", httpx.Response(500, text="leadership lost")):
            await clock.advance(4)
            states.append(session.state)
            session.check()
        await clock.advance(1)
        states.append(session.state)

    assert states == [SessionState.HELD, SessionState.JEOPARDY, SessionState.HELD]


@pytest.mark.parametrize(
    "fault",
    [
        httpx.Response(403, text="Permission denied"),
        httpx.Response(500, text="No cluster leader"),
        httpx.Response(400, text="what?"),
        httpx.Response(200, text="not JSON"),
        down(),
        lost(),
    ],
    ids=repr,
)
async def test_no_error_is_a_loss_before_the_deadline_and_every_one_is_after_it(
    b: ConsulClient,
    bench: Bench,
    clock: Clock,
    timed: Timed,
    fault: httpx.Response | Exception,
) -> None:
    went_on = False
    with (
        pytest.raises(SessionLostError, match="not renewed in time") as raised,
        anyio.fail_after(100),
    ):
        async with SessionKeeper(b, ttl=15, **timed) as session:
            with bench.failing("renew", fault):
                # A tenth of the ttl is left to stop in.
                await clock.advance(13.49)
                went_on = True
                session.check()
                await clock.advance(0.02)
                await anyio.sleep_forever()

    assert went_on
    assert raised.value.session == session.id
    assert session.lost.is_set()
    assert bench.sessions == {}


async def test_the_ttl_counts_from_before_the_renewal_was_sent(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    answer = anyio.Event()
    async with SessionKeeper(b, ttl=15, **timed) as session:
        with bench.failing("renew", answer):
            await clock.advance(7)
            answer.set()
            await clock.advance(0)
            left = session.left

    # It was sent at 5, and answered at 7.
    assert left == pytest.approx(5 + 13.5 - 7)


async def test_a_renewal_that_hangs_is_given_up_after_a_sixth_of_the_ttl(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    async with SessionKeeper(b, ttl=15, **timed) as session:
        with bench.failing("renew", anyio.Event()):
            await clock.advance(5 + 2.49)
            before = (session.state, bench.count("renew"))
            await clock.advance(0.01 + 0.25)
            after = (session.state, bench.count("renew"))

    assert before == (SessionState.HELD, 1)
    assert after == (SessionState.JEOPARDY, 2)


async def test_an_agent_that_hangs_does_not_put_off_the_deadline(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    started, times = clock.time, []

    async def keep() -> None:
        with pytest.raises(SessionLostError):
            async with SessionKeeper(b, ttl=15, **timed):
                bench.fault = lambda method, path: anyio.Event()
                try:
                    await anyio.sleep_forever()
                finally:
                    times.append(clock.time - started)
        times.append(clock.time - started)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep)
        await clock.advance(20)

    # Two seconds more for giving it back in vain.
    assert times == [pytest.approx(13.5), pytest.approx(15.5)]


async def test_the_ttl_of_the_server_is_taken_over(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    async with SessionKeeper(b, ttl=15, **timed) as session:
        bench.sessions[session.id]["TTL"] = "60s"
        await clock.advance(5)
        left, ttl = session.left, session.ttl
        await clock.advance(19)
        renewed = bench.count("renew")

    assert left == pytest.approx(54)
    assert (ttl, renewed) == (60, 1)


async def test_a_server_that_does_not_say_its_ttl_changes_nothing(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    async with SessionKeeper(b, ttl=15, **timed) as session:
        bench.sessions[session.id]["TTL"] = ""
        await clock.advance(11)

        assert (session.ttl, bench.count("renew")) == (15, 2)


async def test_a_session_that_consul_has_ended_is_lost_with_its_next_renewal(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    with pytest.raises(SessionLostError, match="Consul has ended it"):
        async with SessionKeeper(b, ttl=15, **timed) as session:
            bench.end(session.id)
            await clock.advance(4.99)
            session.check()
            await clock.advance(0.02)
            await anyio.sleep_forever()


async def test_a_server_that_knows_of_no_session_yet_is_not_believed(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    async with SessionKeeper(b, ttl=15, **timed) as session:
        with bench.failing("renew", httpx.Response(404, text="Session id 'x' not found")):
            await clock.advance(5.5)
        session.check()
        await clock.advance(5)

        # It was asked again soon, and renewed at 5.75.
        assert session.left == pytest.approx(5.75 + 13.5 - 10.5)
        assert bench.count(f"session/info/{session.id}?consistent") == 3


@pytest.mark.parametrize(
    ("checks", "delay", "left"),
    [
        ([], None, 13.5),
        ([], 1.0, 13.5),
        (["serfHealth"], None, 13.5),
        (["serfHealth"], 5.0, 4.0),
        (["serfHealth"], 0.5, 0.0),
    ],
)
async def test_with_health_checks_it_is_safe_for_its_lock_delay_only(
    b: ConsulClient, timed: Timed, checks: list[str], delay: float | None, left: float
) -> None:
    keeper = SessionKeeper(b, ttl=15, lock_delay=delay, node_checks=checks, **timed)

    session = await keeper.create()

    assert session.left == pytest.approx(left)


@pytest.mark.parametrize(
    ("ttl", "delay", "said"),
    [(10, None, "15s"), (30, None, "30s"), (90, None, "60s"), (15, 1, "1s")],
)
async def test_the_lock_delay_is_as_long_as_the_ttl_where_consul_allows_it(
    b: ConsulClient, bench: Bench, timed: Timed, ttl: float, delay: float | None, said: str
) -> None:
    async with SessionKeeper(b, name="job", ttl=ttl, lock_delay=delay, **timed) as session:
        made = bench.sessions[session.id]

    assert (made["LockDelay"], made["NodeChecks"]) == (said, [])
    assert made["Name"] == session.name
    assert made["Name"].startswith("job ")


# -- what must not hold a renewal up ---------------------------------------------------------------


async def test_it_is_renewed_while_the_circuit_is_open_and_every_place_is_taken(
    bench: Bench, clock: Clock, timed: Timed
) -> None:
    layers: list[Layer] = [Deadline(), Breaker(), Limit(plain=1, max_wait=0)]
    async with ConsulClient(transport=bench, layers=layers) as b:
        with bench.failing("/kv/", anyio.Event()):
            async with (
                SessionKeeper(b, ttl=15, **timed) as session,
                anyio.create_task_group() as tg,
            ):
                tg.start_soon(b.kv.get, "slow")
                await clock.advance(1)
                b.circuits["consul.default"].isolate()
                await clock.advance(100)
                session.check()
                renewed = bench.count("renew")
                tg.cancel_scope.cancel()

    assert renewed == 20
    assert bench.sessions == {}


async def test_no_pause_between_retries_holds_a_renewal_up(
    bench: Bench, clock: Clock, timed: Timed
) -> None:
    async with (
        ConsulClient(transport=bench, layers=[Retry(attempts=9, initial=60, jitter=0)]) as b,
        SessionKeeper(b, ttl=15, **timed) as session,
    ):
        with bench.failing("renew", httpx.Response(500, text="No cluster leader")):
            await clock.advance(5 + 2)
            tried = bench.count("renew")
        await clock.advance(0.25)

        # Four times a second, until it succeeds.
        assert tried == 9
        assert session.state is SessionState.HELD


async def test_what_a_restarted_server_says_is_looked_into_past_an_open_circuit(
    bench: Bench, timed: Timed
) -> None:
    async with ConsulClient(transport=bench, layers=[Breaker()]) as b:
        session = await SessionKeeper(b, ttl=15, **timed).create()
        b.circuits["consul.default"].isolate()
        bench.end(session.id)

        with pytest.raises(SessionLostError, match="Consul has ended it"):
            await session.renew()


async def test_a_test_that_fails_lets_it_end_all_the_same(b: ConsulClient, bench: Bench) -> None:
    clock = Clock(guard=0.01)
    with pytest.raises(AssertionError):
        async with SessionKeeper(b, now=clock.now, sleep=clock.sleep):
            bench.fault = lambda method, path: down()
            raise AssertionError
    assert clock.time >= 1002


# -- clocks ----------------------------------------------------------------------------------------


async def test_the_time_of_a_suspended_machine_counts(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    checked: list[str] = []
    with pytest.raises(SessionLostError):
        async with SessionKeeper(b, ttl=15, **timed) as session:
            await clock.advance(1.5)
            clock.suspend(30)
            # Who looks knows at once, all others within a second.
            try:
                session.check()
            except SessionLostError as error:
                checked.append(str(error))
            await clock.advance(1)
            await anyio.sleep_forever()

    assert len(checked) == 1


async def test_a_block_that_sleeps_through_a_suspension_is_cancelled_within_a_second(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    woken = 0.0
    with pytest.raises(SessionLostError):
        async with SessionKeeper(b, ttl=15, **timed):
            await clock.advance(1.5)
            clock.suspend(30)
            woken = clock.time
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(clock.advance, 5)
                try:
                    await anyio.sleep_forever()
                finally:
                    stopped = clock.time

    assert stopped - woken <= 1
    assert bench.count("renew") == 0


def test_the_boot_clock_goes_forward_and_counts_all_that_the_monotonic_one_counts() -> None:
    first, monotonic = boot_time(), time.monotonic()

    assert boot_time() >= first
    assert first >= monotonic - 1


# -- how a block ends ------------------------------------------------------------------------------


async def test_leaving_destroys_it_and_it_is_believed_in_no_more(
    b: ConsulClient, bench: Bench, timed: Timed
) -> None:
    async with SessionKeeper(b, **timed) as session:
        session.check()
        shown = repr(session)

    assert bench.sessions == {}
    assert shown == f"<KeptSession {session.id} held left=13.5>"
    assert (session.state, session.left, session.lost.is_set()) == (SessionState.LOST, 0.0, True)
    with pytest.raises(SessionLostError, match="it was given back"):
        session.check()


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, StopAsyncIteration])
async def test_what_the_block_raises_goes_through_as_it_is(
    b: ConsulClient, bench: Bench, timed: Timed, kind: type[BaseException]
) -> None:
    error = kind("mine")

    with pytest.raises(kind) as raised:
        async with SessionKeeper(b, **timed):
            raise error

    assert raised.value is error
    assert not hasattr(error, "__notes__")
    assert bench.sessions == {}


async def test_what_the_block_raises_after_a_loss_says_that_it_came_after_one(
    b: ConsulClient, timed: Timed
) -> None:
    with pytest.raises(ValueError, match="mine") as raised:
        async with SessionKeeper(b, name="job", **timed) as session:
            session.lose("of a test")
            raise ValueError("mine")

    assert raised.value.__notes__ == [f"{session.name}: of a test"]


async def test_a_block_that_does_not_notice_a_loss_is_told_at_its_end(
    b: ConsulClient, clock: Clock, timed: Timed
) -> None:
    with pytest.raises(SessionLostError):
        async with SessionKeeper(b, ttl=15, **timed):
            clock.time += 14


async def test_a_cancellation_from_outside_stays_one(
    b: ConsulClient, bench: Bench, timed: Timed
) -> None:
    with anyio.CancelScope() as scope:
        async with SessionKeeper(b, **timed):
            scope.cancel()
            await anyio.sleep_forever()

    assert scope.cancelled_caught
    assert bench.sessions == {}


async def test_what_the_block_raises_while_it_is_cancelled_from_outside_goes_through(
    b: ConsulClient, bench: Bench, timed: Timed
) -> None:
    with pytest.raises(ValueError, match="mine"), anyio.CancelScope() as scope:
        async with SessionKeeper(b, **timed):
            scope.cancel()
            try:
                await anyio.sleep_forever()
            finally:
                raise ValueError("mine")

    assert bench.sessions == {}


async def test_a_cancellation_from_outside_goes_before_a_loss_at_the_same_moment(
    b: ConsulClient, bench: Bench, timed: Timed
) -> None:
    with anyio.CancelScope() as scope:
        async with SessionKeeper(b, **timed) as session:
            session.lose("of a test")
            scope.cancel()
            await anyio.sleep_forever()

    assert scope.cancelled_caught
    assert bench.sessions == {}


async def test_a_cancellation_from_outside_does_not_wait_for_a_consul_that_hangs(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    started = clock.time
    async with anyio.create_task_group() as tasks:

        async def keep() -> None:
            with anyio.CancelScope() as scope, bench.failing("destroy", anyio.Event()):
                async with SessionKeeper(b, **timed):
                    scope.cancel()
                    await anyio.sleep_forever()
            ended.append(clock.time)

        ended: list[float] = []
        tasks.start_soon(keep)
        await clock.advance(10)

    assert [at - started for at in ended] == [2]


async def test_what_cannot_be_given_back_is_left_to_the_ttl(
    b: ConsulClient, bench: Bench, timed: Timed
) -> None:
    async with SessionKeeper(b, **timed) as session:
        bench.fault = lambda method, path: httpx.Response(403) if "destroy" in path else None

    assert list(bench.sessions) == [session.id]


async def test_giving_back_is_tried_again_while_there_is_no_leader(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    until = clock.time + 0.5

    def election(method: str, path: str) -> httpx.Response | None:
        away = "destroy" in path and clock.time < until
        return httpx.Response(500, text="No cluster leader") if away else None

    async with anyio.create_task_group() as tasks, SessionKeeper(b, **timed) as session:
        bench.fault = election
        tasks.start_soon(clock.advance, 1)

    assert bench.sessions == {}
    assert session.ended


async def test_two_tasks_may_enter_one_keeper_and_each_has_a_session(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    keeper = SessionKeeper(b, **timed)
    seen: set[str] = set()

    async def keep() -> None:
        async with keeper as session:
            seen.add(session.id)
            await clock.sleep(1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep)
        tasks.start_soon(keep)
        await clock.advance(2)

    assert len(seen) == 2
    assert bench.sessions == {}


async def test_one_task_may_enter_a_keeper_again_but_not_twice(
    b: ConsulClient, bench: Bench, timed: Timed
) -> None:
    keeper = SessionKeeper(b, **timed)
    async with keeper:
        with pytest.raises(InvalidRequestError, match="inside of this SessionKeeper already"):
            async with keeper:
                pass
    async with keeper as session:
        session.check()

    assert bench.sessions == {}


# -- how it is made --------------------------------------------------------------------------------


async def test_a_ttl_that_is_too_short_for_the_server_is_raised(
    b: ConsulClient, bench: Bench, timed: Timed
) -> None:
    bench.shortest = 20
    async with SessionKeeper(b, ttl=3, **timed) as session:
        assert (session.ttl, bench.sessions[session.id]["TTL"]) == (20, "20s")
        assert session.left == 18


@pytest.mark.parametrize(
    "text",
    [
        "Invalid Session TTL '1', must be between [1s=24h0m0s]",
        "Invalid Session TTL '1', must be between [500ms=24h0m0s]",
        "Missing node registration",
    ],
)
async def test_any_other_refusal_is_raised(
    b: ConsulClient, bench: Bench, timed: Timed, text: str
) -> None:
    with bench.failing("create", httpx.Response(500, text=text)), pytest.raises(BadRequestError):
        async with SessionKeeper(b, ttl=10, **timed):
            pass

    assert bench.count("create") == 1


async def test_a_session_whose_answer_was_lost_is_found_by_its_name(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    bench.sessions["other"] = {"ID": "other", "Name": "consul_onex"}
    bench.after = lambda method, path: lost() if "create" in path else None
    async with SessionKeeper(b, **timed) as session:
        made = list(bench.sessions)

    assert made == ["other", session.id]
    assert list(bench.sessions) == ["other"]


async def test_a_session_whose_answer_was_garbled_is_found_by_its_name(
    b: ConsulClient, bench: Bench, timed: Timed
) -> None:
    bench.garble = "create"
    async with SessionKeeper(b, **timed) as session:
        assert list(bench.sessions) == [session.id]

    assert bench.sessions == {}


async def test_a_session_that_is_looked_for_is_not_left_behind_when_that_is_cancelled(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    bench.after = lambda method, path: lost() if "create" in path else None
    async with anyio.create_task_group() as tasks:

        async def keep() -> None:
            async with SessionKeeper(b, **timed):
                pytest.fail("it is cancelled before")

        with bench.failing("list", anyio.Event()):
            tasks.start_soon(keep)
            await anyio.wait_all_tasks_blocked()
            made = len(bench.sessions)
        tasks.cancel_scope.cancel()

    assert made == 1
    assert bench.sessions == {}


async def test_one_that_was_never_made_is_an_error(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(clock.advance, 5)
        with bench.failing("create", lost()), pytest.raises(OutcomeUnknownError):
            async with SessionKeeper(b, **timed):
                pass

    assert bench.count("list") == 5


@pytest.mark.parametrize("fault", [down(), httpx.Response(403), anyio.Event], ids=str)
async def test_one_that_cannot_be_looked_for_is_an_error(
    bench: Bench, clock: Clock, timed: Timed, fault: Any
) -> None:
    trouble = fault() if isinstance(fault, type) else fault
    bench.fault = lambda method, path: (
        lost() if "create" in path else trouble if "list" in path else None
    )
    async with ConsulClient(transport=bench, layers=[]) as b, anyio.create_task_group() as tasks:
        tasks.start_soon(clock.advance, 5)
        with pytest.raises(OutcomeUnknownError):
            async with SessionKeeper(b, **timed):
                pass


@pytest.mark.parametrize("committed", ["before", "meanwhile", "never"])
async def test_one_whose_making_is_cancelled_is_not_left_behind(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed, committed: str
) -> None:
    hang = anyio.Event()

    def hanging(method: str, path: str) -> anyio.Event | None:
        return hang if "create" in path else None

    setattr(bench, "after" if committed == "before" else "fault", hanging)
    async with anyio.create_task_group() as tasks:

        async def keep() -> None:
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                async with SessionKeeper(b, name="mine", **timed):
                    entered.append(True)

        scopes: list[anyio.CancelScope] = []
        entered: list[bool] = []
        tasks.start_soon(keep)
        await anyio.wait_all_tasks_blocked()
        (name,) = bench.names
        scopes[0].cancel()
        await clock.advance(0.1)
        if committed == "meanwhile":
            bench.sessions["late"] = {"ID": "late", "Name": name}
        await clock.advance(5)

    assert entered == []
    assert bench.sessions == {}


# -- within ----------------------------------------------------------------------------------------


async def test_work_within_its_time_returns_and_its_errors_come_as_they_are(clock: Clock) -> None:
    async def fail() -> None:
        raise ServerError("no")

    async def answer() -> int:
        await anyio.lowlevel.checkpoint()
        return 7

    assert await within(1, clock.sleep, answer) == 7
    assert await within(None, clock.sleep, answer) == 7
    with pytest.raises(ServerError, match="no"):
        await within(1, clock.sleep, fail)


async def test_any_error_of_what_is_done_within_a_time_comes_as_it_is(clock: Clock) -> None:
    async def fail() -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await within(1, clock.sleep, fail)


# -- on a real agent -------------------------------------------------------------------------------


async def wrong(_: KeptSession) -> None:
    raise ValueError("mine")


async def leave(_: KeptSession) -> None:
    pass


@pytest.mark.parametrize("body", [leave, wrong])
async def test_a_session_has_no_checks_and_is_gone_afterwards(
    c: ConsulClient, body: Callable[[KeptSession], Awaitable[None]], terms: ByClock
) -> None:
    made = None
    try:
        async with SessionKeeper(c, name="job", ttl=3, behavior="delete", **terms) as session:
            made = await c.session.info(session.id)
            await session.renew()
            await body(session)
    except ValueError:
        pass

    assert made is not None
    assert (made.ttl, made.lock_delay, made.behavior, made.node_checks) == (10, 15, "delete", [])
    assert made.name == session.name
    assert await c.session.info(session.id) is None


async def test_a_session_that_somebody_destroyed_is_lost_with_its_next_renewal(
    c: ConsulClient, terms: ByClock
) -> None:
    session = await SessionKeeper(c, **terms).create()
    await session.refresh()
    await c.session.destroy(session.id)

    with pytest.raises(SessionLostError, match="Consul has ended it"):
        await session.renew()
    assert session.state is SessionState.LOST


async def test_a_session_outlives_a_restart_of_its_agent(fresh_agent: Agent) -> None:
    async with ConsulClient(fresh_agent.url) as c, SessionKeeper(c, ttl=10) as session:
        await anyio.to_thread.run_sync(fresh_agent.restart)
        await session.renew()

        assert session.state is SessionState.HELD
