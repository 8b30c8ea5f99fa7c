"""Both sides prove who they are, and what is wrong with that is told at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import anyio
import pytest

from consul_onex import TLS, BadRequestError, ConfigurationError, ConsulClient
from consul_onex.transport import (
    Breaker,
    ConnectionStatistics,
    Datacenters,
    Deadline,
    Layer,
    Limit,
    Retry,
)
from tests.support.agents import HOST, Agent

# Nobody's key: it was made for this, and its password thrown away.
ENCRYPTED_KEY: Final = """\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiQS5/zZmSHxgICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEECrSM0kT4AfS/oEaRzA1Sy8EgZAw
uGGulVFcHffpYRLln5roDepSSNBTZiLRZDh6RBVGkXGnsE1fwZJcwrSBys+lYOVv
1dz529p4bZneaR88lMy4nVVFsciExI3JTv3lGzgCVIG9QEYWClpouD0xEeTkX3TL
ApCPP+Q3VjKH8mti3zhB31igtvYi/m4VWOk6igapSnk9yIEecrlVKS7GX6addwI=
-----END ENCRYPTED PRIVATE KEY-----
"""


def mutual(agent: Agent) -> TLS:
    """What this agent wants: its CA, and a certificate of that CA's."""
    assert agent.tls is not None
    return TLS(
        ca_file=agent.tls.ca_file,
        client_cert=agent.tls.client_cert,
        client_key=agent.tls.client_key,
    )


def client(url: str, tls: TLS | None = None) -> ConsulClient:
    layers: list[Layer] = [
        Deadline(10),
        Retry(initial=0.01),
        Datacenters(),
        Breaker(failures=1),
        Limit(),
    ]
    return ConsulClient(url, tls=tls, layers=layers)


async def refusal_of(
    c: ConsulClient, call: Callable[[ConsulClient], Awaitable[object]]
) -> ConfigurationError:
    """The error of a call that must not be sent again, nor open the circuit."""
    with anyio.fail_after(10), pytest.raises(ConfigurationError) as raised:
        await call(c)
    statistics = c.statistics()
    assert statistics.retry is not None
    assert statistics.retry.retries == 0
    assert statistics.circuits["consul.default"].failures == 0
    return raised.value


async def get(c: ConsulClient) -> object:
    return await c.kv.get("tls")


async def put(c: ConsulClient) -> object:
    return await c.kv.put("tls", b"v")


async def cas(c: ConsulClient) -> object:
    return await c.kv.put("tls", b"v", cas=0)


# -- agreement -------------------------------------------------------------------------------------


@pytest.mark.parametrize("server_name", [None, "localhost", "server.dc1.consul"])
async def test_a_client_that_is_known_reads_and_writes(
    tls_agent: Agent, server_name: str | None
) -> None:
    tls = replace(mutual(tls_agent), server_name=server_name)
    async with client(tls_agent.url, tls) as c:
        for n in range(3):
            await c.kv.put("tls/known", str(n))
        pair = await c.kv.get("tls/known")
        await c.kv.delete("tls/known")

        assert pair is not None
        assert pair.value == b"2"
        assert c.statistics().connections == ConnectionStatistics(active=0, idle=1, opened=1)


async def test_without_verification_the_servers_certificate_does_not_matter(
    tls_agent: Agent,
) -> None:
    tls = replace(mutual(tls_agent), ca_file=None, server_name="consul.example", verify=False)
    async with client(tls_agent.url, tls) as c:
        assert await c.kv.get("tls/unverified") is None


# -- disagreement ----------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [get, put, cas])
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("the system's authorities", "CERTIFICATE_VERIFY_FAILED"),
        ("another authority", "CERTIFICATE_VERIFY_FAILED"),
        ("no authority", "CERTIFICATE_VERIFY_FAILED"),
        ("another name", "consul.example"),
    ],
)
async def test_a_disagreement_about_tls_is_a_matter_of_configuration(
    tls_agent: Agent,
    tmp_path: Path,
    wrong: str,
    said: str,
    call: Callable[[ConsulClient], Awaitable[object]],
) -> None:
    good = mutual(tls_agent)
    tls = {
        "the system's authorities": replace(good, ca_file=None),
        "another authority": replace(good, ca_file=good.client_cert),
        "no authority": replace(good, ca_file=None, ca_path=tmp_path),
        "another name": replace(good, server_name="consul.example"),
    }[wrong]
    async with client(tls_agent.url, tls) as c:
        error = await refusal_of(c, call)

        assert error.setting == "tls"
        assert said in str(error)
        assert c.statistics().connections == ConnectionStatistics(active=0, idle=0, opened=1)
    assert tls_agent.request("GET", "/v1/kv/tls").status == 404


@pytest.mark.parametrize("call", [get, put, cas])
async def test_https_where_the_agent_speaks_http_is_a_matter_of_configuration(
    agent: Agent, call: Callable[[ConsulClient], Awaitable[object]]
) -> None:
    async with client(f"https://{HOST}:{agent.port}") as c:
        error = await refusal_of(c, call)

        assert error.setting == "tls"
        assert c.statistics().connections == ConnectionStatistics(active=0, idle=0, opened=1)


