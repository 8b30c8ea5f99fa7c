"""Namespaces of Consul Enterprise."""

from __future__ import annotations

from typing import Annotated, ClassVar

from ._base import Definition, Time, named
from .acl import ACLLink

__all__ = ["Namespace", "NamespaceACLs"]


class NamespaceACLs(Definition):
    """The policies and roles that every token of a namespace has besides its own."""

    policy_defaults: list[ACLLink] = []
    role_defaults: list[ACLLink] = []


class Namespace(Definition):
    """
    A namespace.

    `partition` is where it is, which `c.using(partition=...)` chooses. `deleted_at` is when it was
    marked for deletion: it is there until all that is in it is gone.
    """

    _OF_THE_SERVER: ClassVar[frozenset[str]] = frozenset(
        {"deleted_at", "create_index", "modify_index"}
    )

    name: str
    description: str = ""
    acls: Annotated[NamespaceACLs | None, named("ACLs")] = None
    meta: dict[str, str] = {}
    partition: str = ""
    deleted_at: Time = None
    create_index: int = 0
    modify_index: int = 0
