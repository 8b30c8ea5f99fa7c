"""Prepared queries, as a real agent keeps and answers them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import anyio
import pytest
from pydantic import SecretStr

from consul_onex import (
    BadRequestError,
    ConsulClient,
    Cursor,
    InvalidRequestError,
    InvalidSessionError,
    NotFoundError,
    PermissionDeniedError,
)
from consul_onex.models.catalog import CatalogCheck, CatalogServiceDefinition
from consul_onex.models.query import (
    PreparedQuery,
    QueryDNS,
    QueryFailover,
    QueryResult,
    QueryTemplate,
    ServiceQuery,
)
from tests.contract.conftest import NewSession, Recorder
from tests.support.agents import Agent, Datacenters
from tests.support.lossless import lost

NewQuery = Callable[[PreparedQuery], Awaitable[str]]
"""Creates a query, which is gone afterwards, and returns its id."""

NewToken = Callable[[str], Awaitable[str]]
"""Makes a token that may do what these rules say."""

Instances = Callable[..., Awaitable[str]]
"""Registers instances of a service, each on a node of its own, and returns the service's name."""


@pytest.fixture
async def new_query(c: ConsulClient) -> AsyncIterator[NewQuery]:
    made: list[str] = []

    async def create(query: PreparedQuery) -> str:
        made.append(await c.query.create(query))
        return made[-1]

    yield create
    for query_id in made:
        await c.query.delete(query_id)


@pytest.fixture
async def instances(c: ConsulClient) -> AsyncIterator[Instances]:
    nodes: list[str] = []

    async def register(*wanted: dict[str, Any]) -> str:
        """Each as a dict: `node` (the start of its name), `status`, `tags`, `meta`, `node_meta`."""
        name = f"web-{uuid4().hex}"
        t = c.txn.begin()
        for one in wanted:
            node = f"{one.get('node', 'n')}-{name}"
            nodes.append(node)
            t.node.set(node, "10.0.0.1", meta=one.get("node_meta"))
            t.service.set(
                node,
                CatalogServiceDefinition(
                    service=name, tags=one.get("tags", []), meta=one.get("meta", {}), port=80
                ),
            )
            check = CatalogCheck(
                check_id="disk", service_id=name, status=one.get("status", "passing")
            )
            t.check.set(node, check)
        await t.commit()
        return name

    yield register
    t = c.txn.begin()
    for node in nodes:
        t.node.delete(node)
    await t.commit()


def named(service: str = "web", **fields: Any) -> PreparedQuery:
    """A query of a name of its own."""
    return PreparedQuery(name=f"q-{uuid4().hex}", service=ServiceQuery(service=service, **fields))


def nodes_of(result: QueryResult) -> list[str]:
    return sorted(entry.node.node.partition("-")[0] for entry in result.nodes)


async def read(c: ConsulClient, query_id: str) -> PreparedQuery:
    query = await c.query.get(query_id)
    assert query is not None
    return query


# -- a query's life -----------------------------------------------------------------------------


async def test_a_query_is_as_it_was_created_and_nothing_of_it_is_lost(
    c: ConsulClient, new_query: NewQuery, new_session: NewSession
) -> None:
    query = PreparedQuery(
        name=f"q-{uuid4().hex}",
        session=await new_session(),
        token=SecretStr("t0ken"),
        service=ServiceQuery(
            service="web",
            failover=QueryFailover(nearest_n=1, datacenters=["dc2", "dc3"]),
            near="_agent",
            only_passing=True,
            ignore_check_ids=["disk"],
            tags=["a", "!b"],
            node_meta={"rack": "7"},
            service_meta={"version": "2"},
            connect=True,
        ),
        dns=QueryDNS(ttl=10.0),
        template=QueryTemplate(type="name_prefix_match", regexp="(.*)", remove_empty_tags=True),
    )
    made = await new_query(query)
    answer = await c.request("GET", f"/v1/query/{made}")
    entry = await read(c, made)

    assert lost(answer.json(), [entry]) == []
    assert entry.create_index == entry.modify_index > 0
    assert entry == query.replace(
        id=made, create_index=entry.create_index, modify_index=entry.modify_index
    )
    listed = await c.query.list()
    assert entry in listed
    assert lost((await c.request("GET", "/v1/query")).json(), listed) == []


