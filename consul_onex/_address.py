"""Where an agent listens: every form in which `CONSUL_HTTP_ADDR` may say it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from .errors import ConfigurationError

__all__ = ["DEFAULT_ADDRESS", "Address"]

DEFAULT_ADDRESS: Final = "http://127.0.0.1:8500"

_PORT: Final = 8500
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9_.])?", re.ASCII)
_PREFIX: Final = re.compile(r"(/[A-Za-z0-9._~-]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """An agent's address, taken apart."""

    scheme: str
    host: str
    port: int
    prefix: str = ""
    """A path before `/v1`, where a proxy serves Consul under one."""
    socket: str | None = None
    """The path of a unix socket; host and port then only fill the URL."""

    @staticmethod
    def parse(text: str, *, setting: str = "address", tls: bool = False) -> Address:
        """
        Read `host`, `host:port`, `[v6]:port`, an http or https URL with an optional path, or
        `unix:///path`.

        A bare host means port 8500, a URL without a port its scheme's port. `tls` turns http into
        https.
        """
        text = text.strip() if isinstance(text, str) else ""
        if not text:
            raise _unusable(setting, "is empty")
        if not text.isprintable() or " " in text:
            raise _unusable(setting, "has a space or a control character in it")
        if text.startswith("unix://"):
            return _unix(text.removeprefix("unix://"), setting)
        named = _SCHEME.match(text)
        if not named and text.count(":") > 1 and not text.startswith("["):
            text = f"[{text}]"  # a bare IPv6 address
        parts, port = _split(text if named else f"http://{text}")
        if parts is None:
            raise _unusable(setting, "has a host or port that cannot be read")
        if parts.scheme not in ("http", "https"):
            raise _unusable(setting, "has a scheme other than http, https and unix")
        if parts.username is not None or parts.password is not None:
            raise _unusable(setting, "holds a user or password; use CONSUL_HTTP_AUTH")
        if parts.query or parts.fragment or "?" in text or "#" in text:
            raise _unusable(setting, "has a query or fragment; tokens go in their own setting")
        prefix = parts.path.rstrip("/")
        if not _PREFIX.fullmatch(prefix) or {".", ".."} & set(prefix.split("/")):
            raise _unusable(setting, "has a path that is not made of plain segments")
        scheme = "https" if tls or parts.scheme == "https" else "http"
        if port is None:
            port = {"http": 80, "https": 443}[parts.scheme] if named else _PORT
        elif port == 0:
            raise _unusable(setting, "has port 0")
        return Address(scheme, _host(parts.hostname or "", setting), port, prefix)

    @property
    def origin(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = {"http": 80, "https": 443}[self.scheme]
        return f"{self.scheme}://{host}" + ("" if self.port == default else f":{self.port}")

    @property
    def url(self) -> str:
        """What every path is appended to."""
        return self.origin + self.prefix

    @property
    def loopback(self) -> bool:
        """Whether nobody but this machine can listen in."""
        if self.socket is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def _split(url: str) -> tuple[SplitResult | None, int | None]:
    # What is raised here quotes the text, so it must not become the context of our own error.
    try:
        parts = urlsplit(url)
        return parts, parts.port
    except ValueError:
        return None, None


def _unix(path: str, setting: str) -> Address:
    if not path.startswith("/"):
        raise _unusable(setting, "names a unix socket without an absolute path")
    return Address("http", "localhost", 80, socket=path)


def _host(host: str, setting: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not _HOST.fullmatch(host):
        raise _unusable(setting, "has no usable host name")
    return host


def _unusable(setting: str, why: str) -> ConfigurationError:
    # The value is not repeated: people put credentials into URLs.
    return ConfigurationError(f"{setting} {why}", setting=setting)
