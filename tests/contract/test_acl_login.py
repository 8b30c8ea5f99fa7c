"""Ways to log in, as a real agent answers: by JWT from beginning to end."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final
from uuid import uuid4

import pytest
from pydantic import SecretStr

from consul_onex import (
    BadRequestError,
    ConsulClient,
    NotFoundError,
    PermissionDeniedError,
    UnsupportedEndpointError,
)
from consul_onex.models.acl import (
    ACLAuthMethod,
    ACLBindingRule,
    ACLToken,
    JWTConfig,
    KubernetesConfig,
    ServiceIdentity,
    TemplateVariables,
)
from tests.contract.conftest import Recorder
from tests.support.agents import Agent
from tests.support.canary import CANARY, leaks
from tests.support.lossless import lost

# A key for these tests alone, as its two numbers: no library is needed to sign with it.
MODULUS: Final = int(
    "e8a061fa6eeda05e291cc40efe2b564b2eedc1a8bb538ddb2f4604bfc27021cb"
    "7ac20d2103a603af97a24a580729381389a28c0c57ef50b16709df074169c2c4"
    "543bcc95cbc4e7474f6beddee52aa6251981eb8ec0b329e8019c42036aa1f2e2"
    "cea5238087d059df1f50488aa947d5716589abc9966e4b1bddf946c39c6990b7",
    16,
)
EXPONENT: Final = int(
    "478e25f541afe8776e5001e2d6bdffe24a8229e2bc147c7b2274783b8014bbe0"
    "7a573c709e4dafae9087043545a6a13029530d9f326153c1edfef452a8055f3a"
    "2cbe55fc9419dfbb4317f1e5bb62b8de06112f9f9c45535b9880fde9af2cc4e5"
    "29a167fdb648f7d00abcd7971cf0c99055d1fe0e4b554741d9d515cc6c43bb79",
    16,
)
PUBLIC_KEY: Final = """\
-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDooGH6bu2gXikcxA7+K1ZLLu3B
qLtTjdsvRgS/wnAhy3rCDSEDpgOvl6JKWAcpOBOJoowMV+9QsWcJ3wdBacLEVDvM
lcvE50dPa+3e5SqmJRmB647AsynoAZxCA2qh8uLOpSOAh9BZ3x9QSIqpR9VxZYmr
yZZuSxvd+UbDnGmQtwIDAQAB
-----END PUBLIC KEY-----
"""
CERTIFICATE: Final = """\
-----BEGIN CERTIFICATE-----
MIIBdzCCAR2gAwIBAgIUBEI/6EHe0AuJtltQIz+DH/R2Y8YwCgYIKoZIzj0EAwIw
EDEOMAwGA1UEAwwFdGVzdHMwIBcNMjYxMTIzMTQ1MzE3WhgPMjEyNjEwMzAxNDUz
MTdaMBAxDjAMBgNVBAMMBXRlc3RzMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
7KMYlvaxsVL+mnkhWILL23pXEOCBe5HZemaK/fsXZQ4aZxK8XsPmHXSTnUy7poKb
NvpJTgwJiTEoL2ulmVyQJ6NTMFEwHQYDVR0OBBYEFHdXBxhpoHsThmE4BiUaT4/o
sQaKMB8GA1UdIwQYMBaAFHdXBxhpoHsThmE4BiUaT4/osQaKMA8GA1UdEwEB/wQF
MAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIgITddpJNVlofPm3L7owSMiP9YcRKB/+n0
L1eRI62XyW4CIQCoYHyU3zOMSZRWrR9iyia6O/Gwu9r997DSGCGFaJwy6A==
-----END CERTIFICATE-----
"""
SHA256: Final = bytes.fromhex("3031300d060960864801650304020105000420")


def jwt(**claims: Any) -> str:
    """A JWT, signed with the key (RS256)."""
    now = int(time.time())
    usual: dict[str, Any] = {"sub": "bob", "aud": ["tests"], "iss": "us", "groups": ["a"]}
    usual |= {"iat": now, "nbf": now - 10, "exp": now + 300}
    parts = [{"alg": "RS256", "typ": "JWT"}, usual | claims]
    signed = ".".join(_base64(json.dumps(part).encode()) for part in parts)
    digest = SHA256 + hashlib.sha256(signed.encode()).digest()
    padded = b"\0\1" + b"\xff" * (128 - 3 - len(digest)) + b"\0" + digest
    signature = pow(int.from_bytes(padded, "big"), EXPONENT, MODULUS).to_bytes(128, "big")
    return f"{signed}.{_base64(signature)}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


CONFIG: Final = JWTConfig(
    jwt_validation_pub_keys=[PUBLIC_KEY],
    jwt_supported_algs=["RS256"],
    bound_audiences=["tests"],
    bound_issuer="us",
    claim_mappings={"sub": "user"},
    list_claim_mappings={"groups": "groups"},
    expiration_leeway=150,
    not_before_leeway=0.5,
    clock_skew_leeway=60,
)

# What the servers know of Kubernetes is not asked for until somebody logs in.
KUBERNETES: Final = KubernetesConfig(
    host="https://127.0.0.1:1", ca_cert=CERTIFICATE, service_account_jwt=SecretStr(jwt())
)


@pytest.fixture
async def c(acl_agent: Agent) -> AsyncIterator[ConsulClient]:
    """A client that may do everything."""
    async with ConsulClient(acl_agent.url, token=acl_agent.token) as client:
        yield client


@pytest.fixture
async def watched(acl_agent: Agent, recorder: Recorder) -> AsyncIterator[ConsulClient]:
    """The same, and `recorder` has seen what it sent."""
    async with ConsulClient(acl_agent.url, token=acl_agent.token, transport=recorder) as client:
        yield client


@pytest.fixture
async def method(c: ConsulClient) -> AsyncIterator[ACLAuthMethod]:
    """An auth method with everything that one can be given."""
    made = await c.acl.auth_method.create(
        ACLAuthMethod(
            name=f"jwt-{uuid4().hex}",
            type="jwt",
            display_name="JWT",
            description="d",
            max_token_ttl=300,
            token_locality="global",
            config=CONFIG.to_wire(),
        )
    )
    yield made
    await c.acl.auth_method.delete(made.name)


@pytest.fixture
async def rule(c: ConsulClient, method: ACLAuthMethod) -> ACLBindingRule:
    """A rule of it, which goes with it."""
    return await c.acl.binding_rule.create(
        ACLBindingRule(
            auth_method=method.name,
            description="d",
            selector='"a" in list.groups',
            bind_type="service",
            bind_name="of-${value.user}",
        )
    )


async def answer(c: ConsulClient, path: str) -> Any:
    return (await c.request("GET", path)).json()


# -- auth methods ----------------------------------------------------------------------------------


async def test_an_auth_method_is_as_it_was_created(c: ConsulClient, method: ACLAuthMethod) -> None:
    assert (method.type, method.max_token_ttl, method.token_locality) == ("jwt", 300, "global")
    assert method.config == CONFIG.to_wire()
    assert method.config["ExpirationLeeway"] == 150_000_000_000
    assert await c.acl.auth_method.get(method.name) == method


async def test_a_list_has_auth_methods_without_their_config(
    c: ConsulClient, method: ACLAuthMethod
) -> None:
    listed = {one.name: one for one in await c.acl.auth_method.list()}

    assert listed[method.name].config == {}
    assert listed[method.name].type == "jwt"


async def test_nothing_that_consul_says_of_auth_methods_is_lost(
    c: ConsulClient, method: ACLAuthMethod
) -> None:
    assert lost(await answer(c, f"/v1/acl/auth-method/{method.name}"), method) == []
    assert lost(await answer(c, "/v1/acl/auth-methods"), await c.acl.auth_method.list()) == []


async def test_an_auth_method_that_was_read_can_be_changed_and_written(
    c: ConsulClient, method: ACLAuthMethod
) -> None:
    read = await c.acl.auth_method.get(method.name)
    assert read is not None

    written = await c.acl.auth_method.update(read.replace(display_name="new", max_token_ttl=90.5))

    assert (written.display_name, written.max_token_ttl) == ("new", 90.5)
    assert written.config == method.config
    assert await c.acl.auth_method.get(method.name) == written


async def test_creating_an_auth_method_again_writes_over_it(
    c: ConsulClient, method: ACLAuthMethod
) -> None:
    again = await c.acl.auth_method.create(
        ACLAuthMethod(name=method.name, type="jwt", config=CONFIG.to_wire())
    )

    assert again.create_index == method.create_index
    assert again.description == ""


async def test_writing_over_an_auth_method_that_is_not_there_creates_it(c: ConsulClient) -> None:
    name = f"jwt-{uuid4().hex}"

    made = await c.acl.auth_method.update(
        ACLAuthMethod(name=name, type="jwt", config=CONFIG.to_wire())
    )

    assert await c.acl.auth_method.get(name) == made
    assert await c.acl.auth_method.delete(name) is True
    assert await c.acl.auth_method.delete(name) is True
    assert await c.acl.auth_method.get(name) is None


async def test_an_auth_method_from_a_list_is_not_written_over_its_config(
    c: ConsulClient, method: ACLAuthMethod
) -> None:
    listed = {one.name: one for one in await c.acl.auth_method.list()}

    with pytest.raises(BadRequestError, match="exactly one of 'JWTValidationPubKeys'"):
        await c.acl.auth_method.update(listed[method.name])

    assert await c.acl.auth_method.get(method.name) == method


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a b"},
        {"name": "a/b"},
        {"type": "oidc"},
        {"type": "aws-iam"},
        {"type": "kubernetes"},
        {"max_token_ttl": 1.0},
        {"max_token_ttl": 90_000.0},
        {"token_locality": "somewhere"},
        {"config": {}},
        {"config": {"JWTValidationPubKeys": ["x"]}},
        {"config": {"JWKSURL": "http://127.0.0.1:1/"}},
        {"config": CONFIG.to_wire() | {"ExpirationLeeway": "150s"}},
        {"config": CONFIG.to_wire() | {"New": 1}},
        {"token_name_format": "since-1-22"},
    ],
    ids=str,
)
async def test_an_auth_method_that_consul_does_not_take_is_a_bad_request_and_sent_once(
    watched: ConsulClient, recorder: Recorder, wrong: dict[str, Any]
) -> None:
    right = ACLAuthMethod(name=f"jwt-{uuid4().hex}", type="jwt", config=CONFIG.to_wire())

    with pytest.raises(BadRequestError):
        await watched.acl.auth_method.create(right.replace(**wrong))

    assert len(recorder.requests) == 1


async def test_the_type_of_an_auth_method_stays(c: ConsulClient, method: ACLAuthMethod) -> None:
    with pytest.raises(BadRequestError, match="immutable"):
        await c.acl.auth_method.update(
            method.replace(type="kubernetes", config=KUBERNETES.to_wire())
        )


async def test_an_auth_method_may_be_that_of_kubernetes(c: ConsulClient) -> None:
    made = await c.acl.auth_method.create(
        ACLAuthMethod(
            name=f"kubernetes-{uuid4().hex}", type="kubernetes", config=KUBERNETES.to_wire()
        )
    )

    with pytest.raises(PermissionDeniedError, match="failed to parse and validate JWT"):
        await c.acl.login(made.name, "no JWT")
    await c.acl.auth_method.delete(made.name)

    assert made.config["ServiceAccountJWT"] == KUBERNETES.service_account_jwt.get_secret_value()


# -- binding rules ---------------------------------------------------------------------------------


async def test_a_binding_rule_is_as_it_was_created(
    c: ConsulClient, method: ACLAuthMethod, rule: ACLBindingRule
) -> None:
    assert (rule.auth_method, rule.bind_type) == (method.name, "service")
    assert rule.selector == '"a" in list.groups'
    assert await c.acl.binding_rule.get(rule.id) == rule
    assert await c.acl.binding_rule.list(auth_method=method.name) == [rule]
    assert rule in await c.acl.binding_rule.list()
    assert await c.acl.binding_rule.list(auth_method=uuid4().hex) == []


async def test_nothing_that_consul_says_of_binding_rules_is_lost(
    c: ConsulClient, rule: ACLBindingRule
) -> None:
    assert lost(await answer(c, f"/v1/acl/binding-rule/{rule.id}"), rule) == []
    assert lost(await answer(c, "/v1/acl/binding-rules"), await c.acl.binding_rule.list()) == []


async def test_a_binding_rule_that_was_read_can_be_changed_and_written(
    c: ConsulClient, rule: ACLBindingRule
) -> None:
    read = await c.acl.binding_rule.get(rule.id)
    assert read is not None

    written = await c.acl.binding_rule.update(read.replace(selector="", bind_type="node"))

    assert (written.id, written.selector, written.bind_type) == (rule.id, "", "node")
    assert written.bind_name == rule.bind_name
    assert await c.acl.binding_rule.get(rule.id) == written


async def test_a_binding_rule_goes_alone_or_with_its_auth_method(
    c: ConsulClient, method: ACLAuthMethod, rule: ACLBindingRule
) -> None:
    other = await c.acl.binding_rule.create(rule.replace(id="", description="other"))
    assert await c.acl.binding_rule.delete(other.id) is True
    assert await c.acl.binding_rule.get(other.id) is None
    assert await c.acl.binding_rule.get(rule.id) == rule

    await c.acl.auth_method.delete(method.name)

    assert await c.acl.binding_rule.get(rule.id) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"bind_type": "everything"},
        {"bind_type": "policy"},
        {"bind_name": ""},
        {"bind_name": "NOT A NAME"},
        {"bind_name": "${value.nothing}"},
        {"selector": "what is"},
        {"selector": "nothing.at==all"},
        {"bind_vars": TemplateVariables(name="x")},
        {"id": "5a1b7a6e-0000-4000-8000-0123456789ab"},
    ],
    ids=str,
)
async def test_a_binding_rule_that_consul_does_not_take_is_a_bad_request_and_sent_once(
    watched: ConsulClient, recorder: Recorder, method: ACLAuthMethod, wrong: dict[str, Any]
) -> None:
    right = ACLBindingRule(auth_method=method.name, bind_type="service", bind_name="x")

    with pytest.raises(BadRequestError):
        await watched.acl.binding_rule.create(right.replace(**wrong))

    assert len(recorder.requests) == 1


async def test_a_binding_rule_needs_its_auth_method(c: ConsulClient, rule: ACLBindingRule) -> None:
    with pytest.raises(NotFoundError, match="cannot find auth method"):
        await c.acl.binding_rule.create(ACLBindingRule(auth_method=uuid4().hex))
    with pytest.raises(BadRequestError, match="immutable"):
        await c.acl.binding_rule.update(rule.replace(auth_method=uuid4().hex))


# -- in and out ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("rule")
@pytest.mark.parametrize("wrap", [str, SecretStr], ids=["str", "SecretStr"])
async def test_a_login_gives_a_token_that_a_logout_deletes(
    c: ConsulClient, method: ACLAuthMethod, wrap: Any
) -> None:
    token = await c.acl.login(method.name, wrap(jwt()), meta={"pod": "web-1"})
    theirs = c.using(token=token.secret_id)

    assert token.auth_method == method.name
    assert token.service_identities == [ServiceIdentity(service_name="of-bob")]
    assert token.description == 'token created via login: {"pod":"web-1"}'
    assert token.create_time is not None
    assert token.expiration_time is not None
    assert (token.expiration_time - token.create_time).total_seconds() == 300
    assert await theirs.acl.token.self() == token
    assert [one.accessor_id for one in await c.acl.token.list(auth_method=method.name)] == [
        token.accessor_id
    ]

    await theirs.acl.logout()

    assert await c.acl.token.get(token.accessor_id) is None
    with pytest.raises(PermissionDeniedError):
        await theirs.acl.logout()


@pytest.mark.usefixtures("rule")
async def test_a_token_from_a_login_can_be_written_but_not_cloned(
    c: ConsulClient, method: ACLAuthMethod
) -> None:
    token = await c.acl.login(method.name, jwt())

    written = await c.acl.token.update(token.replace(description="new"))

    assert (written.description, written.auth_method) == ("new", method.name)
    assert (written.secret_id, written.expiration_time) == (token.secret_id, token.expiration_time)
    with pytest.raises(BadRequestError, match="Cannot clone"):
        await c.acl.token.clone(token.accessor_id)


@pytest.mark.usefixtures("rule")
@pytest.mark.parametrize(
    ("bearer", "why"),
    [
        (lambda: "", "missing jwt"),
        (lambda: "no JWT", "error parsing token"),
        (lambda: jwt()[:-8] + "AAAAAAAA", "no known key"),
        (lambda: jwt(aud=["others"]), "aud claim"),
        (lambda: jwt(iss="others"), "invalid issuer claim"),
        (lambda: jwt(exp=1_500_000_000, nbf=1_400_000_000), "expired"),
        (lambda: jwt(groups=["b"]), "Permission denied"),
    ],
    ids=["none", "text", "forged", "audience", "issuer", "expired", "no rule"],
)
async def test_a_bearer_token_that_is_not_believed_is_refused_and_sent_once(
    watched: ConsulClient,
    recorder: Recorder,
    method: ACLAuthMethod,
    bearer: Callable[[], str],
    why: str,
) -> None:
    with pytest.raises(PermissionDeniedError, match=why) as raised:
        await watched.acl.login(method.name, bearer())

    assert raised.value.operation == "acl.login"
    assert len(recorder.requests) == 1


@pytest.mark.usefixtures("rule")
async def test_a_login_may_bind_to_a_name_that_nothing_can_have(
    c: ConsulClient, method: ACLAuthMethod
) -> None:
    with pytest.raises(BadRequestError, match="bind name for bind target is invalid"):
        await c.acl.login(method.name, jwt(sub="not a name"))


async def test_nobody_logs_in_by_an_auth_method_that_is_not_there(c: ConsulClient) -> None:
    with pytest.raises(PermissionDeniedError, match="ACL not found"):
        await c.acl.login(uuid4().hex, jwt())


async def test_only_a_token_from_a_login_can_log_out(c: ConsulClient) -> None:
    with pytest.raises(PermissionDeniedError):
        await c.acl.logout()
    with pytest.raises(PermissionDeniedError):
        await c.using(token=lambda: None).acl.logout()

    assert isinstance(await c.acl.token.self(), ACLToken)


async def test_a_bearer_token_shows_nowhere(c: ConsulClient, method: ACLAuthMethod) -> None:
    for bearer in (CANARY, SecretStr(jwt(sub=CANARY.get_secret_value()))):
        with pytest.raises(PermissionDeniedError) as raised:
            await c.acl.login(method.name, bearer)

        assert not leaks(f"{raised.value!r} {raised.value} {vars(raised.value)}")


async def test_this_edition_has_no_login_in_a_browser(c: ConsulClient) -> None:
    with pytest.raises(UnsupportedEndpointError):
        await c.acl.oidc_auth_url("auth0", "http://localhost:8550/oidc/callback")
    with pytest.raises(UnsupportedEndpointError):
        await c.acl.oidc_callback("auth0", "state", "code")
