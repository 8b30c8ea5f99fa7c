"""Fixtures for tests against a real Consul; nothing starts before a test asks for it.

Without a consul such tests are skipped, with CONSUL_REQUIRED=1 they fail: where they must run, in
CI, a skip would look like a success. Nothing is fetched here; `make consul` does that.

What lives for the session is shared: write under names of your own, and leave it as it was.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import agents
from tests.support.agents import Agent, Cluster, Datacenters, Guarded
from tests.support.consul_binary import HOW_TO_GET_ONE, ConsulBinaryError, find


@pytest.fixture(scope="session")
def consul_binary() -> Path:
    """The consul to start; the test is skipped or fails where there is none."""
    try:
        binary = find()
    except ConsulBinaryError as error:
        pytest.fail(str(error), pytrace=False)
    if binary is not None:
        return binary
    reason = f"No consul here: run `make consul`. {HOW_TO_GET_ONE}"
    if os.environ.get("CONSUL_REQUIRED") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def agent(consul_binary: Path) -> Iterator[Agent]:
    """A plain `-dev` agent, shared; on a Unix socket as well."""
    with agents.dev_agent(binary=consul_binary) as started:
        yield started


@pytest.fixture(scope="session")
def acl_agent(consul_binary: Path) -> Iterator[Agent]:
    """An agent that denies by default, shared; `token` may do everything."""
    with agents.acl_agent(binary=consul_binary) as started:
        yield started


@pytest.fixture(scope="session")
def tls_agent(consul_binary: Path) -> Iterator[Agent]:
    """An agent with HTTPS only that asks for a client certificate, shared; `tls` has the files."""
    with agents.tls_agent(binary=consul_binary) as started:
        yield started


@pytest.fixture(scope="session")
def datacenters(consul_binary: Path) -> Iterator[Datacenters]:
    """dc1 and dc2, joined over the WAN, shared."""
    with agents.two_datacenters(binary=consul_binary) as started:
        yield started


@pytest.fixture
def fresh_agent(consul_binary: Path) -> Iterator[Agent]:
    """A server of the test's own, to be killed and restarted; it keeps its data on disk."""
    with agents.single_agent(binary=consul_binary) as started:
        yield started


@pytest.fixture
def cluster(consul_binary: Path) -> Iterator[Cluster]:
    """Three servers and a client agent of the test's own, to be killed and paused."""
    with agents.cluster(servers=3, clients=1, binary=consul_binary) as started:
        yield started


@pytest.fixture
def guarded(consul_binary: Path) -> Iterator[Guarded]:
    """Two datacenters with ACLs and a client agent, of the test's own."""
    with agents.guarded_datacenters(binary=consul_binary) as started:
        yield started
