"""Let one call meet one fault, on a new connection or a used one, and say how it ended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Any

import anyio

from consul_onex import ConsulClient, ConsulError, Cursor
from tests.chaos.faults import Ask, Fault, good
from tests.support.fault_server import Answer, FaultServer, Seen, Then, fault_server

__all__ = ["Met", "meet"]


@dataclass(frozen=True)
class Met:
    """How a call ended: an error or a value, after how long, and what the server saw of it."""

    error: ConsulError | None
    value: Any
    seconds: float
    requests: int
    """That arrived whole at the server."""
    retries: int
    recovered: Any
    """What the same call of the same client had when the fault was gone."""
    active: int
    """Connections in use when all was over."""


async def meet(
    fault: Fault,
    ask: Ask,
    make_client: Callable[[str], ConsulClient],
    *,
    reused: bool = False,
    times: int | None = None,
    wait: float = 0.1,
) -> Met:
    """
    Call a server that does this wrong: `times` times, or for as long as the call lasts.

    With `reused`, a call before it has left its connection; where the fault is that nobody is there
    or reads, that one was closed meanwhile, as by an agent that was restarted. A fault by which
    nobody is there lasts.
    """
    play = _Play(fault, times)
    async with AsyncExitStack() as stack:
        async with play.server() as server:
            c = await stack.enter_async_context(make_client(server.url))
            if reused:
                await c.kv.get("k")
                if not fault.request_arrives():
                    await server.wait_open(0)
            if fault.absence is None:
                return await _met(c, ask, play, server, wait)
        with fault.absence(server.port):
            ended = await _timed(c, ask, wait)
        async with play.server(server.port) as server:
            return await _all_over(c, ask, ended, server, wait)


class _Play:
    """What a server does: well at first, wrong from when it is told, and so often."""

    def __init__(self, fault: Fault, times: int | None) -> None:
        self.wrong = False
        self.fault = fault
        self._left = times

    def server(self, port: int = 0) -> AbstractAsyncContextManager[FaultServer]:
        return fault_server(self._answer, greeting=self._greet, port=port)

    def _greet(self, _: int) -> Answer | None:
        return self.fault.greeting if self.fault.greeting and self._goes_wrong() else None

    def _answer(self, seen: Seen) -> Answer:
        answer = self.fault.answer
        if answer is None:
            # Who is to be met by nobody cannot keep a connection from before.
            return good(seen, Then.CLOSE)
        if not self._goes_wrong():
            return good(seen)
        return answer if isinstance(answer, Answer) else answer(seen)

    def _goes_wrong(self) -> bool:
        if not self.wrong or self._left == 0:
            return False
        if self._left is not None:
            self._left -= 1
        return True


@dataclass(frozen=True)
class _Ended:
    error: ConsulError | None
    value: Any
    seconds: float
    retries: int


async def _met(c: ConsulClient, ask: Ask, play: _Play, server: FaultServer, wait: float) -> Met:
    server.requests.clear()
    play.wrong = True
    ended = await _timed(c, ask, wait)
    play.wrong = False
    if play.fault.hangs_up:
        # A request that crosses with the end of its connection is another fault.
        await server.wait_open(0)
    return await _all_over(c, ask, ended, server, wait)


async def _all_over(
    c: ConsulClient, ask: Ask, ended: _Ended, server: FaultServer, wait: float
) -> Met:
    requests = len(server.requests)
    recovered = await _call(c, ask, wait)
    connections = c.statistics().connections
    return Met(
        ended.error,
        ended.value,
        ended.seconds,
        requests,
        ended.retries,
        recovered,
        connections.active if connections is not None else 0,
    )


async def _timed(c: ConsulClient, ask: Ask, wait: float) -> _Ended:
    error, value, started = None, None, anyio.current_time()
    try:
        value = await _call(c, ask, wait)
    except ConsulError as raised:
        error = raised
    retry = c.statistics().retry
    return _Ended(
        error, value, anyio.current_time() - started, retry.retries if retry is not None else 0
    )


async def _call(c: ConsulClient, ask: Ask, wait: float) -> Any:
    match ask:
        case Ask.GET:
            return await c.kv.get("k")
        case Ask.PUT:
            return await c.kv.put("k", b"v")
        case Ask.CAS:
            return await c.kv.put("k", b"v", cas=7)
        case Ask.BLOCKING:
            cursor = Cursor(wait=wait)
            cursor.index = 7
            return await c.kv.get("k", cursor=cursor)
