"""Events: `/v1/event/`."""

from __future__ import annotations

import base64
import re
from collections import deque
from typing import Final
from uuid import UUID, uuid4

import anyio

from ._http import Answer, Asked, RefusedError, Router, options_of
from ._local import Local
from ._server import Server
from ._state import Row

__all__ = ["Events"]

_MOST_BYTES: Final = 512
_KEPT: Final = 256

_TOO_LARGE: Final = (
    '1 error occurred:\n\t* error broadcasting event to segment "": '
    f"{{}} exceeds configured limit of {_MOST_BYTES} bytes {{}} encoding\n\n"
)

_FILTERS: Final = ("node", "service", "tag")

# What Python has against an expression, and what Go says of it.
_REASONS: Final = {
    "unterminated character set": "missing closing ]",
    "missing ), unterminated subpattern": "missing closing )",
    "unbalanced parenthesis": "unexpected )",
    "nothing to repeat": "missing argument to repetition operator",
}


class Events:
    """What was fired in a datacenter, as far as its agent has kept it."""

    def __init__(self, server: Server, local: Local) -> None:
        self._server = server
        self._local = local
        self._heard: deque[Row] = deque(maxlen=_KEPT)
        self._news = anyio.Event()
        # A server hears of its own coming first.
        self._time = 1

    def kept(self) -> tuple[Row, ...]:
        """What was heard, for `restore`."""
        return tuple(self._heard)

    def restore(self, kept: tuple[Row, ...]) -> None:
        """Have heard this and nothing else. What is fired next is later than all that was."""
        self._heard.clear()
        self._heard.extend(kept)
        self._time = max([self._time, *(event["LTime"] for event in kept)])
        self._stir()

    def _stir(self) -> None:
        """Wake who waits for an event."""
        self._news.set()
        self._news = anyio.Event()

    def open(self, router: Router) -> None:
        router.add("PUT", "/v1/event/fire/", self.fire)
        router.add("GET", "/v1/event/list", self.list)

    async def fire(self, asked: Asked) -> Answer:
        name = asked.after("/v1/event/fire/")
        if not name:
            raise RefusedError(400, "Missing name")
        filters = {which: asked.param(which) for which in _FILTERS}
        _check(filters)
        await self._server.ready(options_of(asked))
        self._need(asked, name)
        _check_size(name, asked.body, list(filters.values()))
        event = {
            "ID": str(uuid4()),
            "Name": name,
            "Payload": base64.b64encode(asked.body).decode() or None,
            **{f"{which.title()}Filter": one for which, one in filters.items()},
            "Version": 1,
            "LTime": 0,
        }
        self._time += 1
        if self._local.is_meant(**filters):
            self._heard.append({**event, "LTime": self._time})
            self._stir()
        return Answer.json(event)

    def _need(self, asked: Asked, name: str) -> None:
        try:
            rights = self._server.rights(asked)
        except RefusedError as unknown:
            # Here a token that nobody knows is the server's fault.
            unknown.answer.status = 500
            raise
        rights.need("write", "event", name)

    async def list(self, asked: Asked) -> Answer:
        options = options_of(asked)
        until = self._server.end_of(options.wait, usual=600)
        name, rights = asked.param("name"), self._server.rights(asked)
        while True:
            heard = [
                event
                for event in self._heard
                if name in {"", event["Name"]} and rights.may("read", "event", event["Name"])
            ]
            index = _hash(heard[-1]["ID"]) if heard else 1
            # It goes up and down, and only the same is no news.
            if index != options.index or self._server.timers.now >= until:
                return Answer.json(heard, {"X-Consul-Index": str(index)})
            await self._server.pause(self._news, until, options)


def _hash(event: str) -> int:
    """Both halves of an id in one number of 64 bits."""
    return (UUID(event).int >> 64) ^ (UUID(event).int & (2**64 - 1))


def _check(filters: dict[str, str]) -> None:
    for which, expression in filters.items():
        try:
            re.compile(expression)
        except re.error as error:
            reason = _REASONS.get(error.msg, error.msg)
            rest = expression if "unbalanced" in error.msg else expression[error.pos :]
            said = f"Invalid {which} filter: error parsing regexp: {reason}: `{rest}`"
            raise RefusedError(500, said) from None
    if filters["tag"] and not filters["service"]:
        raise RefusedError(500, "Cannot provide tag filter without service filter")


def _check_size(name: str, payload: bytes, filters: list[str]) -> None:
    """Refuse what does not fit into a packet, where it is packed twice, in MessagePack."""
    inside = 47 + _packed(name) + sum(3 + _packed(one) for one in filters if one)
    if payload:
        inside += 2 + _packed(payload)
    outside = f"consul:event:{name}".encode()
    size = len(outside) + inside
    if size > _MOST_BYTES:
        raise RefusedError(500, _TOO_LARGE.format("user event", "before"))
    if size + 30 + 2 * (len(outside) > 31) > _MOST_BYTES:
        raise RefusedError(500, _TOO_LARGE.format("encoded user event", "after"))


def _packed(value: str | bytes) -> int:
    size = len(value.encode() if isinstance(value, str) else value)
    return size + (1 if size < 32 else 2 if size < 256 else 3)
