"""
What people build with Consul, safe when things break.

    async with Lock(c, "locks/report") as held:
        ...

    session     SessionKeeper: one session, kept alive, and until when it can be believed in
    lock        Lock: one holder at a time
    semaphore   Semaphore: so many holders at a time
    election    Election: one leader, whom everybody can see

Each holds for the length of an `async with`, whose block is cancelled when what it holds is lost.
Nothing runs outside of it: no thread, and no task that outlives the block. They are made of the
client's public methods alone, so whatever they do can be done otherwise.
"""

from .election import Election, Leader, Leaders, Term
from .lock import Held, Lock
from .registration import Health, Registration, RegistrationState
from .semaphore import Semaphore
from .session import KeptSession, SessionKeeper, SessionState

__all__ = [
    "Election",
    "Health",
    "Held",
    "KeptSession",
    "Leader",
    "Leaders",
    "Lock",
    "Registration",
    "RegistrationState",
    "Semaphore",
    "SessionKeeper",
    "SessionState",
    "Term",
]
