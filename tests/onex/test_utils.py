"""What may be told."""

from __future__ import annotations

import pytest

from consul_onex.onex.utils import (
    sanitize_backend_error,
    sanitize_consul_key,
    sanitize_error_message,
    sanitize_error_string,
    sanitize_url,
)

REDACTED = "[REDACTED - potentially sensitive data]"


@pytest.mark.parametrize(
    ("key", "told"),
    [(None, None), ("", ""), ("a", "a"), ("a/b", "a/***/***"), ("a/b/c/d", "a/***/***")],
)
def test_how_much_of_a_key_is_told(key: str | None, told: str | None) -> None:
    assert sanitize_consul_key(key) == told


@pytest.mark.parametrize(
    "text",
    [
        *("Password=x", "passwd", "the pwd", "a SECRET", "X-Consul-Token: x", "api-key", "apikey"),
        *("access_key", "privatekey", "ssh-key", "session_id", "credentials", "auth failed"),
        *("authentication", "Authorization", "authorised", "Bearer x", "connection_string"),
        *("connstr", "user:pass", "aws_access", "-----BEGIN KEY", "-----end", "mongodb://h"),
        *("postgres://h", "postgresql://h", "mysql://h", "redis://h", "rediss://h", "valkey://h"),
        *("amqp://h", "kafka://h"),
    ],
)
def test_what_speaks_of_secrets_is_not_told(text: str) -> None:
    assert sanitize_error_string(f"it was: {text} ...") == REDACTED
    assert sanitize_error_message(ValueError(text)) == f"ValueError: {REDACTED}"


@pytest.mark.parametrize("text", ["", "refused", "unknown authority", "the author of it"])
def test_what_does_not_is_told_as_it_is(text: str) -> None:
    assert sanitize_error_string(text) == text


def test_the_id_of_a_token_is_not_told_with_whatever_words_it_comes() -> None:
    text = "ACL 12345678-1234-1234-1234-1234567890AB not found"

    assert sanitize_error_message(KeyError(text)) == "KeyError: 'ACL [REDACTED] not found'"


def test_a_long_text_is_cut() -> None:
    assert sanitize_error_string("x" * 500) == "x" * 500
    assert sanitize_error_string("x" * 501) == "x" * 500 + "... [truncated]"
    assert sanitize_error_message(OSError("abcdef"), 3) == "OSError: abc... [truncated]"


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (None, "consul operation failed"),
        ("", "consul operation failed"),
        ("password=x", "consul operation failed"),
        ("Connection REFUSED by 10.0.0.1", "consul operation failed: connection refused"),
        ("connection timeout", "consul operation failed: connection timeout"),
        (TimeoutError("a timeout of x"), "consul operation failed: timeout"),
        ({"error": "not found"}, "consul operation failed: not found"),
    ],
)
def test_of_somebody_elses_error_a_few_phrases_are_told(raw: object, told: str) -> None:
    assert sanitize_backend_error("consul", raw) == told


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://h:8500/v1/kv?token=x#y", "http://h:8500/v1/kv"),
        ("https://user:pass@h/a", "https://h/a"),
        ("http://user@[::1]:8500/a?b", "http://[::1]:8500/a"),
        ("not-a-url", "not-a-url"),
        ("", ""),
    ],
)
def test_a_url_is_told_without_user_query_and_fragment(url: str, told: str) -> None:
    assert sanitize_url(url) == told


def test_a_url_that_has_no_host_does_not_tell_its_user() -> None:
    assert "user" not in sanitize_url("http://user:pass@")
