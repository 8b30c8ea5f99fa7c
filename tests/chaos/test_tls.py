"""
Everything that two sides can disagree about in TLS: told as configuration, and never sent again.

With TLS 1.3 a server looks at the client's certificate only after the handshake, so its refusal is
a read that fails: without a closer look, a connection that was lost, and a write in doubt.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

import anyio
import pytest
import trustme

from consul_onex import TLS, ConfigurationError, ConsulClient
from consul_onex.transport import Breaker, Datacenters, Deadline, Layer, Limit, Retry
from tests.support.fault_server import HOST, fault_server, reply

LONG_AGO: Final = datetime(2001, 1, 1, tzinfo=UTC)
YESTERDAY: Final = datetime.now(UTC) - timedelta(days=1)
IN_YEARS: Final = datetime.now(UTC) + timedelta(days=3650)

OURS: Final = trustme.CA()
ANOTHER: Final = trustme.CA()


@dataclass
class Wrong:
    """A server's certificate, what it wants of clients, and what a client comes with."""

    server: Callable[[], trustme.LeafCert] = lambda: OURS.issue_cert(HOST)
    asks: bool = False
    """Whether it wants to see a certificate of `OURS`."""
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    trusted: trustme.CA = field(default_factory=lambda: OURS)
    client: Callable[[], trustme.LeafCert] | None = None
    server_name: str | None = None


V12: Final = ssl.TLSVersion.TLSv1_2


def theirs() -> trustme.LeafCert:
    return ANOTHER.issue_cert("client")


def stale() -> trustme.LeafCert:
    return OURS.issue_cert("client", not_before=LONG_AGO, not_after=YESTERDAY)


WRONG: Final = {
    "another authority": Wrong(trusted=ANOTHER),
    "another name": Wrong(server_name="consul.example"),
    "another address": Wrong(server=lambda: OURS.issue_cert("192.0.2.1")),
    "a server's certificate that has expired": Wrong(
        server=lambda: OURS.issue_cert(HOST, not_before=LONG_AGO, not_after=YESTERDAY)
    ),
    "a server's certificate that is not valid yet": Wrong(
        server=lambda: OURS.issue_cert(HOST, not_before=IN_YEARS, not_after=IN_YEARS)
    ),
    "no client certificate": Wrong(asks=True),
    "no client certificate, TLS 1.2": Wrong(asks=True, newest=V12),
    "a foreign client certificate": Wrong(asks=True, client=theirs),
    "a foreign client certificate, TLS 1.2": Wrong(asks=True, client=theirs, newest=V12),
    "a client certificate that has expired": Wrong(asks=True, client=stale),
    "a client certificate that has expired, TLS 1.2": Wrong(asks=True, client=stale, newest=V12),
}

CALLS: Final[dict[str, Callable[[ConsulClient], Any]]] = {
    "get": lambda c: c.kv.get("k"),
    "put": lambda c: c.kv.put("k", b"v"),
    "cas": lambda c: c.kv.put("k", b"v", cas=0),
}

each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())


class Server:
    """
    Would answer each request, if only it came to that.

    In a thread and on plain sockets: so OpenSSL sends its alerts, as Consul does.
    """

    def __init__(self, wrong: Wrong) -> None:
        self.requests = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._context.maximum_version = wrong.newest
        wrong.server().configure_cert(self._context)
        OURS.configure_trust(self._context)
        self._context.verify_mode = ssl.CERT_REQUIRED if wrong.asks else ssl.CERT_NONE
        self._listener = socket.create_server((HOST, 0))
        self._thread = threading.Thread(target=self._serve)

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # This wakes who accepts; to close it would not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(10)
            with connection, contextlib.suppress(OSError):
                self._converse(connection)

    def _converse(self, connection: socket.socket) -> None:
        stream = self._context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        )
        with stream:
            try:
                stream.do_handshake()
            except ssl.SSLError:
                # Closed with something unread, the connection would be reset, over the alert.
                while socket.socket.recv(stream, 65536):
                    pass
                return
            if stream.recv(65536):
                self.requests += 1
                stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")


def client(url: str, tls: TLS) -> ConsulClient:
    layers: list[Layer] = [
        Deadline(10),
        Retry(initial=0.001),
        Datacenters(),
        Breaker(failures=1),
        Limit(),
    ]
    return ConsulClient(url, tls=tls, layers=layers)


def tls_of(wrong: Wrong, folder: Path) -> TLS:
    wrong.trusted.cert_pem.write_to_path(str(folder / "ca.pem"))
    tls = TLS(ca_file=folder / "ca.pem", server_name=wrong.server_name)
    if wrong.client is None:
        return tls
    made = wrong.client()
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    key.write_bytes(made.private_key_pem.bytes())
    return replace(tls, client_cert=cert, client_key=key)


async def assert_told_once(
    c: ConsulClient, call: Callable[[ConsulClient], Any]
) -> ConfigurationError:
    with anyio.fail_after(10), pytest.raises(ConfigurationError) as raised:
        await call(c)
    statistics = c.statistics()
    assert raised.value.setting == "tls"
    assert statistics.retry is not None
    assert statistics.retry.retries == 0
    assert statistics.circuits["consul.default"].failures == 0
    assert statistics.connections is not None
    assert (statistics.connections.active, statistics.connections.opened) == (0, 1)
    return raised.value


@each_call
@pytest.mark.parametrize("name", WRONG)
async def test_a_disagreement_is_told_as_configuration_and_not_sent_again(
    name: str,
    call: Callable[[ConsulClient], Any],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    with Server(WRONG[name]) as server:
        async with client(server.url, tls_of(WRONG[name], tmp_path)) as c:
            await assert_told_once(c, call)

    record_property("S6 requests that got through", server.requests)
    assert server.requests == 0


@each_call
async def test_https_where_http_is_spoken_is_told_as_configuration(
    call: Callable[[ConsulClient], Any],
) -> None:
    async with fault_server([reply(body=b"[]")], greeting=lambda _: reply(400)) as server:
        async with client(f"https://{HOST}:{server.port}", TLS()) as c:
            await assert_told_once(c, call)

        assert (server.accepted, server.requests) == (1, [])


def test_there_are_as_many_cases_as_were_wanted(
    record_property: Callable[[str, object], None],
) -> None:
    cases = len(WRONG) + 1  # with HTTPS where HTTP is spoken
    record_property("S6 cases of wrong TLS, each told once as configuration", cases)
    assert cases >= 8


async def test_where_they_agree_there_is_an_answer(tmp_path: Path) -> None:
    good = Wrong(asks=True, client=lambda: OURS.issue_cert("client"))
    with Server(good) as server:
        async with client(server.url, tls_of(good, tmp_path)) as c:
            assert await c.kv.get("k") is None

    assert server.requests == 1
