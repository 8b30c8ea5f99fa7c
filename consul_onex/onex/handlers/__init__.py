"""Handlers: Consul for a node, and service discovery over it."""

from __future__ import annotations

from .handler_consul import HandlerConsul
from .service_discovery import HandlerServiceDiscoveryConsul, ServiceDiscoveryConsul

__all__ = ["HandlerConsul", "HandlerServiceDiscoveryConsul", "ServiceDiscoveryConsul"]
