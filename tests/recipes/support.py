"""Time that a test moves, and just enough of a Consul to hold a lock on."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypedDict
from urllib.parse import unquote
from uuid import uuid4

import anyio
import anyio.lowlevel
import httpx

from consul_onex.testing import Clock as FakeClock
from consul_onex.transport import Connections


async def settled() -> None:
    """Until every other task waits for something."""
    # On asyncio anyio looks every 0.1 s. Most wait after a few steps.
    for _ in range(25):
        await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()


# A test that has failed lets no time pass any more, and leaving a block waits for that, shielded.
# After so many real seconds its time goes on by itself. No test that is well stands still so long.
_GUARD: Final = 30.0


class GuardedClock(FakeClock):
    """The clock of a fake agent, which goes on by itself once its test has failed."""

    def __init__(self, *, guard: float = _GUARD) -> None:
        super().__init__()
        self._guard = guard

    async def sleep(self, seconds: float) -> None:
        due = self.time() + seconds
        with anyio.move_on_after(self._guard) as guard:
            await super().sleep(seconds)
        if guard.cancelled_caught:
            await self.advance(max(0.0, due - self.time()))


class Clock:
    """Time that passes only where a test lets it, or once that has failed."""

    def __init__(self, *, guard: float = _GUARD) -> None:
        self.time = 1000.0
        self._guard = guard
        self._alarms: dict[anyio.Event, float] = {}

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        alarm = anyio.Event()
        due = self._alarms[alarm] = self.time + seconds
        try:
            with anyio.move_on_after(self._guard) as guard:
                await alarm.wait()
        finally:
            self._alarms.pop(alarm, None)
        if guard.cancelled_caught:
            await self.advance(max(0.0, due - self.time))

    async def advance(self, seconds: float) -> None:
        """Let so much time pass, and everybody do what they do in it."""
        end = self.time + seconds
        await settled()
        while (first := min(self._alarms.values(), default=end + 1)) <= end:
            self.time = max(self.time, first)
            for alarm in [alarm for alarm, at in self._alarms.items() if at <= self.time]:
                del self._alarms[alarm]
                alarm.set()
            await settled()
        self.time = max(self.time, end)

    def suspend(self, seconds: float) -> None:
        """Let so much time pass that nobody notices: those who sleep go on sleeping as long."""
        self.time += seconds
        self._alarms = {alarm: at + seconds for alarm, at in self._alarms.items()}


class Timed(TypedDict):
    """What makes a recipe go by a clock."""

    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    dice: Callable[[], float]


class ByClock(TypedDict, total=False):
    """What makes a recipe go by the clock of its agent, where that has one."""

    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]


Fault = Callable[[str, str], "httpx.Response | Exception | anyio.Event | None"]
"""What happens to a request, by its method and path. An event is waited for; then it goes on."""


class Bench(httpx.AsyncBaseTransport):
    """
    Sessions and keys in memory, as a transport.

    Sessions do not end by themselves. `fault` says what goes wrong, `after` the same of what is
    carried out all the same, and whose answer is lost.
    """

    def __init__(self) -> None:
        self.sessions: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.made: list[str] = []
        """Sessions, also those that have ended."""
        self.names: list[str] = []
        """Of the sessions that were asked for."""
        self.shortest = 10.0
        self.delayed = False
        """Whether a lock-delay is in force."""
        self.fault: Fault = lambda method, path: None
        self.after: Fault = lambda method, path: None
        self.garble = ""
        """Answers to requests that have this in their path make no sense."""
        self._index = 1
        self._changed = anyio.Event()

    def count(self, part: str) -> int:
        """How many requests have this in their path."""
        return sum(part in request for request in self.requests)

    @contextmanager
    def failing(self, part: str, fault: httpx.Response | Exception | anyio.Event) -> Iterator[None]:
        """Let requests that have this in their path fail."""
        before, self.fault = self.fault, lambda _, path: fault if part in path else None
        try:
            yield
        finally:
            self.fault = before

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        path = unquote(request.url.path)
        self.requests.append(f"{request.method} {path}?{request.url.query.decode()}")
        if path == "/v1/session/create":
            self.names.append(json.loads(request.content)["Name"])
        await self._suffer(self.fault(request.method, path))
        if (fault := self.fault(request.method, path)) and not isinstance(fault, anyio.Event):
            return _answer(fault)
        status, body = await self._respond(request, path)
        if self.garble and self.garble in path:
            body = b"<html>"
        await self._suffer(self.after(request.method, path))
        return httpx.Response(
            status,
            headers={"X-Consul-Index": str(self._index)},
            stream=httpx.ByteStream(body if isinstance(body, bytes) else json.dumps(body).encode()),
        )

    async def _suffer(self, fault: httpx.Response | Exception | anyio.Event | None) -> None:
        if isinstance(fault, anyio.Event):
            await fault.wait()
        elif isinstance(fault, Exception):
            raise fault

    async def _respond(self, request: httpx.Request, path: str) -> tuple[int, Any]:
        verb, _, name = path.removeprefix("/v1/").partition("/")
        params = request.url.params
        if verb == "session":
            verb, _, session = name.partition("/")
            return self._session(verb, session, request.content)
        if verb == "txn":
            return self._txn(json.loads(request.content))
        if request.method == "PUT":
            return 200, self._release(name, params["release"], request.content)
        while "index" in params and self._index <= int(params["index"]):
            await self._changed.wait()
        pair = self.keys.get(name)
        return (404, b"") if pair is None else (200, [pair])

    def _session(self, verb: str, session: str, content: bytes) -> tuple[int, Any]:
        if verb == "create":
            asked = json.loads(content)
            if float(asked["TTL"].rstrip("s")) < self.shortest:
                bounds = f"[{self.shortest:g}s=24h0m0s]"
                return 500, f"Invalid Session TTL '1', must be between {bounds}".encode()
            made = str(uuid4())
            self.sessions[made] = asked | {"ID": made}
            self.made.append(made)
            return 200, {"ID": made}
        if verb == "destroy":
            self.end(session)
            return 200, True
        if verb == "list":
            return 200, list(self.sessions.values())
        rows = [self.sessions[session]] if session in self.sessions else []
        if verb == "renew" and not rows:
            return 404, f"Session id '{session}' not found".encode()
        return 200, rows

    def end(self, session: str) -> None:
        """End a session, as an operator would, or Consul."""
        self.sessions.pop(session, None)
        for pair in self.keys.values():
            if pair.get("Session") == session:
                del pair["Session"]
        self.change()

    def _release(self, key: str, session: str, content: bytes) -> bool:
        if self.keys.get(key, {}).get("Session") != session:
            return False
        del self.keys[key]["Session"]
        self.change(key)
        return True

    def _txn(self, operations: list[dict[str, Any]]) -> tuple[int, Any]:
        results = []
        for at, operation in enumerate(one["KV"] for one in operations):
            key, verb = operation["Key"], operation["Verb"]
            pair = self.keys.get(key)
            holder = None if pair is None else pair.get("Session")
            what = ""
            match verb:
                case "check-index" if pair is None or pair["ModifyIndex"] != operation["Index"]:
                    what = "failed index check"
                case "check-not-exists" if pair is not None:
                    what = "key exists"
                case "check-session" if holder != operation["Session"]:
                    what = "failed session check"
                case "lock" if operation["Session"] not in self.sessions:
                    what = f"invalid session {operation['Session']!r}"
                case "lock" if self.delayed:
                    what = "due to lock delay"
                case "lock" if holder not in (None, operation["Session"]):
                    what = "lock is already held"
                case "lock":
                    fields = {"Value": operation["Value"], "Flags": operation["Flags"]}
                    self.keys[key] = {"Key": key, "Session": operation["Session"], **fields}
                    self.change(key)
                case "set":
                    self.keys[key] = {"Key": key, "Value": operation["Value"]}
                    self.change(key)
                case _:
                    pass
            if what:
                return 409, {"Errors": [{"OpIndex": at, "What": what}]}
            if key in self.keys:
                results.append({"KV": self.keys[key]})
        return 200, {"Results": results}

    def change(self, key: str | None = None) -> None:
        """Go on in history, and wake who waits for that."""
        self._index += 1
        if key is not None:
            self.keys[key]["ModifyIndex"] = self._index
        self._changed.set()
        self._changed = anyio.Event()


def _answer(fault: httpx.Response | Exception) -> httpx.Response:
    assert isinstance(fault, httpx.Response)
    return httpx.Response(fault.status_code, stream=httpx.ByteStream(fault.content))


class Either(httpx.AsyncBaseTransport):
    """The way to an agent, and to a second one when nobody is there."""

    def __init__(self, *agents: str) -> None:
        self._agents = [httpx.URL(agent) for agent in agents]
        self._inner = Connections()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        for agent in self._agents[:-1]:
            request.url = url.copy_with(host=agent.host, port=agent.port)
            try:
                return await self._inner.handle_async_request(request)
            except httpx.ConnectError:
                pass
        request.url = url.copy_with(host=self._agents[-1].host, port=self._agents[-1].port)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def down() -> Exception:
    """Nobody is there."""
    return httpx.ConnectError("refused")


def lost() -> Exception:
    """It was sent, and nothing came back."""
    return httpx.ReadError("reset")
