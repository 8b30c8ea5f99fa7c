"""A service that stays registered, and says how it is."""

from __future__ import annotations

import enum
import inspect
import logging
import math
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

import anyio

from ..client import ConsulClient
from ..errors import (
    ConsulError,
    ConsulTimeoutError,
    InvalidRequestError,
    UnknownCheckError,
)
from ..models.service import AgentService, ServiceRegistration
from .session import PASSING, boot_time, within

__all__ = ["Health", "Registration", "RegistrationState"]

log = logging.getLogger("consul_onex")

Health = bool | str | tuple[bool | str, str] | None
"""How a service is: a status, True or None for passing, False for critical; with a note or not."""

_STATUSES: Final = ("passing", "warning", "critical")

# What is on its way, taking it out of service and deregistering it may take so long, each.
_GIVE_BACK: Final = 2.0

# So long may telling and repairing take, where no ttl says how long.
_PATIENCE: Final = 10.0

# By this a later run knows that it was not an operator who took the service out.
_DRAINING: Final = "it is about to be deregistered"

# Everybody who may read the service may read what its check says. Consul's tokens look like this.
_TOKEN: Final = re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")

# As much of a check's output as Consul keeps.
_LONGEST: Final = 4096


class RegistrationState(enum.Enum):
    """What is known of a registration."""

    WAITING = "waiting"
    """The agent has not taken it yet."""
    REGISTERED = "registered"
    """The agent had it, as it should be, when it was last asked or told."""
    UNREACHABLE = "unreachable"
    """It was registered, and now the agent does not answer, or refuses."""
    ENDED = "ended"
    """The block is over."""


