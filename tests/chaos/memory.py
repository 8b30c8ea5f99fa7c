"""What this process takes, as Linux tells it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["peak", "resident"]


def peak() -> int:
    """KiB that it had at most so far. getrusage hands this figure down from parent to child."""
    return _status("VmHWM")


def resident() -> int:
    """KiB that it has now."""
    return _status("VmRSS")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
