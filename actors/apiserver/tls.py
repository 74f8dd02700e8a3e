"""The cluster's certificates: an authority, the API server's own, and one for each client. Made once, kept as files.

Keys are EC P-256, files 0600 in a directory 0700. What exists is used again; the server's certificate is made anew when
it has to stand for other names than before. Nothing here is imported by a process that only serves: only making
certificates needs `cryptography`.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

SERVER_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
_VALID_DAYS = 3650
_CLOCK_SKEW = datetime.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, as files."""

    cert_file: Path
    key_file: Path

    @property
    def cert_pem(self) -> bytes:
        return self.cert_file.read_bytes()

    @property
    def key_pem(self) -> bytes:
        return self.key_file.read_bytes()


class Authority:
    """The cluster CA in a directory. `now` is seconds since the epoch; certificates are good from an hour before it."""

    def __init__(self, directory: Path, now: float) -> None:
        self._directory = directory
        self._now = datetime.datetime.fromtimestamp(now, datetime.UTC)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        self.ca_file = directory / "ca.crt"
        self._ca_key_file = directory / "ca.key"
        if not (self.ca_file.exists() and self._ca_key_file.exists()):
            self._make_ca()

    @property
    def ca_pem(self) -> bytes:
        return self.ca_file.read_bytes()

    def server(self, names: Sequence[str]) -> Issued:
        """The API server's certificate, for SERVER_NAMES, the loopback address and `names` (hosts or addresses)."""
        wanted = list(dict.fromkeys([*SERVER_NAMES, "127.0.0.1", *names]))
        issued, names_file = self._files("apiserver"), self._directory / "apiserver.names"
        if not _exist(issued) or not names_file.exists() or names_file.read_text().split() != wanted:
            self._issue(issued, "kube-apiserver", (), wanted)
            _write(names_file, "\n".join(wanted).encode())
        return issued

    def client(self, name: str, user: str, groups: Sequence[str] = ()) -> Issued:
        """A client's certificate, kept under `name`."""
        issued = self._files(name)
        if not _exist(issued):
            self._issue(issued, user, groups, ())
        return issued

    def admin(self) -> Issued:
        return self.client("admin", "kubernetes-admin", ["system:masters"])

    def _files(self, name: str) -> Issued:
        return Issued(self._directory / f"{name}.crt", self._directory / f"{name}.key")

    def _make_ca(self) -> None:
        from cryptography import x509

        key = _new_key()
        subject = _name("kubernetes", ())
        builder = self._builder(subject, key.public_key())
        builder = builder.issuer_name(subject).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        builder = builder.add_extension(_usage(signs_certificates=True), True)
        self._save(Issued(self.ca_file, self._ca_key_file), builder, key, key)

    def _issue(self, issued: Issued, user: str, groups: Sequence[str], names: Sequence[str]) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        from cryptography.x509.oid import ExtendedKeyUsageOID

        ca = x509.load_pem_x509_certificate(self.ca_pem)
        ca_key = load_pem_private_key(self._ca_key_file.read_bytes(), None)
        key = _new_key()
        builder = self._builder(_name(user, groups), key.public_key()).issuer_name(ca.subject)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        builder = builder.add_extension(_usage(signs_certificates=False), True)
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), False)
        self._save(issued, builder, key, ca_key)

    def _builder(self, subject: x509.Name, public_key: object) -> x509.CertificateBuilder:
        from cryptography import x509

        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .public_key(public_key)  # type: ignore[arg-type]
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - _CLOCK_SKEW)
            .not_valid_after(self._now + datetime.timedelta(days=_VALID_DAYS))
        )

    def _save(
        self, issued: Issued, builder: x509.CertificateBuilder, key: EllipticCurvePrivateKey, signing_key: object
    ) -> None:
        from cryptography.hazmat.primitives import hashes, serialization

        certificate = builder.sign(signing_key, hashes.SHA256())  # type: ignore[arg-type]
        key_pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write(issued.key_file, key_pem)
        _write(issued.cert_file, certificate.public_bytes(serialization.Encoding.PEM))


def server_context(ca_file: Path, cert_file: Path, key_file: Path) -> ssl.SSLContext:
    """Clients may show a certificate of the cluster's authority; who shows another one is turned away."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert_file, key_file)
    context.load_verify_locations(ca_file)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _name(user: str, groups: Sequence[str]) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _alternative(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not signs_certificates,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _exist(issued: Issued) -> bool:
    return issued.cert_file.exists() and issued.key_file.exists()


def _write(path: Path, data: bytes) -> None:
    """A private file, whole or not at all."""
    temporary = path.with_suffix(path.suffix + ".new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
    temporary.replace(path)
