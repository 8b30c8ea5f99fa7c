"""The front door."""

from __future__ import annotations

import inspect
import os
import re
import warnings
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType, TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    NoReturn,
    ParamSpec,
    Self,
    TypedDict,
    TypeVar,
    Unpack,
)

import httpx
from pydantic import SecretStr

from ._address import DEFAULT_ADDRESS, Address
from ._call import Safety, Token
from ._json import dumped
from ._numbers import flag, seconds
from ._path import NAME, Params, raw_path
from ._server import Server
from ._tls import TLS
from ._token import TokenFile, as_token, hidden
from ._topic import Hub
from ._wire import Answer, Line, Options, Takes, Wire, following
from .errors import ConfigurationError, InsecureTransportWarning, InvalidRequestError
from .query import Consistency, Cursor
from .transport import (
    Authorize,
    Breaker,
    Circuit,
    CircuitStatistics,
    Datacenters,
    Deadline,
    Events,
    Layer,
    Limit,
    LimitStatistics,
    Retry,
    RetryStatistics,
    WholeBody,
)
from .transport._connection import HTTP
from .transport._layer import stacked
from .transport.breaker import BreakerTransport
from .transport.limit import LimitTransport
from .transport.retry import RetryTransport
from .watch import Watch

if TYPE_CHECKING:
    # Each part of the API is imported when it is first used, since few programs use many.
    from .api.acl import ACL
    from .api.agent import Agent
    from .api.catalog import Catalog
    from .api.config import Config
    from .api.connect import Connect
    from .api.coordinate import Coordinates
    from .api.discovery_chain import DiscoveryChain
    from .api.event import Event
    from .api.exported_services import ExportedServices
    from .api.health import Health
    from .api.imported_services import ImportedServices
    from .api.kv import KV
    from .api.namespace import Namespaces
    from .api.operator import Operator
    from .api.partition import Partitions
    from .api.peering import Peerings
    from .api.query import Query
    from .api.session import Session
    from .api.snapshot import Snapshot
    from .api.status import Status
    from .api.txn import Txn

    # Importing them costs as much as httpx, and is needed for from_env alone; so does what sockets
    # need, and not every client has sockets.
    from .settings import ConsulSettings
    from .transport import ConnectionStatistics

__all__ = ["ConsulClient", "Overrides", "Param", "Statistics"]

P = ParamSpec("P")
T = TypeVar("T")

Param = str | int | bool | None
"""A parameter of a raw request: True is a flag that is there, False and None one that is not."""

# What a view says, and what must never stand in a URL.
_RESERVED: Final = {
    "dc": "c.using(datacenter=...)",
    "ns": "c.using(namespace=...)",
    "partition": "c.using(partition=...)",
    "stale": "c.using(consistency=...)",
    "consistent": "c.using(consistency=...)",
    "index": "cursor=",
    "wait": "cursor=",
    "token": "c.using(token=...), which sends it in a header",
}


@dataclass(frozen=True, slots=True)
class Statistics:
    """How a client is doing at one moment. A part is None where its layer is not in use."""

    circuits: Mapping[str, CircuitStatistics]
    limit: LimitStatistics | None
    retry: RetryStatistics | None
    connections: ConnectionStatistics | None


class Overrides(TypedDict, total=False):
    """What `from_env` takes: the constructor's arguments, and every field of `ConsulSettings`."""

    address: str | None
    ssl: bool | None
    host: str | None
    port: int | None
    scheme: str | None
    token: str | Token | None
    token_file: str | os.PathLike[str] | None
    auth: str | SecretStr | None
    datacenter: str | None
    namespace: str | None
    partition: str | None
    consistency: Consistency | str | None
    tls: TLS | None
    verify: bool | None
    ca_file: str | os.PathLike[str] | None
    ca_path: str | os.PathLike[str] | None
    client_cert: str | os.PathLike[str] | None
    client_key: str | os.PathLike[str] | None
    tls_server_name: str | None
    timeout: float | None
    connect_timeout: float | None
    attempt_timeout: float | None
    wait: float | None
    retry_attempts: int | None
    retry_initial: float | None
    retry_max: float | None
    retry_base: float | None
    retry_jitter: float | None
    breaker_failures: int | None
    breaker_reset_after: float | None
    limit_plain: int | None
    limit_blocking: int | None
    limit_max_wait: float | None
    limit_queue_watches: bool | None
    max_response_bytes: int | None
    gzip: bool | None
    http: HTTP | None
    check_server: bool | None
    layers: Iterable[Layer] | None
    transport: httpx.AsyncBaseTransport | None


