"""Where a token comes from, and what may be sent as one."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from typing import Final, TypeVar, overload

from pydantic import SecretStr

from ._call import Token
from .errors import ConfigurationError

__all__ = ["TokenFile", "as_token", "hidden", "reveal"]

log = logging.getLogger("consul_onex")

_LONGEST: Final = 4096

T = TypeVar("T")


@overload
def hidden(secret: str | SecretStr) -> SecretStr: ...
@overload
def hidden(secret: T) -> T | SecretStr: ...
def hidden(secret: T) -> T | SecretStr:
    """
    A secret given as plain text, wrapped; anything else as it is.

    The first thing done to an argument that may be one: as long as a frame has it in clear text,
    so has every traceback that shows locals.
    """
    return SecretStr(secret) if isinstance(secret, str) else secret


def as_token(token: str | Token | None, *, setting: str = "token") -> Token | None:
    """Take a token in any form; an empty one is none."""
    if token is None or callable(token):
        return token
    token = hidden(token)
    if not isinstance(token, SecretStr):
        raise ConfigurationError(
            f"{setting} is a str, a SecretStr or a callable, not {type(token).__name__}",
            setting=setting,
        )
    # SecretStr(os.getenv("...")) holds None when the variable is not set.
    if not token.get_secret_value():
        return None
    _check(token, setting)
    return token


def reveal(token: Token | None) -> bytes | None:
    """
    The token as it goes on the wire.

    Only the layer that sets the header calls this, and keeps the result in no variable: a local
    would show in a traceback.
    """
    if callable(token):
        token = as_token(token(), setting="token")
        if callable(token):
            raise ConfigurationError("a token source must return a token", setting="token")
    return token.get_secret_value().encode("ascii") if token is not None else None


def _check(token: SecretStr, setting: str) -> None:
    # h11 would quote the whole header value in its error, so it never gets to see a bad one.
    if (length := len(token)) > _LONGEST:
        raise ConfigurationError(
            f"{setting} has {length} characters; a token has at most {_LONGEST}", setting=setting
        )
    for position, character in enumerate(token.get_secret_value()):
        if not "!" <= character <= "~":
            raise ConfigurationError(
                f"{setting} has a character at position {position} that no header may carry "
                "(a space, a line end, or not ASCII)",
                setting=setting,
            )


class TokenFile:
    """
    A token in a file, read again whenever the file changes.

    The file must be readable when the client is made. If it later cannot be read, the last token
    stays in use and a warning is logged, since rotation may be replacing it at that moment.
    """

    def __init__(self, path: str | os.PathLike[str], *, setting: str = "token_file") -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise ConfigurationError(f"{setting} is the path of a file", setting=setting)
        self._path = Path(path)
        self._setting = setting
        self._stamp: tuple[int, int, int] | None = None
        self._token: SecretStr | None = None
        problem = None
        try:
            self._refresh()
        except OSError as error:
            problem = error.strerror or type(error).__name__
        if problem is not None:
            # Raised out here: the operating system's error holds the path, where people put the
            # token itself by mistake.
            raise ConfigurationError(f"{setting} cannot be read: {problem}", setting=setting)

    def __repr__(self) -> str:
        return f"TokenFile({str(self._path)!r})"

    def __call__(self) -> SecretStr | None:
        try:
            self._refresh()
        except (OSError, ConfigurationError) as error:
            log.warning("token file cannot be read again, keeping the last token: %s", error)
        return self._token

    def _refresh(self) -> None:
        status = self._path.stat()
        stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
        if stamp == self._stamp:
            return
        if not stat.S_ISREG(status.st_mode):
            # Whoever opens a pipe waits for somebody to write to it.
            raise ConfigurationError(
                f"{self._setting} cannot be read: it is no file", setting=self._setting
            )
        if status.st_size > _LONGEST:
            raise ConfigurationError(
                f"{self._setting} names a file of {status.st_size} bytes; a token is shorter",
                setting=self._setting,
            )
        token = SecretStr(self._path.read_text("utf-8", errors="replace").strip())
        if token.get_secret_value():
            _check(token, self._setting)
        self._token = token if token.get_secret_value() else None
        self._stamp = stamp