async def test_a_missing_client_certificate_is_a_matter_of_configuration(tls_agent: Agent) -> None:
    async with client(tls_agent.url, TLS(ca_file=mutual(tls_agent).ca_file)) as c:
        error = await refusal_of(c, get)

        assert error.setting == "tls"
        assert "CONSUL_CLIENT_CERT" in str(error)
        assert c.statistics().connections == ConnectionStatistics(active=0, idle=0, opened=1)


async def test_http_where_the_agent_speaks_https_is_refused_in_the_agents_words(
    tls_agent: Agent,
) -> None:
    async with client(f"http://{HOST}:{tls_agent.port}") as c:
        with anyio.fail_after(10), pytest.raises(BadRequestError, match="HTTPS server") as raised:
            await c.kv.get("tls")

        assert raised.value.status == 400
        connections = c.statistics().connections
        assert connections is not None
        assert connections.opened == 1


@pytest.mark.parametrize("call", [put, cas])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_write_that_is_refused_before_its_body_has_come_is_told_why(
    tls_agent: Agent, scheme: str, call: Callable[[ConsulClient], Awaitable[object]]
) -> None:
    # In http, or in https without a client certificate: the agent hangs up in the middle of the
    # request. What it said is still there to be read, as head and body were sent together.
    ca_file = mutual(tls_agent).ca_file
    async with client(f"{scheme}://{HOST}:{tls_agent.port}", TLS(ca_file=ca_file)) as c:
        with (
            anyio.fail_after(10),
            pytest.raises(BadRequestError if scheme == "http" else ConfigurationError),
        ):
            await call(c)

    assert tls_agent.request("GET", "/v1/kv/tls").status == 404


# -- files -----------------------------------------------------------------------------------------


async def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(
    tls_agent: Agent, tmp_path: Path
) -> None:
    key = tmp_path / "key.pem"
    key.write_text(ENCRYPTED_KEY)
    async with client(tls_agent.url, replace(mutual(tls_agent), client_key=key)) as c:
        error = await refusal_of(c, get)

        assert error.setting == "client_key"
        assert "encrypted" in str(error)


@pytest.mark.parametrize(
    ("field", "setting"),
    [
        ("ca_file", "ca_file"),
        ("client_cert", "client_cert"),
        ("client_key", "client_cert"),
    ],
)
@pytest.mark.parametrize("what", ["text", "nothing", "a directory", "the other half"])
async def test_files_that_do_not_hold_what_they_should_are_refused(
    tls_agent: Agent, tmp_path: Path, field: str, setting: str, what: str
) -> None:
    good = mutual(tls_agent)
    path = tmp_path / "file.pem"
    match what:
        case "text":
            path.write_text("no certificate")
        case "nothing":
            path.write_text("")
        case "a directory":
            path.mkdir()
        case _:
            other = good.client_cert if field == "client_key" else good.client_key
            path.symlink_to(other or "")
    tls = {
        "ca_file": lambda: replace(good, ca_file=path),
        "client_cert": lambda: replace(good, client_cert=path),
        "client_key": lambda: replace(good, client_key=path),
    }[field]()
    async with client(tls_agent.url, tls) as c:
        error = await refusal_of(c, get)

        assert error.setting == setting
        assert c.statistics().connections == ConnectionStatistics(active=0, idle=0, opened=0)


def test_half_of_a_client_certificate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "half.pem"
    path.write_text("")

    with pytest.raises(ConfigurationError, match="client_key .* is missing") as no_key:
        TLS(client_cert=path)
    with pytest.raises(ConfigurationError, match="client_cert .* is missing") as no_certificate:
        TLS(client_key=path)

    assert (no_key.value.setting, no_certificate.value.setting) == ("client_key", "client_cert")


@pytest.mark.parametrize("setting", ["ca_file", "ca_path", "client_cert", "client_key"])
def test_a_file_that_is_not_there_is_refused_before_anything_is_sent(
    tmp_path: Path, setting: str
) -> None:
    paths: dict[str, Path] = dict.fromkeys(
        ("ca_file", "ca_path", "client_cert", "client_key"), tmp_path
    )
    paths[setting] = tmp_path / "missing.pem"

    with pytest.raises(ConfigurationError) as raised:
        TLS(
            ca_file=paths["ca_file"],
            ca_path=paths["ca_path"],
            client_cert=paths["client_cert"],
            client_key=paths["client_key"],
        )

    assert raised.value.setting == setting


async def test_the_keys_of_a_session_are_not_written_down(
    tls_agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))

    async with client(tls_agent.url, mutual(tls_agent)) as c:
        assert await c.kv.get("tls/keys") is None

    assert not keys.exists()


async def test_a_key_log_that_cannot_be_written_is_in_nobodys_way(
    tls_agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "missing" / "keys.log"))

    async with client(tls_agent.url, mutual(tls_agent)) as c:
        assert await c.kv.get("tls/keys") is None