class _Keep:
    """Says that a view keeps what it has, since None has a meaning of its own."""

    def __repr__(self) -> str:
        return "<as it is>"


_KEEP: Final = _Keep()


class ConsulClient:
    """
    A client of one Consul agent, on asyncio and trio.

        async with ConsulClient.from_env() as c:
            await c.kv.put("config/web", b"v1")

    The constructor reads no environment; `from_env` does. It may be called outside of an event
    loop; the client then belongs to the loop it is first used in. `async with`, or `aclose`, gives
    its connections back.

    `address` is in any form of `CONSUL_HTTP_ADDR`; without one it is the agent on this machine.
    `token` is a str, a SecretStr or a callable that returns the current one before each request,
    `token_file` a file that is read again whenever it changes. Times are in seconds: `timeout`
    bounds a whole call, `attempt_timeout` each try, `connect_timeout` each connection, and `wait`
    is how long Consul may hold back the answer to one step of a watch. `gzip` asks for packed
    answers: unless the agent is on this machine, where not given. `http` is what speaks HTTP:
    `"fast"`, with the extra of that name, `"h11"`, or the faster one that is there. With
    `check_server`, which is the rule, options that the server is known to ignore silently are
    refused; it is asked once, when the first of them is used, for its version.

    `layers` are the layers of resilience, outermost first, instead of the usual ones (see
    `consul_onex.transport`) and their settings; WholeBody and Authorize are always below them.
    `transport` is any httpx transport instead of sockets; it is closed with the client. `settings`
    supplies what is not given here.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        token: str | Token | None = None,
        token_file: str | os.PathLike[str] | None = None,
        auth: str | SecretStr | None = None,
        datacenter: str | None = None,
        namespace: str | None = None,
        partition: str | None = None,
        consistency: Consistency | str | None = None,
        tls: TLS | None = None,
        timeout: float | None = None,
        attempt_timeout: float | None = None,
        connect_timeout: float | None = None,
        wait: float | None = None,
        gzip: bool | None = None,
        http: HTTP | None = None,
        check_server: bool | None = None,
        layers: Iterable[Layer] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        settings: ConsulSettings | None = None,
    ) -> None:
        token, auth = hidden(token), hidden(auth)
        _must_be(transport, httpx.AsyncBaseTransport, "transport", "an httpx.AsyncBaseTransport")
        _must_be(tls, TLS, "tls", "a TLS")
        _must_be(gzip, bool, "gzip", "True or False")
        _must_be(check_server, bool, "check_server", "True or False")
        s = settings if settings is not None else _NoSettings()
        where = Address.parse(address) if address is not None else s.where()
        tls = tls if tls is not None else _tls(s)
        authorize = Authorize(
            _token(token, token_file, s), _basic(auth if auth is not None else s.auth)
        )
        deadline = _seconds("timeout", _pick(timeout, s.timeout, Deadline.seconds))
        whole = WholeBody(
            _seconds(
                "attempt_timeout",
                _pick(attempt_timeout, s.attempt_timeout, WholeBody.seconds),
            ),
            limit=_pick(None, s.max_response_bytes, WholeBody.limit),
        )
        bottom = transport
        if bottom is None:
            from .transport import Connections

            bottom = Connections(
                tls=tls.context,
                server_name=tls.server_name,
                socket=where.socket,
                http=_pick(http, s.http, "auto"),
            )
        elif http is not None:
            raise ConfigurationError(
                "http says how sockets are used, and a transport is given instead", setting="http"
            )
        resilience = _usual_layers(deadline, settings) if layers is None else _checked(layers)
        parts = stacked(bottom, [*resilience, whole, authorize])
        secret = authorize.token is not None or authorize.basic is not None
        readable = "" if transport is not None else _who_can_read(where, tls, resilience)
        self._core = _Core(parts, resilience, readable=readable)
        if layers is not None and timeout is not None:
            self._core.must_have(Deadline, "timeout")
        self._core.warn_of_readers(secret)
        line = Line(
            parts[-1],
            where.url,
            connect_timeout=_seconds(
                "connect_timeout", _pick(connect_timeout, s.connect_timeout, 2.0)
            ),
            attempt_timeout=whole.seconds,
            gzip=_pick(gzip, s.gzip, not where.loopback),
            check_server=_pick(check_server, s.check_server, True),
            hub=_hub(resilience),
        )
        options = Options(
            datacenter=_name("datacenter", datacenter or s.datacenter),
            consistency=_consistency(consistency or s.consistency or Consistency.DEFAULT),
            namespace=_name("namespace", namespace or s.namespace),
            partition=_name("partition", partition or s.partition),
            timeout=deadline if timeout is not None else None,
            wait=Cursor(_pick(wait, s.wait, 60.0)).wait,
        )
        self._wire = Wire(line, options)
        self._owner = True

    @classmethod
    def from_env(cls, **overrides: Unpack[Overrides]) -> Self:
        """
        A client as the environment says, with these arguments instead where given.

        Takes the constructor's arguments and the fields of `ConsulSettings`, which lists every
        variable and what comes before what.
        """
        from .settings import ConsulSettings

        if "token" in overrides:
            overrides["token"] = hidden(overrides["token"])
        if "auth" in overrides:
            overrides["auth"] = hidden(overrides["auth"])
        # A token can be a callable, which is an argument but no setting.
        fields = {
            name: value
            for name, value in overrides.items()
            if name in ConsulSettings.model_fields and name not in ("token", "token_file")
        }
        others: dict[str, Any] = {
            name: value for name, value in overrides.items() if name not in fields
        }
        return cls(settings=ConsulSettings(**fields), **others)

    def __repr__(self) -> str:
        if "_wire" not in vars(self):
            # A traceback that shows locals asks in the middle of the constructor.
            return "<ConsulClient>"
        options = self._wire.options
        datacenter = f" datacenter={options.datacenter}" if options.datacenter else ""
        return f"<ConsulClient {self._wire.line.base}{datacenter}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a ConsulClient cannot be copied or pickled: it holds sockets and a token")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self, *, grace: float = 5.0) -> None:
        """
        Close the client. May be called again; while the first call still waits, a second one does
        not.

        Blocking queries are ended at once; other calls in flight have `grace` seconds to finish.
        What is not answered then, and what is called later, raises ClientClosedError (a write
        that had been sent, OutcomeUnknownError). Closing a view does nothing: the connections
        belong to the client it was made from.
        """
        grace = seconds("grace", grace, setting="grace")
        if self._owner:
            await self._wire.line.aclose(grace)

    # -- the API -----------------------------------------------------------------------------------

    @cached_property
    def kv(self) -> KV:
        """The key-value store."""
        from .api.kv import KV

        return KV(self._wire)

    @cached_property
    def catalog(self) -> Catalog:
        """Nodes and services, as the servers know them."""
        from .api.catalog import Catalog

        return Catalog(self._wire)

    @cached_property
    def health(self) -> Health:
        """Who is well: services with their checks."""
        from .api.health import Health

        return Health(self._wire)

    @cached_property
    def agent(self) -> Agent:
        """The agent itself: what is registered with it, and how it is doing."""
        from .api.agent import Agent

        return Agent(self._wire)

    @cached_property
    def session(self) -> Session:
        """Sessions, which locks are held by."""
        from .api.session import Session

        return Session(self._wire)

    @cached_property
    def txn(self) -> Txn:
        """Transactions: several operations, all or none."""
        from .api.txn import Txn

        return Txn(self._wire)

    @cached_property
    def event(self) -> Event:
        """User events."""
        from .api.event import Event

        return Event(self._wire)

    @cached_property
    def status(self) -> Status:
        """Who leads, and who may."""
        from .api.status import Status

        return Status(self._wire)

    @cached_property
    def coordinate(self) -> Coordinates:
        """Network coordinates: how far nodes are from each other."""
        from .api.coordinate import Coordinates

        return Coordinates(self._wire)

    @cached_property
    def query(self) -> Query:
        """Prepared queries."""
        from .api.query import Query

        return Query(self._wire)

    @cached_property
    def acl(self) -> ACL:
        """Tokens, policies, roles, and ways to log in."""
        from .api.acl import ACL

        return ACL(self._wire)

    @cached_property
    def config(self) -> Config:
        """Configuration entries of the service mesh."""
        from .api.config import Config

        return Config(self._wire)

    @cached_property
    def connect(self) -> Connect:
        """The certificate authority of the service mesh, and who may talk to whom."""
        from .api.connect import Connect

        return Connect(self._wire)

    @cached_property
    def discovery_chain(self) -> DiscoveryChain:
        """What the mesh makes of the name of a service."""
        from .api.discovery_chain import DiscoveryChain

        return DiscoveryChain(self._wire)

    @cached_property
    def operator(self) -> Operator:
        """Raft, autopilot, gossip keys and more, for who runs the servers."""
        from .api.operator import Operator

        return Operator(self._wire)

    @cached_property
    def snapshot(self) -> Snapshot:
        """The whole state of the servers, as an archive."""
        from .api.snapshot import Snapshot

        return Snapshot(self._wire)

    @cached_property
    def peering(self) -> Peerings:
        """Links to other clusters."""
        from .api.peering import Peerings

        return Peerings(self._wire)

    @cached_property
    def exported_services(self) -> ExportedServices:
        """What other clusters and partitions may use."""
        from .api.exported_services import ExportedServices

        return ExportedServices(self._wire)

    @cached_property
    def imported_services(self) -> ImportedServices:
        """What is used of other clusters and partitions."""
        from .api.imported_services import ImportedServices

        return ImportedServices(self._wire)

    @cached_property
    def namespace(self) -> Namespaces:
        """Namespaces of Consul Enterprise."""
        from .api.namespace import Namespaces

        return Namespaces(self._wire)

    @cached_property
    def partition(self) -> Partitions:
        """Admin partitions of Consul Enterprise."""
        from .api.partition import Partitions

        return Partitions(self._wire)

    def using(
        self,
        *,
        datacenter: str | None | _Keep = _KEEP,
        consistency: Consistency | str | _Keep = _KEEP,
        token: str | Token | None | _Keep = _KEEP,
        namespace: str | None | _Keep = _KEEP,
        partition: str | None | _Keep = _KEEP,
        timeout: float | None | _Keep = _KEEP,
        wait: float | _Keep = _KEEP,
        failover: Sequence[str] | _Keep = _KEEP,
        retry: bool | _Keep = _KEEP,
        paced: bool | _Keep = _KEEP,
    ) -> Self:
        """
        A view: the same connections and layers, with other options for its calls.

            fresh = c.using(consistency="consistent", timeout=5)

        None goes back to the agent's own datacenter, the client's own token or time-out, no
        namespace, no partition. `failover` names the datacenters where a read may be answered when
        its own does not; it is for data that means the same in each of them.

        With `retry=False` nothing is sent twice, for callers that repeat the whole of what they do.
        `paced` is for who waits between failures and tries again by himself, as watches do: each
        call is sent once, and an open circuit does not hold it back.
        """
        token = hidden(token)
        options = self._wire.options
        if not isinstance(datacenter, _Keep):
            options = replace(options, datacenter=_name("datacenter", datacenter))
        if not isinstance(consistency, _Keep):
            options = replace(options, consistency=_consistency(consistency))
        if not isinstance(token, _Keep):
            options = replace(options, token=as_token(token))
            self._core.warn_of_readers(options.token is not None)
        if not isinstance(namespace, _Keep):
            options = replace(options, namespace=_name("namespace", namespace))
        if not isinstance(partition, _Keep):
            options = replace(options, partition=_name("partition", partition))
        if not isinstance(timeout, _Keep):
            timeout = None if timeout is None else _seconds("timeout", timeout)
            self._core.must_have(Deadline, "timeout")
            options = replace(options, timeout=timeout)
        if not isinstance(wait, _Keep):
            options = replace(options, wait=Cursor(wait).wait)
        if not isinstance(failover, _Keep):
            if isinstance(failover, str) or not isinstance(failover, Sequence):
                raise ConfigurationError("failover is a list of datacenters", setting="failover")
            if not all(failover):
                raise ConfigurationError("failover has a name that is empty", setting="failover")
            self._core.must_have(Datacenters, "failover")
            names = tuple(_name("failover", name) or "" for name in failover)
            options = replace(options, failover=names)
        if not isinstance(retry, _Keep):
            options = replace(options, retry=flag("retry", retry, setting="retry"))
            if options.retry:
                self._core.must_have(Retry, "retry")
        if not isinstance(paced, _Keep):
            options = replace(options, paced=flag("paced", paced, setting="paced"))
        view = object.__new__(type(self))
        view._core = self._core
        view._wire = Wire(self._wire.line, options)
        view._owner = False
        return view

    def watch(self, read: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> Watch[T]:
        """
        Follow any read that takes a cursor: its result now, and after each change.

            async for entries in c.watch(c.health.service, "web", passing=True):
                ...

        Watches of the same read, with equal arguments, options and token, share one query.
        """
        return self._wire.watch(read, *args, **kwargs)

    def poll(
        self,
        read: Callable[P, Awaitable[T]],
        every: float,
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Watch[T]:
        """
        Follow a read that cannot wait for a change, by asking every so many seconds.

            async for result in c.poll(c.query.execute, 10, "nearest-web"):
                ...
        """
        return self._wire.poll(read, every, *args, **kwargs)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Param | Sequence[str]] | None = None,
        content: bytes | str | None = None,
        json: Any = None,
        safety: Safety | None = None,
        cursor: Cursor | None = None,
    ) -> Answer:
        """
        Ask any endpoint, with this view's options and all layers.

            answer = await c.request("GET", "/v1/agent/self")
            answer.parse(dict[str, Any])

        `path` begins with `/v1/`; encode names in it with `urllib.parse.quote(name, safe="")`. In
        `params`, True is a flag that is there and a list a parameter given several times. `safety`
        says what happens when the request is carried out twice: SAFE by default for GET, UNSAFE
        for everything else, which is then sent once. An error status is raised as everywhere.
        """
        encoded = raw_path(path)
        if not isinstance(method, str) or method not in ("GET", "PUT", "POST", "DELETE"):
            raise InvalidRequestError("a method is GET, PUT, POST or DELETE")
        local = encoded.startswith(("/v1/agent/", "/v1/status/"))
        reads = method == "GET"
        takes = Takes.NOTHING if local else (Takes.READ if reads else Takes.WRITE)
        if safety is not None and not isinstance(safety, Safety):
            raise InvalidRequestError("safety is one of consul_onex.Safety")
        if cursor is not None and not reads:
            raise InvalidRequestError("only a GET can wait for a change, so only it takes a cursor")
        body, content_type = _body(content, json)
        with following(cursor):
            answer = await self._wire.ask(
                f"{method} /v1/{encoded.split('/')[2]}",
                method,
                encoded,
                _params(params or {}),
                content=body,
                content_type=content_type,
                safety=safety or (Safety.SAFE if reads else Safety.UNSAFE),
                takes=takes,
                local=local,
                cursor=cursor,
            )
            if cursor is not None:
                cursor.advance(answer.meta)
        return answer

    async def server(self) -> Server | None:
        """
        The agent's version and edition, asked for once. None where it does not say.

        An agent before 1.15 says it to tokens with agent:read alone. None also with
        `check_server=False`.
        """
        return await self._wire.server()

    @property
    def circuits(self) -> Mapping[str, Circuit]:
        """The circuits by name, to `isolate()` or `reset()` by hand."""
        breakers = [part for part in self._core.parts if isinstance(part, BreakerTransport)]
        return MappingProxyType({k: v for part in breakers for k, v in part.circuits.items()})

    def statistics(self) -> Statistics:
        """How the client is doing at this moment."""
        from .transport import Connections

        parts = self._core.parts
        return Statistics(
            circuits={name: circuit.statistics() for name, circuit in self.circuits.items()},
            limit=next((p.statistics() for p in parts if isinstance(p, LimitTransport)), None),
            retry=next((p.statistics() for p in parts if isinstance(p, RetryTransport)), None),
            connections=next((p.statistics() for p in parts if isinstance(p, Connections)), None),
        )


class _Core:
    """What a client shares with its views, besides the line."""

    def __init__(
        self, parts: list[httpx.AsyncBaseTransport], layers: list[Layer], *, readable: str
    ) -> None:
        self.parts = parts
        self._layers = layers
        self._readable = readable

    def must_have(self, layer: type[Layer], setting: str) -> None:
        """Refuse an option that nothing would heed."""
        if not any(isinstance(one, layer) for one in self._layers):
            raise ConfigurationError(
                f"{setting} needs the layer {layer.__name__}, which is not among this client's",
                setting=setting,
            )

    def warn_of_readers(self, secret: bool) -> None:
        """Warn, once, when there is a token and others could read it."""
        if secret and self._readable:
            warnings.warn(self._readable, InsecureTransportWarning, stacklevel=_outside())
            self._readable = ""


def _outside() -> int:
    """The stack level, seen from who calls this, of the first line that is not this file's."""
    level, frame = 0, inspect.currentframe()
    while frame is not None and frame.f_code.co_filename == __file__:
        level, frame = level + 1, frame.f_back
    return level


