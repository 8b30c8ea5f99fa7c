"""A session that is kept alive, and until when it can be believed in."""

from __future__ import annotations

import enum
import logging
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Final, Generic, TypedDict, TypeVar
from uuid import uuid4

import anyio

from ..client import ConsulClient
from ..errors import (
    BadRequestError,
    CircuitOpenError,
    ConsulConnectionError,
    ConsulError,
    ConsulTimeoutError,
    DecodeError,
    InvalidRequestError,
    OutcomeUnknownError,
    OverloadedError,
    RateLimitedError,
    ServerError,
    SessionLostError,
)
from ..models.session import SessionEntry

__all__ = [
    "PASSING",
    "WAIT",
    "Entrance",
    "KeptSession",
    "SessionKeeper",
    "SessionState",
    "Terms",
    "boot_time",
    "soon",
    "within",
]

log = logging.getLogger("consul_onex")

T = TypeVar("T")

PASSING: Final = (
    CircuitOpenError,
    ConsulConnectionError,
    OutcomeUnknownError,
    OverloadedError,
    RateLimitedError,
    ServerError,
)
"""Errors that pass by themselves: who waits for something outlives them."""

WAIT: Final = 15.0
"""Seconds that Consul may hold a query back: one that is cancelled keeps its place for so long."""

# Letting go may take so long, also when it was cancelled. What it does not reach, the ttl ends.
_GIVE_BACK: Final = 2.0

# Seconds between two tries to let go.
_AGAIN: Final = 0.1

# A sleeping event loop does not notice that its machine was suspended. So it sleeps no longer.
_LOOK: Final = 1.0

# A clock may not be able to go on by less.
_MOMENT: Final = 0.001

# When to look for a session whose creation was cut off: it may be committed a moment later.
_LOOKS: Final = (0.0, 0.05, 0.1, 0.2, 0.4)

_SHORTEST_TTL: Final = re.compile(r"Session TTL .* must be between \[([0-9]+)(m?s)\b")

# Linux has a clock that goes on while the machine is suspended.
_BOOT_CLOCK: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)


def boot_time() -> float:
    """Seconds by a clock that nobody sets, and that counts a suspended machine's time too."""
    return time.monotonic() if _BOOT_CLOCK is None else time.clock_gettime(_BOOT_CLOCK)


def soon(dice: Callable[[], float]) -> float:
    """Seconds until what failed is tried again: not by all who failed at the same moment."""
    return 0.5 + dice()


async def within(
    seconds: float | None,
    sleep: Callable[[float], Awaitable[None]],
    work: Callable[[], Awaitable[T]],
) -> T:
    """
    What `work` returns. TimeoutError after so many seconds, by the clock that `sleep` goes by.

    What `work` had taken when it was cut off, it must give back itself, or leave where its caller
    finds it.
    """
    if seconds is None:
        return await work()
    results: list[T] = []
    failure: Exception | None = None

    async def strike() -> None:
        await sleep(seconds)
        scope.cancel()

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            tasks.start_soon(strike)
            try:
                results.append(await work())
            except Exception as error:  # noqa: BLE001
                # From in here it would come out in a group.
                failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if not results:
        raise TimeoutError(f"not done within {seconds:g} s")
    return results[0]


class SessionState(enum.Enum):
    """What is known of a session."""

    HELD = "held"
    """The last renewal succeeded."""
    JEOPARDY = "jeopardy"
    """It did not, but nobody else can have yet what the session holds."""
    LOST = "lost"
    """It is over, or may be by now; or it was given back."""


class Terms(TypedDict, total=False):
    """What whatever needs a session hands on to `SessionKeeper`, which explains it."""

    name: str
    ttl: float
    lock_delay: float | None
    node_checks: Sequence[str]
    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    dice: Callable[[], float]


