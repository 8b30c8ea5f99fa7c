"""A service that stays registered: what is told, when, and what is done when things go wrong."""

# What a block that may be cancelled binds is bound.
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import uuid4

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx
import pytest
from pydantic import SecretStr

from consul_onex import (
    BadRequestError,
    Check,
    ConsulClient,
    ConsulConnectionError,
    ConsulTimeoutError,
    Cursor,
    InvalidRequestError,
    PermissionDeniedError,
    ServiceRegistration,
    UnknownCheckError,
)
from consul_onex.models import ACLLink, ACLPolicy, ACLToken, AgentHealth, HealthCheck
from consul_onex.recipes import Health, Registration, RegistrationState
from consul_onex.testing import Clock, FakeAgent
from consul_onex.transport import Breaker, Deadline, Layer, Limit, Retry, RetryStatistics
from tests.recipes.support import GuardedClock
from tests.support.agents import Agent

TTL = 15.0
BEAT = "/v1/agent/check/update/*"
REGISTER = "/v1/agent/service/register"
MAINTENANCE = "_service_maintenance:web"

State = RegistrationState


def web(ttl: float = TTL, **fields: Any) -> ServiceRegistration:
    usual: dict[str, Any] = {"name": "web", "port": 8080, "check": Check.ttl(ttl)}
    return ServiceRegistration(**usual | fields)


async def until(done: Callable[[], Awaitable[bool]], clock: Clock | None = None) -> None:
    """Let time pass until it is so."""
    with anyio.fail_after(60):
        while not await done():
            await (anyio.sleep(0.01) if clock is None else clock.advance(1.0))


# -- on both agents --------------------------------------------------------------------------------


@dataclass
class Place:
    """An agent that is known only through its clients, and the time there."""

    c: ConsulClient
    other: ConsulClient
    clock: Clock | None = None

    def registration(
        self, service: ServiceRegistration | None = None, **options: Any
    ) -> Registration:
        timed: dict[str, Any] = {"every": 0.5}
        if self.clock is not None:
            timed = {"now": self.clock.time, "sleep": self.clock.sleep}
        return Registration(self.c, service or web(), **timed | options)

    async def until(self, done: Callable[[], Awaitable[bool]]) -> None:
        await until(done, self.clock)

    async def beats(self) -> None:
        """Let several heartbeats pass."""
        await (anyio.sleep(1.0) if self.clock is None else self.clock.advance(5 * TTL / 3))

    async def health(self) -> AgentHealth | None:
        return await self.other.agent.health("web")

    async def is_well(self) -> bool:
        health = await self.health()
        return health is not None and health.aggregated_status == "passing"