def _usual_layers(timeout: float, settings: ConsulSettings | None) -> list[Layer]:
    if settings is None:
        return [Deadline(timeout), Events(), Retry(), Datacenters(), Breaker(), Limit()]
    return [
        Deadline(timeout),
        Events(),
        Retry(
            attempts=settings.retry_attempts,
            initial=settings.retry_initial,
            max=settings.retry_max,
            base=settings.retry_base,
            jitter=settings.retry_jitter,
        ),
        Datacenters(),
        Breaker(settings.breaker_failures, settings.breaker_reset_after),
        Limit(
            plain=settings.limit_plain,
            blocking=settings.limit_blocking,
            max_wait=settings.limit_max_wait,
            queue_watches=settings.limit_queue_watches,
        ),
    ]


def _hub(layers: list[Layer]) -> Hub:
    limit = next((layer for layer in layers if isinstance(layer, Limit)), None)
    return Hub() if limit is None else Hub(limit.blocking, queue=limit.queue_watches)


def _pick(given: T | None, stored: T | None, default: T) -> T:
    return given if given is not None else stored if stored is not None else default


def _must_be(value: object, kind: type, name: str, what: str) -> None:
    if value is not None and not isinstance(value, kind):
        raise ConfigurationError(f"{name} is {what}, not {type(value).__name__}", setting=name)


