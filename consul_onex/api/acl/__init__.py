"""Tokens, policies, roles, and ways to log in."""

from __future__ import annotations

from ..._wire import Wire

__all__ = ["ACL"]


class ACL:
    """
    Tokens, policies, roles, and ways to log in.

    https://developer.hashicorp.com/consul/api-docs/acl
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