@pytest.fixture(params=["real", "fake"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    if request.param == "real":
        agent: Agent = request.getfixturevalue("agent")
        async with ConsulClient(agent.url) as c, ConsulClient(agent.url) as other:
            yield Place(c, other)
        # Others share this agent.
        assert '"web"' not in agent.request("GET", "/v1/agent/services").body.decode()
    else:
        clock = GuardedClock()
        fake = FakeAgent(clock=clock)
        async with ConsulClient(transport=fake) as c, ConsulClient(transport=fake) as other:
            yield Place(c, other, clock)


async def test_a_service_is_registered_for_the_length_of_a_block(place: Place) -> None:
    async with place.registration() as registration:
        inside = await place.health()
        state = registration.state
        await registration.registered()

    assert inside is not None
    assert inside.aggregated_status == "passing"
    assert inside.service is not None
    assert inside.service.port == 8080
    assert (state, registration.state, registration.error) == (State.REGISTERED, State.ENDED, None)
    assert await place.health() is None


async def test_it_stays_passing_and_its_index_stays_where_it_is(place: Place) -> None:
    indexes: set[int | None] = set()
    async with place.registration(health=lambda: ("passing", "fine")):
        # A note that is new is told to the servers with the registration's own changes.
        await place.beats()
        for _ in range(3):
            cursor = Cursor()
            (entry,) = await place.other.health.service("web", cursor=cursor)
            indexes.add(cursor.index)
            assert [one.status for one in entry.checks if one.service_id] == ["passing"]
            await place.beats()

    assert len(indexes) == 1


async def test_an_edit_is_repaired(place: Place) -> None:
    async with place.registration():
        await place.other.agent.register(ServiceRegistration(name="web", port=9999))

        async def is_repaired() -> bool:
            found = await place.other.agent.service("web")
            return found is not None and found.port == 8080

        assert not await is_repaired()
        await place.until(is_repaired)
        assert await place.is_well()


async def test_a_service_that_somebody_deregistered_is_registered_again(place: Place) -> None:
    async with place.registration():
        await place.other.agent.deregister("web")
        assert await place.health() is None
        await place.until(place.is_well)


async def test_a_check_that_somebody_took_away_is_registered_again(place: Place) -> None:
    run = Check.http("http://127.0.0.1:1/", interval=3600, status="passing", id="run")
    told = Check.ttl(TTL, id="told")
    async with place.registration(web(check=None, checks=[run, told])):
        for check in ("run", "told"):
            await place.other.agent.deregister_check(check)

        async def are_back() -> bool:
            return {"run", "told"} <= set(await place.other.agent.checks())

        assert not await are_back()
        await place.until(are_back)


async def test_tags_that_may_be_overridden_are_left_alone(place: Place) -> None:
    service = web(tags=["blue"], enable_tag_override=True)
    async with place.registration(service):
        edited = service.replace(tags=["green"], check=None)
        await place.other.agent.register(edited)
        await place.beats()
        await place.beats()
        left_alone = await place.other.agent.service("web")
        await place.other.agent.register(edited.replace(port=9999))

        async def is_repaired() -> bool:
            found = await place.other.agent.service("web")
            return found is not None and found.port == 8080

        await place.until(is_repaired)
        repaired = await place.other.agent.service("web")

    assert left_alone is not None
    assert left_alone.tags == ["green"]
    assert repaired is not None
    assert repaired.tags == ["green"]


async def test_tags_that_may_not_be_overridden_are_repaired(place: Place) -> None:
    service = web(tags=["blue"])
    async with place.registration(service):
        await place.other.agent.register(service.replace(tags=["green"], check=None))

        async def is_repaired() -> bool:
            found = await place.other.agent.service("web")
            return found is not None and found.tags == ["blue"]

        await place.until(is_repaired)


async def test_what_an_operator_adds_stays(place: Place) -> None:
    async with place.registration() as registration:
        extra = Check.ttl(TTL, name="theirs", service_id="web", status="passing")
        await place.other.agent.register_check(extra)
        await place.other.agent.service_maintenance("web", True, "we look at it")
        await place.other.agent.register(ServiceRegistration(name="web", port=9999))

        async def is_repaired() -> bool:
            found = await place.other.agent.service("web")
            return found is not None and found.port == 8080

        await place.until(is_repaired)
        checks = set(await place.other.agent.checks())
        await registration.registered()

    assert {"theirs", MAINTENANCE, "service:web"} <= checks
    assert not {"theirs", MAINTENANCE, "service:web"} & set(await place.other.agent.checks())


async def test_it_is_deregistered_also_when_the_block_fails_or_is_cancelled(place: Place) -> None:
    with pytest.raises(ValueError, match="mine"):
        async with place.registration():
            raise ValueError("mine")
    failed = await place.health()
    with anyio.CancelScope() as scope:
        async with place.registration():
            scope.cancel()
            await anyio.sleep_forever()

    assert (failed, await place.health()) == (None, None)


async def test_a_service_without_checks_of_ours_has_no_heartbeats(place: Place) -> None:
    async with place.registration(web(check=None)):
        await place.other.agent.deregister("web")

        async def is_back() -> bool:
            return await place.other.agent.service("web") is not None

        await place.until(is_back)
        checks = set(await place.other.agent.checks())

    assert "service:web" not in checks


# -- what a real agent does ------------------------------------------------------------------------


async def test_a_wiped_agent_has_it_back_and_it_is_never_critical(fresh_agent: Agent) -> None:
    seen: list[list[str]] = []

    async def record(c: ConsulClient) -> None:
        async for entries in c.watch(c.health.service, "web"):
            seen.append([one.status for e in entries for one in e.checks if one.service_id])
            if left and not entries:
                break

    async with ConsulClient(fresh_agent.url) as c, ConsulClient(fresh_agent.url) as other:

        async def is_well() -> bool:
            # In the new agent's own history, and where everybody looks.
            entries = await c.health.service("web", passing=True)
            return len(entries) == 1 and seen[-1:] == [["passing"]]

        with anyio.fail_after(90):
            async with anyio.create_task_group() as tasks:
                left = False
                async with Registration(c, web(6.0)):
                    tasks.start_soon(record, other)
                    await anyio.to_thread.run_sync(lambda: fresh_agent.restart(wipe=True))
                    await until(is_well)
                    left = True

    assert ["passing"] in seen
    assert seen[-1] == []
    assert {"passing"} == {status for statuses in seen for status in statuses}


async def test_consul_may_come_later_than_the_application(fresh_agent: Agent) -> None:
    fresh_agent.kill()
    async with ConsulClient(fresh_agent.url) as c, Registration(c, web(), wait=0) as registration:

        async def has_failed() -> bool:
            return registration.error is not None

        await until(has_failed)
        before = (registration.state, type(registration.error))
        fresh_agent.launch()
        with anyio.fail_after(60):
            await registration.registered()
        health = await c.agent.health("web")

    assert before == (State.WAITING, ConsulConnectionError)
    assert health is not None
    assert health.aggregated_status == "passing"
    assert registration.error is None


async def test_leaving_takes_no_longer_than_a_few_seconds_when_consul_hangs(
    fresh_agent: Agent,
) -> None:
    async with ConsulClient(fresh_agent.url) as c:
        registration = Registration(c, web())
        async with registration:
            fresh_agent.pause()
            left = anyio.current_time()
        took = anyio.current_time() - left

    assert took < 20
    assert registration.state is State.ENDED


@pytest.fixture
async def token(acl_agent: Agent) -> AsyncIterator[SecretStr]:
    """One that may write the service `web`, and nothing else."""
    async with ConsulClient(acl_agent.url, token=acl_agent.token) as c:
        rules = 'service "web" { policy = "write" }'
        policy = await c.acl.policy.create(ACLPolicy(name=uuid4().hex, rules=rules))
        links = [ACLLink(id=policy.id)]
        made = await c.acl.token.create(ACLToken(policies=links, local=True))
        assert made.secret_id is not None
        yield made.secret_id
        await c.acl.token.delete(made.accessor_id)
        await c.acl.policy.delete(policy.id)


async def test_it_needs_the_right_to_write_the_service_and_no_other(
    acl_agent: Agent, token: SecretStr
) -> None:
    def health() -> None:
        raise LookupError(token.get_secret_value())

    run = Check.http("http://127.0.0.1:1/", interval=3600, id="run", status="passing")
    service = web(checks=[run])
    async with ConsulClient(acl_agent.url, token=token) as c:
        async with Registration(c, service, every=0.1, drain=0.1, health=health):
            checks = {one.check_id: one.output for one in await service_checks(c)}
            await c.agent.register(web(port=9999))

            async def is_repaired() -> bool:
                found = await c.agent.service("web")
                return found is not None and found.port == 8080

            await until(is_repaired)
        gone = await c.agent.service("web")

    assert checks == {"service:web:1": "LookupError: (hidden)", "run": ""}
    assert gone is None


async def service_checks(c: ConsulClient) -> list[HealthCheck]:
    health = await c.agent.health("web")
    assert health is not None
    return [one for one in health.checks if one.service_id]


async def test_without_that_right_entering_is_refused(acl_agent: Agent) -> None:
    with pytest.raises(PermissionDeniedError):
        async with ConsulClient(acl_agent.url) as c, Registration(c, web()):
            pytest.fail("it was refused")


# -- the fake agent, and its clock -----------------------------------------------------------------


@pytest.fixture
def clock() -> Clock:
    return GuardedClock()


@pytest.fixture
def fake(clock: Clock) -> FakeAgent:
    return FakeAgent(clock=clock)


@pytest.fixture
async def f(fake: FakeAgent) -> AsyncIterator[ConsulClient]:
    """A client of `fake` that waits for nothing by any other clock."""
    layers: list[Layer] = [Deadline(), Breaker(), Limit()]
    async with ConsulClient(transport=fake, layers=layers) as client:
        yield client


@pytest.fixture
def kept(f: ConsulClient, clock: Clock) -> Callable[..., Registration]:
    """Registers by `clock`, each heartbeat as late as it may be."""

    def make(service: ServiceRegistration | None = None, **options: Any) -> Registration:
        timed: dict[str, Any] = {"now": clock.time, "sleep": clock.sleep, "dice": lambda: 0.0}
        return Registration(f, service or web(), **timed | options)

    return make


Kept = Callable[..., Registration]


def requests(fake: FakeAgent, part: str) -> int:
    return sum(part in request.url.path for request in fake.requests)


async def check(f: ConsulClient, check_id: str = "service:web") -> tuple[str, str]:
    found = (await f.agent.checks())[check_id]
    return found.status, found.output


@pytest.mark.parametrize(("dice", "every"), [(0.0, 5.0), (1.0, 4.0)])
async def test_the_check_is_told_every_third_of_its_ttl_or_a_little_earlier(
    fake: FakeAgent, clock: Clock, kept: Kept, dice: float, every: float
) -> None:
    told: list[int] = []
    async with kept(dice=lambda: dice):
        for _ in range(3):
            await clock.advance(every - 0.01)
            told.append(requests(fake, "/check/update/"))
            await clock.advance(0.01)
            told.append(requests(fake, "/check/update/"))

    assert told == [1, 2, 2, 3, 3, 4]


def waits_for(said: Health) -> Callable[[], Awaitable[Health]]:
    async def health() -> Health:
        await anyio.lowlevel.checkpoint()
        return said

    return health


def returns(said: Health) -> Callable[[], Health]:
    return lambda: said


@pytest.mark.parametrize("make", [returns, waits_for])
@pytest.mark.parametrize(
    ("said", "status", "output"),
    [
        (None, "passing", ""),
        (True, "passing", ""),
        (False, "critical", ""),
        ("warning", "warning", ""),
        (("passing", "9 of 10"), "passing", "9 of 10"),
        ((False, "no database"), "critical", "no database"),
        ("fine", "critical", "its health is said to be 'fine', which is no status"),
        (1, "critical", "its health is said to be 1, which is no status"),
        (("passing", 7), "passing", "7"),
        (("passing",), "critical", "ValueError: not enough values to unpack (expected 2, got 1)"),
    ],
)
async def test_it_is_as_its_health_says(
    f: ConsulClient, kept: Kept, make: Any, said: Any, status: str, output: str
) -> None:
    async with kept(health=make(said)):
        told = await check(f)

    assert told == (status, output)


async def test_a_health_that_raises_is_critical_with_its_text_and_without_a_token(
    f: ConsulClient, kept: Kept
) -> None:
    def health() -> None:
        raise LookupError("no 8d7a2f6c-07B1-4c5e-9f3e-1c0de5ec4e7a here" + "x" * 5000)

    async with kept(health=health):
        status, output = await check(f)

    assert status == "critical"
    assert output.startswith("LookupError: no (hidden) herexxx")
    assert len(output) == 4096


async def test_a_health_that_hangs_is_critical_after_a_third_of_the_ttl(
    f: ConsulClient, fake: FakeAgent, clock: Clock, kept: Kept
) -> None:
    hangs = False

    async def health() -> None:
        if hangs:
            await anyio.sleep_forever()

    async with kept(health=health):
        await clock.advance(1)
        hangs = True
        await clock.advance(4 + 4.99)
        before = await check(f)
        await clock.advance(0.01)
        after = await check(f)
        beats = requests(fake, "/check/update/")
        await clock.advance(15)
        beats = requests(fake, "/check/update/") - beats

    assert before == ("passing", "")
    assert after == ("critical", "its health was not known within 5 s")
    assert beats == 3


async def test_it_begins_with_the_status_that_it_has(f: ConsulClient, kept: Kept) -> None:
    seen: list[str] = []

    async def record() -> None:
        async for entries in f.watch(f.health.service, "web"):
            seen.extend(one.status for e in entries for one in e.checks if one.service_id)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(record)
        await anyio.wait_all_tasks_blocked()
        async with kept(health=lambda: "warning"):
            await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()

    assert set(seen) == {"warning"}


async def test_an_agent_that_was_wiped_has_it_back_with_the_next_heartbeat(
    f: ConsulClient, fake: FakeAgent, clock: Clock, kept: Kept
) -> None:
    async with kept() as registration:
        await clock.advance(1)
        fake.wipe()
        await clock.advance(3.99)
        before = await f.agent.services()
        await clock.advance(0.01)
        told = await check(f)

    assert before == {}
    assert told == ("passing", "")
    assert registration.error is None


@pytest.mark.parametrize("dice", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("service", [web(), web(check=None)], ids=["told", "bare"])
async def test_an_edit_is_repaired_within_the_period(
    f: ConsulClient, clock: Clock, kept: Kept, service: ServiceRegistration, dice: float
) -> None:
    ports: list[int] = []
    async with kept(service, every=30, dice=lambda: dice):
        await clock.advance(1)
        await f.agent.register(ServiceRegistration(name="web", port=9999))
        for pause in (1, 28):
            await clock.advance(pause)
            found = await f.agent.service("web")
            assert found is not None
            ports.append(found.port)

    assert ports == [9999, 8080]


async def test_what_happened_during_a_failure_is_seen_after_it(
    f: ConsulClient, fake: FakeAgent, clock: Clock, kept: Kept
) -> None:
    async with kept():
        await f.agent.register(ServiceRegistration(name="web", port=9999))
        fake.refuse(path=BEAT)
        await clock.advance(6)
        fake.recover()
        await clock.advance(1)
        found = await f.agent.service("web")

    assert found is not None
    assert found.port == 8080


async def test_nothing_is_written_but_heartbeats_while_nothing_changes(
    f: ConsulClient, fake: FakeAgent, clock: Clock, kept: Kept
) -> None:
    async with kept(health=lambda: ("passing", "fine")):
        begun, cursor, later = len(fake.requests), Cursor(), Cursor()
        await f.health.service("web", cursor=cursor)
        await clock.advance(290)
        await f.health.service("web", cursor=later)
        written = {one.url.path for one in fake.requests[begun:] if one.method != "GET"}
        looks = requests(fake, "/v1/agent/service/web")

    assert written == {"/v1/agent/check/update/service:web"}
    assert cursor.index == later.index
    # Before it was registered, after that, and every 30 seconds.
    assert looks == 2 + 9


async def test_several_checks_have_the_ids_that_consul_gives_them_and_are_all_told(
    f: ConsulClient, fake: FakeAgent, clock: Clock, kept: Kept
) -> None:
    mine = Check.ttl(6, id="mine")
    run = Check.http("http://127.0.0.1:1/", interval=10)
    async with kept(web(id="w1", checks=[mine, run]), health=lambda: "warning"):
        checks = {name: one.status for name, one in (await f.agent.checks()).items()}
        begun = len(fake.requests)
        await clock.advance(2)
        told = [one.url.path.rpartition("/")[2] for one in fake.requests[begun:]]

    assert checks == {"service:w1:1": "warning", "mine": "warning", "service:w1:3": "critical"}
    assert told == ["service:w1:1", "mine"]


# -- while consul is not there ---------------------------------------------------------------------


@pytest.mark.parametrize(("wait", "waited"), [(0.0, 0.0), (5.0, 5.0), (math.inf, 60.0)])
async def test_entering_waits_for_consul_as_long_as_it_is_told_to(
    fake: FakeAgent, clock: Clock, kept: Kept, wait: float, waited: float
) -> None:
    entered: list[float] = []

    async def run() -> None:
        async with kept(wait=wait) as registration:
            entered.append(clock.time())
            await registration.registered()
            entered.append(clock.time())

    fake.refuse()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await clock.advance(60)
        fake.recover()
        await clock.advance(2)

    assert entered[0] == pytest.approx(waited, abs=0.5)
    assert entered[1] == pytest.approx(60, abs=0.5)


async def test_what_goes_wrong_is_told_and_does_not_end_the_block(
    fake: FakeAgent, clock: Clock, kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    states: list[tuple[State, float]] = []
    async with kept() as registration:
        states.append((registration.state, registration.since))
        fake.refuse()
        await clock.advance(100)
        states.append((registration.state, registration.since))
        error = registration.error
        fake.recover()
        await clock.advance(1)
        await registration.registered()
        states.append((registration.state, registration.since))

    assert states[:2] == [(State.REGISTERED, 0.0), (State.UNREACHABLE, 5.0)]
    assert states[2][0] is State.REGISTERED
    assert 100 <= states[2][1] <= 100.5
    assert isinstance(error, ConsulConnectionError)
    warned = [one.message for one in caplog.records if one.levelno == logging.WARNING]
    assert len(warned) == 1
    assert warned[0].startswith("the service 'web' is not kept registered: ")


async def test_its_health_is_not_asked_for_more_often_while_consul_is_not_there(
    fake: FakeAgent, clock: Clock, kept: Kept
) -> None:
    asked: list[float] = []
    async with kept(health=lambda: asked.append(clock.time())):
        fake.refuse()
        await clock.advance(30)

    assert len(asked) <= 7


async def test_an_agent_that_hangs_is_given_up_after_a_third_of_the_ttl(
    fake: FakeAgent, clock: Clock, kept: Kept
) -> None:
    async with kept() as registration:
        fake.hang()
        await clock.advance(5 + 4.99)
        before = registration.state
        await clock.advance(0.01)
        after = (registration.state, registration.since, str(registration.error))
        error = registration.error
        fake.recover()
        # Another try hangs since then.
        await clock.advance(5)
        again = registration.state

    assert before is State.REGISTERED
    assert after == (State.UNREACHABLE, 10.0, "no answer within 5 s")
    assert isinstance(error, ConsulTimeoutError)
    assert again is State.REGISTERED


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (400, "Invalid Service Meta", BadRequestError),
        (403, "Permission denied", PermissionDeniedError),
    ],
)
async def test_what_consul_refuses_is_raised_where_entering_waits(
    f: ConsulClient, fake: FakeAgent, kept: Kept, status: int, text: str, error: type[Exception]
) -> None:
    fake.answer(status, text, path=REGISTER)
    with pytest.raises(error, match=text):
        async with kept():
            pytest.fail("it was refused")

    assert await f.agent.services() == {}


async def test_what_consul_refuses_is_kept_and_tried_again_where_nobody_waits(
    fake: FakeAgent, clock: Clock, kept: Kept
) -> None:
    fake.answer(403, "Permission denied", path=REGISTER)
    async with kept(wait=0) as registration:
        await clock.advance(14)
        tries, error, state = requests(fake, REGISTER), registration.error, registration.state
        fake.recover()
        await clock.advance(1)
        recovered = registration.state

    # With the heartbeats, and not sooner.
    assert tries == 3
    assert isinstance(error, PermissionDeniedError)
    assert (state, recovered) == (State.WAITING, State.REGISTERED)


async def test_a_check_that_stays_unknown_is_an_error_and_no_loop(
    fake: FakeAgent, kept: Kept
) -> None:
    fake.answer(500, 'CheckID "service:web" does not have associated TTL', path=BEAT)
    with pytest.raises(UnknownCheckError):
        async with kept():
            pytest.fail("it was never told")

    assert requests(fake, "/check/update/") == 2


async def test_an_open_circuit_keeps_nothing_of_it_back(
    f: ConsulClient, clock: Clock, kept: Kept
) -> None:
    await f.kv.get("anything")
    f.circuits["consul.default"].isolate()
    async with kept(web(checks=[Check.http("http://127.0.0.1:1/", interval=10)])) as registration:
        await clock.advance(60)
        state = registration.state
    f.circuits["consul.default"].reset()

    assert state is State.REGISTERED
    assert await f.agent.services() == {}


async def test_nothing_of_it_waits_for_a_retry(fake: FakeAgent, clock: Clock) -> None:
    layers: list[Layer] = [Retry(attempts=9, initial=60, jitter=0)]
    timed: dict[str, Any] = {"now": clock.time, "sleep": clock.sleep, "dice": lambda: 0.0}
    async with ConsulClient(transport=fake, layers=layers) as c:
        async with Registration(c, web(), drain=1, **timed) as registration:
            for path in ("/v1/agent/check/*", "/v1/agent/service/web", REGISTER):
                fake.answer(500, "No cluster leader", path=path, times=1)
                await c.agent.deregister("web")
                await clock.advance(TTL / 3 + 1)
                assert registration.state is State.REGISTERED
            fake.answer(500, "No cluster leader", path="/v1/agent/service/maintenance/web")
            fake.answer(500, "No cluster leader", path="/v1/agent/service/deregister/web")
        assert c.statistics().retry == RetryStatistics(retries=0, budget=500)


async def test_a_test_that_fails_lets_it_leave_all_the_same(f: ConsulClient) -> None:
    clock = GuardedClock(guard=0.01)
    timed: dict[str, Any] = {"now": clock.time, "sleep": clock.sleep}
    with pytest.raises(AssertionError):
        async with Registration(f, web(), drain=10, **timed):
            raise AssertionError
    assert clock.time() >= 10


async def test_a_service_that_goes_while_it_is_looked_at_is_registered_again(
    f: ConsulClient, fake: FakeAgent, clock: Clock, kept: Kept
) -> None:
    run = Check.http("http://127.0.0.1:1/", interval=10)
    service = web(check=run)
    async with kept(service):
        # After the service was found its checks are looked for.
        fake.latency(1.0, path="/v1/agent/health/*", times=1)
        await clock.advance(30)
        await f.agent.deregister("web")
        await clock.advance(1)
        await anyio.wait_all_tasks_blocked()
        back = await f.agent.service("web")

    assert back is not None


async def test_a_service_that_goes_right_after_it_was_registered_is_registered_again(
    f: ConsulClient, fake: FakeAgent, clock: Clock, kept: Kept
) -> None:
    service = web(check=None)
    found: list[bool] = []

    async def run() -> None:
        async with kept(service):
            await clock.sleep(30)
            found.append(await f.agent.service("web") is not None)

    async with anyio.create_task_group() as tasks:
        fake.latency(1.0, path="/v1/agent/service/web")
        tasks.start_soon(run)
        await clock.advance(1)
        # It waits to see what the agent made of it.
        await f.agent.deregister("web")
        fake.recover()
        await clock.advance(32)

    assert found == [True]


# -- leaving ---------------------------------------------------------------------------------------


async def test_a_drain_takes_it_out_of_service_before_it_is_deregistered(
    f: ConsulClient, clock: Clock, kept: Kept
) -> None:
    seen: list[str | None] = []

    async def run() -> None:
        async with kept(drain=10):
            pass

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        for pause in (0.0, 9.99, 0.01):
            await clock.advance(pause)
            health = await f.agent.health("web")
            seen.append(None if health is None else health.aggregated_status)

    assert seen == ["maintenance", "maintenance", None]


async def test_what_cannot_be_drained_is_not_waited_for(
    f: ConsulClient, fake: FakeAgent, clock: Clock, kept: Kept
) -> None:
    fake.answer(500, "no", path="/v1/agent/service/maintenance/*")
    async with kept(drain=10):
        pass

    assert clock.time() == 0
    assert await f.agent.services() == {}


async def test_a_drain_that_was_killed_is_taken_back_and_an_operators_work_is_not(
    f: ConsulClient, kept: Kept
) -> None:
    seen: list[set[str]] = []
    for reason in ("it is about to be deregistered", "we look at it"):
        await f.agent.register(web())
        await f.agent.service_maintenance("web", True, reason)
        async with kept():
            seen.append(set(await f.agent.checks()))

    assert seen == [{"service:web"}, {"service:web", MAINTENANCE}]


async def test_leaving_waits_for_what_is_on_its_way(
    f: ConsulClient, fake: FakeAgent, clock: Clock, kept: Kept
) -> None:
    async def run() -> None:
        async with kept(wait=0):
            # On its way, and applied after this.
            fake.latency(1.0, path=REGISTER)
            await anyio.wait_all_tasks_blocked()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await clock.advance(1)

    assert [one.url.path for one in fake.requests if one.method == "PUT"][:2] == [
        REGISTER,
        "/v1/agent/check/update/service:web",
    ]
    assert fake.requests[-1].url.path == "/v1/agent/service/deregister/web"
    assert await f.agent.services() == {}


async def test_leaving_does_not_wait_for_a_health_that_cannot_be_cancelled(
    f: ConsulClient, clock: Clock, kept: Kept
) -> None:
    thread = anyio.Event()

    async def health() -> None:
        with anyio.CancelScope(shield=clock.time() > 0):
            await (thread.wait() if clock.time() > 0 else anyio.lowlevel.checkpoint())

    async def run() -> None:
        async with kept(health=health):
            await clock.sleep(6)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await clock.advance(5.99)
        before = set(await f.agent.services())
        await clock.advance(0.01)
        after = set(await f.agent.services())
        thread.set()

    assert (before, after) == ({"web"}, set())


async def test_leaving_is_bounded_when_nothing_answers(
    fake: FakeAgent, clock: Clock, kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    left: list[float] = []

    async def run() -> None:
        async with kept(drain=60):
            fake.hang()
            await clock.sleep(6)
        left.append(clock.time())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await clock.advance(20)

    # For the heartbeat that is on its way, for the drain, and for the end.
    assert left == [6 + 3 * 2]
    assert [one.message for one in caplog.records if one.levelno == logging.WARNING][-2:] == [
        "the service 'web' was not drained: not done within 2 s",
        "the service 'web' was not deregistered: not done within 2 s",
    ]


async def test_where_nothing_was_sent_there_is_nothing_to_take_back(
    fake: FakeAgent, kept: Kept
) -> None:
    fake.refuse()
    async with kept(wait=0):
        await anyio.wait_all_tasks_blocked()

    assert requests(fake, "/deregister/") == 0


async def test_a_registration_whose_answer_was_lost_is_taken_back(
    f: ConsulClient, fake: FakeAgent, kept: Kept
) -> None:
    fake.drop_after(path=REGISTER)
    async with kept(wait=0):
        await anyio.wait_all_tasks_blocked()
        inside = await f.agent.services()

    assert "web" in inside
    assert await f.agent.services() == {}


async def test_wherever_it_is_cancelled_nothing_is_left(
    f: ConsulClient, fake: FakeAgent, kept: Kept
) -> None:
    entered: list[int] = []

    async def strike(scope: anyio.CancelScope, steps: int) -> None:
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        scope.cancel()

    for steps in count():
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(strike, scope, steps)
                async with kept():
                    entered.append(steps)
                    await anyio.sleep_forever()
        assert await f.agent.services() == {}
        assert fake.active == 0
        if entered:
            break

    assert entered[0] > 10


# -- how it is used --------------------------------------------------------------------------------


async def test_it_may_be_entered_again_but_not_twice(f: ConsulClient, kept: Kept) -> None:
    registration = kept()
    async with registration:
        with pytest.raises(InvalidRequestError, match="entered already"):
            async with registration:
                pytest.fail("it is entered")
        inside = await check(f)
    async with registration:
        again = await check(f)

    assert inside == again == ("passing", "")
    assert repr(registration) == "<Registration 'web' ended>"


async def test_waiting_for_it_may_begin_before_it_is_entered(kept: Kept) -> None:
    registration = kept(web(id="web-1"))
    states: list[str] = []

    async def wait() -> None:
        states.append(repr(registration))
        await registration.registered()
        states.append(repr(registration))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        async with registration:
            await anyio.wait_all_tasks_blocked()

    assert states == ["<Registration 'web-1' waiting>", "<Registration 'web-1' registered>"]


@pytest.mark.parametrize(
    ("service", "options", "problem"),
    [
        (ServiceRegistration(port=1), {}, "must have a name"),
        (web(check=None), {"health": lambda: True}, "health is for a service"),
        (web(), {"wait": -1.0}, "numbers of seconds"),
        (web(), {"drain": math.nan}, "numbers of seconds"),
        (web(), {"drain": math.inf}, "numbers of seconds"),
        (web(), {"every": 0.0}, "numbers of seconds"),
        (web(), {"every": math.inf}, "numbers of seconds"),
    ],
)
async def test_what_cannot_be_meant_is_refused(
    f: ConsulClient, service: ServiceRegistration, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InvalidRequestError, match=problem):
        Registration(f, service, **options)


async def test_all_is_asked_for_where_the_definition_says_it_belongs() -> None:
    asked: list[httpx.Request] = []

    def enterprise(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.url.path == "/v1/agent/self":
            return httpx.Response(200, json={"Config": {"Version": "1.18.0+ent"}})
        if request.url.path == "/v1/agent/service/web":
            return httpx.Response(200, json={"ID": "web", "Service": "web", "ContentHash": "1"})
        if request.url.path.startswith("/v1/agent/health/"):
            return httpx.Response(404, json={"AggregatedStatus": "critical", "Service": None})
        return httpx.Response(200)

    service = web(namespace="team", partition="west")
    async with (
        ConsulClient(transport=httpx.MockTransport(enterprise)) as c,
        Registration(c, service),
    ):
        pass

    about = [one.url for one in asked if one.url.path != "/v1/agent/self"]
    assert len(about) >= 5
    assert all(url.params["ns"] == "team" for url in about)
    assert all(url.params["partition"] == "west" for url in about)
