"""
What Consul sends and takes, one file per area of its API.

What it sends is read into frozen, slotted dataclasses straight from the bytes. Fields it adds are
ignored, lists and texts it leaves out or sends as null are empty.
"""

from __future__ import annotations

from .kv import KVPair

__all__ = ["KVPair"]
