"""The fake agent on a port: other clients than ours use it, in another process and language."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import consul  # type: ignore[import-untyped]
import httpx
import pytest
from consul import aio

from consul_onex import ConsulClient, Cursor
from tests.support.agents import clean_environment
from tests.support.served import SERVE, Served


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    started = Served()
    yield started
    assert started.end() == (0, b"")


# -- the process -----------------------------------------------------------------------------------


def test_it_says_where_it_is(served: Served) -> None:
    assert re.fullmatch(r"A fake Consul agent is at http://127\.0\.0\.1:\d+\n", served.said)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_once_when_it_is_told_to_even_while_somebody_waits(how: signal.Signals) -> None:
    started = Served("--datacenter", "north", "south", "north")
    with socket.create_connection((started.host, started.port)) as waiting:
        waiting.sendall(b"GET /v1/kv/a?index=9 HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = httpx.get(f"{started.url}/v1/catalog/datacenters")

        assert started.end(how) == (0, b"")

    assert answer.json() == ["north", "south"]


def test_it_may_deny_what_no_policy_allows() -> None:
    started = Served("--acl")
    with httpx.Client(base_url=started.url) as http:
        denied = http.put("/v1/kv/a", content=b"1")
        first = http.put("/v1/acl/bootstrap").json()["SecretID"]
        allowed = http.put("/v1/kv/a", content=b"1", headers={"X-Consul-Token": first})

    assert (denied.status_code, allowed.status_code) == (403, 200)
    assert started.end() == (0, b"")


def test_a_port_that_is_taken_is_told(served: Served) -> None:
    done = subprocess.run(
        [*SERVE, "--port", str(served.port)], capture_output=True, check=False, text=True
    )

    assert done.returncode == 1
    assert done.stderr == (
        f"Cannot listen on 127.0.0.1 port {served.port}: "
        f"Address already in use (while attempting to bind on address "
        f"('127.0.0.1', {served.port}))\n"
    )


def test_without_uvicorn_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['uvicorn'] = None;"
        "from consul_onex.testing.__main__ import main; main([])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)

    assert done.returncode == 1
    assert done.stderr == "This needs uvicorn: pip install 'consul-onex[testing]'\n"


def test_it_listens_on_an_address_of_the_sixth_version_too() -> None:
    started = Served("--host", "::1")
    answer = httpx.get(f"{started.url}/v1/status/leader")
    started.end()

    assert started.url == f"http://[::1]:{started.port}"
    assert answer.json() == "127.0.0.1:8300"


# -- our own client, and requests as they stand ----------------------------------------------------


async def test_our_own_client_uses_it_over_its_socket(served: Served) -> None:
    async with ConsulClient(served.url) as c:
        cursor = Cursor(wait=0.05)
        await c.kv.put("own", b"\x00\xff" * 100_000)
        first = await c.kv.get("own", cursor=cursor)
        again = await c.kv.get("own", cursor=cursor)

    assert first is not None
    assert first.value == b"\x00\xff" * 100_000
    assert (first, cursor.moved) == (again, False)


def raw(served: Served, request: bytes) -> bytes:
    with socket.create_connection((served.host, served.port)) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    ("line", "status", "part"),
    [
        (b"GET /v1/kv//a/../b HTTP/1.1", b"301", b"location: /v1/kv/b\r\n"),
        (b"GET /v1/kv/a%zz HTTP/1.1", b"400", b"400 Bad Request"),
        (b"GET /v1/kv/a?x=%zz HTTP/1.1", b"500", b""),
        (b"HEAD /v1/session/list HTTP/1.1", b"405", b"allow: OPTIONS,GET\r\n"),
        (b"OPTIONS /v1/kv/a HTTP/1.1", b"200", b"allow: OPTIONS,GET,PUT,DELETE\r\n"),
        (b"GET /v1/kv/a#b HTTP/1.1", b"404", b"x-consul-index: "),
    ],
)
def test_a_request_is_taken_as_it_was_sent(
    served: Served, line: bytes, status: bytes, part: bytes
) -> None:
    answer = raw(served, line + b"\r\nHost: a b\r\nConnection: close\r\n\r\n")

    assert answer.split()[1] == status
    assert part in answer


def test_a_body_may_come_in_chunks_and_an_answer_packed(served: Served) -> None:
    with httpx.Client(base_url=served.url) as http:
        http.put("/v1/kv/chunks", content=iter([b"ab" * 5_000, b"cd"]))
        answer = http.get("/v1/kv/chunks?raw")

    assert answer.headers["content-encoding"] == "gzip"
    assert answer.content == b"ab" * 5_000 + b"cd"


# -- py-consul -------------------------------------------------------------------------------------


# It knows asyncio only, and an older aiohttp.
on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])
older_aiohttp = pytest.mark.filterwarnings("ignore:ssl_context is deprecated")


@on_asyncio
@older_aiohttp
async def test_py_consul_keeps_keys(served: Served) -> None:
    c = aio.Consul(host=served.host, port=served.port)
    try:
        assert await c.kv.put("py/keys/a", "1") is True
        index, pair = await c.kv.get("py/keys/a")
        assert pair["Value"] == b"1"
        assert await c.kv.put("py/keys/a", "2", cas=0) is False
        assert await c.kv.put("py/keys/a", "2", cas=pair["ModifyIndex"]) is True
        later, pair = await c.kv.get("py/keys/a", index=index, wait="5s")
        assert (pair["Value"], int(later) > int(index)) == (b"2", True)
        _, keys = await c.kv.get("py/keys/", keys=True)
        assert keys == ["py/keys/a"]
        assert await c.kv.delete("py/keys/", recurse=True) is True
        assert (await c.kv.get("py/keys/a"))[1] is None
    finally:
        await c.close()


@on_asyncio
@older_aiohttp
async def test_py_consul_locks_with_sessions(served: Served) -> None:
    c = aio.Consul(host=served.host, port=served.port)
    try:
        mine = await c.session.create(name="mine", ttl=10, behavior="delete", lock_delay=0)
        yours = await c.session.create(name="yours")
        assert await c.kv.put("py/lock", "m", acquire=mine) is True
        assert await c.kv.put("py/lock", "y", acquire=yours) is False
        assert (await c.session.renew(mine))["TTL"] == "10s"
        _, one = await c.session.info(mine)
        assert one["Name"] == "mine"
        assert await c.session.destroy(mine) is True
        assert (await c.kv.get("py/lock"))[1] is None
        assert await c.kv.put("py/lock", "y", acquire=yours) is True
        assert await c.kv.put("py/lock", "y", release=yours) is True
        assert await c.session.destroy(yours) is True
    finally:
        await c.close()


@on_asyncio
@older_aiohttp
async def test_py_consul_registers_and_finds_services(served: Served) -> None:
    c = aio.Consul(host=served.host, port=served.port)
    try:
        await c.agent.service.register(
            "py-web", service_id="py-1", port=80, tags=["v1"], check=consul.Check.ttl("30s")
        )
        _, nothing = await c.health.service("py-web", passing=True)
        await c.agent.check.ttl_pass("service:py-1")
        _, (entry,) = await c.health.service("py-web", passing=True, tag="v1")
        _, services = await c.catalog.services()
        await c.agent.service.deregister("py-1")
        _, gone = await c.health.service("py-web")
    finally:
        await c.close()

    assert (nothing, gone) == ([], [])
    assert entry["Service"]["Port"] == 80
    assert services["py-web"] == ["v1"]


# -- Consul's own command line, which is in Go -----------------------------------------------------


@pytest.fixture
def go(served: Served, consul_binary: Path) -> Any:
    """Runs `consul` with these arguments; what it prints."""
    environment = {**clean_environment(), "CONSUL_HTTP_ADDR": served.url}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [consul_binary, *arguments],
            check=False,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_consuls_command_line_keeps_keys(go: Any) -> None:
    go("kv", "put", "go/a", "hello")
    go("kv", "put", "-flags=42", "go/b", "x")

    assert go("kv", "get", "go/a") == "hello\n"
    assert go("kv", "get", "-recurse", "go/") == "go/a:hello\ngo/b:x\n"
    assert [one["flags"] for one in json.loads(go("kv", "export", "go/"))] == [0, 42]
    go("kv", "delete", "-recurse", "go/")
    assert go("kv", "get", "-keys", "go/") == ""


def test_consuls_command_line_registers_and_finds_services(go: Any) -> None:
    go("services", "register", "-name=go-web", "-port=80", "-tag=v1")
    services = go("catalog", "services", "-tags")
    go("services", "deregister", "-id=go-web")

    assert services.split() == ["consul", "go-web", "v1"]
    assert go("catalog", "services") == "consul\n"
    assert "alive" in go("members")


def test_consuls_command_line_locks(go: Any, served: Served, tmp_path: Path) -> None:
    told = tmp_path / "told"
    look = f"""
import json, urllib.request
answer = urllib.request.urlopen("{served.url}/v1/kv/go-lock/.lock")
open({os.fspath(told)!r}, "w").write(json.load(answer)[0]["Session"])
"""
    script = tmp_path / "look.py"
    script.write_text(look)

    go("lock", "go-lock", f"{sys.executable} {script}")

    assert re.fullmatch(r"[0-9a-f-]{36}", told.read_text())
    assert go("kv", "get", "-keys", "go-lock/") == ""
