"""What of a catalog a read is about: the options that choose among nodes, services and checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ._path import Params
from ._wire import Wire
from .errors import InvalidRequestError

__all__ = ["selection"]


async def selection(
    wire: Wire,
    operation: str,
    *,
    passing: bool = False,
    tag: str | Sequence[str] | None = None,
    near: str | None = None,
    filter: str | None = None,
    node_meta: Mapping[str, str] | None = None,
    peer: str | None = None,
    sameness_group: str | None = None,
    merge_central_config: bool = False,
) -> Params:
    """
    These options as parameters, as far as they are given.

    InvalidRequestError where one is empty, which for Consul is everything or nothing, and where
    the server is known to ignore one.
    """
    tags = [tag] if isinstance(tag, str) else tag or ()
    texts = [
        *(("tag", one) for one in tags),
        *(("near", near), ("filter", filter), ("peer", peer), ("sg", sameness_group)),
    ]
    params: Params = [("passing", "")] if passing else []
    params += [(name, _text(name, text, operation)) for name, text in texts if text is not None]
    params += [
        ("node-meta", f"{_key(key, operation)}:{value}") for key, value in (node_meta or {}).items()
    ]
    if merge_central_config:
        params.append(("merge-central-config", ""))
    for what, wanted, since in (
        ("peer", peer is not None, "1.13"),
        ("merge_central_config", merge_central_config, "1.13"),
        ("sameness_group", sameness_group is not None, "1.16"),
    ):
        if wanted:
            await wire.needs(what, since, operation)
    return params


def _text(what: str, text: str, operation: str) -> str:
    if not isinstance(text, str) or not text:
        raise InvalidRequestError(f"{what}: not text of one character or more", operation=operation)
    return text


def _key(key: str, operation: str) -> str:
    if ":" in _text("node_meta", key, operation):
        raise InvalidRequestError(
            "node_meta: a key with a ':' cannot be asked for so, but in a filter",
            operation=operation,
        )
    return key
