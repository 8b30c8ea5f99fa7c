"""
Consul for tests: an agent in memory, and a time that obeys.

Nothing here knows the client above it, so that the two cannot agree on a mistake.
"""

from __future__ import annotations

from ._faults import Which
from .agent import FakeAgent
from .clock import Clock

__all__ = ["Clock", "FakeAgent", "Which"]
