"""The fixtures, as somebody has them who has installed the package and nothing else of ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.agents import clean_environment

ROOT = Path(__file__).parents[2]
PLUGIN = "_consul_onex_pytest"


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project that sees the package as pip would install it, and asyncio alone."""
    entry = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    installed = pytester.mkdir("site") / "consul_onex_here-0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: consul-onex-here\nVersion: 0")
    [(name, module)] = entry["pytest11"].items()
    (installed / "entry_points.txt").write_text(f"[pytest11]\n{name} = {module}\n")
    for variable in set(os.environ) - set(clean_environment()):
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PYTHONPATH", f"{installed.parent}:{ROOT}")
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture
        def anyio_backend():
            return "asyncio"
        """
    )
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest_subprocess("-p", "no:randomly", "-p", "no:cacheprovider", *arguments)


def test_pytest_starts_without_what_the_package_needs() -> None:
    heavy = ("httpx", "pydantic", "anyio", "consul_onex")
    said = f"import sys, {PLUGIN}; print([name for name in {heavy} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", said], cwd=ROOT, capture_output=True, check=True)

    assert done.stdout == b"[]\n"


def test_a_project_has_an_agent_and_a_client_of_it(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        async def test_a_client_begins_with_nothing(consul_client):
            assert await consul_client.kv.list("") == []
            await consul_client.kv.put("colour", "red")

        async def test_the_next_one_as_well(consul_client):
            assert await consul_client.kv.list("") == []

        async def test_it_is_a_client_of_the_agent(consul_client, consul_agent):
            consul_agent.seed({"kv": {"colour": "red"}})
            assert (await consul_client.kv.get("colour")).text() == "red"
            assert [request.method for request in consul_agent.requests] == ["GET"]

        def test_without_an_event_loop_there_is_an_agent_too(consul_agent, consul_kind):
            assert (repr(consul_agent), consul_kind) == ("<FakeAgent dev in dc1>", "fake")
        """
    )

    run(project).assert_outcomes(passed=4)


def test_an_agent_of_the_projects_own_takes_the_place(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest
        from consul_onex.testing import Clock, FakeAgent

        @pytest.fixture
        def consul_agent():
            agent = FakeAgent(clock=Clock())
            agent.seed({"kv": {"colour": "red"}})
            return agent

        async def test_seeded(consul_client):
            assert (await consul_client.kv.get("colour")).text() == "red"
        """
    )

    run(project).assert_outcomes(passed=1)


def test_on_both_backends_where_both_are(project: pytest.Pytester) -> None:
    project.path.joinpath("conftest.py").unlink()
    project.makepyfile(
        """
        async def test_it(consul_client):
            assert await consul_client.status.leader() == "127.0.0.1:8300"
        """
    )

    result = run(project, "-v")

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*test_it?asyncio? PASSED*", "*test_it?trio? PASSED*"])


REAL = """
    async def test_a_client_leaves_much(consul_client, consul_kind):
        assert await consul_client.kv.list("") == []
        assert await consul_client.session.list() == []
        assert await consul_client.agent.services() == {}
        assert await consul_client.agent.checks() == {}
        assert len(await consul_client.catalog.nodes()) == 1
        await consul_client.request("PUT", "/v1/agent/service/register", json={"Name": "web"})
        check = {"Name": "alive", "TTL": "10s"}
        await consul_client.request("PUT", "/v1/agent/check/register", json=check)
        node = {"Node": "other", "Address": "10.0.0.1"}
        await consul_client.request("PUT", "/v1/catalog/register", json=node)
        await consul_client.kv.acquire("lock", await consul_client.session.create())

    test_the_next_one_begins_with_nothing = test_a_client_leaves_much

    async def test_it_is_the_fake_one(consul_client, consul_agent, consul_kind):
        assert consul_kind == "fake"

    async def test_it_is_the_real_one(consul_client, consul_server, consul_kind):
        await consul_client.kv.put("colour", "red")
        assert (consul_kind, consul_server[:17]) == ("real", "http://127.0.0.1:")
    """


@pytest.mark.parametrize(("chosen", "passed"), [("fake", 4), ("real", 4), ("both", 6)])
def test_the_option_says_which_agent(
    project: pytest.Pytester,
    consul_binary: Path,
    monkeypatch: pytest.MonkeyPatch,
    chosen: str,
    passed: int,
) -> None:
    monkeypatch.setenv("CONSUL_BIN", str(consul_binary))
    project.makepyfile(REAL)

    run(project, f"--consul={chosen}").assert_outcomes(passed=passed)


def test_without_a_consul_a_real_one_is_skipped(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(project.path))
    project.makepyfile(REAL)

    result = run(project, "-rs")

    result.assert_outcomes(passed=3, skipped=1)
    result.stdout.fnmatch_lines(["*there is no consul here: install one, or set CONSUL_BIN*"])


def test_without_a_consul_a_real_one_that_was_asked_for_fails(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(project.path))
    project.makepyfile(REAL)

    result = run(project, "--consul=both")

    result.assert_outcomes(passed=3, errors=3)
    result.stdout.fnmatch_lines(["there is no consul here: install one, or set CONSUL_BIN*"])


def test_a_consul_that_does_not_start_says_why(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = project.path / "consul"
    binary.write_text("#!/bin/sh\necho no room\nexit 1\n")
    binary.chmod(0o755)
    monkeypatch.setenv("CONSUL_BIN", str(binary))
    project.makepyfile(REAL)

    result = run(project, "--consul=real", "-k", "real_one")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*AgentError: * agent -dev does not start. Its log ends with:*"])
    result.stdout.fnmatch_lines(["*no room"])


@pytest.mark.parametrize("kind", ["fake", "both"])
def test_the_examples_of_the_page_run(
    project: pytest.Pytester, consul_binary: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("CONSUL_BIN", str(consul_binary))
    page = (ROOT / "docs" / "testing.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    examples = [block for block in blocks if "consul_client: ConsulClient" in block]
    for n, example in enumerate(examples):
        (project.path / f"test_example_{n}.py").write_text(example, "utf-8")

    # One is for either agent, the others say which.
    run(project, f"--consul={kind}").assert_outcomes(passed=5 if kind == "both" else 4)
