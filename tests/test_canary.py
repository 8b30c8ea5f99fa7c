"""A token goes into one header of one request, and nowhere else, however a call ends."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import subprocess
import sys
import textwrap
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import anyio
import httpx
import pytest
from pydantic import SecretStr

from consul_onex import ConfigurationError, ConsulClient, ConsulError, ConsulSettings
from consul_onex.transport import (
    Authorize,
    Breaker,
    Connections,
    Datacenters,
    Deadline,
    Events,
    Layer,
    Limit,
    Retry,
)
from tests.support.canary import CANARY, leaks
from tests.support.fault_server import (
    HANG,
    RESET,
    Answer,
    FaultServer,
    Then,
    fault_server,
    raw,
    reply,
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("CONSUL"):
            monkeypatch.delenv(name)


# -- the lookout itself ----------------------------------------------------------------------------


@pytest.mark.parametrize("start", range(36 - 8 + 1))
def test_any_eight_characters_of_the_token_are_a_leak(start: int) -> None:
    piece = SecretStr(CANARY.get_secret_value()[start : start + 8])

    assert leaks(f"...{piece.get_secret_value()}...")
    assert not leaks(f"...{piece.get_secret_value()[:7]}...")


@pytest.mark.parametrize("user", ["", "a:", "an:", "ann:"])
def test_the_token_as_base64_is_a_leak(user: str) -> None:
    assert leaks(b64encode(f"{user}{CANARY.get_secret_value()}".encode()).decode())
    assert not leaks(repr(CANARY))


LEAKS: dict[str, str] = {
    "log": "logging.getLogger('httpcore.some').debug('sent %s', token())",
    "log_field": "logging.getLogger('some').debug('sent', extra={'request': token()})",
    "log_error": (
        "try:\n    int(token())\nexcept ValueError:\n    logging.getLogger('some').exception('no')"
    ),
    "stdout": "print(token())",
    "stderr": "print(token(), file=sys.stderr)",
    "failure": "assert {'token': token()} == {}",
    "local": "said = token()\nassert False",
}


def run(folder: Path, bodies: dict[str, str], *more: str) -> subprocess.CompletedProcess[str]:
    """A run of pytest over tests of these bodies, with the lookout."""
    source = "import logging, sys, warnings\nfrom tests.support.canary import CANARY\n"
    source += "token = CANARY.get_secret_value\n"
    for name, body in bodies.items():
        source += f"\ndef test_{name}():\n{textwrap.indent(body, '    ')}\n"
    (folder / "test_it.py").write_text(source)
    options = ["-p", "tests.support.canary", "-c", os.devnull, "-p", "no:cacheprovider", "-rA"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "--showlocals", *options, *more, str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )


def test_a_test_that_lets_the_token_out_fails_and_no_other(tmp_path: Path) -> None:
    ended = run(tmp_path, {**LEAKS, "none": "print(CANARY)", "other": "assert 1 == 2"})

    failed = {line.split("::test_")[1] for line in ended.stdout.splitlines() if "FAILED" in line}
    assert {name.split()[0] for name in failed} == {*LEAKS, "other"}
    # The summary repeats them where pytest sees that it runs in CI.
    told = ended.stdout.partition("short test summary info")[0]
    assert told.count("the canary token was seen in ") == len(LEAKS)
    assert f" {len(LEAKS) + 1} failed, 1 passed in " in ended.stdout


@pytest.mark.parametrize("processes", [[], ["-n", "2"]], ids=["one", "two"])
def test_a_run_says_in_how_much_the_token_was_looked_for(
    tmp_path: Path, processes: list[str]
) -> None:
    log = "logging.getLogger('some').debug('sent')"
    ended = run(
        tmp_path,
        {
            "one": log,
            "two": f"{log}\n{log}",
            "three": "print(CANARY)\nassert 1 == 2",
            "four": "warnings.warn('', stacklevel=1)",
        },
        *processes,
    )

    told = "log records: 3, outputs: 1, failures: 1, warnings: 1"
    assert f"the canary token was looked for in {told}\n" in ended.stdout


@pytest.mark.parametrize("processes", [[], ["-n", "2"]], ids=["one", "two"])
def test_a_token_that_is_let_out_fails_a_run_in_any_process(
    tmp_path: Path, processes: list[str]
) -> None:
    ended = run(tmp_path, {"log": LEAKS["log"], "none": "print(CANARY)"}, *processes)

    assert "the canary token was seen in a record of the logger 'httpcore.some'" in ended.stdout
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("processes", [[], ["-n", "2"]], ids=["one", "two"])
def test_a_warning_that_holds_the_token_fails_the_run(tmp_path: Path, processes: list[str]) -> None:
    ended = run(tmp_path, {"warning": "warnings.warn(token()[:20], stacklevel=1)"}, *processes)

    assert "the canary token was seen in a warning of " in ended.stdout
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED


# -- how a token is configured ---------------------------------------------------------------------


@dataclass
class Settled:
    """What a form of configuration has to work with."""

    secret: SecretStr
    folder: Path
    setenv: Callable[[str, str], None]

    def file(self) -> Path:
        path = self.folder / "token"
        path.write_text(self.secret.get_secret_value())
        return path


Form = Callable[[Settled, dict[str, Any]], tuple[ConsulClient, ConsulClient]]


def both(c: ConsulClient) -> tuple[ConsulClient, ConsulClient]:
    return c, c


def argument(s: Settled, rest: dict[str, Any]) -> tuple[ConsulClient, ConsulClient]:
    return both(ConsulClient(token=s.secret.get_secret_value(), **rest))


def secret_argument(s: Settled, rest: dict[str, Any]) -> tuple[ConsulClient, ConsulClient]:
    return both(ConsulClient(token=s.secret, **rest))


def source(s: Settled, rest: dict[str, Any]) -> tuple[ConsulClient, ConsulClient]:
    return both(ConsulClient(token=lambda: s.secret, **rest))


def file(s: Settled, rest: dict[str, Any]) -> tuple[ConsulClient, ConsulClient]:
    return both(ConsulClient(token_file=str(s.file()), **rest))


def settings(s: Settled, rest: dict[str, Any]) -> tuple[ConsulClient, ConsulClient]:
    given = ConsulSettings(token=s.secret.get_secret_value())
    return both(ConsulClient(settings=given, **rest))


def override(s: Settled, rest: dict[str, Any]) -> tuple[ConsulClient, ConsulClient]:
    return both(ConsulClient.from_env(token=s.secret.get_secret_value(), **rest))


def variable(s: Settled, rest: dict[str, Any]) -> tuple[ConsulClient, ConsulClient]:
    s.setenv("CONSUL_HTTP_TOKEN", s.secret.get_secret_value())
    return both(ConsulClient.from_env(**rest))


def seeds_variable(s: Settled, rest: dict[str, Any]) -> tuple[ConsulClient, ConsulClient]:
    s.setenv("CONSUL_TOKEN", s.secret.get_secret_value())
    return both(ConsulClient.from_env(**rest))


def file_variable(s: Settled, rest: dict[str, Any]) -> tuple[ConsulClient, ConsulClient]:
    s.setenv("CONSUL_HTTP_TOKEN_FILE", str(s.file()))
    return both(ConsulClient.from_env(**rest))


def view(s: Settled, rest: dict[str, Any]) -> tuple[ConsulClient, ConsulClient]:
    client = ConsulClient(**rest)
    return client, client.using(token=s.secret.get_secret_value())


def source_of_a_view(s: Settled, rest: dict[str, Any]) -> tuple[ConsulClient, ConsulClient]:
    client = ConsulClient(token="another", **rest)
    return client, client.using(token=lambda: s.secret)


def basic(s: Settled, rest: dict[str, Any]) -> tuple[ConsulClient, ConsulClient]:
    return both(ConsulClient(auth=f"ann:{s.secret.get_secret_value()}", **rest))


def basic_variable(s: Settled, rest: dict[str, Any]) -> tuple[ConsulClient, ConsulClient]:
    s.setenv("CONSUL_HTTP_AUTH", f"ann:{s.secret.get_secret_value()}")
    return both(ConsulClient.from_env(**rest))


TOKENS: list[Form] = [
    *(argument, secret_argument, source, file, settings, override),
    *(variable, seeds_variable, file_variable, view, source_of_a_view),
]
BASIC: list[Form] = [basic, basic_variable]


# -- where it may not be ---------------------------------------------------------------------------


class Spy(httpx.AsyncBaseTransport):
    """A layer that keeps what the layers above Authorize get to see."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._inner: httpx.AsyncBaseTransport | None = None

    def wrap(self, inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        self._inner = inner
        return self

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert self._inner is not None
        self.requests.append(request)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        assert self._inner is not None
        await self._inner.aclose()


@dataclass
class Seen:
    """All that a call leaves behind."""

    spy: Spy
    events: list[object]
    log: pytest.LogCaptureFixture
    attempts: int = 2

    @property
    def layers(self) -> list[Layer]:
        outer: list[Layer] = [
            Deadline(),
            Events(self.events.append),
            Retry(attempts=self.attempts, initial=0),
        ]
        return [*outer, Datacenters(), Breaker(), Limit(), self.spy]


@pytest.fixture
def seen(caplog: pytest.LogCaptureFixture) -> Iterator[Seen]:
    with caplog.at_level(logging.DEBUG):
        yield Seen(Spy(), [], caplog)


def fields(thing: object) -> dict[str, object]:
    names = [name for kind in type(thing).__mro__ for name in kind.__dict__.get("__slots__", ())]
    slots = {name: getattr(thing, name) for name in names if hasattr(thing, name)}
    return {**getattr(thing, "__dict__", {}), **slots}


def texts(thing: object, seen: set[int] | None = None) -> Iterator[str]:
    """Every text to be had of a thing by looking at it, and at all that it is made of."""
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return
    seen.add(id(thing))
    yield f"{thing!r} {thing}"
    if isinstance(thing, dict):
        parts: list[object] = [*thing.keys(), *thing.values()]
    elif isinstance(thing, (list, tuple, set, frozenset)):
        parts = list(thing)
    elif isinstance(thing, httpx.Request):
        parts = [str(thing.url), thing.headers.raw, thing.extensions]
    elif type(thing).__module__.startswith("consul_onex"):
        parts = list(fields(thing).values())
    else:
        parts = []
    for part in parts:
        yield from texts(part, seen)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def told_by(error: BaseException) -> Iterator[str]:
    """Every text to be had of an error, as a log or a service for errors would take it."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    yield "".join(told.format())
    for one in chain(error):
        yield f"{one!r} {one} {one.args!r} {vars(one)!r} {getattr(one, 'object', '')!r}"
        yield from texts(vars(one))
        if isinstance(one, ConsulError):
            yield pickle.dumps(one).decode("latin-1")
            yield repr(vars(copy.deepcopy(one)))


def told_by_all(seen: Seen, *clients: ConsulClient) -> Iterator[str]:
    for client in clients:
        yield from texts(client)
        yield repr(client.statistics())
    yield from texts(seen.spy.requests)
    yield from texts(seen.events)
    for record in seen.log.records:
        yield f"{record.getMessage()} {vars(record)!r}"


def assert_secret(told: Iterator[str]) -> None:
    """None of the texts holds the token. The failure does not show the text: it would."""
    leaking = [number for number, text in enumerate(told) if leaks(text)]
    assert leaking == []


def assert_in_its_header_only(server: FaultServer, form: Form) -> None:
    name = "authorization" if form in BASIC else "x-consul-token"
    for request in server.requests:
        shown = request.headers[name]
        if form in BASIC:
            expected = b64encode(b"ann:" + CANARY.get_secret_value().encode()).decode()
            assert SecretStr(shown) == SecretStr(f"Basic {expected}")
        else:
            assert SecretStr(shown) == CANARY
        others = {other: text for other, text in request.headers.items() if other != name}
        assert not leaks(f"{request.method} {request.target} {others} {request.body!r}")


# -- how a call ends -------------------------------------------------------------------------------

ENDS: dict[str, Answer] = {
    "forbidden": reply(403, b"Permission denied"),
    "failed": reply(500, b"rpc error making call: EOF"),
    "no_leader": reply(500, b"No cluster leader"),
    "reset": RESET,
    "closed": raw(b""),
    "cut": reply(200, b"true", cut=2),
    "silent": HANG,
    "drip": reply(200, b"true", {"Content-Length": "5"}, then=Then.HANG),
    "no_http": raw(b"NOT HTTP AT ALL\r\n\r\n"),
    "no_json": reply(200, b"<html>"),
    "other_json": reply(200, b'{"a": 1}'),
    "not_packed": reply(200, b"true", {"Content-Encoding": "gzip"}),
    "same_host": reply(301, b"", {"Location": "/v1/kv/other"}),
}

FORMS = pytest.mark.parametrize("form", [*TOKENS, *BASIC], ids=lambda form: form.__name__)


@pytest.fixture
def settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settled:
    return Settled(CANARY, tmp_path, monkeypatch.setenv)


@FORMS
async def test_a_call_that_is_answered_keeps_its_token_to_itself(
    form: Form, settled: Settled, seen: Seen
) -> None:
    async with fault_server([reply(200, b"true")]) as server:
        client, user = form(settled, {"address": server.url, "layers": seen.layers})
        async with client:
            assert await user.kv.put("config/web", b"value")

            assert_secret(told_by_all(seen, client, user))

    assert len(server.requests) == 1
    assert_in_its_header_only(server, form)


@FORMS
@pytest.mark.parametrize("end", ENDS)
async def test_a_call_that_fails_keeps_its_token_to_itself(
    form: Form, end: str, settled: Settled, seen: Seen
) -> None:
    hangs = ENDS[end].then is Then.HANG
    seen.attempts = 1 if hangs else 2
    async with fault_server([ENDS[end]]) as server:
        seconds = 0.3 if hangs else 5
        rest = {"address": server.url, "layers": seen.layers, "attempt_timeout": seconds}
        client, user = form(settled, rest)
        async with client:
            with pytest.raises(ConsulError) as caught:
                await user.kv.put("config/web", b"value")

            assert_secret(told_by(caught.value))
            assert_secret(told_by_all(seen, client, user))

    assert server.requests
    assert_in_its_header_only(server, form)


@FORMS
async def test_a_refused_connection_keeps_the_token_to_itself(
    form: Form, settled: Settled, seen: Seen
) -> None:
    client, user = form(settled, {"address": "127.0.0.1:1", "layers": seen.layers})

    async with client:
        with pytest.raises(ConsulError) as caught:
            await user.kv.get("config/web")

    assert_secret(told_by(caught.value))
    assert_secret(told_by_all(seen, client, user))


@FORMS
async def test_a_cancelled_call_keeps_its_token_to_itself(
    form: Form, settled: Settled, seen: Seen
) -> None:
    async with fault_server([HANG]) as server:
        client, user = form(settled, {"address": server.url, "layers": seen.layers})
        async with client:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_is_cancelled, user)
                    await server.wait_requests(1)
                    scope.cancel()

            assert_secret(told_by_all(seen, client, user))

    assert_in_its_header_only(server, form)


async def _is_cancelled(user: ConsulClient) -> None:
    try:
        await user.kv.get("config/web")
    except BaseException as error:
        assert_secret(told_by(error))
        raise


@FORMS
async def test_a_closed_client_keeps_its_token_to_itself(
    form: Form, settled: Settled, seen: Seen
) -> None:
    client, user = form(settled, {"layers": seen.layers})
    await client.aclose()

    with pytest.raises(ConsulError) as caught:
        await user.kv.get("config/web")

    assert_secret(told_by(caught.value))
    assert_secret(told_by_all(seen, client, user))


@FORMS
async def test_the_token_is_not_sent_to_where_a_redirect_points(
    form: Form, settled: Settled, seen: Seen
) -> None:
    async with fault_server([reply(200, b"true")]) as other:
        moved = reply(307, b"", {"Location": f"{other.url}/v1/kv/config/web"})
        async with fault_server([moved]) as server:
            client, user = form(settled, {"address": server.url, "layers": seen.layers})
            async with client:
                with pytest.raises(ConsulError) as caught:
                    await user.kv.put("config/web", b"value")

    assert other.accepted == 0
    assert_in_its_header_only(server, form)
    assert_secret(told_by(caught.value))
    assert_secret(told_by_all(seen, client, user))


UNSENDABLE = [
    *((form, bad) for form in TOKENS for bad in ("\nX-Other: 1", " and another", "é")),
    # Base64 can say all of the above. No file holds a lone surrogate, but a variable may.
    *((form, "\udc80") for form in [*TOKENS, *BASIC] if form not in (file, file_variable)),
]


@pytest.mark.parametrize(
    ("form", "bad"), UNSENDABLE, ids=lambda it: ascii(it) if isinstance(it, str) else it.__name__
)
async def test_a_token_that_cannot_be_sent_is_refused_and_kept_secret(
    form: Form, bad: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: Seen
) -> None:
    settled = Settled(SecretStr(CANARY.get_secret_value() + bad), tmp_path, monkeypatch.setenv)

    async def use() -> None:
        _, user = form(settled, {"address": "127.0.0.1:1", "layers": seen.layers})
        await user.kv.get("config/web")

    with pytest.raises(ConfigurationError) as caught:
        await use()

    assert_secret(told_by(caught.value))


@pytest.mark.parametrize("trailing", ["\n", "\r\n", " "])
async def test_a_trailing_newline_is_refused_but_in_a_file(
    trailing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: Seen
) -> None:
    secret = SecretStr(CANARY.get_secret_value() + trailing)
    settled = Settled(secret, tmp_path, monkeypatch.setenv)

    with pytest.raises(ConfigurationError) as caught:
        argument(settled, {})

    assert_secret(told_by(caught.value))
    async with fault_server([reply(200, b"[]")]) as server:
        client, user = file(settled, {"address": server.url, "layers": seen.layers})
        async with client:
            await user.kv.list("config/")
    assert_in_its_header_only(server, file)


async def test_a_source_that_fails_keeps_its_token_to_itself(seen: Seen) -> None:
    def broken() -> SecretStr:
        # An error of the caller's own passes as it is; what it says is the caller's.
        raise LookupError(f"no token but {CANARY}")

    async with ConsulClient("127.0.0.1:1", token=broken, layers=seen.layers) as c:
        with pytest.raises(LookupError) as caught:
            await c.kv.get("config/web")

    assert_secret(told_by(caught.value))
    assert_secret(told_by_all(seen, c))


def test_settings_keep_their_secrets_to_themselves() -> None:
    token = CANARY.get_secret_value
    given = ConsulSettings(token=token(), auth=f"ann:{token()}")

    assert_secret(
        iter([repr(given), str(given), repr(given.model_dump()), given.model_dump_json()])
    )
    assert_secret(iter([json.dumps(given.model_dump(mode="json"))]))


@pytest.mark.parametrize("name", ["token", "auth", "token_file", "port", "address", "verify"])
def test_a_token_in_the_place_of_another_setting_is_kept_secret(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = CANARY.get_secret_value
    wrong: dict[str, Callable[[], object]] = {
        "token": lambda: [token()],
        "auth": lambda: {"ann": token()},
        "address": lambda: f"http://ann:{token()}@consul",
    }
    given = cast(Callable[[], Any], wrong.get(name, token))

    with pytest.raises(ConfigurationError) as caught:
        ConsulClient.from_env(**{name: given()})

    # The frames hold what was given in the wrong place; the errors do not.
    for error in chain(caught.value):
        assert_secret(iter([f"{error} {error!r} {vars(error)}"]))


def test_what_holds_a_token_is_not_pickled() -> None:
    for holder in (
        ConsulClient(token=CANARY),
        ConsulClient().using(token=CANARY),
        Authorize(CANARY),
    ):
        with pytest.raises(TypeError):
            pickle.dumps(holder)


async def test_httpx_with_our_layers_keeps_the_token_to_itself(seen: Seen) -> None:
    # What the caller's own httpx client does with a redirect is its own business; this one stays.
    layers = [*seen.layers, Authorize(CANARY)]
    transport: httpx.AsyncBaseTransport = Connections()
    for layer in reversed(layers):
        transport = layer.wrap(transport)

    async with fault_server([RESET]) as server, httpx.AsyncClient(transport=transport) as c:
        with pytest.raises(httpx.TransportError) as caught:
            await c.get(f"{server.url}/v1/kv/config/web")

        assert SecretStr(server.requests[-1].headers["x-consul-token"]) == CANARY

    assert_secret(told_by(caught.value))
