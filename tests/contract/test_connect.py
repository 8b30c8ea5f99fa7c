"""The certificate authority of the mesh, as a real agent answers."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from consul_onex import BadRequestError, ConsulClient, Cursor, PermissionDeniedError
from consul_onex.models.connect import CAConfiguration
from tests.contract.conftest import Recorder
from tests.support import agents
from tests.support.agents import Agent
from tests.support.lossless import lost

ROOTS = "/v1/connect/ca/roots"
CONFIGURATION = "/v1/connect/ca/configuration"


@pytest.fixture(scope="module")
def mesh(consul_binary: Path) -> Iterator[Agent]:
    """An agent whose certificate authority may be changed."""
    with agents.dev_agent(binary=consul_binary) as started:
        yield started


@pytest.fixture
async def own(mesh: Agent) -> AsyncIterator[ConsulClient]:
    """A client of it, which leaves it configured as it was."""
    async with ConsulClient(mesh.url) as client:
        before = await client.connect.ca.configuration()
        yield client
        await client.connect.ca.configure(before)


@pytest.fixture
def key(mesh: Agent, tmp_path: Path) -> str:
    """A private key that nobody has used yet."""
    subprocess.run(
        [mesh.binary, "tls", "ca", "create"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL
    )
    return (tmp_path / "consul-agent-ca-key.pem").read_text()


async def test_the_active_root_is_among_the_roots(c: ConsulClient) -> None:
    roots = await c.connect.ca.roots()

    [active] = [root for root in roots.roots if root.active]
    assert active.id == roots.active_root_id
    assert roots.trust_domain.endswith(".consul")
    assert active.root_cert.startswith("-----BEGIN CERTIFICATE-----\n")
    assert active.not_before is not None
    assert active.not_after is not None
    assert active.not_before < active.not_after
    assert (active.private_key_type, active.private_key_bits) == ("ec", 256)


async def test_nothing_that_consul_says_is_lost(c: ConsulClient) -> None:
    assert lost((await c.request("GET", ROOTS)).json(), await c.connect.ca.roots()) == []
    assert (
        lost((await c.request("GET", CONFIGURATION)).json(), await c.connect.ca.configuration())
        == []
    )


async def test_the_roots_come_as_pem_too(c: ConsulClient) -> None:
    roots = await c.connect.ca.roots()

    assert await c.connect.ca.roots_pem() == "".join(root.root_cert for root in roots.roots)


async def test_the_roots_can_be_waited_on(own: ConsulClient, key: str) -> None:
    cursor = Cursor()
    before = await own.connect.ca.roots(cursor=cursor)
    assert cursor.index is not None

    await _sign_with(own, key)
    after = await own.connect.ca.roots(cursor=cursor)

    assert after.active_root_id != before.active_root_id


async def test_another_key_makes_another_root_beside_the_old_one(
    own: ConsulClient, key: str
) -> None:
    before = await own.connect.ca.roots()

    await _sign_with(own, key)
    after = await own.connect.ca.roots()

    assert {root.id for root in before.roots} < {root.id for root in after.roots}
    [active] = [root for root in after.roots if root.active]
    assert active.id == after.active_root_id != before.active_root_id
    # Signed by the old one too, for those who trust only that.
    assert len(active.intermediate_certs) == 1
    whole = "".join(cert for r in after.roots for cert in (r.root_cert, *r.intermediate_certs))
    assert await own.connect.ca.roots_pem() == whole
    assert lost((await own.request("GET", ROOTS)).json(), after) == []


async def test_a_key_that_consul_gives_back_is_not_shown(own: ConsulClient, key: str) -> None:
    await _sign_with(own, key)

    configuration = await own.connect.ca.configuration()

    assert configuration.config["PrivateKey"] == key
    assert "PRIVATE KEY" not in f"{configuration} {configuration!r}"


async def test_what_was_read_can_be_changed_and_written_back(own: ConsulClient) -> None:
    before = await own.connect.ca.configuration()
    assert before.provider == "consul"

    await own.connect.ca.configure(before)
    assert await own.connect.ca.configuration() == before

    changed = before.config | {"LeafCertTTL": "24h"}
    await own.connect.ca.configure(before.replace(config=changed))
    after = await own.connect.ca.configuration()
    assert after.config == changed
    assert after.modify_index > before.modify_index


async def test_a_configuration_without_a_config_has_an_empty_one(own: ConsulClient) -> None:
    await own.connect.ca.configure(CAConfiguration(provider="consul"))

    said = (await own.request("GET", CONFIGURATION)).json()
    assert said["Config"] is None
    assert (await own.connect.ca.configuration()).config == {}


@pytest.mark.parametrize(
    ("provider", "config", "why"),
    [
        ("nobody", {}, "unknown CA provider"),
        ("consul", {"LeafCertTTL": "1m"}, "leaf cert TTL must be"),
        ("consul", {"LeafCertTTL": "soon"}, "invalid duration"),
        ("consul", {"IntermediateCertTTL": "1h"}, "Intermediate Cert TTL must be"),
        ("consul", {"PrivateKeyType": "rsa", "PrivateKeyBits": 3}, "RSA key length must be"),
        ("consul", {"RootCert": "x"}, "must provide a private key"),
        ("vault", {"Address": "http://127.0.0.1:1", "Token": "x"}, "error configuring provider"),
    ],
)
async def test_what_consul_does_not_take_is_a_bad_request_and_changes_nothing(
    own: ConsulClient, provider: str, config: dict[str, Any], why: str
) -> None:
    before = await own.connect.ca.configuration()
    configuration = CAConfiguration(provider=provider, config=before.config | config)

    with pytest.raises(BadRequestError, match=why):
        await own.connect.ca.configure(configuration)

    assert await own.connect.ca.configuration() == before


@pytest.mark.parametrize(
    "key", ["s3cret", 's3"cret\\', "-----BEGIN PRIVATE KEY-----\ns3cret\n" * 50], ids=repr
)
async def test_a_key_that_consul_cannot_read_and_quotes_is_not_in_the_error(
    own: ConsulClient, key: str
) -> None:
    before = await own.connect.ca.configuration()
    configuration = before.replace(config=before.config | {"PrivateKey": key})
    answer = await own.request("GET", CONFIGURATION)
    assert "PrivateKey" not in answer.json()["Config"]

    with pytest.raises(BadRequestError, match="error parsing private key") as caught:
        await own.connect.ca.configure(configuration)

    assert "s3" not in f"{caught.value} {caught.value!r} {caught.value.detail}"
    assert caught.value.__cause__ is caught.value.__context__ is None


async def test_a_configuration_needs_a_token_that_may(acl_agent: Agent) -> None:
    async with ConsulClient(acl_agent.url, token=acl_agent.token) as c:
        configuration = await c.connect.ca.configuration()
    async with ConsulClient(acl_agent.url) as nobody:
        with pytest.raises(PermissionDeniedError):
            await nobody.connect.ca.configuration()
        with pytest.raises(PermissionDeniedError):
            await nobody.connect.ca.configure(configuration)
        assert (await nobody.connect.ca.roots()).roots != []


async def test_where_the_mesh_is_off_everything_is_a_bad_request(fresh_agent: Agent) -> None:
    async with ConsulClient(fresh_agent.url) as c:
        for call in (
            c.connect.ca.roots(),
            c.connect.ca.roots_pem(),
            c.connect.ca.configuration(),
            c.connect.ca.configure(CAConfiguration(provider="consul")),
        ):
            with pytest.raises(BadRequestError, match="Connect must be enabled"):
                await call


async def test_reads_are_asked_as_the_view_says(observed: ConsulClient, recorder: Recorder) -> None:
    stale = observed.using(consistency="stale", datacenter="dc1")

    await stale.connect.ca.roots()
    await stale.connect.ca.configuration()

    assert [request.url.query for request in recorder.requests] == [b"dc=dc1&stale="] * 2


async def _sign_with(c: ConsulClient, key: str) -> None:
    now = await c.connect.ca.configuration()
    await c.connect.ca.configure(now.replace(config=now.config | {"PrivateKey": key}))
