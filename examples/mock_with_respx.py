# /// script
# requires-python = ">=3.11"
# dependencies = ["consul-onex", "respx"]
# ///
"""Test your own code without a Consul: respx answers, and every layer of the client still runs."""

from base64 import b64encode

import anyio
import respx
from httpx import Response

from consul_onex import ConsulClient, NoLeaderError
from consul_onex.transport import Retry

ADDRESS = "http://127.0.0.1:8500"
RED = Response(200, json=[{"Key": "colour", "Value": b64encode(b"red").decode()}])
MISSING = Response(404, headers={"X-Consul-Index": "7"})
ELECTION = Response(500, text="No cluster leader")


async def colour(c: ConsulClient) -> str:
    pair = await c.kv.get("colour")
    return pair.text() if pair else "grey"


@respx.mock
async def main() -> None:
    route = respx.get(f"{ADDRESS}/v1/kv/colour")
    route.side_effect = [RED, MISSING, ELECTION, RED, ELECTION, ELECTION]
    async with ConsulClient(ADDRESS, layers=[Retry(attempts=2, initial=0)]) as c:
        print(await colour(c), await colour(c), await colour(c))
        try:
            await colour(c)
        except NoLeaderError as error:
            print(error)
    print(route.call_count, "requests")


anyio.run(main)
