"""Configuration from the environment: Consul's own variables, the ONEX platform's, and ours."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ._address import Address
from ._path import NAME
from ._token import hidden
from .errors import ConfigurationError
from .query import Consistency
from .transport._connection import HTTP

__all__ = ["ConsulSettings"]


def _variable(*names: str, default: Any = None, **constraints: Any) -> Any:
    return Field(default=default, validation_alias=AliasChoices(*names), **constraints)


class ConsulSettings(BaseSettings):
    """
    Everything a client can be told, read from the environment where it is not given.

    Each field for itself: an argument comes first, then Consul's own variable, then the ONEX
    platform's (`CONSUL_HOST` and so on), then the default. A variable that is set but empty counts
    as not set. What cannot be read is a ConfigurationError that names the variable; nothing is
    guessed.

    https://developer.hashicorp.com/consul/commands#environment-variables
    """

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        env_ignore_empty=True,
        case_sensitive=True,
        hide_input_in_errors=True,
        # A field's own name is no variable (`port` might well be somebody's): all are named below.
        env_prefix="CONSUL_ONEX_UNUSED_",
    )

    # -- where, and as whom -----------------------------------------------------------------------

    address: str | None = _variable("CONSUL_HTTP_ADDR")
    """`host`, `host:port`, a URL with an optional path, `[v6]:port` or `unix:///path`."""
    ssl: bool | None = _variable("CONSUL_HTTP_SSL")
    """Use https although the address says http, or nothing."""
    host: str = _variable("CONSUL_HOST", default="127.0.0.1", pattern=r"^[^/@?#\s]+$")
    """Host, port and scheme count where there is no address, or where one of them is given."""
    port: int = _variable("CONSUL_PORT", default=8500, ge=1, le=65535)
    scheme: str = _variable("CONSUL_SCHEME", default="http", pattern="^https?$")
    token: SecretStr | None = _variable("CONSUL_HTTP_TOKEN", "CONSUL_TOKEN")
    token_file: Path | None = _variable("CONSUL_HTTP_TOKEN_FILE")
    """Read again whenever it changes. Comes before a token from the environment."""
    auth: SecretStr | None = _variable("CONSUL_HTTP_AUTH")
    """`user:password` for a proxy before Consul."""
    datacenter: str | None = _variable("CONSUL_DATACENTER", pattern=NAME)
    namespace: str | None = _variable("CONSUL_NAMESPACE", pattern=NAME)
    partition: str | None = _variable("CONSUL_PARTITION", pattern=NAME)
    consistency: Consistency = _variable("CONSUL_ONEX_CONSISTENCY", default=Consistency.DEFAULT)

    # -- TLS --------------------------------------------------------------------------------------

    verify: bool = _variable("CONSUL_HTTP_SSL_VERIFY", default=True)
    ca_file: Path | None = _variable("CONSUL_CACERT")
    ca_path: Path | None = _variable("CONSUL_CAPATH")
    client_cert: Path | None = _variable("CONSUL_CLIENT_CERT")
    client_key: Path | None = _variable("CONSUL_CLIENT_KEY")
    tls_server_name: str | None = _variable("CONSUL_TLS_SERVER_NAME")

    # -- the layers; times in seconds --------------------------------------------------------------

    timeout: float = _variable("CONSUL_TIMEOUT", default=30.0, gt=0, allow_inf_nan=False)
    """For a whole call: attempts, pauses, queueing."""
    connect_timeout: float = _variable(
        "CONSUL_ONEX_CONNECT_TIMEOUT", default=2.0, gt=0, allow_inf_nan=False
    )
    attempt_timeout: float = _variable(
        "CONSUL_ONEX_ATTEMPT_TIMEOUT", default=8.0, gt=0, allow_inf_nan=False
    )
    wait: float = _variable("CONSUL_ONEX_WAIT", default=60.0, gt=0, le=600)
    """How long Consul may hold back the answer to one step of a watch."""
    retry_attempts: int = _variable("CONSUL_ONEX_RETRY_ATTEMPTS", default=3, ge=1)
    retry_initial: float = _variable(
        "CONSUL_ONEX_RETRY_INITIAL", default=1.0, ge=0, allow_inf_nan=False
    )
    retry_max: float = _variable("CONSUL_ONEX_RETRY_MAX", default=30.0, ge=0, allow_inf_nan=False)
    retry_base: float = _variable("CONSUL_ONEX_RETRY_BASE", default=2.0, ge=1, allow_inf_nan=False)
    retry_jitter: float = _variable("CONSUL_ONEX_RETRY_JITTER", default=1.0, ge=0, le=1)
    breaker_failures: int = _variable("CONSUL_ONEX_BREAKER_FAILURES", default=5, ge=1)
    breaker_reset_after: float = _variable(
        "CONSUL_ONEX_BREAKER_RESET_AFTER", default=30.0, ge=0, allow_inf_nan=False
    )
    limit_plain: int = _variable("CONSUL_ONEX_LIMIT_PLAIN", default=48, ge=1)
    limit_blocking: int = _variable("CONSUL_ONEX_LIMIT_BLOCKING", default=96, ge=1)
    limit_max_wait: float = _variable(
        "CONSUL_ONEX_LIMIT_MAX_WAIT", default=5.0, ge=0, allow_inf_nan=False
    )
    limit_queue_watches: bool = _variable("CONSUL_ONEX_LIMIT_QUEUE_WATCHES", default=True)
    """Whether a watch without a place waits for one, or fails."""
    max_response_bytes: int = _variable(
        "CONSUL_ONEX_MAX_RESPONSE_BYTES", default=64 * 1024 * 1024, ge=1
    )
    gzip: bool | None = _variable("CONSUL_ONEX_GZIP")
    """Ask for packed answers. Not set: unless the agent is on this machine."""
    http: HTTP = _variable("CONSUL_ONEX_HTTP", default="auto")
    """What speaks HTTP: `h11`; `fast`, with the extra; `auto` is the faster one that is there."""
    check_server: bool = _variable("CONSUL_ONEX_CHECK_SERVER", default=True)
    """Refuse what the server is known to ignore silently, and ask it once for its version."""

    def __init__(self, **values: Any) -> None:
        for secret in ("token", "auth"):
            if secret in values:
                values[secret] = hidden(values[secret])
        # None counts as not given.
        given = {name: value for name, value in values.items() if value is not None}
        if "token" in given and "token_file" in given:
            raise ConfigurationError("give a token or a token_file, not both", setting="token")
        # What is given comes before a variable that says the same in another way.
        unread: dict[str, None] = {}
        if "token" in given:
            unread["token_file"] = None
        if "address" not in given and not given.keys().isdisjoint({"host", "port", "scheme"}):
            unread["address"] = None
        try:
            super().__init__(**given, **unread)
            return
        except ValidationError as error:
            setting, problem = _first_problem(error, given)
        # Raised out here: pydantic's error holds the value, which may be a secret.
        raise ConfigurationError(f"{setting} {problem}", setting=setting)

    def where(self) -> Address:
        """Where the agent is, of the fields that say so together."""
        tls = self.ssl is True
        if self.address is not None:
            return Address.parse(self.address, setting=self.name_of("address"), tls=tls)
        host = self.host
        if host.count(":") > 1 and not host.startswith("["):
            host = f"[{host}]"
        return Address.parse(
            f"{self.scheme}://{host}:{self.port}", setting=self.name_of("host"), tls=tls
        )

    def name_of(self, field: str) -> str:
        """What to call a field in an error: the variable it was read from, or its own name."""
        value = getattr(self, field)
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        return next((name for name in _variables(field) if os.environ.get(name) == text), field)


def _variables(field: str) -> list[str]:
    alias = cast(AliasChoices, ConsulSettings.model_fields[field].validation_alias)
    return [choice for choice in alias.choices if isinstance(choice, str)]


def _first_problem(error: ValidationError, given: dict[str, Any]) -> tuple[str, str]:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = str(first["loc"][0]) if first["loc"] else "the settings"
    if first["type"] == "extra_forbidden":
        return where, "is no setting"
    fields = ConsulSettings.model_fields
    field = where if where in fields else next((f for f in fields if where in _variables(f)), None)
    setting = where
    if field is not None and field not in given:
        # Of several variables for one field, the first that is set was read.
        names = _variables(field)
        setting = next((name for name in names if os.environ.get(name)), names[0])
    return setting, f"cannot be used: {first['msg'][:1].lower()}{first['msg'][1:]}"