class Registration:
    """
    Keeps a service registered with its agent for the length of a block.

        web = ServiceRegistration(name="web", port=8080, check=Check.ttl(15))
        async with Registration(c, web, health=how_it_is):
            ...

    A check with a ttl is told how the service is, every third of that at least. `health` says it: a
    function, asynchronous or not, that returns `passing`, `warning` or `critical`, True or None for
    passing, False for critical, or a pair of one of these and a note. It is critical when that
    raises, with the error as its note, and when it takes longer than a third of the ttl. Without
    `health` it is passing as long as this runs. Where all checks are the agent's own there are no
    heartbeats.

    What the agent has is looked at every `every` seconds, and after each failure. A service that
    was edited or deregistered, or that a wiped agent does not know, is registered again, with the
    status it has now. Its tags are left alone where `enable_tag_override` is set. While nothing
    changes nothing is written but heartbeats.

    Entering waits until it is registered, for `wait` seconds at most. Then the block begins all the
    same, and the registration follows as soon as Consul is there: 0 does not wait, `math.inf` waits
    for as long as that takes. What Consul refuses (BadRequestError, PermissionDeniedError) is
    raised where entering waits for it; otherwise it is logged, and tried again. The block is never
    cancelled for any of this; `state`, `since` and `error` tell.

    Leaving deregisters it. With `drain` the service is first put into maintenance for so many
    seconds, in which nobody finds it any more and what has begun can end. A Consul that does not
    answer delays that by a few seconds at most, also when the block was cancelled.

    `now` is a clock that only goes forward, `sleep` waits by it, and `dice` spreads the heartbeats.

    https://developer.hashicorp.com/consul/api-docs/agent/service#register-service
    """

    def __init__(
        self,
        c: ConsulClient,
        service: ServiceRegistration,
        *,
        health: Callable[[], Health | Awaitable[Health]] | None = None,
        wait: float = 5.0,
        every: float = 30.0,
        drain: float = 0.0,
        now: Callable[[], float] = boot_time,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        dice: Callable[[], float] = random.random,
    ) -> None:
        if not service.name:
            raise InvalidRequestError("a service must have a name to be registered")
        if not (wait >= 0 and 0 <= drain < math.inf and 0 < every < math.inf):
            raise InvalidRequestError("wait, drain and every are numbers of seconds")
        self.service = _with_ids(service)
        self.state = RegistrationState.WAITING
        self.since = now()
        """When it came to be in that state, by `now`."""
        self.error: ConsulError | None = None
        """Why the last try failed; None where it did not."""
        checks = [(check.id or "", check.ttl_seconds) for check in self.service.checks]
        self._told = [check for check, ttl in checks if ttl is not None]
        self._run = {check for check, ttl in checks if ttl is None}
        if health is not None and not self._told:
            raise InvalidRequestError("health is for a service that has a check with a ttl")
        # Where the definition says that it belongs.
        if service.namespace is not None:
            c = c.using(namespace=service.namespace)
        if service.partition is not None:
            c = c.using(partition=service.partition)
        # It is told and looked at at a pace of its own, which no layer knows better.
        self._c = c.using(paced=True)
        self._health = health
        self._wait = wait
        self._every = every
        self._drain = drain
        thirds = [ttl / 3 for _, ttl in checks if ttl is not None]
        self._period = min([every, *thirds])
        # However often it is looked at, an agent that is busy must have time to answer.
        self._patience = min([_PATIENCE, *thirds])
        self._now = now
        self._sleep = sleep
        self._dice = dice
        self._inside: list[AbstractAsyncContextManager[None]] = []
        self._changed = anyio.Event()
        self._mine: AgentService | None = None
        """What the agent made of it."""

    def __repr__(self) -> str:
        return f"<Registration {self.id!r} {self.state.value}>"

    @property
    def id(self) -> str:
        """The id of the service, which is its name where no other was given."""
        return self.service.id or self.service.name

    async def registered(self) -> None:
        """Wait until it is registered. It returns at once while it is."""
        while self.state is not RegistrationState.REGISTERED:
            await self._changed.wait()

    async def __aenter__(self) -> Self:
        if self._inside:
            raise InvalidRequestError(f"{self!r} was entered already")
        self._inside.append(self._kept())
        try:
            await self._inside[0].__aenter__()
        except BaseException:
            self._inside.clear()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._inside[0].__aexit__(exc_type, exc, traceback)
        finally:
            self._inside.clear()

    # -- the block ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def _kept(self) -> AsyncIterator[None]:
        self._mine = None
        self._look_at = -math.inf
        self._sent = False
        self._settled = anyio.Event()
        self.error = None
        self._enter(RegistrationState.WAITING)
        self._trying = anyio.Lock()
        pauses = anyio.CancelScope()
        failure: BaseException | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._tend, pauses)
            try:
                await self._wait_for_it()
                yield
            except (Exception, KeyboardInterrupt, SystemExit) as raised:  # noqa: BLE001
                # From in here it would come out in a group.
                failure = raised
            finally:
                pauses.cancel()
                with anyio.CancelScope(shield=True):
                    await self._leave()
        if failure is not None:
            raise failure

    async def _wait_for_it(self) -> None:
        if self._wait > 0:
            seconds = None if self._wait == math.inf else self._wait
            with suppress(TimeoutError):
                await within(seconds, self._sleep, self._settled.wait)
            if self.error is not None and not isinstance(self.error, PASSING):
                raise self.error

    async def _leave(self) -> None:
        try:
            await within(_GIVE_BACK, self._sleep, self._trying.acquire)
        except TimeoutError:
            self._try_scope.cancel()
            await self._trying.acquire()
        if self._sent:
            if self._drain > 0 and await self._given_back("drained", self._take_out):
                await self._sleep(self._drain)
            await self._given_back("deregistered", lambda: self._c.agent.deregister(self.id))
        self._enter(RegistrationState.ENDED)

    async def _take_out(self) -> None:
        await self._c.agent.service_maintenance(self.id, True, _DRAINING)

    async def _given_back(self, what: str, step: Callable[[], Awaitable[None]]) -> bool:
        try:
            await within(_GIVE_BACK, self._sleep, step)
        except (ConsulError, TimeoutError) as error:
            log.warning("the service %r was not %s: %s", self.id, what, error)
            return False
        return True

    # -- what goes on in it ------------------------------------------------------------------------

    async def _tend(self, pauses: anyio.CancelScope) -> None:
        """Ask how it is, and see to it that the agent knows, until the pauses are cancelled."""
        with pauses:
            while True:
                begun = self._now()
                status, note = await self._examined()
                while await self._tried(status, note) and self._now() < begun + self._period:
                    await self._sleep(0.25 + 0.5 * self._dice())
                due = begun + self._period * (1 - 0.2 * self._dice())
                await self._sleep(max(0.0, due - self._now()))

    async def _tried(self, status: str, note: str) -> bool:
        """Try, and whether to try again soon."""
        error: ConsulError | None = ConsulTimeoutError(f"no answer within {self._patience:g} s")
        async with self._trying:
            # What is on its way is not cut off: it may arrive all the same, and undo what leaving
            # does. So leaving waits for it.
            with anyio.CancelScope(shield=True) as self._try_scope:
                try:
                    await within(self._patience, self._sleep, lambda: self._assure(status, note))
                    error = None
                except ConsulError as raised:
                    error = raised
                except TimeoutError:
                    pass
        if error is None:
            self.error = None
            self._enter(RegistrationState.REGISTERED)
            self._settled.set()
            return False
        passing = isinstance(error, PASSING)
        if type(error) is not type(self.error):
            log.warning("the service %r is not kept registered: %s", self.id, error)
        self.error = error
        self._look_at = -math.inf
        if self.state is RegistrationState.REGISTERED:
            self._enter(RegistrationState.UNREACHABLE)
        if not passing:
            self._settled.set()
        return passing

    def _enter(self, state: RegistrationState) -> None:
        if state is not self.state:
            self.state, self.since = state, self._now()
            self._changed.set()
            self._changed = anyio.Event()

    async def _examined(self) -> tuple[str, str]:
        """How the service is, and a note."""
        try:
            return await within(self._patience, self._sleep, self._asked)
        except TimeoutError:
            return "critical", f"its health was not known within {self._patience:g} s"

    async def _asked(self) -> tuple[str, str]:
        try:
            said = None if self._health is None else self._health()
            return _verdict(await said if inspect.isawaitable(said) else said)
        except Exception as error:  # noqa: BLE001
            return "critical", _shown(f"{type(error).__name__}: {error}")

    async def _assure(self, status: str, note: str) -> None:
        begun = self._now()
        # The next time would be too late.
        if begun + self._period > self._look_at:
            found = await self._look()
            if not await self._is_as_it_was(found):
                await self._register(found, status)
            self._look_at = begun + self._every
        try:
            await self._tell(status, note)
        except UnknownCheckError:
            # The agent was wiped, or somebody took the service or its check away.
            await self._register(await self._look(), status)
            await self._tell(status, note)

    async def _look(self) -> AgentService | None:
        return await self._c.agent.service(self.id)

    async def _is_as_it_was(self, found: AgentService | None) -> bool:
        if found is None or self._compared(found) != self._mine:
            return False
        if not self._run:
            return True
        health = await self._c.agent.health(self.id)
        checks = () if health is None else health.checks
        return self._run <= {check.check_id for check in checks}

    def _compared(self, found: AgentService) -> AgentService:
        """What counts of a service when it is compared."""
        tags = [] if self.service.enable_tag_override else found.tags
        return replace(found, tags=tags, content_hash=None)

    async def _register(self, found: AgentService | None, status: str) -> None:
        service = _with_status(self.service, status)
        if found is not None and service.enable_tag_override:
            service = service.replace(tags=found.tags)
        self._sent = True
        await self._c.agent.register(service)
        if found is not None and self._mine is None:
            await self._end_an_old_drain()
        log.info("the service %r was registered", self.id)
        # Compared with the definition it would differ for ever where the agent completes that.
        made = await self._look()
        self._mine = None if made is None else self._compared(made)

    async def _end_an_old_drain(self) -> None:
        """Take back what a run before this one did that was killed while it drained."""
        health = await self._c.agent.health(self.id)
        for check in () if health is None else health.checks:
            if check.check_id.startswith("_service_maintenance:") and check.notes == _DRAINING:
                await self._c.agent.service_maintenance(self.id, False)

    async def _tell(self, status: str, note: str) -> None:
        for check in self._told:
            await self._c.agent.check_update(check, status, note)


def _shown(text: str) -> str:
    return _TOKEN.sub("(hidden)", text)[:_LONGEST]


def _verdict(said: Health) -> tuple[str, str]:
    status, note = said if isinstance(said, tuple) else (said, "")
    if status is None or status is True:
        status = "passing"
    elif status is False:
        status = "critical"
    if status not in _STATUSES:
        return "critical", _shown(f"its health is said to be {status!r}, which is no status")
    return status, str(note)


def _with_ids(service: ServiceRegistration) -> ServiceRegistration:
    """The same, with its checks in one list, by the ids that Consul would give them."""
    checks = [check for check in (service.check, *service.checks) if check is not None]
    if not checks:
        return service
    name = f"service:{service.id or service.name}"
    return service.replace(
        check=None,
        checks=[
            check.replace(id=check.id or (f"{name}:{n}" if len(checks) > 1 else name))
            for n, check in enumerate(checks, 1)
        ],
    )


def _with_status(service: ServiceRegistration, status: str) -> ServiceRegistration:
    """The same, where the checks that wait to be told begin with this status."""
    checks = [
        check if check.ttl_seconds is None else check.replace(status=status)
        for check in service.checks
    ]
    return service.replace(checks=checks) if checks else service
