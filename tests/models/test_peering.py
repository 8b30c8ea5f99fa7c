"""Links to other clusters, as the documentation has them."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, TypeAdapter

from consul_onex import ConsulClient, DecodeError, InvalidRequestError
from consul_onex.models.peering import Peering, PeeringEstablishment, PeeringStreamStatus
from tests.support.canary import CANARY, Bottom, leaks
from tests.support.lossless import lost

PEERINGS = [
    {
        "ID": "462c45e8-018e-f19d-85eb-1fc1bcc2ef12",
        "Name": "cluster-02",
        "State": "ACTIVE",
        "Partition": "default",
        "PeerID": "e83a315c-027e-bcb1-7c0c-a46650904a05",
        "PeerServerName": "server.dc1.consul",
        "PeerServerAddresses": ["10.0.0.1:8300"],
        "StreamStatus": {
            "ImportedServices": ["db"],
            "ExportedServices": ["backend", "frontend", "web"],
            "LastHeartbeat": "2023-12-13T06:31:28.227392Z",
            "LastReceive": "2023-12-13T06:31:28.227392Z",
            "LastSend": "2023-12-05T11:02:57.528676Z",
        },
        "CreateIndex": 89,
        "ModifyIndex": 89,
        "Remote": {"Partition": "", "Datacenter": "east"},
    },
    {
        "ID": "1460ada9-26d2-f30d-3359-2968aa7dc47d",
        "Name": "cluster-03",
        "State": "INITIAL",
        "Partition": "default",
        "Meta": {"env": "production"},
        "StreamStatus": {
            "ImportedServices": None,
            "ExportedServices": ["backend", "frontend"],
            "LastHeartbeat": None,
            "LastReceive": None,
            "LastSend": None,
        },
        "CreateIndex": 109,
        "ModifyIndex": 119,
        "Remote": {
            "Partition": "",
            "Datacenter": "east",
            "Locality": {"Region": "us-east-1", "Zone": "us-east-1a"},
        },
    },
    {
        "ID": "462c45e8-018e-f19d-85eb-1fc1bcc2ef12",
        "Name": "cluster-02",
        "State": "TERMINATED",
        "PeerID": "e83a315c-027e-bcb1-7c0c-a46650904a05",
        "PeerCAPems": ["-----BEGIN CERTIFICATE-----\n"],
        "PeerServerName": "server.dc1.consul",
        "PeerServerAddresses": ["10.0.0.1:8300"],
        "DeletedAt": "2022-12-14T23:00:00Z",
        "CreateIndex": 89,
        "ModifyIndex": 89,
    },
]


def read(document: object) -> Peering:
    return TypeAdapter(Peering).validate_json(json.dumps(document))


@pytest.mark.parametrize("document", PEERINGS, ids=lambda document: document["State"])
def test_nothing_of_a_link_is_lost(document: dict[str, object]) -> None:
    assert lost(document, read(document)) == []


def test_a_link_that_says_nothing_of_its_stream_has_an_idle_one() -> None:
    peering = read(PEERINGS[2])

    assert peering.stream_status == PeeringStreamStatus()


def test_the_token_of_a_link_is_sent_and_not_shown() -> None:
    establishment = PeeringEstablishment(peer_name="east", peering_token=CANARY)

    assert not leaks(f"{establishment} {establishment!r}")
    assert leaks(establishment.body().decode())


async def test_a_generated_token_is_hidden() -> None:
    answer = httpx.Response(200, json={"PeeringToken": CANARY.get_secret_value()})
    async with ConsulClient(transport=Bottom(answer)) as c:
        token = await c.peering.generate_token("east")

    assert isinstance(token, SecretStr)
    assert not leaks(f"{token} {token!r}")
    assert token == CANARY


@pytest.mark.parametrize(
    "body",
    [{}, {"PeeringToken": None}, {"PeeringToken": ["s3cret"]}, ["s3cret"], "s3cret"],
    ids=str,
)
async def test_an_answer_without_a_token_is_damaged_and_not_quoted(body: object) -> None:
    async with ConsulClient(transport=Bottom(httpx.Response(200, json=body))) as c:
        with pytest.raises(DecodeError, match=r"^peering\.generate_token: ") as caught:
            await c.peering.generate_token("east")

    assert "s3cret" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("wrong", [None, 7, b"s3cret", ["s3cret"]], ids=repr)
async def test_what_is_no_token_is_refused_and_not_quoted(wrong: Any) -> None:
    bottom = Bottom(httpx.Response(200, json={}))
    async with ConsulClient(transport=bottom) as c:
        with pytest.raises(InvalidRequestError, match="peering_token") as caught:
            await c.peering.establish("east", wrong)

    assert "s3cret" not in str(caught.value)
    assert bottom.requests == []


@pytest.mark.parametrize("wrong", ["", ".", "a//b", "a\nb"], ids=repr)
async def test_what_is_no_name_is_refused(wrong: str) -> None:
    bottom = Bottom(httpx.Response(200, json={}))
    async with ConsulClient(transport=bottom) as c:
        with pytest.raises(InvalidRequestError, match="a name|name '"):
            await c.peering.get(wrong)
        with pytest.raises(InvalidRequestError, match="a name|name '"):
            await c.peering.delete(wrong)

    assert bottom.requests == []
