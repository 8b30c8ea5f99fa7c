"""Figures to look at: what each should be, what it is, and how many are as they should be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

__all__ = ["Line", "table"]

Line: TypeAlias = tuple[str, str, str, bool]
"""A name, a target, what was measured, and whether that is well."""


def table(lines: Iterable[Line]) -> Iterator[str]:
    """A line for each, in columns, and one more at the end that counts them."""
    rows = [
        (name, target, measured, "" if well else "NOT MET")
        for name, target, measured, well in lines
    ]
    heads = ("figure", "target", "measured", "")
    first, second, third, _ = (max(map(len, column)) for column in zip(heads, *rows, strict=True))
    for name, target, measured, verdict in (heads, *rows):
        yield f"{name:{first}}  {target:>{second}}  {measured:>{third}}  {verdict}".rstrip()
    yield f"{sum(not row[3] for row in rows)} of {len(rows)} are met"
