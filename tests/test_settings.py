"""The environment: which variable reaches what, which comes first, and what is wrong with one."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from consul_onex import (
    TLS,
    ConfigurationError,
    Consistency,
    ConsulClient,
    ConsulSettings,
    InsecureTransportWarning,
)
from consul_onex.transport import Datacenters
from tests.support.canary import CANARY, Bottom


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of Consul's variables is set."""
    for name in os.environ:
        if name.startswith("CONSUL"):
            monkeypatch.delenv(name)


async def asked(**arguments: Any) -> httpx.Request:
    """The request that reaches the bottom when a client of the environment reads a key."""
    bottom = Bottom()
    async with ConsulClient.from_env(transport=bottom, **arguments) as c:
        await c.kv.get("k")
    return bottom.last


def layers(client: ConsulClient) -> str:
    """What the layers of a client are configured as."""
    held = [thing for part in client._core.parts for thing in vars(part).values()]
    return " ".join(repr(thing) for thing in held if is_dataclass(thing))


def bottom_of(client: ConsulClient) -> dict[str, Any]:
    """What the sockets of a client were told."""
    return vars(client._core.parts[0])


# -- what reaches what -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, "http://127.0.0.1:8500/v1/kv/k"),
        ({"HTTP_ADDR": "consul"}, "http://consul:8500/v1/kv/k"),
        ({"HTTP_ADDR": "consul:8501"}, "http://consul:8501/v1/kv/k"),
        ({"HTTP_ADDR": "https://consul:8501"}, "https://consul:8501/v1/kv/k"),
        ({"HTTP_ADDR": "http://consul:8500/behind"}, "http://consul:8500/behind/v1/kv/k"),
        ({"HTTP_ADDR": "[2001:db8::7]:8501"}, "http://[2001:db8::7]:8501/v1/kv/k"),
        ({"HTTP_ADDR": "2001:db8::7"}, "http://[2001:db8::7]:8500/v1/kv/k"),
        ({"HTTP_ADDR": "unix:///run/consul.sock"}, "http://localhost/v1/kv/k"),
        ({"HTTP_ADDR": "consul:8501", "HTTP_SSL": "true"}, "https://consul:8501/v1/kv/k"),
        ({"HTTP_SSL": "1"}, "https://127.0.0.1:8500/v1/kv/k"),
        ({"HTTP_SSL": "false", "HTTP_ADDR": "https://consul"}, "https://consul/v1/kv/k"),
        ({"HOST": "consul"}, "http://consul:8500/v1/kv/k"),
        ({"HOST": "::1"}, "http://[::1]:8500/v1/kv/k"),
        ({"HOST": "[::1]"}, "http://[::1]:8500/v1/kv/k"),
        ({"PORT": "8501"}, "http://127.0.0.1:8501/v1/kv/k"),
        ({"SCHEME": "https", "PORT": "8501"}, "https://127.0.0.1:8501/v1/kv/k"),
        ({"DATACENTER": "dc2"}, "http://127.0.0.1:8500/v1/kv/k?dc=dc2"),
        ({"NAMESPACE": "team"}, "http://127.0.0.1:8500/v1/kv/k?ns=team"),
        ({"PARTITION": "part"}, "http://127.0.0.1:8500/v1/kv/k?partition=part"),
        ({"ONEX_CONSISTENCY": "stale"}, "http://127.0.0.1:8500/v1/kv/k?stale="),
        ({"ONEX_CONSISTENCY": "consistent"}, "http://127.0.0.1:8500/v1/kv/k?consistent="),
        ({"ONEX_CONSISTENCY": "default"}, "http://127.0.0.1:8500/v1/kv/k"),
    ],
)
async def test_a_variable_reaches_the_url(
    variables: dict[str, str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"CONSUL_{name}", value)

    request = await asked()

    assert str(request.url) == url


async def test_a_unix_socket_reaches_the_bottom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "unix:///run/consul.sock")

    assert bottom_of(ConsulClient.from_env())["_socket"] == "/run/consul.sock"


