"""
The card that a request carries down the stack.

A layer must not guess from the verb: `PUT` may be a harmless write, a check-and-set that would
lie when repeated, or the creation of a session. So every endpoint says what it is on its `Call`,
and the layers read that. The card travels in `request.extensions`; a layer that meets a request
without one (somebody else's httpx client) makes its own from the method.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import SecretStr

from .events import Event

__all__ = ["CARD", "Call", "Safety", "Token"]

CARD: Final = "consul_onex"
"""Where the card lies in `request.extensions`."""

Token = SecretStr | Callable[[], SecretStr | str | None]
"""A token, or where to get the current one before each request."""


class Safety(enum.Enum):
    """What happens when a request is carried out twice."""

    SAFE = "safe"  # nothing: it only reads
    IDEMPOTENT = "idempotent"  # the same as once
    UNSAFE = "unsafe"  # something else, or the second one reports a failure


@dataclass(slots=True)
class Call:
    """
    What one call is, and how it is doing.

    The upper half is written by the endpoint and the view it was called on, and stays as it is.
    The lower half is the layers' own notebook.
    """

    operation: str
    safety: Safety = Safety.SAFE
    wait: float | None = None
    """Seconds that Consul may hold the answer back (a blocking query), else None."""
    stream: bool = False
    """The answer's body is for the caller to read, piece by piece."""
    unhurried: bool = False
    """An attempt takes as long as it takes: there is no telling from its length."""
    data: frozenset[int] = frozenset()
    """Statuses with which this endpoint answers as asked, although they say error."""
    local: bool = False
    """About the agent itself: means something else, or nothing, when asked elsewhere."""
    paced: bool = False
    """Whoever calls waits between failures by himself, as a watch does: it is sent once."""
    control: bool = False
    """Keeps something alive or lets it go: must not queue behind other calls, nor be refused."""
    datacenter: str | None = None
    """Where to ask; None is the agent's own datacenter."""
    index_of: str | None = None
    """The datacenter that the `index` of this blocking query comes from."""
    failover: tuple[str, ...] = ()
    """Where else a read may be answered, in this order."""
    token: Token | None = field(default=None, repr=False)
    timeout: float | None = None
    """Seconds for the whole call, instead of the Deadline layer's own."""
    retry: bool = True
    """Whether it may be sent again here, and not by whoever calls."""

    deadline: float | None = None
    """When the whole call must be over, by the clock of the layers."""
    until: float = math.inf
    """The same for layers that keep to it by themselves: nobody above them ends them then."""
    attempt: float = math.inf
    """Seconds for one attempt, for connections that keep to it by themselves."""
    attempt_until: float = math.inf
    """When this one must be over, as they have reckoned."""
    attempts: int = 0
    queued: bool = False
    """Waiting here for its turn: nothing of it has been sent."""
    connecting: bool = False
    """Without a connection so far: nothing of this attempt has been sent."""
    doubt: bool = False
    """An earlier attempt may have been applied."""
    gave_up: str | None = None
    """Why there was no further attempt."""
    served_by: str | None = None
    """The datacenter that answered."""
    emit: Callable[[Event], None] | None = None
    """Where the layers report what happens (set by the Events layer)."""

    @property
    def blocking(self) -> bool:
        return self.wait is not None

    @property
    def hold(self) -> float:
        """Seconds that Consul may hold the answer back: it adds up to a sixteenth by itself."""
        return self.wait * 17 / 16 if self.wait is not None else 0.0

    def is_data(self, status: int, content_type: str | None) -> bool:
        """Whether an answer is data although its status says error."""
        # A refusal with the same status is plain text.
        return (
            status in self.data
            and content_type is not None
            and content_type.startswith("application/json")
        )

    def report(self, event: Event) -> None:
        if self.emit is not None:
            self.emit(event)

    @staticmethod
    def of(method: str, extensions: MutableMapping[str, Any]) -> Call:
        """The card of a request; one without gets one made from its method."""
        card = extensions.get(CARD)
        if not isinstance(card, Call):
            safe = method in ("GET", "HEAD", "OPTIONS")
            card = Call(f"http.{method.lower()}", Safety.SAFE if safe else Safety.UNSAFE)
            extensions[CARD] = card
        return card
