"""
Consul for tests: an agent in memory, and a time that obeys.

Nothing here knows the client above it, so that the two cannot agree on a mistake.
"""

from __future__ import annotations

from ._faults import Which
from ._seed import Instance, Seed
from .agent import AgentSnapshot, FakeAgent
from .clock import Clock

__all__ = ["AgentSnapshot", "Clock", "FakeAgent", "Instance", "Seed", "Which"]
