"""Ask each datacenter where it is best asked, and another one where that was allowed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import httpx

from .._address import Address
from .._call import Call, Safety
from .._faults import Outcome
from ..errors import CircuitOpenError, ConfigurationError
from ._layer import call_of, close, fault_of_answer, fault_of_error, is_answer, keeps_time

__all__ = ["Datacenters"]

_LOCAL: Final = (b"/v1/agent/", b"/v1/status/")


@dataclass(frozen=True)
class Datacenters:
    """
    Routes each attempt to its datacenter.

        Datacenters({"dc2": "http://10.2.0.1:8500"})

    A datacenter with an address here is asked there directly. Any other is asked through the
    client's own agent, which forwards the request. All addresses share the client's TLS settings
    and token.

    A read whose view allows it (`c.using(failover=["dc2", "dc3"])`) is asked there, in this order,
    when its own datacenter does not answer. Nothing fails over by itself: key-value data is not
    replicated between datacenters. The index of a blocking query belongs to one datacenter, so it
    is dropped on the way to another, which then answers at once. What is about the agent itself
    (`/v1/agent/`, `/v1/status/`) is never routed anywhere.
    """

    addresses: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.addresses:
            _parse(name, self.addresses[name])

    def wrap(self, inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        return DatacentersTransport(inner, self)


def _parse(name: str, text: str) -> Address:
    address = Address.parse(text, setting=f"Datacenters[{name!r}]")
    if address.socket is not None:
        raise ConfigurationError(
            f"Datacenters[{name!r}] names a unix socket, which is always this machine's agent",
            setting=f"Datacenters[{name!r}]",
        )
    return address


class DatacentersTransport(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, datacenters: Datacenters) -> None:
        self._inner = inner
        self._addresses = {name: _parse(name, text) for name, text in datacenters.addresses.items()}
        self.keeps_time = keeps_time(inner)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = call_of(request)
        if not (self._addresses or call.failover or call.blocking):
            # There is but one way, and no index to lose on it.
            call.served_by = call.datacenter
            return await self._inner.handle_async_request(request)
        if call.local or _path(request.url).startswith(_LOCAL):
            return await self._inner.handle_async_request(request)
        home = call.datacenter
        *earlier, last = (home, *(call.failover if call.safety is Safety.SAFE else ()))
        try:
            for target in earlier:
                response = await self._try(self._route(request, call, target, home))
                if response is not None:
                    return response
            return await self._inner.handle_async_request(self._route(request, call, last, home))
        finally:
            # The next attempt starts at home again.
            call.datacenter = home

    async def _try(self, request: httpx.Request) -> httpx.Response | None:
        """The answer, or None where another datacenter may have one."""
        try:
            response = await self._inner.handle_async_request(request)
        except CircuitOpenError:
            return None
        except httpx.TransportError as error:
            if fault_of_error(error).outcome is Outcome.REJECTED:
                raise
            return None
        if is_answer(response, call_of(request)):
            return response
        if (await fault_of_answer(response)).outcome is Outcome.REJECTED:
            return response
        await close(response)
        return None

    def _route(
        self, request: httpx.Request, call: Call, target: str | None, home: str | None
    ) -> httpx.Request:
        call.datacenter = call.served_by = target
        address = self._addresses.get(target) if target is not None else None
        foreign_index = call.blocking and target != call.index_of
        if address is None and target == home and not foreign_index:
            return request
        params = request.url.params
        if target is not None:
            params = params.set("dc", target)
        if foreign_index:
            params = params.remove("index").remove("wait")
        base = address.url if address is not None else _base(request.url)
        url = httpx.URL(f"{base}{_path(request.url).decode('ascii')}?{params}")
        # The same request in all but its address: a copy that loses the extensions would lose
        # the card and every time-out.
        headers = [(k, v) for k, v in request.headers.raw if k.lower() != b"host"]
        return httpx.Request(
            request.method,
            url,
            headers=[(b"Host", url.netloc), *headers],
            stream=request.stream,
            extensions=request.extensions,
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


def _path(url: httpx.URL) -> bytes:
    """The path from /v1/ on: a proxy may serve Consul under a prefix."""
    path = url.raw_path.partition(b"?")[0]
    return path[max(0, path.find(b"/v1/")) :]


def _base(url: httpx.URL) -> str:
    whole = str(url).partition("?")[0]
    return whole.removesuffix(_path(url).decode("ascii"))
