"""Nothing of ours goes anywhere but to the agent, whatever an answer or the environment says."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from consul_onex import TLS, ConsulClient, ConsulError
from tests.support.agents import Agent
from tests.support.canary import CANARY
from tests.support.fault_server import HOST, FaultServer, fault_server, reply

Record: TypeAlias = Callable[[str, object], None]

ASKED: Final = [
    *itertools.product([300, 301, 302, 303, 305, 307, 308, 200, 201, 401, 407, 503], ["GET", "PUT"])
]

# All of them name the other server; none of them may be heeded.
HEADERS: Final = {
    "Location": "{url}/v1/kv/k",
    "Content-Location": "{url}/v1/kv/k",
    "Refresh": "0; url={url}/",
    "Link": "<{url}/>; rel=preconnect",
    "Alt-Svc": 'http/1.1="{host}"; ma=60',
    "Set-Cookie": "a=b; Domain=127.0.0.1",
    "WWW-Authenticate": 'Basic realm="{url}"',
    "Proxy-Authenticate": "Basic",
    "Retry-After": "0",
}


async def use(c: ConsulClient, method: str = "GET") -> None:
    for _ in range(2):
        with contextlib.suppress(ConsulError):
            await c.request(method, "/v1/kv/k", content=b"v" if method == "PUT" else None)


def assert_only_ours(server: FaultServer) -> None:
    assert len(server.requests) >= 2
    for seen in server.requests:
        assert seen.target == "/v1/kv/k"
        assert "cookie" not in seen.headers
        assert "authorization" not in seen.headers
        assert "proxy-authorization" not in seen.headers


@pytest.mark.parametrize(("status", "method"), ASKED)
async def test_an_answer_that_points_elsewhere_is_not_followed(
    status: int, method: str, record_property: Record
) -> None:
    """A client that follows takes its secret along in a header (openai/openai-python#3516)."""
    async with fault_server([reply(body=b"[]")]) as other:
        host = f"{HOST}:{other.port}"
        headers = {k: text.format(url=other.url, host=host) for k, text in HEADERS.items()}
        async with (
            fault_server([reply(status, b"[]", headers)]) as server,
            ConsulClient(server.url, token=CANARY) as c,
        ):
            await use(c, method)

        record_property("S2 requests to a second origin", other.accepted)
        assert_only_ours(server)
        assert (other.accepted, other.requests) == (0, [])


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("lower", [False, True])
async def test_a_proxy_of_the_environment_gets_nothing(
    variable: str, lower: bool, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    async with fault_server([reply(body=b"[]")]) as proxy:
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.setenv(variable.lower() if lower else variable, proxy.url)
        async with (
            fault_server([reply(body=b"[]")]) as server,
            ConsulClient.from_env(address=server.url, token=CANARY) as c,
        ):
            await use(c)

        record_property("S2 requests to a second origin", proxy.accepted)
        assert_only_ours(server)
        assert (proxy.accepted, proxy.requests) == (0, [])


async def test_a_netrc_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"machine {HOST} login ann password secret\ndefault login a password b\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))

    async with fault_server([reply(body=b"[]")]) as server:
        async with ConsulClient.from_env(address=server.url, token=CANARY) as c:
            await use(c)

        assert_only_ours(server)


async def test_the_keys_of_a_tls_session_are_not_written_down(
    tls_agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
    assert tls_agent.tls is not None
    files = tls_agent.tls
    tls = TLS(ca_file=files.ca_file, client_cert=files.client_cert, client_key=files.client_key)

    async with ConsulClient(tls_agent.url, tls=tls, token=CANARY) as c:
        assert await c.status.leader()

    assert not keys.exists()