def _checked(layers: Iterable[Layer]) -> list[Layer]:
    if not isinstance(layers, Iterable):
        raise ConfigurationError("layers is a list of layers", setting="layers")
    listed = list(layers)
    for layer in listed:
        if isinstance(layer, type) or not callable(getattr(layer, "wrap", None)):
            raise ConfigurationError(
                f"a layer is an object that wraps a transport, not {layer!r}", setting="layers"
            )
    return listed


class _NoSettings:
    """Settings that say nothing."""

    auth = datacenter = namespace = partition = consistency = None
    timeout = connect_timeout = attempt_timeout = wait = gzip = max_response_bytes = http = None
    check_server = None
    token = token_file = ca_file = ca_path = client_cert = client_key = tls_server_name = None
    verify = True

    def where(self) -> Address:
        return Address.parse(DEFAULT_ADDRESS)

    def name_of(self, field: str) -> str:
        return field


def _tls(settings: ConsulSettings | _NoSettings) -> TLS:
    return TLS(
        ca_file=settings.ca_file,
        ca_path=settings.ca_path,
        client_cert=settings.client_cert,
        client_key=settings.client_key,
        server_name=settings.tls_server_name,
        verify=settings.verify,
    )


def _token(
    token: str | Token | None,
    token_file: str | os.PathLike[str] | None,
    settings: ConsulSettings | _NoSettings,
) -> Token | None:
    if token is not None and token_file is not None:
        raise ConfigurationError("give a token or a token_file, not both", setting="token")
    if token is not None:
        return as_token(token)
    if token_file is not None:
        return TokenFile(token_file)
    if settings.token_file is not None:
        return TokenFile(settings.token_file, setting=settings.name_of("token_file"))
    return as_token(settings.token, setting=settings.name_of("token"))


