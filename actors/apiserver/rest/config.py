"""What the REST side is given: where to listen, with which certificates, and which bearer tokens are good."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from actors.apiserver.callers import Caller
from actors.apiserver.flowcontrol.levels import SEATS
from actors.apiserver.tokens.jwt_claims import JwtConfig
from actors.apiserver.tokens.oidc import OidcConfig


@dataclass(frozen=True, slots=True)
class RestConfig:
    """`listener`, when given, is bound already and stays open: clients wait in its queue while the server restarts.

    Without `ca_file`, `cert_file` and `key_file` (tls.py makes them) it speaks plain HTTP, to anonymous callers and
    bearers of tokens only. With `account_key_file` it signs tokens of service accounts, and takes them. The three files
    for the proxy are what it shows to servers that requests are passed on to, and who signed it.
    `seats`: how much is done at once for requests, in all; priority levels divide it.
    """

    host: str = "127.0.0.1"
    port: int = 0
    listener: socket.socket | None = None
    account_key_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    proxy_ca_file: Path | None = None
    proxy_cert_file: Path | None = None
    proxy_key_file: Path | None = None
    tokens: Mapping[str, Caller] = field(default_factory=dict)
    oidc: Sequence[OidcConfig | JwtConfig] = ()  # issuers of users' tokens that are believed
    seats: int = SEATS

    @property
    def address(self) -> tuple[str, int]:
        """Host and port as clients see them."""
        if self.listener is not None:
            host, port = self.listener.getsockname()[:2]
            return host, port
        return self.host, self.port


def flags_of(config: RestConfig) -> dict[str, str]:
    """What would say the same on kube-apiserver's command line."""
    host, port = config.address
    given = {
        "bind-address": host,
        "secure-port": port,
        "authorization-mode": "[Node RBAC]",
        "client-ca-file": config.ca_file,
        "tls-cert-file": config.cert_file,
        "tls-private-key-file": config.key_file,
        "service-account-signing-key-file": config.account_key_file,
        "requestheader-client-ca-file": config.proxy_ca_file,
        "proxy-client-cert-file": config.proxy_cert_file,
        "proxy-client-key-file": config.proxy_key_file,
    }
    return {name: str(value) for name, value in given.items() if value is not None}
