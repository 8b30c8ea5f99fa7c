"""What may be sent as a token, and a token in a file that changes."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from consul_onex import ConfigurationError, TokenFile
from consul_onex._token import as_token, hidden, reveal
from tests.support.canary import CANARY


def test_a_text_and_a_secret_are_the_same_token() -> None:
    assert reveal(as_token("abc")) == reveal(as_token(SecretStr("abc"))) == b"abc"


def test_a_source_is_asked_each_time() -> None:
    tokens = iter([SecretStr("one"), None, SecretStr("two")])

    source = as_token(lambda: next(tokens))

    assert [reveal(source) for _ in range(3)] == [b"one", None, b"two"]


@pytest.mark.parametrize("empty", [None, "", SecretStr(""), SecretStr(None)])  # type: ignore[arg-type]
def test_an_empty_token_is_none(empty: str | SecretStr | None) -> None:
    assert as_token(empty) is None


@pytest.mark.parametrize(
    "bad", [" ", "\n", "\r\nX-Other: 1", "\0", "é", "\u2028", "\ud800"], ids=ascii
)
def test_a_character_no_header_may_carry_is_named_by_its_place(bad: str) -> None:
    token = SecretStr(CANARY.get_secret_value() + bad)

    with pytest.raises(ConfigurationError, match="CONSUL_HTTP_TOKEN .* at position 36 ") as caught:
        as_token(token, setting="CONSUL_HTTP_TOKEN")

    assert caught.value.setting == "CONSUL_HTTP_TOKEN"
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_the_longest_token_is_4096_characters() -> None:
    assert reveal(as_token("x" * 4096)) == b"x" * 4096

    with pytest.raises(ConfigurationError, match="has 4097 characters"):
        as_token("x" * 4097)


@pytest.mark.parametrize("token", [b"abc", 7, object(), ["abc"]])
def test_a_token_of_another_type_is_refused(token: object) -> None:
    with pytest.raises(ConfigurationError, match=f"not {type(token).__name__}$"):
        as_token(token)  # type: ignore[arg-type]


def test_a_source_that_returns_a_source_is_refused() -> None:
    def source() -> SecretStr | None:
        return source  # type: ignore[return-value]

    with pytest.raises(ConfigurationError, match="a token source must return a token"):
        reveal(source)


def test_only_text_is_wrapped() -> None:
    assert hidden("abc") == SecretStr("abc")
    assert hidden(None) is None
    assert hidden(reveal) is reveal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that holds a token."""
    path = tmp_path / "token"
    path.write_text("first")
    return path


def test_the_ends_of_a_file_are_no_part_of_its_token(path: Path) -> None:
    path.write_text("  abc \r\n\n")

    assert reveal(TokenFile(path)) == b"abc"


def test_a_file_is_read_again_when_it_has_changed(path: Path) -> None:
    token = TokenFile(path)

    assert reveal(token) == b"first"
    path.write_text("the-second")

    assert reveal(token) == b"the-second"


def test_a_file_that_is_replaced_is_read_again(path: Path, tmp_path: Path) -> None:
    token = TokenFile(path)
    replacement = tmp_path / "replacement"
    replacement.write_text("other")
    before = path.stat()
    os.utime(replacement, ns=(before.st_atime_ns, before.st_mtime_ns))

    replacement.replace(path)

    assert reveal(token) == b"other"


def test_a_file_that_stays_as_it_is_is_read_once(path: Path) -> None:
    token = TokenFile(path)
    before = path.stat()

    path.write_text("FIRST")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert reveal(token) == b"first"


def test_an_empty_file_is_no_token(path: Path) -> None:
    path.write_text("\n")

    assert reveal(TokenFile(path)) is None


@pytest.mark.parametrize("later", [None, "bad token", "x" * 5000], ids=["gone", "bad", "long"])
def test_a_file_that_is_no_longer_good_leaves_the_last_token_in_use_and_says_so(
    path: Path, later: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    token = TokenFile(path)
    if later is None:
        path.unlink()
    else:
        path.write_text(later)

    with caplog.at_level(logging.WARNING, logger="consul_onex"):
        sent = reveal(token)

    assert sent == b"first"
    assert len(caplog.records) == 1
    assert "keeping the last token" in caplog.text
    assert "bad token" not in caplog.text


@pytest.mark.parametrize("content", ["two words", "x" * 5000, "é"], ids=["space", "long", "accent"])
def test_a_file_without_a_usable_token_is_refused_at_once(path: Path, content: str) -> None:
    path.write_text(content)

    with pytest.raises(ConfigurationError, match="^CONSUL_HTTP_TOKEN_FILE ") as caught:
        TokenFile(path, setting="CONSUL_HTTP_TOKEN_FILE")

    assert caught.value.setting == "CONSUL_HTTP_TOKEN_FILE"
    assert content not in str(caught.value)


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_file_that_cannot_be_read_is_refused_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="^token_file cannot be read: ") as caught:
        TokenFile(tmp_path / name)

    assert caught.value.setting == "token_file"


def test_what_is_no_file_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    with pytest.raises(ConfigurationError, match="^token_file cannot be read: it is no file$"):
        TokenFile(pipe)


def test_a_repr_names_the_file_and_holds_no_token(path: Path) -> None:
    path.write_text(CANARY.get_secret_value())

    assert repr(TokenFile(path)) == f"TokenFile({str(path)!r})"