def _basic(auth: str | SecretStr | None) -> SecretStr | None:
    if auth is not None and not isinstance(auth, SecretStr):
        raise ConfigurationError("auth is a str or a SecretStr", setting="auth")
    if auth is None or not auth.get_secret_value():
        return None
    if any("\ud800" <= character <= "\udfff" for character in auth.get_secret_value()):
        raise ConfigurationError(
            "auth has a lone surrogate, which UTF-8 cannot say", setting="auth"
        )
    return auth


def _who_can_read(where: Address, tls: TLS, layers: list[Layer]) -> str:
    """Why somebody else could read a token on its way; empty where nobody can."""
    agents = [where]
    for layer in layers:
        if isinstance(layer, Datacenters):
            agents += [Address.parse(text) for text in layer.addresses.values()]
    for agent in agents:
        if agent.scheme == "http" and not agent.loopback:
            return f"the token goes to {agent.origin} in clear text; use https"
        if agent.scheme == "https" and not tls.verify:
            return f"the token goes to {agent.origin}, whose certificate is not verified"
    return ""


def _seconds(name: str, value: float) -> float:
    return seconds(name, value, setting=name, above_zero=True)


def _name(what: str, name: str | None) -> str | None:
    if not name:
        return None
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        raise ConfigurationError(
            f"{what} is a name of letters, digits, '-' and '_', at most 64 of them", setting=what
        )
    return name


