# /// script
# requires-python = ">=3.11"
# dependencies = ["consul-onex"]
# ///
"""Do what Consul's own variables say, change one thing, and see which variable a mistake is in."""

import os

import anyio

from consul_onex import ConfigurationError, ConsulClient


async def main() -> None:
    os.environ["CONSUL_DATACENTER"] = "dc1"

    # An argument comes before its variable; everything else is as the environment says.
    async with ConsulClient.from_env(timeout=5.0) as c:
        print(c)
        print("knows:", await c.catalog.datacenters())

    os.environ["CONSUL_TIMEOUT"] = "soon"
    try:
        ConsulClient.from_env()
    except ConfigurationError as error:
        print("look at:", error.setting)
        print("because:", error)


anyio.run(main)
