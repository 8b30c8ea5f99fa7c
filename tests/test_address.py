"""Where an agent listens, in every form that CONSUL_HTTP_ADDR has."""

from __future__ import annotations

import pytest

from consul_onex._address import DEFAULT_ADDRESS, Address
from consul_onex.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("consul", "http://consul:8500"),
        ("consul.example.org.", "http://consul.example.org.:8500"),
        ("my_agent-1:8501", "http://my_agent-1:8501"),
        ("10.0.0.7", "http://10.0.0.7:8500"),
        ("  consul:8501\n", "http://consul:8501"),
        ("http://consul:8500", "http://consul:8500"),
        ("http://consul", "http://consul"),
        ("https://consul", "https://consul"),
        ("https://consul:443", "https://consul"),
        ("https://consul:8501", "https://consul:8501"),
        ("HTTPS://Consul:8501", "https://consul:8501"),
        ("http://consul:8500/", "http://consul:8500"),
        ("http://consul:8500/proxied/consul", "http://consul:8500/proxied/consul"),
        ("consul:8500/proxied/", "http://consul:8500/proxied"),
        ("[::1]", "http://[::1]:8500"),
        ("[::1]:8501", "http://[::1]:8501"),
        ("::1", "http://[::1]:8500"),
        ("2001:DB8:0:0::7", "http://[2001:db8::7]:8500"),
        ("https://[2001:db8::7]:8501/p", "https://[2001:db8::7]:8501/p"),
        (DEFAULT_ADDRESS, "http://127.0.0.1:8500"),
    ],
)
def test_every_form_becomes_one_url(text: str, url: str) -> None:
    assert Address.parse(text).url == url


def test_a_unix_socket_is_asked_as_localhost() -> None:
    address = Address.parse("unix:///run/consul.sock")

    assert (address.url, address.socket) == ("http://localhost", "/run/consul.sock")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("consul:8501", "https://consul:8501"),
        ("consul", "https://consul:8500"),
        ("http://consul:8501", "https://consul:8501"),
        ("https://consul", "https://consul"),
    ],
)
def test_tls_turns_http_into_https_and_keeps_the_port(text: str, url: str) -> None:
    assert Address.parse(text, tls=True).url == url


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.3.2.1:8500", True),
        ("[::1]:8500", True),
        ("unix:///run/consul.sock", True),
        ("https://localhost", True),
        ("10.0.0.7", False),
        ("consul", False),
        ("localhost.example.org", False),
        ("0.0.0.0", False),
    ],
)
def test_only_this_machine_is_loopback(text: str, loopback: bool) -> None:
    assert Address.parse(text).loopback is loopback


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "ftp://s3cret",
        "tcp://s3cret:8500",
        "http://",
        "http:///s3cret",
        "s3cret:port",
        "s3cret:0",
        "s3cret:65536",
        "s3cret:-1",
        "http://user:s3cret@consul:8500",
        "s3cret@consul",
        "http://consul?token=s3cret",
        "http://consul?",
        "http://consul#s3cret",
        "http://consul/../s3cret",
        "http://consul/a//s3cret",
        "http://consul/%2e%2e/s3cret",
        "http://consul/s3 cret",
        "consul\ns3cret",
        "s3cret\u2028x",
        "-s3cret",
        "s3créť",
        "[::1",
        "[s3cret]:8500",
        "unix://s3cret",
        "unix://",
    ],
)
def test_what_is_no_address_is_refused_by_its_setting_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Address.parse(text, setting="CONSUL_HTTP_ADDR")

    assert caught.value.setting == "CONSUL_HTTP_ADDR"
    assert str(caught.value).startswith("CONSUL_HTTP_ADDR ")
    assert "s3cr" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_value_that_is_no_text_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="address is empty"):
        Address.parse(8500)  # type: ignore[arg-type]
