# /// script
# requires-python = ">=3.11"
# dependencies = ["consul-onex", "starlette"]
# ///
"""A web service that is registered for as long as it runs; `app` is for any ASGI server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from consul_onex import Check, ConsulClient, ServiceRegistration
from consul_onex.recipes import Registration

SHOP = ServiceRegistration(name="examples-shop", port=8080, check=Check.ttl(15))


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    async with ConsulClient.from_env() as c, Registration(c, SHOP, health=lambda: (True, "open")):
        yield


app = Starlette(routes=[Route("/", PlainTextResponse("come in"))], lifespan=lifespan)


async def main() -> None:
    async with ConsulClient.from_env() as c:
        async with app.router.lifespan_context(app):  # as a server does while it runs
            for entry in await c.health.service("examples-shop", passing=True):
                print("found:", entry.service.service, "at port", entry.port)
        print("afterwards:", await c.health.service("examples-shop"))


anyio.run(main)
