"""A test that leaves a socket open fails."""

from __future__ import annotations

import pytest

TESTS = """
import socket
import pytest

kept = []

@pytest.fixture(scope="session")
def shared():
    with socket.socket() as one:
        yield one

@pytest.fixture
def own():
    with socket.socket() as one:
        yield one

def test_kept():
    kept.append(socket.socket())

def test_closed(own):
    with socket.socket():
        pass

def test_shared(shared):
    pass
"""


def test_a_test_that_leaves_a_socket_open_fails_and_no_other(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)

    ended = pytester.runpytest_subprocess(
        "-p", "tests.support.leftovers", "-W", "ignore::ResourceWarning"
    )

    ended.assert_outcomes(passed=3, errors=1)
    ended.stdout.fnmatch_lines(["ERROR *::test_kept*"])