class KeptSession:
    """
    A session, and until when it can be believed in.

    `id` is its id, `name` the name it alone has, `ttl` the seconds after which Consul may end it
    when it is not renewed, as the server sees it. `lost` is an event that is set when it is over,
    or may be; `ended` says whether Consul has confirmed that it was given back.

    `SessionKeeper` makes them.
    """

    def __init__(
        self,
        c: ConsulClient,
        session: str,
        name: str,
        *,
        ttl: float,
        sent: float,
        protected: float,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        dice: Callable[[], float],
    ) -> None:
        self.id = session
        self.name = name
        self.ttl = ttl
        self.lost = anyio.Event()
        self.ended = False
        # It is renewed at a pace of its own, which no layer knows better.
        self._c = c.using(paced=True)
        self._sent = sent
        self._protected = protected
        self._now = now
        self._sleep = sleep
        self._dice = dice
        self._failing = False
        self._reason: str | None = None
        self._scope: anyio.CancelScope | None = None

    def __repr__(self) -> str:
        return f"<KeptSession {self.id} {self.state.value} left={self.left:.1f}>"

    @property
    def state(self) -> SessionState:
        """What is known of it at this moment."""
        if self.reason is not None:
            return SessionState.LOST
        return SessionState.JEOPARDY if self._failing else SessionState.HELD

    @property
    def left(self) -> float:
        """For how many seconds from now nobody else can have what it holds; 0 when it is lost."""
        if self._reason is not None:
            return 0.0
        span = min(self.ttl, self._protected)
        # Time to stop in, and for clocks that do not run alike.
        return max(0.0, self._sent + span - max(1.0, span / 10) - self._now())

    @property
    def reason(self) -> str | None:
        """Why it is lost; None while it is not."""
        if self.left <= 0:
            self.lose("it was not renewed in time, and may belong to somebody else by now")
        return self._reason

    def check(self) -> None:
        """SessionLostError when it is over, or may be. Nothing is sent."""
        if self.reason is not None:
            raise self._error(self.reason)

    def lose(self, reason: str) -> None:
        """Take it for lost from now on, and cancel whoever relies on it."""
        if self._reason is None:
            self._reason = reason
            self.lost.set()
            if self._scope is not None:
                self._scope.cancel()

    async def renew(self) -> None:
        """
        Begin its ttl anew.

        SessionLostError when Consul has ended it; any other error says nothing about that, and
        may be followed by a success.
        """
        self.check()
        # The server counts from when it hears of it, so nobody is ahead of this.
        sent = self._now()
        try:
            entry = await self._soon(lambda: self._c.session.renew(self.id))
            if entry is None and await self._soon(self._confirmed) is not None:
                # So says a server that was restarted just now. The leader knows better.
                raise ServerError("this server has yet to hear of it", operation="session.renew")
        except ConsulError:
            self._failing = True
            raise
        if entry is None:
            self.lose("Consul has ended it")
        else:
            self._sent, self._failing = sent, False
            # The server's own: it may be longer than what was asked for.
            self.ttl = entry.ttl or self.ttl
        self.check()

    async def _soon(self, ask: Callable[[], Awaitable[T]]) -> T:
        try:
            return await within(self.ttl / 6, self._sleep, ask)
        except TimeoutError:
            pass
        raise ConsulTimeoutError(f"no answer within {self.ttl / 6:g} s", operation="session.renew")

    async def _confirmed(self) -> SessionEntry | None:
        return await self._c.using(consistency="consistent").session.info(self.id)

    async def refresh(self) -> None:
        """Renew it if that is due. Raises as `renew` does."""
        self.check()
        if self._now() - self._sent >= self.ttl / 3:
            await self.renew()

    @asynccontextmanager
    async def kept(
        self,
        *,
        beside: Callable[[], Awaitable[None]] | None = None,
        before: Callable[[], Awaitable[object]] | None = None,
        error: Callable[[str], ConsulError] | None = None,
    ) -> AsyncIterator[None]:
        """
        Keep it alive for the length of a block, which is cancelled when it is lost; then end it.

        `beside` runs along: it follows, and calls `lose` when it sees a reason. It should come to
        its end by what `before` does, which is what to let go of before the session is destroyed.
        `error` makes what is raised after a loss. What the block raises by itself goes through.
        """
        failure: BaseException | None = None
        loss: str | None = None
        heard = anyio.Event()

        async def follow() -> None:
            try:
                if beside is not None:
                    await beside()
            finally:
                heard.set()

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._renew_again_and_again)
                tasks.start_soon(self._look_at_the_clock)
                tasks.start_soon(follow)
                try:
                    with anyio.CancelScope() as self._scope:
                        yield
                except anyio.get_cancelled_exc_class():
                    raise
                except BaseException as raised:  # noqa: BLE001
                    # From in here it would come out in a group.
                    failure = raised
                finally:
                    self._scope = None
                    loss = self.reason
                    await self.end(before, heard)
                    tasks.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            # An error of the block goes before a cancellation that came while it was cleaned up.
            if failure is None:
                raise
        lost = None if loss is None else (error or self._error)(loss)
        if failure is not None:
            if lost is not None:
                failure.add_note(str(lost))
            raise failure
        if lost is not None:
            raise lost

    async def end(
        self,
        before: Callable[[], Awaitable[object]] | None = None,
        after: anyio.Event | None = None,
    ) -> None:
        """
        Give it back: do what comes before, destroy it, wait for what comes after.

        It takes two seconds at most, also when it is cancelled. Errors that pass are waited out for
        so long, others are logged: what is still there then ends with the session's ttl.
        """
        self.lose("it was given back")

        async def destroy() -> None:
            self.ended = await self._c.session.destroy(self.id)

        async def give_back() -> None:
            if before is not None:
                # What comes next helps too, if less.
                await self._insist(before, _GIVE_BACK / 2)
            await self._insist(destroy, None)
            if after is not None:
                await after.wait()

        with anyio.CancelScope(shield=True):
            try:
                await within(_GIVE_BACK, self._sleep, give_back)
            except TimeoutError:
                log.warning("%s was not given back within %g s", self.name, _GIVE_BACK)

    async def _insist(self, step: Callable[[], Awaitable[object]], seconds: float | None) -> None:
        """Do it, again and again where that may help."""

        async def again() -> None:
            while True:
                try:
                    await step()
                    return
                except PASSING as error:
                    log.info("%s is still to be given back: %s", self.name, error)
                await self._sleep(_AGAIN)

        try:
            await within(seconds, self._sleep, again)
        except (ConsulError, TimeoutError) as error:
            log.warning("%s was not given back: %s", self.name, error)

    async def _renew_again_and_again(self) -> None:
        while self.reason is None:
            due = self._sent + self.ttl / 3 * (1 - 0.2 * self._dice())
            # After a failure, soon again.
            pause = 0.25 + 0.5 * self._dice() if self._failing else due - self._now()
            await self._sleep(max(0.0, pause))
            try:
                await self.renew()
            except SessionLostError:
                return
            except ConsulError as error:
                # Whatever it is: it is not for this to say that the session is over.
                log.info("%s was not renewed: %s", self.name, error)

    async def _look_at_the_clock(self) -> None:
        while self.reason is None:
            await self._sleep(min(max(self.left, _MOMENT), _LOOK))

    def _error(self, reason: str) -> SessionLostError:
        return SessionLostError(f"{self.name}: {reason}", session=self.id)


