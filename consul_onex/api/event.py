"""User events."""

from __future__ import annotations

from typing import Final

from pydantic import TypeAdapter

from .._path import Params, segment
from .._values import as_bytes
from .._wire import Takes, Wire
from ..models._base import rows_of
from ..models.event import UserEvent
from ..query import Cursor

__all__ = ["Event"]

# Inside the class, `list` is the method of that name.
Events = list[UserEvent]

_EVENT: Final = TypeAdapter(UserEvent)
_EVENTS: Final = rows_of(UserEvent)


class Event:
    """
    User events: short messages that are gossiped to every agent, in no order, and may get lost.

    https://developer.hashicorp.com/consul/api-docs/event
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def fire(
        self,
        name: str,
        payload: bytes | str = b"",
        *,
        node: str | None = None,
        service: str | None = None,
        tag: str | None = None,
    ) -> UserEvent:
        """
        Tell every agent of the datacenter something, and return the event as it was sent.

        `node`, `service` and `tag` are regular expressions that say which agents it is for: the
        others leave it out of their lists. A `tag` is one of a `service`, which it needs. Names
        that start with an underscore are Consul's own.

        BadRequestError when name and payload are longer than Consul allows, 512 bytes together by
        default, and when an expression is wrong. It is sent once: after an OutcomeUnknownError it
        may have been heard.

        PUT /v1/event/fire/:name
        https://developer.hashicorp.com/consul/api-docs/event#fire-event
        """
        filters = {"node": node, "service": service, "tag": tag}
        params: Params = [(what, text) for what, text in filters.items() if text is not None]
        return await self._wire.write(
            "event.fire",
            "PUT",
            f"/v1/event/fire/{segment(name, 'event')}",
            _EVENT,
            params,
            content=as_bytes(payload, "payload"),
            takes=Takes.DATACENTER,
        )

    async def list(self, *, name: str | None = None, cursor: Cursor | None = None) -> Events:
        """
        The last events that this agent has heard of, at most 256, or those of one name.

        With a cursor it waits until the newest of them is another one. They can be chosen by their
        name only: of the other options that are documented, no server takes any notice.

        GET /v1/event/list
        https://developer.hashicorp.com/consul/api-docs/event#list-events
        """
        return await self._wire.read(
            "event.list",
            "/v1/event/list",
            _EVENTS,
            [] if name is None else [("name", name)],
            cursor=cursor,
            takes=Takes.NOTHING,
            local=True,
            # A hash of the newest event's id.
            ordered=False,
        )