@pytest.mark.parametrize("variable", ["CONSUL_HTTP_TOKEN", "CONSUL_TOKEN"])
async def test_a_token_reaches_its_header(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, CANARY.get_secret_value())

    request = await asked()

    assert SecretStr(request.headers["x-consul-token"]) == CANARY


async def test_the_token_of_a_file_reaches_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(CANARY.get_secret_value() + "\n")
    monkeypatch.setenv("CONSUL_HTTP_TOKEN_FILE", str(tmp_path / "token"))

    request = await asked()

    assert SecretStr(request.headers["x-consul-token"]) == CANARY


@pytest.mark.parametrize(
    ("auth", "header"), [("ann:pass", "Basic YW5uOnBhc3M="), ("ann", "Basic YW5u"), ("", None)]
)
async def test_the_user_of_a_proxy_reaches_its_header(
    auth: str, header: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSUL_HTTP_AUTH", auth)

    request = await asked()

    assert request.headers.get("authorization") == header
    assert "x-consul-token" not in request.headers


@pytest.mark.parametrize(
    ("address", "gzip", "encoding"),
    [
        ("consul", None, "gzip"),
        ("127.0.0.1", None, "identity"),
        ("127.0.0.1", "true", "gzip"),
        ("consul", "false", "identity"),
    ],
)
async def test_packing_is_for_agents_elsewhere_unless_it_is_set(
    address: str, gzip: str | None, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSUL_HTTP_ADDR", address)
    if gzip is not None:
        monkeypatch.setenv("CONSUL_ONEX_GZIP", gzip)

    request = await asked()

    assert request.headers["accept-encoding"] == encoding


@pytest.mark.parametrize(
    ("variable", "timeouts"),
    [
        ("UNSET", {"connect": 2, "read": 8, "write": 8, "pool": 8}),
        ("CONSUL_ONEX_CONNECT_TIMEOUT", {"connect": 1.5, "read": 8, "write": 8, "pool": 8}),
        ("CONSUL_ONEX_ATTEMPT_TIMEOUT", {"connect": 2, "read": 1.5, "write": 1.5, "pool": 1.5}),
    ],
)
async def test_the_times_of_an_attempt_reach_the_request(
    variable: str, timeouts: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "1.5")

    request = await asked()

    assert request.extensions["timeout"] == timeouts


@pytest.mark.parametrize(
    ("variable", "value", "shown"),
    [
        ("CONSUL_TIMEOUT", "12.5", "Deadline(seconds=12.5)"),
        ("CONSUL_ONEX_ATTEMPT_TIMEOUT", "3", "WholeBody(seconds=3.0, "),
        ("CONSUL_ONEX_MAX_RESPONSE_BYTES", "1000", "limit=1000, "),
        ("CONSUL_ONEX_RETRY_ATTEMPTS", "7", "Retry(attempts=7, "),
        ("CONSUL_ONEX_RETRY_INITIAL", "0.5", "initial=0.5, "),
        ("CONSUL_ONEX_RETRY_MAX", "9", "max=9.0, "),
        ("CONSUL_ONEX_RETRY_BASE", "3", "base=3.0, "),
        ("CONSUL_ONEX_RETRY_JITTER", "0.25", "jitter=0.25, "),
        ("CONSUL_ONEX_BREAKER_FAILURES", "9", "Breaker(failures=9, "),
        ("CONSUL_ONEX_BREAKER_RESET_AFTER", "4", "reset_after=4.0)"),
        ("CONSUL_ONEX_LIMIT_PLAIN", "11", "Limit(plain=11, "),
        ("CONSUL_ONEX_LIMIT_BLOCKING", "12", "blocking=12, "),
        ("CONSUL_ONEX_LIMIT_MAX_WAIT", "0.5", "max_wait=0.5,"),
        ("CONSUL_ONEX_LIMIT_QUEUE_WATCHES", "false", "queue_watches=False)"),
    ],
)
def test_a_variable_reaches_its_layer(
    variable: str, value: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = layers(ConsulClient.from_env())
    monkeypatch.setenv(variable, value)

    after = layers(ConsulClient.from_env())

    assert shown in after
    assert shown not in before


def test_without_settings_the_layers_are_the_same() -> None:
    assert layers(ConsulClient()) == layers(ConsulClient.from_env())


async def test_the_wait_reaches_the_steps_of_a_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_ONEX_WAIT", "7.5")

    assert ConsulClient.from_env().kv.watch("k").cursor.wait == 7.5


@pytest.mark.parametrize(
    ("variable", "field"),
    [("CONSUL_CACERT", "ca_file"), ("CONSUL_CAPATH", "ca_path")],
)
def test_an_authority_reaches_tls(
    variable: str, field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(tmp_path))

    tls = bottom_of(ConsulClient.from_env())["_tls"].__self__

    assert {name: value for name, value in asdict(tls).items() if value} == {
        field: tmp_path,
        "verify": True,
    }


def test_a_certificate_and_its_key_reach_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSUL_CLIENT_CERT", str(tmp_path))
    monkeypatch.setenv("CONSUL_CLIENT_KEY", str(tmp_path / "."))

    tls = bottom_of(ConsulClient.from_env())["_tls"].__self__

    assert tls == TLS(client_cert=tmp_path, client_key=tmp_path / ".")


def test_a_name_to_verify_reaches_tls_and_the_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_TLS_SERVER_NAME", "server.dc1.consul")

    bottom = bottom_of(ConsulClient.from_env())

    assert bottom["_tls"].__self__ == TLS(server_name="server.dc1.consul")
    assert bottom["_server_name"] == "server.dc1.consul"


# Go's strconv.ParseBool, which Consul's own tools use.
@pytest.mark.parametrize(
    ("text", "verify"),
    [
        *((text, True) for text in ("1", "t", "T", "TRUE", "true", "True")),
        *((text, False) for text in ("0", "f", "F", "FALSE", "false", "False")),
    ],
)
def test_every_word_that_consul_takes_for_yes_or_no_is_taken(
    text: str, verify: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSUL_HTTP_SSL_VERIFY", text)

    assert bottom_of(ConsulClient.from_env())["_tls"].__self__.verify is verify


@pytest.mark.parametrize("text", ["flase", "2", "-1", "disabled", "none", "null", " ", "00"])
def test_an_unreadable_verify_never_means_off(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_HTTP_SSL_VERIFY", text)

    with pytest.raises(ConfigurationError, match="^CONSUL_HTTP_SSL_VERIFY "):
        ConsulClient.from_env()


# -- which comes first -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "variables", "seen"),
    [
        (
            {"address": "one:1"},
            [("CONSUL_HTTP_ADDR", "two:2"), ("CONSUL_HOST", "three")],
            ["http://one:1", "http://two:2", "http://three:8500", "http://127.0.0.1:8500"],
        ),
        (
            {"address": "one:1"},
            [("CONSUL_HTTP_ADDR", "two:2"), ("CONSUL_PORT", "3"), ("CONSUL_SCHEME", "https")],
            ["http://one:1", "http://two:2", "https://127.0.0.1:3", "https://127.0.0.1:8500"],
        ),
        ({"host": "one"}, [("CONSUL_HOST", "two")], ["http://one:8500", "http://two:8500"]),
        ({"port": 1}, [("CONSUL_PORT", "2")], ["http://127.0.0.1:1", "http://127.0.0.1:2"]),
        (
            {"datacenter": "one"},
            [("CONSUL_DATACENTER", "two")],
            ["?dc=one", "?dc=two"],
        ),
        ({"namespace": "one"}, [("CONSUL_NAMESPACE", "two")], ["?ns=one", "?ns=two"]),
        (
            {"partition": "one"},
            [("CONSUL_PARTITION", "two")],
            ["?partition=one", "?partition=two"],
        ),
        (
            {"consistency": Consistency.STALE},
            [("CONSUL_ONEX_CONSISTENCY", "consistent")],
            ["?stale", "?consistent"],
        ),
        (
            {"token": "one"},
            [("CONSUL_HTTP_TOKEN", "two"), ("CONSUL_TOKEN", "three")],
            ["token=one", "token=two", "token=three", "token=None"],
        ),
        (
            {"token": lambda: SecretStr("one")},
            [("CONSUL_HTTP_TOKEN", "two")],
            ["token=one", "token=two", "token=None"],
        ),
        (
            {"auth": ":"},
            [("CONSUL_HTTP_AUTH", "::")],
            ["auth=Basic Og==", "auth=Basic Ojo=", "auth=None"],
        ),
        ({"gzip": True}, [("CONSUL_ONEX_GZIP", "false")], ["encoding=gzip", "encoding=identity"]),
        (
            {"connect_timeout": 1},
            [("CONSUL_ONEX_CONNECT_TIMEOUT", "3")],
            ["'connect': 1.0", "'connect': 3.0", "'connect': 2.0"],
        ),
        (
            {"timeout": 1},
            [("CONSUL_TIMEOUT", "3")],
            ["seconds=1.0", "seconds=3.0", "seconds=30.0"],
        ),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, dict) else None,
)
async def test_an_argument_comes_first_then_consuls_variable_then_the_others(
    argument: dict[str, Any],
    variables: list[tuple[str, str]],
    seen: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables:
        monkeypatch.setenv(name, value)

    for step, expected in enumerate(seen):
        # With everything; without the argument; then without one variable after the other.
        for name, _ in variables[: max(step - 1, 0)]:
            monkeypatch.delenv(name, raising=False)
        shown = await everything_seen(**(argument if step == 0 else {}))

        assert expected in shown


async def everything_seen(**arguments: Any) -> str:
    """All of a request and of its client's layers that a setting may reach."""
    bottom = Bottom()
    async with ConsulClient.from_env(transport=bottom, **arguments) as c:
        await c.kv.get("k")
    headers = bottom.last.headers
    return (
        f"{bottom.last.url} {bottom.last.extensions['timeout']} {layers(c)} "
        f"token={headers.get('x-consul-token')} auth={headers.get('authorization')} "
        f"encoding={headers['accept-encoding']}"
    )


async def test_the_file_comes_before_the_token_within_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("of-the-file")
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "of-the-variable")
    monkeypatch.setenv("CONSUL_HTTP_TOKEN_FILE", str(tmp_path / "token"))

    request = await asked()

    assert request.headers["x-consul-token"] == "of-the-file"


@pytest.mark.parametrize("token", ["given", SecretStr("given"), lambda: SecretStr("given")])
async def test_a_token_that_is_given_comes_before_a_file_of_the_environment(
    token: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "of-the-variable")
    monkeypatch.setenv("CONSUL_HTTP_TOKEN_FILE", "/there/is/no/such/file")

    request = await asked(token=token)

    assert request.headers["x-consul-token"] == "given"


async def test_a_file_that_is_given_comes_before_a_token_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("of-the-file")
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "of-the-variable")

    request = await asked(token_file=tmp_path / "token")

    assert request.headers["x-consul-token"] == "of-the-file"


@pytest.mark.parametrize("make", [ConsulClient, ConsulClient.from_env])
@pytest.mark.parametrize("token", ["given", lambda: SecretStr("given")], ids=["text", "source"])
def test_a_token_and_a_file_together_are_refused(make: Any, token: Any, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("other")

    with pytest.raises(ConfigurationError, match="give a token or a token_file, not both"):
        make(token=token, token_file=str(tmp_path / "token"))


async def test_arguments_come_before_settings_that_are_given() -> None:
    bottom = Bottom()
    settings = ConsulSettings(address="http://one:1", datacenter="one", token="one")

    async with ConsulClient("two:2", token="two", settings=settings, transport=bottom) as c:
        await c.kv.get("k")

    assert str(bottom.last.url) == "http://two:2/v1/kv/k?dc=one"
    assert bottom.last.headers["x-consul-token"] == "two"


async def test_the_constructor_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONSUL_HTTP_ADDR", "CONSUL_HTTP_TOKEN", "CONSUL_DATACENTER"):
        monkeypatch.setenv(name, "other")
    bottom = Bottom()

    async with ConsulClient(transport=bottom) as c:
        await c.kv.get("k")

    assert str(bottom.last.url) == "http://127.0.0.1:8500/v1/kv/k"
    assert "x-consul-token" not in bottom.last.headers


VARIABLES = [
    name
    for field in ConsulSettings.model_fields.values()
    for name in field.validation_alias.choices  # type: ignore[union-attr]
]


def test_each_field_has_a_variable_of_consuls_family() -> None:
    assert all(str(name).startswith("CONSUL_") for name in VARIABLES)
    assert len(VARIABLES) == len(set(VARIABLES)) > 30


@pytest.mark.parametrize("name", VARIABLES)
def test_an_empty_variable_is_not_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ConsulSettings()
    monkeypatch.setenv(name, "")

    assert ConsulSettings() == before


@pytest.mark.parametrize("field", list(ConsulSettings.model_fields))
def test_a_variable_named_like_a_field_has_no_effect(
    field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ConsulSettings()
    for name in (field, field.upper(), *(str(v).lower() for v in VARIABLES)):
        monkeypatch.setenv(name, "8501")

    assert ConsulSettings() == before


@pytest.mark.parametrize("name", ["adress", "layers", "CONSUL_HTTP_ADDR_"])
def test_a_setting_that_does_not_exist_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} is no setting") as caught:
        ConsulSettings(**{name: "s3cret"})

    assert "s3cret" not in str(caught.value)


# -- what is wrong ---------------------------------------------------------------------------------


def everything_said(error: BaseException | None) -> Iterator[str]:
    """All texts of an error and of those behind it."""
    while error is not None:
        yield f"{error} {error!r} {vars(error)}"
        error = error.__cause__ or error.__context__


WRONG = {
    "CONSUL_HTTP_ADDR": ["http://ann:s3cr3t@consul", "s3cr3t://consul", "consul:s3cr3t"],
    "CONSUL_HTTP_SSL": ["s3cr3t", "2"],
    "CONSUL_HTTP_SSL_VERIFY": ["s3cr3t", "ffalse"],
    "CONSUL_HTTP_TOKEN": ["s3cr3t ", "s3cr3t\n", "s3cr3té"],
    "CONSUL_TOKEN": ["s3cr3t ", "s3cr3t\n", "s3cr3té"],
    "CONSUL_HTTP_TOKEN_FILE": ["/s3cr3t/file"],
    "CONSUL_CACERT": ["/s3cr3t/file"],
    "CONSUL_CAPATH": ["/s3cr3t/folder"],
    "CONSUL_CLIENT_CERT": ["/s3cr3t/file"],
    "CONSUL_CLIENT_KEY": ["/s3cr3t/file"],
    "CONSUL_HOST": ["s3cr3t/path", "ann@s3cr3t", "s3cr3t?x", "s3cr3t consul", "s3cr3t:8500"],
    "CONSUL_PORT": ["s3cr3t", "0", "65536", "-1", "8500.5"],
    "CONSUL_SCHEME": ["s3cr3t", "HTTP", "unix"],
    "CONSUL_DATACENTER": ["s3cr3t/dc", "s3cr3t dc", "s" * 65],
    "CONSUL_NAMESPACE": ["s3cr3t/ns", "s3cr3t ns"],
    "CONSUL_PARTITION": ["s3cr3t/p", "s3cr3t&p"],
    "CONSUL_TIMEOUT": ["s3cr3t", "0", "-1", "inf", "nan"],
    "CONSUL_ONEX_CONSISTENCY": ["s3cr3t", "STALE"],
    "CONSUL_ONEX_CONNECT_TIMEOUT": ["s3cr3t", "0", "-1", "inf", "nan"],
    "CONSUL_ONEX_ATTEMPT_TIMEOUT": ["s3cr3t", "0", "-1", "inf", "nan"],
    "CONSUL_ONEX_WAIT": ["s3cr3t", "0", "-1", "inf", "nan", "601"],
    "CONSUL_ONEX_RETRY_ATTEMPTS": ["s3cr3t", "0", "-1", "1.5"],
    "CONSUL_ONEX_RETRY_INITIAL": ["s3cr3t", "-1", "inf", "nan"],
    "CONSUL_ONEX_RETRY_MAX": ["s3cr3t", "-1", "inf", "nan"],
    "CONSUL_ONEX_RETRY_BASE": ["s3cr3t", "0.5", "inf", "nan"],
    "CONSUL_ONEX_RETRY_JITTER": ["s3cr3t", "-1", "2", "nan"],
    "CONSUL_ONEX_BREAKER_FAILURES": ["s3cr3t", "0", "-1", "1.5"],
    "CONSUL_ONEX_BREAKER_RESET_AFTER": ["s3cr3t", "-1", "inf", "nan"],
    "CONSUL_ONEX_LIMIT_PLAIN": ["s3cr3t", "0", "-1"],
    "CONSUL_ONEX_LIMIT_BLOCKING": ["s3cr3t", "0", "-1"],
    "CONSUL_ONEX_LIMIT_MAX_WAIT": ["s3cr3t", "-1", "inf", "nan"],
    "CONSUL_ONEX_LIMIT_QUEUE_WATCHES": ["s3cr3t", "2"],
    "CONSUL_ONEX_MAX_RESPONSE_BYTES": ["s3cr3t", "0", "-1"],
    "CONSUL_ONEX_GZIP": ["s3cr3t", "2"],
    "CONSUL_ONEX_HTTP": ["s3cr3t", "h2", "FAST"],
    "CONSUL_ONEX_CHECK_SERVER": ["s3cr3t", "2"],
}

PARTNERS = {"CONSUL_CLIENT_CERT": "CONSUL_CLIENT_KEY", "CONSUL_CLIENT_KEY": "CONSUL_CLIENT_CERT"}

TLS_FILES = {
    "CONSUL_CACERT": "ca_file",
    "CONSUL_CAPATH": "ca_path",
    "CONSUL_CLIENT_CERT": "client_cert",
    "CONSUL_CLIENT_KEY": "client_key",
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_wrong_value_is_refused_by_the_name_of_its_variable_and_not_repeated(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PARTNERS.get(name, "UNUSED"), __file__)
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError) as caught:
        ConsulClient.from_env()

    # A file of TLS is named by its argument as well, since TLS does not know where it comes from.
    assert caught.value.setting in (name, TLS_FILES.get(name))
    assert name in str(caught.value)
    assert not any("s3cr3t" in said for said in everything_said(caught.value))


# Any text is good for these.
FREE = {"CONSUL_HTTP_AUTH", "CONSUL_TLS_SERVER_NAME"}


def test_each_variable_has_a_wrong_value_to_be_tried() -> None:
    assert set(WRONG) | FREE == set(VARIABLES)


def test_a_wrong_argument_is_refused_by_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_PORT", "8501")

    with pytest.raises(ConfigurationError, match="^port cannot be used") as caught:
        ConsulClient.from_env(port="s3cret")  # type: ignore[arg-type]

    assert caught.value.setting == "port"
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("given", ["CONSUL_CLIENT_CERT", "CONSUL_CLIENT_KEY"])
def test_a_certificate_without_its_key_is_refused(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(given, __file__)

    with pytest.raises(ConfigurationError, match=PARTNERS[given]):
        ConsulClient.from_env()


def test_a_repr_of_settings_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_HTTP_AUTH", "ann:s3cret")

    settings = ConsulSettings(token="s3cret")

    assert "s3cret" not in f"{settings!r} {settings} {settings.model_dump_json()}"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        ConsulSettings().port = 8501  # type: ignore[misc]


# -- who could read a token ------------------------------------------------------------------------


def shown(arguments: dict[str, Any]) -> str:
    return " ".join(str(value) if name == "address" else name for name, value in arguments.items())


READABLE: list[dict[str, Any]] = [
    {"address": "http://consul:8500"},
    {"address": "consul"},
    {"address": "10.0.0.7:8500"},
    {"address": "https://consul:8501", "tls": TLS(verify=False)},
    {"address": "https://127.0.0.1:8501", "tls": TLS(verify=False)},
    {"layers": [Datacenters({"dc2": "http://consul:8500"})]},
]

UNREADABLE: list[dict[str, Any]] = [
    {},
    {"address": "http://localhost:8500"},
    {"address": "127.9.9.9"},
    {"address": "[::1]:8500"},
    {"address": "unix:///run/consul.sock"},
    {"address": "https://consul:8501"},
    {"address": "http://127.0.0.1:8500", "tls": TLS(verify=False)},
    {"layers": [Datacenters({"dc2": "https://consul:8501"})]},
    {"address": "http://consul:8500", "transport": Bottom()},
]


@pytest.mark.parametrize("secret", [{"token": "abc"}, {"auth": "ann:pass"}], ids=["token", "auth"])
@pytest.mark.parametrize("arguments", READABLE, ids=shown)
def test_a_token_that_others_could_read_is_a_warning_at_the_line_that_gives_it(
    arguments: dict[str, Any], secret: dict[str, Any]
) -> None:
    with pytest.warns(InsecureTransportWarning, match="^the token goes to http") as caught:
        ConsulClient(**arguments, **secret)

    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("arguments", UNREADABLE, ids=shown)
def test_a_token_that_nobody_can_read_is_no_warning(arguments: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        assert ConsulClient(**arguments, token="abc")


@pytest.mark.parametrize("arguments", READABLE, ids=shown)
def test_without_a_token_there_is_nothing_to_warn_of(arguments: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        assert ConsulClient(**arguments, token="")


def test_the_token_of_a_view_is_warned_of_once_for_each_client() -> None:
    client = ConsulClient("http://consul:8500")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client.using(token="abc").using(token="def")
        client.using(token="ghi")

    assert [(warning.category, warning.filename) for warning in caught] == [
        (InsecureTransportWarning, __file__)
    ]
    with pytest.warns(InsecureTransportWarning):
        ConsulClient("http://consul:8500").using(token="abc")


def test_a_view_without_a_token_is_no_warning() -> None:
    client = ConsulClient("http://consul:8500")

    with warnings.catch_warnings():
        warnings.simplefilter("error")

        assert client.using(token=None, datacenter="dc2")


def test_a_client_of_the_environment_is_warned_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "https://consul:8501")
    monkeypatch.setenv("CONSUL_HTTP_SSL_VERIFY", "false")
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", CANARY.get_secret_value())

    with pytest.warns(InsecureTransportWarning, match="is not verified") as caught:
        ConsulClient.from_env()

    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ({"host": "other"}, "http://other:8500"),
        ({"port": 9500}, "http://127.0.0.1:9500"),
        ({"scheme": "https"}, "https://127.0.0.1:8500"),
        ({"host": "other", "address": "third:1"}, "http://third:1"),
        ({}, "http://named:8600"),
    ],
)
def test_an_argument_comes_before_a_variable_that_says_it_in_another_way(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], base: str
) -> None:
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "named:8600")

    assert repr(ConsulClient.from_env(**given)) == f"<ConsulClient {base}>"
