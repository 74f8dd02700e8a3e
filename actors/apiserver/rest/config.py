"""What the REST side is given: where to listen, with which certificates, and which bearer tokens are good."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from actors.apiserver.callers import Caller


@dataclass(frozen=True, slots=True)
class RestConfig:
    """`listener`, when given, is bound already and stays open: clients wait in its queue while the server restarts.

    Without `ca_file`, `cert_file` and `key_file` (tls.py makes them) it speaks plain HTTP, to anonymous callers and
    bearers of tokens only.
    """

    host: str = "127.0.0.1"
    port: int = 0
    listener: socket.socket | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    tokens: Mapping[str, Caller] = field(default_factory=dict)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port as clients see them."""
        if self.listener is not None:
            host, port = self.listener.getsockname()[:2]
            return host, port
        return self.host, self.port
