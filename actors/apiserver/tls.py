"""The cluster's certificates: an authority, the API server's own, and one for each client. Made once, kept as files.

What exists is used again; the server's certificate is made anew when it has to stand for other names than before.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from actorkube.runtime.certificates import (
    CertificateAuthority,
    Issued,
    Wanted,
    new_key_pem,
    private_directory,
    write_private,
)

SERVER_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)

FRONT_PROXY = "front-proxy-client"


class Authority:
    """The cluster CA in a directory. `now` is seconds since the epoch; certificates are good from an hour before it."""

    def __init__(self, directory: Path, now: float) -> None:
        self._directory = private_directory(directory)
        self._now = now
        self._authority = CertificateAuthority.root(Issued.at(directory, "ca"), "kubernetes", now)
        self.ca_file = self._authority.files.cert_file

    @property
    def ca_pem(self) -> bytes:
        return self.ca_file.read_bytes()

    def server(self, names: Sequence[str]) -> Issued:
        """The API server's certificate, for SERVER_NAMES, the loopback address and `names` (hosts or addresses)."""
        wanted = list(dict.fromkeys([*SERVER_NAMES, "127.0.0.1", *names]))
        issued, names_file = Issued.at(self._directory, "apiserver"), self._directory / "apiserver.names"
        if not issued.exists or not names_file.exists() or names_file.read_text().split() != wanted:
            self._authority.issue(issued, Wanted("kube-apiserver", names=wanted, serves=True))
            write_private(names_file, "\n".join(wanted).encode())
        return issued

    def client(self, name: str, user: str, groups: Sequence[str] = ()) -> Issued:
        """A client's certificate, kept under `name`."""
        issued = Issued.at(self._directory, name)
        if not issued.exists:
            self._authority.issue(issued, Wanted(user, groups, calls=True))
        return issued

    def component(self) -> Issued:
        """What the other components serve with, on this machine."""
        issued = Issued.at(self._directory, "component")
        if not issued.exists:
            self._authority.issue(issued, Wanted("system:component", names=["localhost", "127.0.0.1"], serves=True))
        return issued

    def account_key(self) -> Path:
        """The key that signs the tokens of service accounts."""
        path = self._directory / "sa.key"
        if not path.exists():
            write_private(path, new_key_pem())
        return path

    def front_proxy(self) -> tuple[Path, Issued]:
        """Who signs, and the certificate that the API server shows to servers behind it. An authority of its own: who
        has a client's certificate of the cluster must not pass for the API server there."""
        directory = private_directory(self._directory / "front-proxy")
        authority = CertificateAuthority.root(Issued.at(directory, "ca"), "front-proxy-ca", self._now)
        issued = Issued.at(directory, "client")
        if not issued.exists:
            authority.issue(issued, Wanted(FRONT_PROXY, calls=True))
        return authority.files.cert_file, issued

    def admin(self) -> Issued:
        return self.client("admin", "kubernetes-admin", ["system:masters"])


def server_context(ca_file: Path, cert_file: Path, key_file: Path) -> ssl.SSLContext:
    """Clients may show a certificate of the cluster's authority; who shows another one is turned away."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert_file, key_file)
    context.load_verify_locations(ca_file)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context
