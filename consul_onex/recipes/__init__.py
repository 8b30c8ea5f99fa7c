"""
What people build with Consul, safe when things break.

    async with Lock(c, "locks/report") as held:
        ...

    session        SessionKeeper: one session, kept alive, and until when it can be believed in
    lock           Lock: one holder at a time
    semaphore      Semaphore: so many holders at a time
    election       Election: one leader, whom everybody can see
    registration   Registration: a service that stays registered, and says how it is
    counter        Counter: a number that many add to
    barrier        Barrier: nobody goes on until all are there
    once           Once: what one does, and all see to be done

The first four hold for the length of an `async with`, whose block is cancelled when what it holds
is lost. A registration lasts as long as its block, and never cancels it. Nothing runs outside of a
block or a call: no thread, and no task that outlives it. They are made of the client's public
methods alone, so whatever they do can be done otherwise.
"""

from .barrier import Barrier
from .counter import Counter
from .election import Election, Leader, Leaders, Term
from .lock import Held, Lock
from .once import Once
from .registration import Health, Registration, RegistrationState
from .semaphore import Semaphore
from .session import KeptSession, SessionKeeper, SessionState

__all__ = [
    "Barrier",
    "Counter",
    "Election",
    "Health",
    "Held",
    "KeptSession",
    "Leader",
    "Leaders",
    "Lock",
    "Once",
    "Registration",
    "RegistrationState",
    "Semaphore",
    "SessionKeeper",
    "SessionState",
    "Term",
]
