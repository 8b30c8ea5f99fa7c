"""The agent itself: what is registered with it, and how it is doing."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Final, Generic, TypeVar

from pydantic import SecretStr, TypeAdapter

from .._call import Safety
from .._json import LAZY, dumped
from .._path import Params, segment
from .._wire import Answer, Stream, Takes, Wire
from ..errors import InvalidRequestError, NotFoundError, UnknownCheckError
from ..models._base import rows_of
from ..models.agent import (
    AgentHealth,
    AgentHost,
    AgentMember,
    AgentMetrics,
    AgentSelf,
    AgentToken,
    AgentVersion,
    CertificateReport,
    CheckUpdate,
    ConnectAuthorization,
    ConnectAuthorizationRequest,
)
from ..models.check import Check, HealthCheck
from ..models.connect import CARoots, LeafCert
from ..models.service import AgentService, ServiceRegistration
from ..query import Cursor

__all__ = ["Agent"]

T = TypeVar("T")

_SELF: Final = TypeAdapter(AgentSelf)
_HOST: Final = TypeAdapter(AgentHost)
_VERSION: Final = TypeAdapter(AgentVersion)
_MEMBERS: Final = rows_of(AgentMember)
_METRICS: Final = TypeAdapter(AgentMetrics)
_CERTIFICATES: Final = TypeAdapter(CertificateReport)
_SERVICES: Final = TypeAdapter(dict[str, AgentService], config=LAZY)
_SERVICE: Final = TypeAdapter(AgentService)
_HEALTH: Final = TypeAdapter(AgentHealth)
_HEALTHS: Final = rows_of(AgentHealth)
_CHECKS: Final = TypeAdapter(dict[str, HealthCheck], config=LAZY)
_AUTHORIZATION: Final = TypeAdapter(ConnectAuthorization)
_ROOTS: Final = TypeAdapter(CARoots)
_LEAF: Final = TypeAdapter(LeafCert)

_UNHEALTHY: Final = frozenset({429, 503})
"""With these an agent says that a service is not well, when asked how it is."""


class Agent:
    """
    The agent itself: what is registered with it, and how it is doing.

    Everything here is about the one agent that is asked; another would answer otherwise. What is
    registered here the agent looks after, and tells the servers of.

    https://developer.hashicorp.com/consul/api-docs/agent
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    # -- the agent ---------------------------------------------------------------------------------

    async def self(self) -> AgentSelf:
        """
        What the agent knows of itself: its configuration, its place in the cluster, its counters.

        GET /v1/agent/self
        https://developer.hashicorp.com/consul/api-docs/agent#read-configuration
        """
        return await self._wire.read(
            "agent.self", "/v1/agent/self", _SELF, takes=Takes.NOTHING, local=True
        )

    async def host(self) -> AgentHost:
        """
        The machine that the agent runs on: its memory, processors and disk.

        GET /v1/agent/host
        https://developer.hashicorp.com/consul/api-docs/agent#retrieve-host-information
        """
        return await self._wire.read(
            "agent.host", "/v1/agent/host", _HOST, takes=Takes.NOTHING, local=True
        )

    async def version(self) -> AgentVersion:
        """
        Which build the agent is. It needs no token.

        GET /v1/agent/version  since Consul 1.15
        https://developer.hashicorp.com/consul/api-docs/agent#retrieve-version-information
        """
        return await self._wire.read(
            "agent.version", "/v1/agent/version", _VERSION, takes=Takes.NOTHING, local=True
        )

    async def members(
        self,
        *,
        wan: bool = False,
        segment: str | None = None,
        filter: str | None = None,
    ) -> list[AgentMember]:
        """
        The members of the gossip pool, as this agent sees them at the moment.

        With `wan`, the servers of all datacenters; a client agent knows none of them. `segment` is
        a network segment of Consul Enterprise, `"_all"` is every one. `filter` is an expression
        over the fields (`Status == 1`), and came with Consul 1.16.1.

        GET /v1/agent/members
        https://developer.hashicorp.com/consul/api-docs/agent#list-members
        """
        params: Params = []
        if wan:
            # Unlike other flags it must not be empty.
            params.append(("wan", "true"))
        if segment is not None:
            params.append(("segment", segment))
        if filter is not None:
            await self._wire.needs("a filter of members", "1.16.1", "agent.members")
        return await self._wire.read(
            "agent.members",
            "/v1/agent/members",
            _MEMBERS,
            [*params, *_filter(filter)],
            takes=Takes.PARTITION,
            local=True,
        )

    async def join(self, address: str, *, wan: bool = False) -> None:
        """
        Bring the agent into a cluster: `address` is that of a member, `"ip"` or `"ip:port"`.

        With `wan`, bring a server into the pool of the servers of all datacenters. ServerError
        when nobody answers there.

        PUT /v1/agent/join/:address
        https://developer.hashicorp.com/consul/api-docs/agent#join-agent
        """
        await self._told(
            "agent.join",
            f"/v1/agent/join/{segment(address, 'address')}",
            [("wan", "true")] if wan else [],
            takes=Takes.NOTHING,
        )

    async def leave(self) -> None:
        """
        Have the agent leave the cluster, and end.

        It answers when it has left: a server takes some ten seconds for that.

        PUT /v1/agent/leave
        https://developer.hashicorp.com/consul/api-docs/agent#graceful-leave-and-shutdown
        """
        await self._wire.ask(
            "agent.leave",
            "PUT",
            "/v1/agent/leave",
            takes=Takes.NOTHING,
            local=True,
            # A server takes longer than an attempt may.
            unhurried=True,
        )

    async def force_leave(self, node: str, *, prune: bool = False, wan: bool = False) -> None:
        """
        Have a member that failed count as one that left.

        With `prune` it is taken off the list altogether. With `wan`, which came with Consul 1.11,
        it only leaves the pool of the servers of all datacenters; its name is then `"node.dc"`.
        BadRequestError when there is no such member.

        PUT /v1/agent/force-leave/:node
        https://developer.hashicorp.com/consul/api-docs/agent#force-leave-and-shutdown
        """
        if wan:
            await self._wire.needs("wan=True of a forced leave", "1.11", "agent.force_leave")
        await self._told(
            "agent.force_leave",
            f"/v1/agent/force-leave/{segment(node, 'node')}",
            [(flag, "") for flag, given in (("prune", prune), ("wan", wan)) if given],
            takes=Takes.NOTHING,
        )

    async def reload(self) -> None:
        """
        Have the agent read its configuration files again. Not every setting heeds that.

        ServerError when they cannot be used: the agent then goes on with what it had.

        PUT /v1/agent/reload
        https://developer.hashicorp.com/consul/api-docs/agent#reload-agent
        """
        await self._told("agent.reload", "/v1/agent/reload", takes=Takes.NOTHING)

    async def maintenance(self, enable: bool, reason: str | None = None) -> None:
        """
        Take the agent's node out of service, or back into it: nobody finds what runs there.

        The agent remembers it when it is restarted. `reason` is for the people who wonder.

        PUT /v1/agent/maintenance
        https://developer.hashicorp.com/consul/api-docs/agent#enable-maintenance-mode
        """
        await self._told(
            "agent.maintenance",
            "/v1/agent/maintenance",
            _maintenance(enable, reason),
            takes=Takes.NOTHING,
        )

    async def set_token(self, kind: str, token: SecretStr | str) -> None:
        """
        Give the agent a token to use; the empty one takes it away.

        `kind` is `default`, `agent`, `agent_recovery`, `replication`,
        `config_file_service_registration` (since Consul 1.15) or `dns` (since 1.17). Servers
        before 1.11 know `agent_recovery` by another name, which is then used. NotFoundError for a
        kind that the server does not know, PermissionDeniedError also where ACLs are off.

        The agent forgets it when it is restarted, unless `enable_token_persistence` is set.

        PUT /v1/agent/token/:kind
        https://developer.hashicorp.com/consul/api-docs/agent#update-acl-tokens
        """
        secret = token if isinstance(token, SecretStr) else SecretStr(token)
        body = AgentToken(token=secret).body()
        try:
            await self._told("agent.set_token", _token_path(kind), json=body, takes=Takes.NOTHING)
        except NotFoundError:
            if kind != "agent_recovery":
                raise
            path = _token_path("agent_master")
            await self._told("agent.set_token", path, json=body, takes=Takes.NOTHING)

    # -- what it measures --------------------------------------------------------------------------

    async def metrics(self) -> AgentMetrics:
        """
        What the agent measured in the last ten seconds that are over.

        GET /v1/agent/metrics
        https://developer.hashicorp.com/consul/api-docs/agent#view-metrics
        """
        return await self._wire.read(
            "agent.metrics", "/v1/agent/metrics", _METRICS, takes=Takes.NOTHING, local=True
        )

    async def prometheus(self) -> str:
        """
        What the agent measures, in the text format of Prometheus.

        BadRequestError unless the agent has a `prometheus_retention_time`.

        GET /v1/agent/metrics?format=prometheus
        https://developer.hashicorp.com/consul/api-docs/agent#view-metrics
        """
        answer = await self._wire.ask(
            "agent.prometheus",
            "GET",
            "/v1/agent/metrics",
            [("format", "prometheus")],
            safety=Safety.SAFE,
            takes=Takes.NOTHING,
            local=True,
        )
        return answer.text()

    def metrics_stream(self) -> AbstractAsyncContextManager[AsyncIterator[AgentMetrics]]:
        """
        What the agent measures, every ten seconds anew.

            async with c.agent.metrics_stream() as stream:
                async for metrics in stream:
                    ...

        GET /v1/agent/metrics/stream  since Consul 1.11
        https://developer.hashicorp.com/consul/api-docs/agent#view-metrics
        """
        stream = self._wire.stream("agent.metrics_stream", "/v1/agent/metrics/stream", local=True)
        return _pieces(stream, _Documents(), _metrics)

    async def metrics_certificates(self) -> CertificateReport:
        """
        When the certificates that the agent knows of expire.

        GET /v1/agent/metrics/certificates  since Consul 2.0
        https://developer.hashicorp.com/consul/api-docs/agent/metrics#certificate-expiration
        """
        return await self._wire.read(
            "agent.metrics_certificates",
            "/v1/agent/metrics/certificates",
            _CERTIFICATES,
            takes=Takes.NOTHING,
            local=True,
        )

    def monitor(
        self, *, level: str = "info", json: bool = False
    ) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """
        The agent's log, line by line, from now on.

            async with c.agent.monitor(level="warn") as lines:
                async for line in lines:
                    print(line)

        `level` is `trace`, `debug`, `info`, `warn` or `error`; BadRequestError for another. With
        `json`, each line is a JSON object. It may be silent for ever. ConsulConnectionError when
        the agent dies; leaving closes the connection.

        GET /v1/agent/monitor
        https://developer.hashicorp.com/consul/api-docs/agent#stream-logs
        """
        params: Params = [("loglevel", level), *([("logjson", "")] if json else [])]
        stream = self._wire.stream("agent.monitor", "/v1/agent/monitor", params, local=True)
        return _pieces(stream, _Lines(), _text)

    # -- services ----------------------------------------------------------------------------------

    async def services(self, *, filter: str | None = None) -> dict[str, AgentService]:
        """
        The services that are registered with the agent, by their ids.

        Those that the token may not read are left out. `filter` is an expression over the fields:
        `Service == "web" and "v2" in Tags`.

        GET /v1/agent/services
        https://developer.hashicorp.com/consul/api-docs/agent/service#list-services
        """
        return await self._wire.read(
            "agent.services",
            "/v1/agent/services",
            _SERVICES,
            _filter(filter),
            takes=Takes.TENANCY,
            local=True,
        )

    async def service(self, service_id: str, cursor: Cursor | None = None) -> AgentService | None:
        """
        One of them, by its id. None where there is none.

        With a cursor it waits for the content to change, not for an index. What is not there has
        no content: the read then answers at once.

        GET /v1/agent/service/:service_id
        https://developer.hashicorp.com/consul/api-docs/agent/service#get-service-configuration
        """
        return await self._wire.find(
            "agent.service",
            f"/v1/agent/service/{segment(service_id, 'service id')}",
            _SERVICE,
            cursor=cursor,
            unless="unknown service ID",
            takes=Takes.TENANCY,
            local=True,
        )

    async def health(self, service_id: str) -> AgentHealth | None:
        """
        How a service of the agent is, by its id. None where there is none.

        GET /v1/agent/health/service/id/:service_id
        https://developer.hashicorp.com/consul/api-docs/agent/service#get-local-service-health-by-its-id
        """
        answer = await self._wire.ask(
            "agent.health",
            "GET",
            f"/v1/agent/health/service/id/{segment(service_id, 'service id')}",
            safety=Safety.SAFE,
            missing='"AggregatedStatus"',
            data=_UNHEALTHY,
            takes=Takes.TENANCY,
            local=True,
        )
        return None if answer.status == 404 else answer.decode(_HEALTH)

    async def health_by_name(self, name: str) -> list[AgentHealth]:
        """
        How the services of that name are which the agent has. Empty where it has none.

        GET /v1/agent/health/service/name/:name
        https://developer.hashicorp.com/consul/api-docs/agent/service#get-local-service-health
        """
        answer = await self._wire.ask(
            "agent.health_by_name",
            "GET",
            f"/v1/agent/health/service/name/{segment(name, 'name')}",
            safety=Safety.SAFE,
            missing="[]",
            data=_UNHEALTHY,
            takes=Takes.TENANCY,
            local=True,
        )
        return answer.decode(_HEALTHS)

    async def register(
        self, registration: ServiceRegistration, *, replace_existing_checks: bool = False
    ) -> None:
        """
        Register a service with the agent, or change the one with its id.

        A service that is registered again keeps the state of its checks, and those that are not
        named any more; with `replace_existing_checks` these go. BadRequestError when the server
        does not know a field, which is how an old one takes a new option.

        PUT /v1/agent/service/register
        https://developer.hashicorp.com/consul/api-docs/agent/service#register-service
        """
        _must_have_a_name(registration, "agent.register")
        await self._told(
            "agent.register",
            "/v1/agent/service/register",
            [("replace-existing-checks", "true")] if replace_existing_checks else [],
            json=registration.body(),
            control=True,
        )

    async def deregister(self, service_id: str) -> None:
        """
        Remove a service and its checks. It is fine when there is none.

        PUT /v1/agent/service/deregister/:service_id
        https://developer.hashicorp.com/consul/api-docs/agent/service#deregister-service
        """
        path = f"/v1/agent/service/deregister/{segment(service_id, 'service id')}"
        with suppress(NotFoundError):
            await self._told("agent.deregister", path, control=True, missing="Unknown service")

    async def service_maintenance(
        self, service_id: str, enable: bool, reason: str | None = None
    ) -> None:
        """
        Take one service out of service, or back into it; NotFoundError where there is none.

        The agent remembers it when it is restarted. `reason` is for the people who wonder.

        PUT /v1/agent/service/maintenance/:service_id
        https://developer.hashicorp.com/consul/api-docs/agent/service#enable-maintenance-mode
        """
        await self._told(
            "agent.service_maintenance",
            f"/v1/agent/service/maintenance/{segment(service_id, 'service id')}",
            _maintenance(enable, reason),
            control=True,
        )

    # -- checks ------------------------------------------------------------------------------------

    async def checks(self, *, filter: str | None = None) -> dict[str, HealthCheck]:
        """
        The checks that are registered with the agent, by their ids.

        Those that the token may not read are left out. `filter` is an expression over the fields:
        `Status != "passing"`.

        GET /v1/agent/checks
        https://developer.hashicorp.com/consul/api-docs/agent/check#list-checks
        """
        return await self._wire.read(
            "agent.checks",
            "/v1/agent/checks",
            _CHECKS,
            _filter(filter),
            takes=Takes.TENANCY,
            local=True,
        )

    async def register_check(self, check: Check) -> None:
        """
        Register a check with the agent, or change the one with its id, which is else its name.

        It is the node's, or that of the service in its `service_id`; NotFoundError where there is
        no such service. It must have a name.

        PUT /v1/agent/check/register
        https://developer.hashicorp.com/consul/api-docs/agent/check#register-check
        """
        _must_have_a_name(check, "agent.register_check")
        body = check.to_wire()
        if "CheckID" in body:
            # Its name in a service's registration, and refused here.
            body["ID"] = body.pop("CheckID")
        await self._told(
            "agent.register_check",
            "/v1/agent/check/register",
            json=dumped(body, "agent.register_check"),
        )

    async def deregister_check(self, check_id: str) -> None:
        """
        Remove a check. It is fine when there is none.

        PUT /v1/agent/check/deregister/:check_id
        https://developer.hashicorp.com/consul/api-docs/agent/check#deregister-check
        """
        path = f"/v1/agent/check/deregister/{segment(check_id, 'check id')}"
        with suppress(UnknownCheckError):
            await self._told("agent.deregister_check", path, missing="Unknown check")

    async def check_pass(self, check_id: str, note: str | None = None) -> None:
        """
        Say that a check with a time-to-live is passing, which begins its time anew.

        `note` is what it shows as its output. It goes before other calls. UnknownCheckError when
        the agent has no such check, or one that is not of that kind.

        PUT /v1/agent/check/pass/:check_id
        https://developer.hashicorp.com/consul/api-docs/agent/check#ttl-check-pass
        """
        await self._noted("agent.check_pass", "pass", check_id, note)

    async def check_warn(self, check_id: str, note: str | None = None) -> None:
        """
        Say that it is warning; as `check_pass` in everything else.

        PUT /v1/agent/check/warn/:check_id
        https://developer.hashicorp.com/consul/api-docs/agent/check#ttl-check-warn
        """
        await self._noted("agent.check_warn", "warn", check_id, note)

    async def check_fail(self, check_id: str, note: str | None = None) -> None:
        """
        Say that it is critical; as `check_pass` in everything else.

        PUT /v1/agent/check/fail/:check_id
        https://developer.hashicorp.com/consul/api-docs/agent/check#ttl-check-fail
        """
        await self._noted("agent.check_fail", "fail", check_id, note)

    async def check_update(self, check_id: str, status: str, output: str = "") -> None:
        """
        Say how it is: `passing`, `warning` or `critical`; as `check_pass` in everything else.

        An `output` that is longer than the check's `output_max_size` (4,096 bytes where nobody
        says otherwise) is cut.

        PUT /v1/agent/check/update/:check_id
        https://developer.hashicorp.com/consul/api-docs/agent/check#ttl-check-update
        """
        await self._told(
            "agent.check_update",
            f"/v1/agent/check/update/{segment(check_id, 'check id')}",
            json=CheckUpdate(status=status, output=output).body(),
            control=True,
        )

    async def _noted(self, operation: str, verb: str, check_id: str, note: str | None) -> None:
        await self._told(
            operation,
            f"/v1/agent/check/{verb}/{segment(check_id, 'check id')}",
            [] if note is None else [("note", note)],
            control=True,
        )

    # -- the service mesh --------------------------------------------------------------------------

    async def connect_authorize(
        self, target: str, client_cert_uri: str, client_cert_serial: str
    ) -> ConnectAuthorization:
        """
        Whether a connection to the service `target` is to be let in.

        The other two are from the client's certificate, which must have been verified: the SPIFFE
        id, and the serial number in hexadecimal with colons. An intention with permissions counts
        as one that denies.

        POST /v1/agent/connect/authorize
        https://developer.hashicorp.com/consul/api-docs/agent/connect#authorize
        """
        request = ConnectAuthorizationRequest(
            target=target, client_cert_uri=client_cert_uri, client_cert_serial=client_cert_serial
        )
        return await self._wire.write(
            "agent.connect_authorize",
            "POST",
            "/v1/agent/connect/authorize",
            _AUTHORIZATION,
            json=request.body(),
            safety=Safety.SAFE,
            takes=Takes.TENANCY,
            local=True,
        )

    async def connect_ca_roots(self, cursor: Cursor | None = None) -> CARoots:
        """
        The certificates that the service mesh trusts, from the agent's own memory.

        BadRequestError where there is no mesh.

        GET /v1/agent/connect/ca/roots
        https://developer.hashicorp.com/consul/api-docs/agent/connect#certificate-authority-ca-roots
        """
        return await self._wire.read(
            "agent.connect_ca_roots",
            "/v1/agent/connect/ca/roots",
            _ROOTS,
            cursor=cursor,
            takes=Takes.NOTHING,
            local=True,
        )

    async def connect_ca_leaf(self, service: str, cursor: Cursor | None = None) -> LeafCert:
        """
        The certificate of a service, by its name, with the private key.

        There need be no such service. The agent has it renewed in time: followed with a cursor, it
        is there as soon as it is new. BadRequestError where there is no mesh.

        GET /v1/agent/connect/ca/leaf/:service
        https://developer.hashicorp.com/consul/api-docs/agent/connect#service-leaf-certificate
        """
        return await self._wire.read(
            "agent.connect_ca_leaf",
            f"/v1/agent/connect/ca/leaf/{segment(service, 'service')}",
            _LEAF,
            cursor=cursor,
            takes=Takes.TENANCY,
            local=True,
        )

    # -- in common ---------------------------------------------------------------------------------

    async def _told(
        self,
        operation: str,
        path: str,
        params: Params | None = None,
        *,
        json: bytes | None = None,
        takes: Takes = Takes.TENANCY,
        control: bool = False,
        missing: bool | str = False,
    ) -> None:
        """Tell the agent what it may be told twice, and what it answers with nothing."""
        await self._wire.ask(
            *(operation, "PUT", path, params),
            json=json,
            safety=Safety.IDEMPOTENT,
            takes=takes,
            local=True,
            control=control,
            missing=missing,
        )


