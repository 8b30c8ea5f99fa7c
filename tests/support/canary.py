"""
One token for the whole test run, and a lookout for it.

A test that needs a token takes `CANARY`. It may arrive in the X-Consul-Token header that reaches a
`Bottom`, and nowhere else. As a plugin this file reads along, for every test of the run: all log
records of all loggers from DEBUG on, warnings, what is printed, and the long texts of failures. A
test that lets the token out fails, also when it has passed in all else. The summary of the run says
how much was read, in all of its processes: a lookout that sees nothing finds nothing.
"""

from __future__ import annotations

import base64
import logging
import os
import secrets
import string
from collections import Counter
from collections.abc import Generator
from typing import Any, Final
from warnings import WarningMessage

import httpx
import pytest
from pydantic import SecretStr

__all__ = ["CANARY", "Bottom", "leaks"]

# Shared with the workers of a distributed run, which inherit the environment.
_VARIABLE: Final = "TEST_RUN_CANARY"

# Letters of both cases, where a UUID would have hexadecimal digits: eight of those are soon met by
# chance, in a run that is full of UUIDs.
_LETTERS: Final = string.ascii_letters + string.digits

CANARY: Final = SecretStr(
    os.environ.setdefault(_VARIABLE, "".join(secrets.choice(_LETTERS) for _ in range(36)))
)
"""The token of this run. A SecretStr, since the locals of a failing test are shown."""

_LONG: Final = 8
"""So many characters of the token are no coincidence."""


def _spellings(token: str) -> list[str]:
    """The token as it is, and as base64 has it, whatever stands before it."""
    shifted = [base64.b64encode(token[at:].encode("ascii")).decode("ascii") for at in range(3)]
    return [token, *(encoded[: len(token)] for encoded in shifted)]


def _pieces(length: int, step: int) -> frozenset[str]:
    return frozenset(
        text[at : at + length]
        for text in _spellings(CANARY.get_secret_value())
        for at in range(0, len(text) - length + 1, step)
    )


_PIECES: Final = _pieces(_LONG, 1)

# Every eight characters have one of these in them: a quarter of the work for most texts.
_HINTS: Final = _pieces(_LONG // 2, _LONG // 2)


def leaks(text: str) -> bool:
    """Whether a text holds the token, plain or as base64, or a long piece of it."""
    for hint in _HINTS:
        if hint in text:
            return any(piece in text for piece in _PIECES)
    return False


class Bottom(httpx.AsyncBaseTransport):
    """
    Instead of sockets: keeps what reached it, and answers as told.

    Answers and errors come in their order, the last one for ever; without any it is an empty list.
    """

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.requests: list[httpx.Request] = []
        self.closed = 0
        self._answers = answers or (httpx.Response(200, json=[]),)

    @property
    def last(self) -> httpx.Request:
        return self.requests[-1]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        answer = self._answers[min(len(self.requests), len(self._answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        # A fresh one each time: the layers write on what they are given.
        return httpx.Response(
            answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content)
        )

    async def aclose(self) -> None:
        self.closed += 1


# -- the lookout -----------------------------------------------------------------------------------


class _Lookout(logging.Handler):
    """Where the token was seen, in words that do not hold it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(message)s"))
        self.read: Counter[str] = Counter()
        """How many texts of each kind."""
        self._seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.read["log records"] += 1
        # The fields count as well: a handler of somebody's may write them all.
        if leaks(f"{self.format(record)} {vars(record)!r}"):
            self.saw(f"a record of the logger {record.name!r}")

    def saw(self, where: str) -> None:
        self._seen.append(where)

    def report(self) -> str:
        """What was seen since the last time, and forget it."""
        seen, self._seen = sorted(set(self._seen)), []
        return f"the canary token was seen in {', '.join(seen)}" if seen else ""


_LOOKOUT: Final = _Lookout()

_KINDS: Final = ("log records", "outputs", "failures", "warnings")

_WARNED: Final[list[str]] = []


def _read_along(report: pytest.TestReport) -> None:
    """Make a report a failure where the token was seen in it, or in anything since the last."""
    for title, text in report.sections:
        # Each report of a test repeats what those before it had.
        if title.endswith(f" {report.when}"):
            _LOOKOUT.read["outputs"] += 1
            if leaks(text):
                _LOOKOUT.saw(title)
    if report.longrepr is not None:
        _LOOKOUT.read["failures"] += 1
        if leaks(report.longreprtext):
            _LOOKOUT.saw("the long text of the failure")
    seen = _LOOKOUT.report()
    if seen and report.outcome == "failed":
        report.sections.append(("canary", seen))
    elif seen:
        report.outcome, report.longrepr = "failed", seen


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # Every logger makes its records from DEBUG on, for us; caplog goes on seeing from WARNING.
    config.option.log_level = config.option.log_level or "WARNING"
    logging.getLogger().setLevel(logging.DEBUG)
    logging.getLogger().addHandler(_LOOKOUT)


def pytest_unconfigure() -> None:
    logging.getLogger().removeHandler(_LOOKOUT)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _read_along(report)
    return report


def pytest_warning_recorded(warning_message: WarningMessage, nodeid: str) -> None:
    _LOOKOUT.read["warnings"] += 1
    # They are recorded after the last report of their test, so they fail the run as a whole.
    if leaks(str(warning_message.message)):
        _WARNED.append(nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if _WARNED:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    # Where this is a worker of a distributed run. Of warnings its head hears by itself.
    told = getattr(session.config, "workeroutput", {})
    told["canary"] = {kind: n for kind, n in _LOOKOUT.read.items() if kind != "warnings"}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _LOOKOUT.read.update(getattr(node, "workeroutput", {}).get("canary", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    read = ", ".join(f"{kind}: {_LOOKOUT.read[kind]}" for kind in _KINDS)
    terminalreporter.write_line(f"the canary token was looked for in {read}")
    for nodeid in _WARNED:
        terminalreporter.write_line(f"the canary token was seen in a warning of {nodeid}", red=True)
