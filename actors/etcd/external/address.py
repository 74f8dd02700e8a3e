"""Where a real etcd is: `etcd://host:port[,host:port...]`, or `etcds://...` where its clients speak TLS."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

PORT = 2379
SCHEMES = ("etcd", "etcds")


class Endpoint(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class ExternalAddress:
    """`ca`: the file of the authority that etcd's certificate is of ("": the system's); `certificate`, `key`: the files
    that it wants to see of its clients ("": none)."""

    endpoints: tuple[Endpoint, ...]
    tls: bool = False
    ca: str = ""
    certificate: str = ""
    key: str = ""

    def __str__(self) -> str:
        return ",".join(map(str, self.endpoints))

    def context(self) -> ssl.SSLContext | None:
        """Raises OSError where a file is missing or is none of those."""
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=self.ca or None)
        if self.certificate:
            context.load_cert_chain(self.certificate, self.key or None)
        context.set_alpn_protocols(["h2"])
        return context


def parse(text: str, ca: str = "", certificate: str = "", key: str = "") -> ExternalAddress:
    """Raises ValueError with a sentence."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in SCHEMES:
        raise ValueError(f"a store is etcd://HOST:PORT[,HOST:PORT...] or etcds://..., not {text!r}")
    if (ca or certificate or key) and scheme != "etcds":
        raise ValueError("certificates are for a store that speaks TLS: etcds://...")
    if bool(certificate) != bool(key):
        raise ValueError("a client's certificate and its key go together")
    endpoints = tuple([_endpoint(part, text) for part in rest.rstrip("/").split(",")])
    return ExternalAddress(endpoints, scheme == "etcds", ca, certificate, key)


def _endpoint(text: str, whole: str) -> Endpoint:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{text!r} in {whole!r} is no HOST:PORT: {error}") from None
    if not host or parts.path or parts.query or parts.username:
        raise ValueError(f"{text!r} in {whole!r} is no HOST:PORT")
    return Endpoint(host, PORT if port is None else port)
