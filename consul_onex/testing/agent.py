"""An agent that is not there, and answers all the same."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Unpack

import anyio.lowlevel
import httpx

from ._discovery import Catalog, Health
from ._elsewhere import Elsewhere
from ._faults import Fault, Faults, Which
from ._http import Answer, Asked, RefusedError, Router
from ._kv import KV
from ._local import Kept, Local
from ._seed import Seed, sow
from ._server import Server
from ._session import Sessions
from ._snapshot import Snapshots, restore
from ._state import State, Tables
from ._timers import Timers
from ._txn import Txn
from .clock import Clock, LoopClock

__all__ = ["AgentSnapshot", "FakeAgent"]

_PIECE: Final = 64 * 1024


@dataclass(frozen=True, slots=True, repr=False)
class AgentSnapshot:
    """What a fake agent knew at one moment. It can be restored any number of times."""

    node: str
    datacenter: str
    tables: Tables
    local: Kept

    def __repr__(self) -> str:
        return f"<AgentSnapshot of {self.node} in {self.datacenter}>"


class FakeAgent(httpx.AsyncBaseTransport):
    """
    A Consul agent in memory, which is a server and leads.

    It stands below a client in the place of the network:

        async with ConsulClient(transport=FakeAgent()) as c:
            await c.kv.put("colour", "red")

    It does what Consul 1.8.7 does, in its words and with its indexes, and answers 501 for what it
    does not have. Everything of one agent is gone with it. It may have any number of clients.

    `clock` is its time: a `Clock` for a test that has better things to do than wait, and otherwise
    that of the event loop. With `jitter` a blocking query takes up to a sixteenth of its wait
    longer, as with Consul. `node` and `datacenter` are names.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        node: str = "dev",
        datacenter: str = "dc1",
        jitter: bool = False,
    ) -> None:
        self.clock = LoopClock() if clock is None else clock
        self.node = node
        self.datacenter = datacenter
        self.requests: list[httpx.Request] = []
        """What came in, whatever became of it."""
        self.active = 0
        """How many requests wait for their answer."""
        self._jitter = random.random if jitter else _none
        self._faults = Faults()
        self._start()

    def __repr__(self) -> str:
        return f"<FakeAgent {self.node} in {self.datacenter}>"

    @property
    def blocked(self) -> int:
        """How many queries wait for something to change."""
        return self._server.blocked

    def _start(self) -> None:
        timers = Timers(self.clock)
        state = State(timers)
        self._server = Server(timers, state, self.datacenter, self._jitter)
        self._local = Local(self._server, self.node)
        self._router = Router()
        for area in (
            KV(self._server),
            Sessions(self._server, self.node),
            Txn(self._server),
            Catalog(self._server),
            Health(self._server),
            Snapshots(self._server),
            self._local,
            Elsewhere(),
        ):
            area.open(self._router)

    # -- what goes wrong ------------------------------------------------------------------------

    def refuse(self, **which: Unpack[Which]) -> None:
        """Refuse connections: nothing arrives."""
        self._faults.add(Fault("refuse", **which))

    def answer(self, status: int, text: str = "", **which: Unpack[Which]) -> None:
        """Answer so, and do nothing."""
        self._faults.add(Fault("answer", status=status, text=text, **which))

    def drop_after(self, **which: Unpack[Which]) -> None:
        """Do what was asked, and lose the answer."""
        self._faults.add(Fault("drop_after", **which))

    def cut_body(self, **which: Unpack[Which]) -> None:
        """Do what was asked, and break the connection in the middle of the answer."""
        self._faults.add(Fault("cut_body", **which))

    def hang(self, **which: Unpack[Which]) -> None:
        """Take the request, do nothing, and never answer."""
        self._faults.add(Fault("hang", **which))

    def latency(self, seconds: float, **which: Unpack[Which]) -> None:
        """Take so many seconds before anything is done."""
        self._faults.add(Fault("latency", seconds=seconds, **which))

    def recover(self) -> None:
        """Let nothing go wrong any more, and have a leader."""
        self._faults.clear()
        self._server.lose_leader(0.0)

    def lose_leader(self, seconds: float = 7.0) -> None:
        """
        Have no leader for so long.

        Reads and writes are held for up to 7 seconds, in the hope of one, and then answered 500 "No
        cluster leader". Stale reads, and what the agent knows itself, go on. Queries that block end
        at once with a 500.
        """
        self._server.lose_leader(seconds)

    def wipe(self) -> None:
        """
        Start again with nothing, as a new machine under the old address.

        Requests under way are cut off. Indexes begin anew, below those that clients remember.
        """
        self._server.stop()
        self._start()

    # -- what it knows --------------------------------------------------------------------------

    def seed(self, seed: Seed) -> None:
        """
        Write keys, and register services, from plain data.

            agent.seed(
                {
                    "kv": {"config/web": "v1"},
                    "services": {
                        "db": {"port": 5432},
                        "web": [
                            {"id": "web-1", "port": 8081, "tags": ["blue"], "status": "passing"},
                            {"id": "web-2", "port": 8082, "status": "critical"},
                        ],
                    },
                }
            )

        An instance is what `/v1/agent/service/register` takes, and may have a `status`: that of a
        check, which can be told another and never expires. What was there before stays.

        ValueError says what cannot be and where; nothing is written then.
        """
        sow(seed, self._server.state, self._local)

    def snapshot(self) -> AgentSnapshot:
        """All that the agent and its servers know; nothing happens to them."""
        return AgentSnapshot(
            self.node, self.datacenter, self._server.state.tables(), self._local.kept()
        )

    def restore(self, snapshot: AgentSnapshot) -> None:
        """
        Know what was known then, and nothing else.

        It need not be this agent's own, but one of the same names: ValueError otherwise. As when
        Consul restores one, indexes go back with what they are of, new writes have new ones,
        queries that block end at once with what was there before, times to live begin anew, and
        lock-delays are over. Faults stay.
        """
        theirs, mine = (snapshot.node, snapshot.datacenter), (self.node, self.datacenter)
        if theirs != mine:
            raise ValueError(f"{snapshot!r} cannot be restored in {self!r}")
        restore(self._server, snapshot.tables)
        self._local.restore(snapshot.local)

    # -- what comes in --------------------------------------------------------------------------

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        self.requests.append(request)
        self.active += 1
        try:
            # Others get their turn, as they do while a network is waited for.
            await anyio.lowlevel.checkpoint()
            return await self._respond(request, body)
        finally:
            self.active -= 1

    async def _respond(self, request: httpx.Request, body: bytes) -> httpx.Response:
        faults = self._faults
        if faults.take(request, "refuse"):
            raise httpx.ConnectError("All connection attempts failed")
        started = self.clock.time()
        for kind in ("latency", "hang"):
            fault = faults.take(request, kind)
            if fault is not None:
                seconds = fault.seconds if kind == "latency" else math.inf
                await self._server.sleep(seconds, started, _patience_of(request))
        self._server.timers.settle()
        answer = await self._answer(request, body, started)
        headers, content = answer.packed(request)
        if faults.take(request, "drop_after"):
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        stream = _Body(content, cut=faults.take(request, "cut_body") is not None)
        return httpx.Response(
            answer.status, headers=headers, stream=stream, extensions={"http_version": b"HTTP/1.1"}
        )

    async def _answer(self, request: httpx.Request, body: bytes, started: float) -> Answer:
        fault = self._faults.take(request, "answer")
        if fault is not None:
            return Answer.text(fault.status, fault.text)
        try:
            asked = Asked.read(request, body, started, _patience_of(request))
            return await self._router.answer(asked)
        except RefusedError as refusal:
            return refusal.answer


def _patience_of(request: httpx.Request) -> float:
    """How many seconds the client waits for an answer."""
    read = request.extensions.get("timeout", {}).get("read")
    return math.inf if read is None else float(read)


def _none() -> float:
    return 0.0


class _Body(httpx.AsyncByteStream):
    """A body as a network delivers it: in pieces, and perhaps only half of it."""

    def __init__(self, content: bytes, *, cut: bool) -> None:
        self._content = content
        self._end = len(content) // 2 if cut else len(content)
        self._cut = cut
        self._at = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = self._content[self._at : min(self._at + _PIECE, self._end)]
        self._at += len(piece)
        if piece:
            return piece
        if self._cut:
            raise httpx.RemoteProtocolError(
                "peer closed connection without sending complete message body "
                f"(received {self._end} bytes, expected {len(self._content)})"
            )
        raise StopAsyncIteration