class Entrance(Generic[T]):
    """Lets several tasks enter one object at once, each by a context of its own."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._inside: dict[int, AbstractAsyncContextManager[T]] = {}

    async def enter(self, context: AbstractAsyncContextManager[T]) -> T:
        """Enter, for this task."""
        me = anyio.get_current_task().id
        if me in self._inside:
            raise InvalidRequestError(f"this task is inside of this {self._what} already")
        entered = await context.__aenter__()
        self._inside[me] = context
        return entered

    async def leave(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        """Leave, as this task; True when what was raised ends here."""
        context = self._inside.pop(anyio.get_current_task().id)
        return await context.__aexit__(exc_type, exc, traceback)


class SessionKeeper:
    """
    Keeps one session alive for the length of a block.

        async with SessionKeeper(c, name="importer") as session:
            await c.kv.acquire("import/running", session.id)
            ...

    It is renewed every third of its `ttl` (seconds). The block is cancelled when the session is
    lost, and SessionLostError raised: when Consul has ended it, or when it was not renewed for so
    long that Consul may have. That is counted on this side, from before the last renewal that
    succeeded was sent, less a tenth of the ttl and at least a second, so that it also holds while
    Consul cannot be reached. Until then errors are waited out, whatever they are. On leaving, the
    session is destroyed.

    Other than with `c.session.create`, its health checks are `node_checks` alone, and there are
    none by default: a session then outlives its agent. With checks Consul may end it at any time,
    and only `lock_delay` keeps others from what it held. That is as long as the ttl where not
    given, and 15 seconds at least. A ttl that is too short for the server is raised to the server's
    shortest. `behavior` is as for `c.session.create`.

    Entering raises what `c.session.create` does. When the answer to it was lost, the session is
    looked for by its name, to which some random digits are added for that.

    `now` is a clock that only goes forward, `sleep` waits by it, and `dice` spreads the renewals.
    """

    def __init__(
        self,
        c: ConsulClient,
        *,
        name: str = "consul_onex",
        ttl: float = 15.0,
        lock_delay: float | None = None,
        behavior: str | None = None,
        node_checks: Sequence[str] = (),
        now: Callable[[], float] = boot_time,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.ttl = ttl
        self.lock_delay = lock_delay
        self.behavior = behavior
        self.node_checks = tuple(node_checks)
        self.now = now
        self.sleep = sleep
        self.dice = dice
        self._c = c
        self._paced = c.using(paced=True)
        self._entrance = Entrance[KeptSession]("SessionKeeper")

    async def __aenter__(self) -> KeptSession:
        return await self._entrance.enter(self._keep())

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._entrance.leave(exc_type, exc, traceback)

    @asynccontextmanager
    async def _keep(self) -> AsyncIterator[KeptSession]:
        session = await self.create()
        async with session.kept():
            yield session

    async def create(self, *, paced: bool = False) -> KeptSession:
        """
        A session that is not renewed yet: `kept` does that.

        When this is cancelled, or fails, no session is left behind. `paced` is as for `c.using`.
        """
        name = f"{self.name} {uuid4().hex}"
        sent = self.now()
        try:
            session = await self._create(self._paced if paced else self._c, name)
        except anyio.get_cancelled_exc_class():
            # It may have been made, and nobody would know of it.
            with anyio.CancelScope(shield=True):
                orphan = await self._find(name)
                if orphan is not None:
                    await self._made(orphan, name, sent).end()
            raise
        return self._made(session, name, sent)

    def _made(self, session: str, name: str, sent: float) -> KeptSession:
        return KeptSession(
            *(self._c, session, name),
            ttl=self.ttl,
            sent=sent,
            # With checks Consul may end it at once, and its locks stay closed for their delay.
            protected=self._lock_delay if self.node_checks else float("inf"),
            now=self.now,
            sleep=self.sleep,
            dice=self.dice,
        )

    @property
    def _lock_delay(self) -> float:
        return min(60.0, max(15.0, self.ttl)) if self.lock_delay is None else self.lock_delay

    async def _create(self, c: ConsulClient, name: str) -> str:
        while True:
            try:
                return await c.session.create(
                    name,
                    ttl=self.ttl,
                    lock_delay=self._lock_delay,
                    behavior=self.behavior,
                    node_checks=self.node_checks,
                )
            except (OutcomeUnknownError, DecodeError):
                found = await self._find(name)
                if found is None:
                    raise
                return found
            except BadRequestError as error:
                shortest = _shortest_ttl(error.detail)
                if shortest is None or shortest <= self.ttl:
                    raise
                log.info("sessions of this server live for %g s at least", shortest)
                self.ttl = shortest

    async def _find(self, name: str) -> str | None:
        """The session of that name, if there is one, or there is one soon."""

        async def look() -> str | None:
            for pause in _LOOKS:
                await self.sleep(pause)
                for entry in await self._paced.using(consistency="consistent").session.list():
                    if entry.name == name:
                        return entry.id
            return None

        try:
            return await within(_GIVE_BACK, self.sleep, look)
        except (ConsulError, TimeoutError) as error:
            log.warning("it is not known whether %s was made: %s", name, error)
            return None


def _shortest_ttl(detail: str) -> float | None:
    """The server's shortest ttl, as its refusal of a shorter one says."""
    found = _SHORTEST_TTL.search(detail)
    if found is None:
        return None
    return float(found[1]) if found[2] == "s" else float(found[1]) / 1000