def _consistency(consistency: Consistency | str) -> Consistency:
    try:
        return Consistency(consistency)
    except ValueError:
        pass
    raise ConfigurationError(
        "consistency is 'default', 'consistent' or 'stale'", setting="consistency"
    )


def _params(given: Mapping[str, Param | Sequence[str]]) -> Params:
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise InvalidRequestError("params is a mapping of names to values")
    params: Params = []
    for name, value in given.items():
        if name in _RESERVED:
            raise InvalidRequestError(f"{name!r} is not a parameter here: use {_RESERVED[name]}")
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if one is True:
                params.append((name, ""))
            elif isinstance(one, (str, int)) and one is not False:
                params.append((name, str(one)))
            elif one is not None and one is not False:
                raise InvalidRequestError(
                    f"parameter {name!r} is a str, an int, a bool or a list of str"
                )
    return params


def _body(content: bytes | str | None, json: Any) -> tuple[bytes, bytes]:
    """The body of a raw request, and its type."""
    if content is not None and json is not None:
        raise InvalidRequestError("give content or json, not both")
    if json is not None:
        return dumped(json), b"application/json"
    if content is not None and not isinstance(content, (bytes, str)):
        raise InvalidRequestError(f"content is bytes or str, not {type(content).__name__}")
    body = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return body or b"", b"application/octet-stream"
