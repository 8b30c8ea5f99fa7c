"""
The names that code written for the old client library catches and annotates with.

    from consul_onex.onex import consul

    except consul.ACLPermissionDenied: ...
"""

from __future__ import annotations

from .. import ConsulClient, ConsulError, ConsulTimeoutError, PermissionDeniedError

__all__ = ["ACLPermissionDenied", "Consul", "ConsulException", "Timeout"]

ACLPermissionDenied = PermissionDeniedError
Consul = ConsulClient
ConsulException = ConsulError
Timeout = ConsulTimeoutError