async def test_a_query_that_was_read_can_be_changed_and_written_back(
    c: ConsulClient, new_query: NewQuery
) -> None:
    made = await new_query(named(near="_agent", tags=["a"]))
    before = await read(c, made)
    service = before.service.replace(tags=["b"])

    await c.query.update(made, before.replace(service=service))

    after = await read(c, made)
    assert after == before.replace(service=service, modify_index=after.modify_index)
    assert after.modify_index > before.modify_index
    assert after.dns == QueryDNS(ttl=None)


async def test_what_is_not_written_again_is_gone(c: ConsulClient, new_query: NewQuery) -> None:
    query = named(near="_agent", tags=["a"])
    made = await new_query(query)
    await c.query.update(made, query.replace(service=ServiceQuery(service="other")))
    service = (await read(c, made)).service

    assert (service.service, service.near, service.tags) == ("other", "", [])


async def test_a_query_that_is_not_there(c: ConsulClient) -> None:
    made = await c.query.create(named())
    await c.query.delete(made)
    await c.query.delete(made)

    assert await c.query.get(made) is None
    assert made not in [query.id for query in await c.query.list()]
    with pytest.raises(NotFoundError, match="non-existent prepared query"):
        await c.query.update(made, named())
    for asked in (c.query.execute, c.query.explain):
        with pytest.raises(NotFoundError, match="Query not found"):
            await asked(made)


async def test_a_name_is_no_id(c: ConsulClient, new_query: NewQuery) -> None:
    query = named()
    made = await new_query(query)

    for call in (
        c.query.get(query.name),
        c.query.update(query.name, query),
        c.query.delete(query.name),
    ):
        with pytest.raises(BadRequestError, match="UUID must be 36 characters"):
            await call
    assert (await c.query.explain(query.name)).id == made


