"""The platform's vocabulary: kinds of handlers, transports, outcomes, states and errors."""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "EnumCircuitState",
    "EnumConsulOperationType",
    "EnumCoreErrorCode",
    "EnumHandlerType",
    "EnumHandlerTypeCategory",
    "EnumHealthStatus",
    "EnumInfraTransportType",
    "EnumMessageCategory",
    "EnumResponseStatus",
    "EnumRetryErrorCategory",
]


class EnumInfraTransportType(StrEnum):
    """What an error happened on."""

    HTTP = "http"
    DATABASE = "db"
    KAFKA = "kafka"
    CONSUL = "consul"
    INFISICAL = "infisical"
    VALKEY = "valkey"
    GRPC = "grpc"
    RUNTIME = "runtime"
    MCP = "mcp"
    FILESYSTEM = "filesystem"
    INMEMORY = "inmemory"
    QDRANT = "qdrant"
    GRAPH = "graph"
    LLM = "llm"
    BRIDGE = "bridge"


class EnumCoreErrorCode(StrEnum):
    """The codes that errors are counted by."""

    INVALID_INPUT = "ONEX_CORE_007_INVALID_INPUT"
    INVALID_CONFIGURATION = "ONEX_CORE_041_INVALID_CONFIGURATION"
    OPERATION_FAILED = "ONEX_CORE_081_OPERATION_FAILED"
    TIMEOUT_ERROR = "ONEX_CORE_092_TIMEOUT_ERROR"
    DATABASE_CONNECTION_ERROR = "ONEX_CORE_131_DATABASE_CONNECTION_ERROR"
    NETWORK_ERROR = "ONEX_CORE_132_NETWORK_ERROR"
    RATE_LIMIT_ERROR = "ONEX_CORE_162_RATE_LIMIT_ERROR"
    AUTHENTICATION_ERROR = "ONEX_CORE_163_AUTHENTICATION_ERROR"
    SERVICE_UNAVAILABLE = "ONEX_CORE_205_SERVICE_UNAVAILABLE"


class EnumResponseStatus(StrEnum):
    """How an operation went. Failures are raised, so an answer says `success`."""

    SUCCESS = "success"
    ERROR = "error"


class EnumHandlerType(StrEnum):
    """What part of the platform a handler is for."""

    INFRA_HANDLER = "infra_handler"


class EnumHandlerTypeCategory(StrEnum):
    """Whether a handler touches the world."""

    EFFECT = "effect"


class EnumCircuitState(StrEnum):
    """Whether a circuit lets calls through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class EnumRetryErrorCategory(StrEnum):
    """Kinds of errors, and what each means for retrying and for the circuit."""

    TIMEOUT = "timeout"
    AUTHENTICATION = "authentication"
    CONNECTION = "connection"
    NOT_FOUND = "not_found"
    UNKNOWN = "unknown"

    def is_retry_eligible(self) -> bool:
        """Whether trying again may help: after time-outs and broken connections."""
        return self in (self.TIMEOUT, self.CONNECTION)

    def records_circuit_failure(self) -> bool:
        """
        Whether it counts against Consul: time-outs and broken connections do.

        A refused token does not. One caller with a bad one would lock out all others.
        """
        return self.is_retry_eligible()


class EnumConsulOperationType(StrEnum):
    """What an answer's payload is of."""

    KV_GET_FOUND = "kv_get_found"
    KV_GET_NOT_FOUND = "kv_get_not_found"
    KV_GET_RECURSE = "kv_get_recurse"
    KV_PUT = "kv_put"
    REGISTER = "register"
    DEREGISTER = "deregister"


class EnumMessageCategory(StrEnum):
    """What kind of message a topic carries."""

    EVENT = "EVENT"
    COMMAND = "COMMAND"
    INTENT = "INTENT"


class EnumHealthStatus(StrEnum):
    """How an instance of a service is."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"
