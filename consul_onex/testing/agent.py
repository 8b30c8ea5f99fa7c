"""An agent that is not there, and answers all the same."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Unpack

import anyio.lowlevel
import httpx

from ._acl import ACL
from ._asgi import Application
from ._discovery import Catalog, Health
from ._elsewhere import Elsewhere
from ._event import Events
from ._faults import Fault, Faults, Which
from ._http import Answer, Asked, RefusedError, Router
from ._kv import KV
from ._local import Kept, Local
from ._local_health import LocalHealth
from ._presence import Presence
from ._seed import Seed, sow
from ._server import ElsewhereError, Server
from ._session import Sessions
from ._snapshot import Snapshots
from ._state import Row, State, Tables
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
    events: tuple[Row, ...]

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
    longer, as with Consul. `node` and `datacenter` are names. With `acl` nobody may do anything but
    what the policies of a token allow; a text is the secret of a first token that may do
    everything, and with True the first who asks for one (`c.acl.bootstrap()`) gets it. Policies
    have their rules in HCL or JSON; there are no roles and login methods. `record=False` is for one
    that lives long: it does not keep what came in.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        node: str = "dev",
        datacenter: str = "dc1",
        acl: bool | str = False,
        jitter: bool = False,
        record: bool = True,
    ) -> None:
        self.clock = LoopClock() if clock is None else clock
        self.node = node
        self.datacenter = datacenter
        self.requests: list[httpx.Request] = []
        """What came in, whatever became of it."""
        self.active = 0
        """How many requests wait for their answer."""
        self._acl = acl
        self._record = record
        self._jitter = random.random if jitter else _none
        self._faults = Faults()
        self._most: float = math.inf
        self._wan: dict[str, FakeAgent] = {datacenter: self}
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
        self._server = Server(timers, state, self.datacenter, self._wan.keys(), self._jitter)
        self._router = Router()
        guarded = self._acl is not False
        # Before the agent is there itself: it, too, was let in by a token.
        initial = self._acl if isinstance(self._acl, str) else None
        acl = ACL(self._server, initial) if guarded else None
        presence = Presence(self._server, self.node, guarded=guarded)
        self._local = Local(self._server, presence, guarded=guarded)
        self._events = Events(self._server, self._local)
        for area in (
            KV(self._server),
            Sessions(self._server),
            Txn(self._server),
            Catalog(self._server),
            Health(self._server),
            presence,
            self._local,
            LocalHealth(self._server, self._local),
            self._events,
            Snapshots(self._server, presence),
            Elsewhere(self._server, guarded=guarded),
        ):
            area.open(self._router)
        if acl is not None:
            acl.open(self._router)

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

    def limit_connections(self, most: int = 200) -> None:
        """
        Take so many connections at once, and close every other one without a word.

        Consul does so to each address (`http_max_conns_per_client`, 200). A connection is counted
        as long as an answer is waited for; that of a blocking query whose client has gone, until
        something changes or its wait is over.
        """
        if most < 1:
            raise ValueError(f"an agent takes at least one connection, not {most}")
        self._most = most

    def recover(self) -> None:
        """Let nothing go wrong any more, and have a leader."""
        self._faults.clear()
        self._most = math.inf
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

    # -- others ---------------------------------------------------------------------------------

    def join_wan(self, other: FakeAgent) -> None:
        """
        Be one of several datacenters, as with `consul join -wan`.

        Each keeps its own state and its own history. What is asked of one for another (`?dc=`) the
        other does, and the faults of this one are in between: those of the other are for who asks
        it directly. Whoever one of them knows already, all of them know then.
        """
        known = {**self._wan, **other._wan}
        if any(self._wan.get(name, agent) is not agent for name, agent in other._wan.items()):
            raise ValueError(f"{self!r} and {other!r} know different agents of one datacenter")
        if any(agent.clock is not self.clock for agent in known.values()) and not all(
            isinstance(agent.clock, LoopClock) for agent in known.values()
        ):
            raise ValueError("datacenters that know each other have one clock: give it to both")
        for agent in known.values():
            agent._wan.update(known)  # noqa: SLF001 - one of its own kind

    def asgi(self) -> Application:
        """
        The agent as an ASGI application: put on a port by any server of that kind, it is there for
        clients in any language.

        What breaks a connection here ends the answer too early there; then the server cuts it.
        `python -m consul_onex.testing` is all of this, ready to run.
        """
        return Application(self)

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
        tables, local = self._server.state.tables(), self._local.kept()
        return AgentSnapshot(self.node, self.datacenter, tables, local, self._events.kept())

    def restore(self, snapshot: AgentSnapshot) -> None:
        """
        Know what was known then, and nothing else.

        It need not be this agent's own, but one of the same names: ValueError otherwise. As when
        Consul restores one, indexes go back with what they are of, new writes have new ones,
        queries that block end at once with what was there before, times to live begin anew, and
        lock-delays are over. A token expires at its date. Faults stay.
        """
        theirs, mine = (snapshot.node, snapshot.datacenter), (self.node, self.datacenter)
        if theirs != mine:
            raise ValueError(f"{snapshot!r} cannot be restored in {self!r}")
        self._server.restore(snapshot.tables)
        self._local.restore(snapshot.local)
        self._events.restore(snapshot.events)

    # -- what comes in --------------------------------------------------------------------------

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        if self._record:
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
        self._server.timers.settle()
        if self.active + self._server.left > self._most:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
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
            asked = Asked.read(request, body, self.node, started, _patience_of(request))
            answer = await self._routed(asked)
        except RefusedError as refusal:
            return refusal.answer
        return answer.indented() if "pretty" in asked.params else answer

    async def _routed(self, asked: Asked) -> Answer:
        """The answer of the datacenter that a request is for."""
        try:
            return await self._router.answer(asked)
        except ElsewhereError as elsewhere:
            there = self._wan.get(elsewhere.datacenter)
            if there is None:
                raise
            return await there._router.answer(asked)  # noqa: SLF001 - one of its own kind


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