@pytest.mark.parametrize(
    ("error", "said", "wrong"),
    [
        (BadRequestError, "Must be bound to a session", {"name": ""}),
        (BadRequestError, "Must provide a Service name", {"service": ServiceQuery(service="")}),
        (BadRequestError, "Bad Token", {"token": SecretStr("<hidden>")}),
        (
            BadRequestError,
            "Bad NearestN",
            {"service": ServiceQuery(service="web", failover=QueryFailover(nearest_n=-1))},
        ),
        (BadRequestError, "Bad Template.Type", {"template": QueryTemplate(type="nope")}),
        (
            BadRequestError,
            "Bad Regexp",
            {"template": QueryTemplate(type="name_prefix_match", regexp="(")},
        ),
        (
            BadRequestError,
            "Bad format",
            {
                "template": QueryTemplate(type="name_prefix_match"),
                "service": ServiceQuery(service="${match(x"),
            },
        ),
        (
            BadRequestError,
            "unknown field",
            {"service": ServiceQuery(service="web", sameness_group="x")},
        ),
        (InvalidSessionError, "invalid session", {"session": "no id"}),
        (
            InvalidSessionError,
            "invalid session",
            {"session": "11111111-1111-1111-1111-111111111111"},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_consul_does_not_take_is_told_and_sent_once(
    observed: ConsulClient,
    recorder: Recorder,
    error: type[Exception],
    said: str,
    wrong: dict[str, Any],
) -> None:
    with pytest.raises(error, match=said):
        await observed.query.create(named().replace(**wrong))

    assert len(recorder.requests) == 1


async def test_a_name_belongs_to_one_query(c: ConsulClient, new_query: NewQuery) -> None:
    query = named()
    made = await new_query(query)

    with pytest.raises(BadRequestError, match="aliases an existing query name"):
        await c.query.create(query)
    with pytest.raises(BadRequestError, match="aliases an existing query ID"):
        await c.query.create(query.replace(name=made))


@pytest.mark.parametrize(
    "odd", ["{} b", "{}/b", "{}?#", "{}%2F", "{}é€", "{}/execute", "{}/explain"], ids=ascii
)
async def test_a_name_is_any_text(c: ConsulClient, new_query: NewQuery, odd: str) -> None:
    query = named().replace(name=odd.format(uuid4().hex))
    made = await new_query(query)

    assert (await c.query.explain(query.name)).id == made
    assert (await c.query.execute(query.name)).nodes == []


async def test_a_query_lives_as_long_as_its_session(
    c: ConsulClient, new_session: NewSession
) -> None:
    session = await new_session()
    made = await c.query.create(PreparedQuery(session=session, service=ServiceQuery(service="web")))
    assert (await read(c, made)).session == session

    await c.session.destroy(session)

    assert await c.query.get(made) is None


async def test_a_query_can_be_waited_on(
    observed: ConsulClient, recorder: Recorder, new_query: NewQuery
) -> None:
    query = named()
    made = await new_query(query)
    cursor, seen = Cursor(), list[PreparedQuery | None]()
    await observed.query.get(made, cursor=cursor)

    async def wait() -> None:
        seen.append(await observed.query.get(made, cursor=cursor))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await recorder.blocks()
        await observed.query.update(made, query.replace(service=ServiceQuery(service="other")))

    assert [entry.service.service for entry in seen if entry] == ["other"]
    listing = Cursor()
    assert made in [entry.id for entry in await observed.query.list(cursor=listing)]
    assert listing.index is not None


# -- what it finds ------------------------------------------------------------------------------


async def test_nothing_of_what_it_finds_is_lost(
    c: ConsulClient, new_query: NewQuery, instances: Instances
) -> None:
    query = named(await instances({"node": "a", "meta": {"v": "1"}}, {"node": "b"})).replace(
        dns=QueryDNS(ttl=10.0)
    )
    made = await new_query(query)

    for asked in (made, query.name):
        result = await c.query.execute(asked)
        # In an order that is drawn anew each time.
        result.nodes.sort(key=lambda entry: entry.node.node)
        answer = (await c.request("GET", f"/v1/query/{asked}/execute")).json()
        answer["Nodes"].sort(key=lambda entry: entry["Node"]["Node"])
        assert lost(answer, result) == []
        assert nodes_of(result) == ["a", "b"]
        assert (result.service, result.datacenter, result.failovers) == (
            *(query.service.service, "dc1"),
            0,
        )
        assert result.dns == QueryDNS(ttl=10.0)
        assert (result.known_leader, result.consistency_level) == (True, "leader")
        assert not any(entry.remote for entry in result.nodes)
    explained = await c.request("GET", f"/v1/query/{made}/explain")
    assert lost(explained.json()["Query"], await c.query.explain(made)) == []


async def test_those_that_are_not_well_are_left_out(
    c: ConsulClient, new_query: NewQuery, instances: Instances
) -> None:
    service = await instances(
        {"node": "well"},
        {"node": "so so", "status": "warning"},
        {"node": "ill", "status": "critical"},
    )
    found = []
    for fields in ({}, {"only_passing": True}, {"ignore_check_ids": ["disk"]}):
        query = named(service, **fields)
        await new_query(query)
        found.append(nodes_of(await c.query.execute(query.name)))

    assert found == [["so so", "well"], ["well"], ["ill", "so so", "well"]]


@pytest.mark.parametrize(
    ("fields", "nodes"),
    [
        ({"tags": ["prod"]}, ["a", "b"]),
        ({"tags": ["PROD", "!canary"]}, ["a"]),
        ({"tags": ["prod", "canary"]}, ["b"]),
        ({"node_meta": {"rack": "7"}}, ["b", "c"]),
        ({"service_meta": {"v": "2"}}, ["c"]),
        ({"node_meta": {"rack": "7"}, "service_meta": {"v": "1"}}, []),
        ({"connect": True}, []),
    ],
    ids=str,
)
async def test_a_query_selects(
    c: ConsulClient,
    new_query: NewQuery,
    instances: Instances,
    fields: dict[str, Any],
    nodes: list[str],
) -> None:
    service = await instances(
        {"node": "a", "tags": ["prod"]},
        {"node": "b", "tags": ["prod", "canary"], "node_meta": {"rack": "7"}},
        {"node": "c", "meta": {"v": "2"}, "node_meta": {"rack": "7"}},
    )
    query = named(service, **fields)
    await new_query(query)

    assert nodes_of(await c.query.execute(query.name)) == nodes


async def test_the_nearest_comes_first_and_a_limit_keeps_it(
    c: ConsulClient, new_query: NewQuery, instances: Instances
) -> None:
    service = await instances({"node": "a"}, {"node": "b"}, {"node": "c"})
    query = named(service, near=f"b-{service}")
    await new_query(query)

    assert nodes_of(await c.query.execute(query.name, limit=1)) == ["b"]
    for node in ("a", "b", "c"):
        result = await c.query.execute(query.name, near=f"{node}-{service}")
        assert result.nodes[0].node.node == f"{node}-{service}"
        assert nodes_of(result) == ["a", "b", "c"]
    assert len((await c.query.execute(query.name, limit=2)).nodes) == 2


async def test_what_is_asked_for_once_is_sent_as_it_is(
    observed: ConsulClient, recorder: Recorder, new_query: NewQuery, instances: Instances
) -> None:
    query = named(await instances({}))
    await new_query(query)
    result = await observed.using(consistency="stale").query.execute(query.name, connect=True)

    assert (result.nodes, result.consistency_level) == ([], "stale")
    params = recorder.last.url.params
    assert (set(params), params["connect"]) == ({"connect", "stale"}, "true")


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_limit_that_is_none_is_refused(
    observed: ConsulClient, recorder: Recorder, limit: int
) -> None:
    with pytest.raises(InvalidRequestError, match=r"^query\.execute: a limit is 1 or more"):
        await observed.query.execute("web", limit=limit)

    assert recorder.requests == []


# -- templates ----------------------------------------------------------------------------------


async def test_a_template_answers_to_every_name_that_starts_with_its_own(
    c: ConsulClient, new_query: NewQuery, instances: Instances
) -> None:
    service = await instances({"node": "a", "tags": ["prod"]}, {"node": "b"})
    start = f"t{uuid4().hex[:8]}-"
    made = await new_query(
        PreparedQuery(
            name=start,
            service=ServiceQuery(service="${match(1)}", tags=["${match(2)}"]),
            template=QueryTemplate(
                type="name_prefix_match",
                regexp=f"^{start}(web-[a-z0-9]+)-?(.*)$",
                remove_empty_tags=True,
            ),
        )
    )
    explained = await c.query.explain(f"{start}{service}-prod")

    assert (explained.id, explained.service.service) == (made, service)
    assert explained.service.tags == ["prod"]
    assert nodes_of(await c.query.execute(f"{start}{service}-prod")) == ["a"]
    assert nodes_of(await c.query.execute(f"{start}{service}")) == ["a", "b"]
    with pytest.raises(NotFoundError):
        await c.query.execute(f"x{start}{service}")


async def test_a_query_goes_before_templates_and_a_longer_name_before_a_shorter(
    c: ConsulClient, new_query: NewQuery
) -> None:
    start, template = f"t{uuid4().hex[:8]}", QueryTemplate(type="name_prefix_match")
    for name, service in ((start, "${name.suffix}"), (f"{start}-b", "${name.prefix}")):
        query = PreparedQuery(name=name, template=template, service=ServiceQuery(service=service))
        await new_query(query)
    await new_query(PreparedQuery(name=f"{start}-b-c", service=ServiceQuery(service="itself")))

    found = [
        (await c.query.explain(start + rest)).service.service for rest in ("-a", "-b-d", "-b-c")
    ]
    assert found == ["-a", f"{start}-b", "itself"]


async def test_one_template_may_answer_to_everything(
    c: ConsulClient, new_query: NewQuery, instances: Instances
) -> None:
    service = await instances({"node": "a"})
    everything = PreparedQuery(
        service=ServiceQuery(service="${name.full}"),
        template=QueryTemplate(type="name_prefix_match"),
    )
    made = await new_query(everything)

    assert (await c.query.explain(service)).id == made
    assert nodes_of(await c.query.execute(service)) == ["a"]
    with pytest.raises(BadRequestError, match="empty name already exists"):
        await c.query.create(everything)


# -- other datacenters ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failover", [QueryFailover(nearest_n=1), QueryFailover(datacenters=["dc9", "dc2"])], ids=str
)
async def test_another_datacenter_answers_where_one_has_nothing(
    datacenters: Datacenters, failover: QueryFailover
) -> None:
    name = f"web-{uuid4().hex}"
    async with ConsulClient(datacenters.dc1.url) as c:
        there = c.using(datacenter="dc2")
        t = there.txn.begin().node.set(name, "10.2.0.1", tagged_addresses={"wan": "192.0.2.1"})
        await t.service.set(name, CatalogServiceDefinition(service=name, port=80)).commit()
        query = named(name, failover=failover)
        made = await c.query.create(query)
        result = await c.query.execute(made)
        alone = await c.query.create(named(name))
        nothing = await c.query.execute(alone)
        for query_id in (made, alone):
            await c.query.delete(query_id)
        await there.txn.begin().node.delete(name).commit()

    assert (result.datacenter, result.failovers, nodes_of(result)) == ("dc2", 1, ["web"])
    # Seen from here it is elsewhere, and so is its address.
    assert [(entry.remote, entry.address) for entry in result.nodes] == [(True, "192.0.2.1")]
    assert (nothing.datacenter, nothing.failovers, nothing.nodes) == ("dc1", 0, [])


async def test_a_query_belongs_to_its_datacenter(datacenters: Datacenters) -> None:
    async with ConsulClient(datacenters.dc1.url) as c:
        there = c.using(datacenter="dc2")
        made = await there.query.create(named("consul"))
        result = await there.query.execute(made)
        missing = await c.query.get(made)
        await there.query.delete(made)

    assert missing is None
    assert (result.datacenter, [entry.remote for entry in result.nodes]) == ("dc2", [True])


async def test_nobody_is_asked_where_home_is_before_it_matters(
    observed: ConsulClient, recorder: Recorder, new_query: NewQuery, instances: Instances
) -> None:
    query = named(await instances({}))
    await new_query(query)
    await observed.query.execute(query.name)
    assert [request.url.path for request in recorder.requests] == [
        f"/v1/query/{query.name}/execute"
    ]

    result = await observed.using(datacenter="dc1").query.execute(query.name)
    assert [entry.remote for entry in result.nodes] == [False]
    assert recorder.last.url.path == "/v1/agent/self"


# -- access -----------------------------------------------------------------------------------


@pytest.fixture
async def manager(acl_agent: Agent) -> AsyncIterator[ConsulClient]:
    async with ConsulClient(acl_agent.url, token=acl_agent.token) as client:
        yield client


@pytest.fixture
async def new_token(manager: ConsulClient) -> AsyncIterator[NewToken]:
    made: list[str] = []

    async def create(rules: str) -> str:
        policy = await manager.request(
            "PUT", "/v1/acl/policy", json={"Name": uuid4().hex, "Rules": rules}
        )
        made.append(f"policy/{policy.json()['ID']}")
        answer = await manager.request(
            "PUT", "/v1/acl/token", json={"Policies": [{"ID": policy.json()["ID"]}]}
        )
        made.append(f"token/{answer.json()['AccessorID']}")
        return str(answer.json()["SecretID"])

    yield create
    for path in made:
        await manager.request("DELETE", f"/v1/acl/{path}")


async def test_a_token_that_is_hidden_cannot_be_written_back_by_mistake(
    acl_agent: Agent, manager: ConsulClient, new_token: NewToken
) -> None:
    assert acl_agent.token is not None
    query = named("consul").replace(token=SecretStr(acl_agent.token))
    made = await manager.query.create(query)
    try:
        rules = f'query "{query.name}" {{ policy = "write" }}'
        writer = manager.using(token=await new_token(rules))
        hidden = await read(writer, made)
        assert hidden.token == SecretStr("<hidden>")
        with pytest.raises(BadRequestError, match="redacted token"):
            await writer.query.update(made, hidden)

        whole = await read(manager, made)
        assert whole.token == SecretStr(acl_agent.token)
        assert acl_agent.token not in repr(whole)
        await manager.query.update(made, whole)
        assert (await read(manager, made)).token == whole.token
    finally:
        await manager.query.delete(made)


async def test_a_query_is_asked_with_its_own_token_by_whoever_may_not_see_it(
    acl_agent: Agent, manager: ConsulClient, new_token: NewToken
) -> None:
    assert acl_agent.token is not None
    query = named("consul").replace(token=SecretStr(acl_agent.token))
    made, nobodys = await manager.query.create(query), await manager.query.create(named("consul"))
    try:
        anybody = manager.using(token=await new_token(""))
        assert len((await anybody.query.execute(made)).nodes) == 1
        assert (await anybody.query.execute(nobodys)).nodes == []
        assert await anybody.query.list() == []
        for call in (
            anybody.query.get(made),
            anybody.query.explain(query.name),
            anybody.query.update(made, query),
            anybody.query.delete(made),
            anybody.query.create(named()),
        ):
            with pytest.raises(PermissionDeniedError):
                await call
    finally:
        await manager.query.delete(made)
        await manager.query.delete(nobodys)