def _filter(expression: str | None) -> Params:
    return [] if expression is None else [("filter", expression)]


def _maintenance(enable: bool, reason: str | None) -> Params:
    params = [("enable", "true" if enable else "false")]
    return params if reason is None else [*params, ("reason", reason)]


def _token_path(kind: str) -> str:
    return f"/v1/agent/token/{segment(kind, 'kind')}"


def _must_have_a_name(definition: ServiceRegistration | Check, operation: str) -> None:
    if not definition.name:
        raise InvalidRequestError(
            f"a {type(definition).__name__} must have a name to be registered", operation=operation
        )


# -- streams ---------------------------------------------------------------------------------------


class _Lines:
    """Cuts at the ends of lines."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        lines, newline, begun = chunk.rpartition(b"\n")
        whole = []
        if newline:
            whole = b"".join([*self._begun, lines]).split(b"\n")
            self._begun.clear()
        self._begun.append(begun)
        return whole

    def rest(self) -> bytes:
        return b"".join(self._begun)


_MARK: Final = re.compile(rb'\\.|["{}]', re.DOTALL)


class _Documents:
    """Cuts where a JSON object ends."""

    def __init__(self) -> None:
        self._begun = b""
        self._seen = 0
        self._depth = 0
        self._quoted = False

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        text, begin = self._begun + chunk, 0
        whole = []
        for mark in _MARK.finditer(text, self._seen):
            self._seen = mark.end()
            if mark[0] == b'"':
                self._quoted = not self._quoted
            elif mark[0] in b"{}" and not self._quoted:
                self._depth += 1 if mark[0] == b"{" else -1
                if self._depth <= 0:
                    whole.append(text[begin : self._seen])
                    begin, self._depth = self._seen, 0
        self._begun = text[begin:]
        self._seen -= begin
        return whole

    def rest(self) -> bytes:
        return self._begun.strip()


class _Pieces(Generic[T]):
    """What comes out of a stream, piece by piece."""

    def __init__(
        self, stream: Stream, cutter: _Lines | _Documents, read: Callable[[bytes], T]
    ) -> None:
        self._stream = stream
        self._cutter = cutter
        self._read = read
        self._ready: deque[bytes] = deque()
        self._over = False

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        while not self._ready and not self._over:
            try:
                self._ready.extend(self._cutter.feed(await anext(self._stream)))
            except StopAsyncIteration:
                self._over = True
                if rest := self._cutter.rest():
                    self._ready.append(rest)
        if not self._ready:
            raise StopAsyncIteration
        return self._read(self._ready.popleft())


@asynccontextmanager
async def _pieces(
    stream: AbstractAsyncContextManager[Stream],
    cutter: _Lines | _Documents,
    read: Callable[[bytes], T],
) -> AsyncIterator[AsyncIterator[T]]:
    async with stream as opened:
        yield _Pieces(opened, cutter, read)


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace")


def _metrics(document: bytes) -> AgentMetrics:
    return Answer("agent.metrics_stream", 200, document, ()).decode(_METRICS)
