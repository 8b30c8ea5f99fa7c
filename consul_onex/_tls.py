"""The TLS context of a client, of what its settings say."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from typing import Final

from .errors import ConfigurationError

__all__ = ["TLS"]

_FILES: Final = {
    "ca_file": "CONSUL_CACERT",
    "ca_path": "CONSUL_CAPATH",
    "client_cert": "CONSUL_CLIENT_CERT",
    "client_key": "CONSUL_CLIENT_KEY",
}


@dataclass(frozen=True, slots=True)
class TLS:
    """
    How to do TLS. Nothing is read until the first https connection.

    Without a CA file or directory the system's own authorities are trusted. `verify=False` accepts
    any server: the token is then anybody's who can listen in.
    """

    ca_file: str | os.PathLike[str] | None = None
    ca_path: str | os.PathLike[str] | None = None
    client_cert: str | os.PathLike[str] | None = None
    client_key: str | os.PathLike[str] | None = None
    server_name: str | None = None
    """The name to ask for and verify, instead of the host's."""
    verify: bool = True

    def __post_init__(self) -> None:
        if (self.client_cert is None) != (self.client_key is None):
            missing = "client_key" if self.client_key is None else "client_cert"
            raise ConfigurationError(
                f"{missing} (CONSUL_{missing.upper()}) is missing: a client certificate and its "
                "key belong together",
                setting=missing,
            )
        for setting, variable in _FILES.items():
            path = getattr(self, setting)
            if path is not None and not os.access(path, os.R_OK):
                # Not repeated: people put the key itself where its path should be.
                raise ConfigurationError(
                    f"{setting} ({variable}) names nothing that can be read", setting=setting
                )

    def context(self) -> ssl.SSLContext:
        # Not create_default_context(), which has every session's keys written to SSLKEYLOGFILE.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            if self.ca_file is None and self.ca_path is None:
                context.load_default_certs()
            else:
                context.load_verify_locations(self.ca_file, self.ca_path)
            usable = True
        except (OSError, ssl.SSLError):
            usable = False
        if not usable:
            raise ConfigurationError(
                "ca_file or ca_path (CONSUL_CACERT, CONSUL_CAPATH) holds no usable certificate",
                setting="ca_file",
            )
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.client_cert is not None:
            self._load_client(context, self.client_cert)
        return context

    def _load_client(self, context: ssl.SSLContext, client_cert: str | os.PathLike[str]) -> None:
        def no_password() -> str:
            # Otherwise OpenSSL asks on the terminal, and everything waits.
            raise ConfigurationError(
                "client_key (CONSUL_CLIENT_KEY) is encrypted; give it unencrypted",
                setting="client_key",
            )

        try:
            context.load_cert_chain(client_cert, self.client_key, password=no_password)
        except (OSError, ssl.SSLError):
            pass
        else:
            return
        raise ConfigurationError(
            "client_cert and client_key (CONSUL_CLIENT_CERT, CONSUL_CLIENT_KEY) do not hold a "
            "certificate and its key",
            setting="client_cert",
        )
