"""Configuration entries, as a real agent takes them and gives them back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import anyio
import pytest

from consul_onex import (
    BadRequestError,
    ConsulClient,
    Cursor,
    InvalidRequestError,
    PermissionDeniedError,
    UnsupportedEndpointError,
)
from consul_onex.models.config import (
    APIGateway,
    ConfigEntry,
    ControlPlaneRequestLimit,
    ExportedServices,
    Failover,
    FileSystemCertificate,
    GatewayTLS,
    HTTPHeaderMatch,
    HTTPMatch,
    HTTPQueryMatch,
    HTTPRoute,
    IngressGateway,
    IngressListener,
    IngressService,
    InlineCertificate,
    JWTProvider,
    LinkedService,
    Mesh,
    OtherConfigEntry,
    ProxyDefaults,
    RateLimit,
    Redirect,
    RouteDestination,
    RouteMatch,
    SamenessGroup,
    ServiceDefaults,
    ServiceIntentions,
    ServiceResolver,
    ServiceRoute,
    ServiceRouter,
    ServiceSplit,
    ServiceSplitter,
    Subset,
    TCPRoute,
    TerminatingGateway,
)
from consul_onex.models.service import Expose, ExposePath, MeshGateway
from tests.contract.conftest import Recorder
from tests.support.agents import Agent
from tests.support.lossless import lost

Put = Callable[[ConfigEntry], Awaitable[ConfigEntry]]
"""Writes an entry, which is gone afterwards, and reads it back."""


@pytest.fixture
async def put(c: ConsulClient) -> AsyncIterator[Put]:
    written: list[ConfigEntry] = []

    async def write(entry: ConfigEntry) -> ConfigEntry:
        assert await c.config.put(entry) is True
        written.append(entry)
        return await read(c, entry)

    yield write
    # In this order nothing goes that another entry needs.
    for entry in reversed(written):
        await c.config.delete(entry.kind, entry.name)


@pytest.fixture
async def web(put: Put) -> str:
    """A service that speaks HTTP, which routers and splitters ask for."""
    name = f"web-{uuid4().hex}"
    await put(ServiceDefaults(name=name, protocol="http"))
    return name


async def read(c: ConsulClient, entry: ConfigEntry) -> ConfigEntry:
    found = await c.config.get(entry.kind, entry.name)
    assert found is not None
    return found


def service_defaults(web: str) -> ConfigEntry:
    return ServiceDefaults(
        name=web,
        protocol="http",
        mesh_gateway=MeshGateway(mode="remote"),
        expose=Expose(
            checks=True,
            paths=[
                ExposePath(path="/health", local_path_port=80, listener_port=81, protocol="http2")
            ],
        ),
        external_sni="web.example.com",
    )


def proxy_defaults(_: str) -> ConfigEntry:
    return ProxyDefaults(
        config={"protocol": "http", "number": 1, "deep": {"list": [1, {"two": [True, "x"]}]}},
        mesh_gateway=MeshGateway(mode="local"),
        expose=Expose(checks=True),
    )


def service_router(web: str) -> ConfigEntry:
    return ServiceRouter(
        name=web,
        routes=[
            ServiceRoute(
                match=RouteMatch(
                    http=HTTPMatch(
                        path_prefix="/admin",
                        header=[HTTPHeaderMatch(name="x-debug", exact="1", invert=True)],
                        query_param=[HTTPQueryMatch(name="q", present=True)],
                        methods=["GET", "PUT"],
                    )
                ),
                destination=RouteDestination(
                    service=web,
                    # Where it is not given, the answer has it all the same.
                    namespace="default",
                    prefix_rewrite="/",
                    request_timeout=1.5,
                    num_retries=3,
                    retry_on_connect_failure=True,
                    retry_on_status_codes=[500, 503],
                ),
            ),
            ServiceRoute(match=RouteMatch(http=HTTPMatch(path_regex="/[a-z]+"))),
        ],
    )


def service_splitter(web: str) -> ConfigEntry:
    return ServiceSplitter(
        name=web,
        splits=[ServiceSplit(weight=90.5), ServiceSplit(weight=9.5, service=f"{web}-next")],
    )


def service_resolver(web: str) -> ConfigEntry:
    return ServiceResolver(
        name=web,
        default_subset="v1",
        subsets={
            "v1": Subset(filter="Service.Meta.version == v1", only_passing=True),
            "v2": Subset(),
        },
        failover={"v2": Failover(service=f"{web}-next"), "*": Failover(datacenters=["dc2"])},
        connect_timeout=15.0,
    )


def ingress_gateway(web: str) -> ConfigEntry:
    return IngressGateway(
        name=web,
        tls=GatewayTLS(enabled=True),
        listeners=[
            IngressListener(
                port=8080,
                protocol="http",
                services=[IngressService(name=web, hosts=["web.example.com"])],
            )
        ],
    )


def terminating_gateway(web: str) -> ConfigEntry:
    return TerminatingGateway(
        name=web,
        services=[
            LinkedService(
                name=f"{web}-db", ca_file="/ca.pem", cert_file="/a.pem", key_file="/k.pem", sni="db"
            )
        ],
    )


each_kind = pytest.mark.parametrize(
    "make",
    [
        service_defaults,
        proxy_defaults,
        service_router,
        service_splitter,
        service_resolver,
        ingress_gateway,
        terminating_gateway,
    ],
    ids=lambda make: str(make.__name__),
)


@pytest.fixture
async def entry(make: Callable[[str], ConfigEntry], put: Put, web: str) -> ConfigEntry:
    """An entry of one kind, as it was read."""
    await put(ServiceDefaults(name=f"{web}-next", protocol="http"))
    return await put(make(web))


@each_kind
async def test_an_entry_is_read_as_it_was_written(
    entry: ConfigEntry, make: Callable[[str], ConfigEntry], web: str
) -> None:
    written = make(web)

    assert type(entry) is type(written)
    for field in written.model_fields_set:
        assert getattr(entry, field) == getattr(written, field)
    assert 0 < entry.create_index <= entry.modify_index


@each_kind
async def test_nothing_that_consul_says_is_lost(c: ConsulClient, entry: ConfigEntry) -> None:
    one = await c.request("GET", f"/v1/config/{entry.kind}/{entry.name}")
    all_of_them = await c.request("GET", f"/v1/config/{entry.kind}")

    assert lost(one.json(), entry) == []
    entries = await c.config.list(entry.kind)
    assert entry in entries
    assert lost(all_of_them.json(), entries) == []


@each_kind
async def test_what_was_read_can_be_changed_and_put_back(
    c: ConsulClient, entry: ConfigEntry
) -> None:
    changed = entry.replace(meta={"team": "a"})

    assert await c.config.put(changed, cas=entry.modify_index) is True
    # The second time somebody has been there in between.
    assert await c.config.put(changed, cas=entry.modify_index) is False

    after = await read(c, entry)
    assert after.modify_index > entry.modify_index
    assert after.replace(modify_index=0) == changed.replace(modify_index=0)


@each_kind
async def test_an_entry_that_is_gone_is_none(c: ConsulClient, entry: ConfigEntry) -> None:
    assert await c.config.delete(entry.kind, entry.name) is True
    assert await c.config.delete(entry.kind, entry.name) is True

    assert await c.config.get(entry.kind, entry.name) is None
    assert entry.create_index not in [e.create_index for e in await c.config.list(entry.kind)]


async def test_cas_0_creates_and_does_not_overwrite(c: ConsulClient) -> None:
    entry = ServiceDefaults(name=f"web-{uuid4().hex}", protocol="http")

    first = await c.config.put(entry, cas=0)
    second = await c.config.put(entry.replace(protocol="grpc"), cas=0)
    found = await c.config.get("service-defaults", entry.name)
    await c.config.delete("service-defaults", entry.name)

    assert (first, second) == (True, False)
    assert isinstance(found, ServiceDefaults)
    assert found.protocol == "http"


async def test_a_cas_of_an_entry_that_is_not_there_writes_nothing(c: ConsulClient) -> None:
    entry = ServiceDefaults(name=f"web-{uuid4().hex}")

    assert await c.config.put(entry, cas=7) is False
    assert await c.config.get("service-defaults", entry.name) is None


@pytest.mark.parametrize("name", ["a/b", "a b", "q?x#y", "100%", "caf\u00e9", "a+b;c,d=e&f"])
async def test_a_name_arrives_as_it_is(c: ConsulClient, put: Put, name: str) -> None:
    name = f"{name} {uuid4().hex}"
    entry = await put(ServiceDefaults(name=name, protocol="http"))

    assert isinstance(entry, ServiceDefaults)
    assert entry.name == name
    assert await c.config.delete("service-defaults", name) is True
    assert await c.config.get("service-defaults", name) is None


@pytest.mark.parametrize("name", ["", "..", "a/../b", "a\nb", "/a"])
async def test_a_name_that_no_url_can_say_is_not_sent(
    observed: ConsulClient, recorder: Recorder, name: str
) -> None:
    for call in (observed.config.get, observed.config.delete):
        with pytest.raises(InvalidRequestError):
            await call("service-defaults", name)
        with pytest.raises(InvalidRequestError):
            await call(name, "web")
    with pytest.raises(InvalidRequestError):
        await observed.config.list(name)

    assert recorder.requests == []


# -- what this server does not know --------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [
        APIGateway(name="a"),
        ControlPlaneRequestLimit(name="a"),
        ExportedServices(),
        FileSystemCertificate(name="a"),
        HTTPRoute(name="a"),
        InlineCertificate(name="a"),
        JWTProvider(name="a"),
        Mesh(),
        OtherConfigEntry(kind="a/b ?", name="a"),
        RateLimit(),
        SamenessGroup(name="a"),
        ServiceIntentions(name="a"),
        TCPRoute(name="a"),
    ],
    ids=lambda entry: str(entry.kind),
)
async def test_a_kind_that_the_server_does_not_know_is_a_bad_request(
    observed: ConsulClient, recorder: Recorder, entry: ConfigEntry
) -> None:
    with pytest.raises(BadRequestError, match="invalid config entry kind"):
        await observed.config.put(entry)
    with pytest.raises(BadRequestError, match="invalid config entry kind"):
        await observed.config.get(entry.kind, entry.name)
    with pytest.raises(BadRequestError, match="invalid config entry kind"):
        await observed.config.list(entry.kind)
    with pytest.raises(BadRequestError, match="invalid config entry kind"):
        await observed.config.delete(entry.kind, entry.name)

    assert len(recorder.requests) == 4


async def test_a_field_that_the_server_does_not_know_is_a_bad_request(c: ConsulClient) -> None:
    entry = ServiceDefaults(name=f"web-{uuid4().hex}", balance_inbound_connections="exact_balance")

    with pytest.raises(BadRequestError, match='invalid config key "BalanceInboundConnections"'):
        await c.config.put(entry)


async def test_a_delete_with_cas_is_not_sent_to_a_server_that_would_ignore_it(
    c: ConsulClient, put: Put, web: str
) -> None:
    with pytest.raises(InvalidRequestError, match=r"ignores cas .* came with Consul 1\.11"):
        await c.config.delete("service-defaults", web, cas=1)

    assert await c.config.get("service-defaults", web) is not None


async def test_a_filter_is_not_sent_to_a_server_that_would_ignore_it(c: ConsulClient) -> None:
    with pytest.raises(InvalidRequestError, match=r"ignores the filter .* came with Consul 1\.16"):
        await c.config.list("service-defaults", filter='Name == "web"')


@pytest.mark.parametrize("cas", [-1, 2**64, True, "7", 1.0], ids=repr)
async def test_an_index_that_is_none_is_not_sent(
    observed: ConsulClient, recorder: Recorder, cas: object
) -> None:
    with pytest.raises(InvalidRequestError, match="cas is a whole number"):
        await observed.config.put(ServiceDefaults(name="web"), cas=cas)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError, match="cas is a whole number"):
        await observed.config.delete("service-defaults", "web", cas=cas)  # type: ignore[arg-type]

    assert recorder.requests == []


async def test_a_delete_with_cas_0_is_not_sent(observed: ConsulClient, recorder: Recorder) -> None:
    with pytest.raises(InvalidRequestError, match="never deletes"):
        await observed.config.delete("service-defaults", "web", cas=0)

    assert recorder.requests == []


# -- what does not fit ---------------------------------------------------------------------------


def routed(name: str, **match: object) -> ServiceRouter:
    http = HTTPMatch(**match)  # type: ignore[arg-type]
    return ServiceRouter(name=name, routes=[ServiceRoute(match=RouteMatch(http=http))])


def opened(name: str, protocol: str, *services: IngressService, port: int = 80) -> IngressGateway:
    listener = IngressListener(port=port, protocol=protocol, services=list(services))
    return IngressGateway(name=name, listeners=[listener])


MISTAKES: dict[str, Callable[[str], ConfigEntry]] = {
    "no name": lambda _: ServiceDefaults(name=""),
    "no name of a resolver": lambda _: ServiceResolver(name=""),
    "no name of a gateway": lambda _: IngressGateway(name=""),
    "weights that are not 100": lambda web: ServiceSplitter(
        name=web, splits=[ServiceSplit(weight=50)]
    ),
    "no splits": lambda web: ServiceSplitter(name=web),
    "the same split twice": lambda web: ServiceSplitter(
        name=web, splits=[ServiceSplit(weight=50), ServiceSplit(weight=50)]
    ),
    "a router of TCP": lambda web: ServiceRouter(name=f"{web}-tcp"),
    "other protocols behind a splitter": lambda web: ServiceSplitter(
        name=web, splits=[ServiceSplit(weight=100, service=f"{web}-tcp")]
    ),
    "a subset that is not there": lambda web: ServiceSplitter(
        name=web, splits=[ServiceSplit(weight=100, service_subset="v9")]
    ),
    "a default that is not there": lambda web: ServiceResolver(name=web, default_subset="v9"),
    "a subset without a name": lambda web: ServiceResolver(name=web, subsets={"": Subset()}),
    "a subset with a bad name": lambda web: ServiceResolver(name=web, subsets={"UP_": Subset()}),
    "a failover to nowhere": lambda web: ServiceResolver(name=web, failover={"*": Failover()}),
    "a failover of nobody": lambda web: ServiceResolver(
        name=web, failover={"v9": Failover(datacenters=["dc2"])}
    ),
    "a redirect to nowhere": lambda web: ServiceResolver(name=web, redirect=Redirect()),
    "a redirect to a subset": lambda web: ServiceResolver(
        name=web, redirect=Redirect(service_subset="v9")
    ),
    "a path without a slash": lambda web: routed(web, path_prefix="admin"),
    "two paths": lambda web: routed(web, path_prefix="/a", path_exact="/b"),
    "a header that may be anything": lambda web: routed(web, header=[HTTPHeaderMatch(name="a")]),
    "a method twice": lambda web: routed(web, methods=["GET", "GET"]),
    "a listener for nothing": lambda web: opened(web, "http"),
    "a protocol that nobody speaks": lambda web: opened(web, "xx", IngressService(name=web)),
    "a protocol that the service does not speak": lambda web: opened(
        web, "tcp", IngressService(name=web)
    ),
    "a host with a star in it": lambda web: opened(
        web, "http", IngressService(name=web, hosts=["a.*.b"])
    ),
    "every service behind TCP": lambda web: opened(web, "tcp", IngressService(name="*")),
    "a service without a name": lambda web: TerminatingGateway(
        name=web, services=[LinkedService(name="")]
    ),
    "a service twice": lambda web: TerminatingGateway(
        name=web, services=[LinkedService(name="db"), LinkedService(name="db")]
    ),
    "half of a certificate": lambda web: TerminatingGateway(
        name=web, services=[LinkedService(name="db", cert_file="/a.pem")]
    ),
}


@pytest.mark.parametrize("make", MISTAKES.values(), ids=MISTAKES.keys())
async def test_what_does_not_fit_is_a_bad_request_and_sent_once(
    observed: ConsulClient, recorder: Recorder, web: str, make: Callable[[str], ConfigEntry]
) -> None:
    with pytest.raises(BadRequestError):
        await observed.config.put(make(web))

    assert len(recorder.requests) == 1


async def test_redirects_do_not_go_in_a_circle(c: ConsulClient, put: Put, web: str) -> None:
    other = f"{web}-other"
    await put(ServiceDefaults(name=other, protocol="http"))
    await put(ServiceResolver(name=web, redirect=Redirect(service=other)))

    with pytest.raises(BadRequestError, match="circular"):
        await c.config.put(ServiceResolver(name=other, redirect=Redirect(service=web)))


async def test_what_another_entry_needs_cannot_be_deleted(
    c: ConsulClient, put: Put, web: str
) -> None:
    await put(ServiceRouter(name=web))

    with pytest.raises(BadRequestError, match="does not permit advanced routing"):
        await c.config.delete("service-defaults", web)


# -- waiting, and being let ----------------------------------------------------------------------


@pytest.mark.timeout(30)
async def test_a_change_ends_the_waiting(
    observed: ConsulClient, recorder: Recorder, put: Put, web: str
) -> None:
    cursor = Cursor(wait=20)
    before = await observed.config.get("service-defaults", web, cursor)
    assert isinstance(before, ServiceDefaults)

    async with anyio.create_task_group() as tasks:

        async def change() -> None:
            await recorder.blocks()
            await put(before.replace(protocol="grpc"))

        tasks.start_soon(change)
        after = await observed.config.get("service-defaults", web, cursor)

        assert isinstance(after, ServiceDefaults)
        assert after.protocol == "grpc"


async def test_a_list_can_be_waited_on(c: ConsulClient, web: str) -> None:
    cursor = Cursor()
    entries = await c.config.list("service-defaults", cursor=cursor)

    assert web in [entry.name for entry in entries]
    assert cursor.index is not None


async def test_a_token_decides_what_may_be_written_and_read(acl_agent: Agent) -> None:
    entry = ServiceDefaults(name=f"web-{uuid4().hex}", protocol="http")

    async with (
        ConsulClient(acl_agent.url, token=acl_agent.token) as c,
        ConsulClient(acl_agent.url) as nobody,
    ):
        await c.config.put(entry)
        with pytest.raises(PermissionDeniedError):
            await nobody.config.put(entry)
        with pytest.raises(PermissionDeniedError):
            await nobody.config.get("service-defaults", entry.name)
        with pytest.raises(PermissionDeniedError):
            await nobody.config.delete("service-defaults", entry.name)
        hidden = await nobody.config.list("service-defaults")
        seen = await c.config.list("service-defaults")
        await c.config.delete("service-defaults", entry.name)

    assert hidden == []
    assert entry.name in [one.name for one in seen]


async def test_what_came_later_is_not_supported(c: ConsulClient) -> None:
    with pytest.raises(UnsupportedEndpointError):
        await c.exported_services.list()
    with pytest.raises(UnsupportedEndpointError):
        await c.imported_services.list()
