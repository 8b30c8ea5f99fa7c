"""Each name of the platform is where its code imports it from."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

PAGE = (Path(__file__).parent / "consul_integration.txt").read_text()
ROOT = "consul_onex.onex"

NAMES = {
    "handlers": "HandlerConsul HandlerServiceDiscoveryConsul ServiceDiscoveryConsul",
    "handlers.handler_consul": "HANDLER_ID_CONSUL HandlerConsul SUPPORTED_OPERATIONS",
    "handlers.models": "ModelConsulHandlerResponse ModelHealthCheckResult",
    "handlers.models.consul": """
        ConsulPayload EnumConsulOperationType ModelConsulDeregisterPayload ModelConsulHandlerConfig
        ModelConsulHandlerPayload ModelConsulKVGetFoundPayload ModelConsulKVGetNotFoundPayload
        ModelConsulKVGetRecursePayload ModelConsulKVItem ModelConsulKVPutPayload
        ModelConsulRegisterPayload ModelConsulRetryConfig ModelEventBusTopicEntry
        ModelNodeEventBusConfig
    """,
    "handlers.service_discovery": """
        ModelDiscoveryQuery ModelDiscoveryResult ModelHandlerRegistrationResult ModelServiceInfo
    """,
    "enums": """
        EnumCircuitState EnumHandlerType EnumHandlerTypeCategory EnumInfraTransportType
        EnumResponseStatus EnumRetryErrorCategory
    """,
    "errors": """
        InfraAuthenticationError InfraConnectionError InfraConsulError InfraProtocolError
        InfraRateLimitedError InfraRequestRejectedError InfraTimeoutError InfraUnavailableError
        ModelInfraErrorContext ModelTimeoutErrorContext ProtocolConfigurationError RuntimeHostError
    """,
    "mixins": """
        MixinAsyncCircuitBreaker ModelCircuitBreakerConfig ModelRetryErrorClassification
    """,
    "utils": """
        sanitize_backend_error sanitize_consul_key sanitize_error_message sanitize_error_string
        sanitize_url
    """,
}

# What the platform has beside these, and why it is not here.
ELSEWHERE = {
    "ModelHandlerOutput": "of the platform's core; a response is its own `result`",
    "ModelHealthCheckConfig": "asks for an expected status, which no check of Consul has",
    "MixinConsulKV": "and its like: the old handler inherited them, ours is one class",
    "MixinRetryExecution": "with its states and contexts: the client repeats, nobody else does",
    "MixinEnvelopeExtraction": "the handler reads the ids of an envelope by itself",
    "ModelOnexError": "of the platform's core; everything raised here is a RuntimeHostError",
    "RegistryPayloadConsul": "`ConsulPayload` is the union of all answers, which is closed",
    "EnvelopeValidationError": "and others of the runtime around handlers",
}


@pytest.mark.parametrize("module", NAMES)
def test_each_name_is_where_it_is_imported_from(module: str) -> None:
    there = import_module(f"{ROOT}.{module}")

    for name in NAMES[module].split():
        assert name in there.__all__
        assert hasattr(there, name)


def test_every_name_on_the_page_is_among_them() -> None:
    said = set(re.findall(r"\b(?:Model|Enum|Mixin|Infra|Handler)[A-Z]\w+", PAGE))
    known = {name for names in NAMES.values() for name in names.split()}

    assert len(said) > 10
    assert said - known == set()
    assert not known & set(ELSEWHERE)


def test_every_import_of_the_page_is_among_them() -> None:
    line = re.compile(r"^from omnibase_infra\.(\S+) import (\w+)$", re.MULTILINE)

    for module, name in line.findall(PAGE):
        assert name in NAMES[module].split()


def test_the_table_of_our_own_page_has_every_module() -> None:
    page = (Path(__file__).parents[2] / "docs" / "onex.md").read_text()
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.+) \|$", page, re.MULTILINE))

    assert set(rows) == {*NAMES, "consul"}
    for module, row in rows.items():
        there = import_module(f"{ROOT}.{module}")
        names = re.findall(r"`(\w+)`", row)
        assert names
        assert set(names) <= set(there.__all__)


def test_every_file_on_the_page_is_here() -> None:
    files = set(re.findall(r"src/omnibase_infra/([\w/*.]+)", PAGE))
    here = Path(import_module(ROOT).__path__[0])

    assert files == {
        "handlers/handler_consul.py",
        "handlers/mixins/mixin_consul_*.py",
        "handlers/models/consul/",
    }
    # A folder of one file is a file; and the handler has no mixins.
    for file in files - {"handlers/mixins/mixin_consul_*.py"}:
        assert list(here.glob(re.sub(r"/$", ".py", file))), file
