"""Certificates and the authorities that sign them, as files: EC P-256, private, whole or not at all.

Nothing here is imported by a process that only serves: only making certificates needs `cryptography`, which takes
longer to import than to use.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

VALID_DAYS = 3650.0
CLOCK_SKEW = datetime.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, as files."""

    cert_file: Path
    key_file: Path

    @classmethod
    def at(cls, directory: Path, name: str) -> Issued:
        return cls(directory / f"{name}.crt", directory / f"{name}.key")

    @property
    def exists(self) -> bool:
        return self.cert_file.exists() and self.key_file.exists()

    @property
    def cert_pem(self) -> bytes:
        return self.cert_file.read_bytes()

    @property
    def key_pem(self) -> bytes:
        return self.key_file.read_bytes()


@dataclass(frozen=True)
class Wanted:
    """What a certificate is to say. `names` are DNS names or addresses; `valid_days` may lie in the past, for tests."""

    common_name: str
    organizations: Sequence[str] = ()
    names: Sequence[str] = ()
    uris: Sequence[str] = ()
    serves: bool = False
    calls: bool = False
    valid_days: float = VALID_DAYS
    chain: bytes = field(default=b"", repr=False)  # PEM that goes behind it: the authorities between it and the root


class CertificateAuthority:
    """Signs with a certificate and key that exist. `now` is seconds since the epoch."""

    def __init__(self, files: Issued, now: float) -> None:
        self.files = files
        self._now = datetime.datetime.fromtimestamp(now, datetime.UTC)

    @classmethod
    def root(cls, files: Issued, name: str, now: float) -> CertificateAuthority:
        """The one whose files these are, made if it does not exist."""
        authority = cls(files, now)
        if not files.exists:
            authority._make(name)
        return authority

    def delegate(self, files: Issued, name: str, uri_host: str) -> CertificateAuthority:
        """An authority below this one, whose certificates are good only for URIs of that host (RFC 5280, 4.2.1.10)."""
        from cryptography import x509

        key, below = _new_key(), CertificateAuthority(files, self._now.timestamp())
        permitted = [x509.UniformResourceIdentifier(uri_host)]
        builder = self._authority(name, key).add_extension(x509.NameConstraints(permitted, None), True)
        self._sign(files, builder, key)
        return below

    def issue(self, files: Issued, wanted: Wanted) -> None:
        from cryptography import x509
        from cryptography.x509.oid import ExtendedKeyUsageOID

        key = _new_key()
        builder = self._builder(_name(wanted.common_name, wanted.organizations), key, wanted.valid_days)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        builder = builder.add_extension(_usage(signs_certificates=False), True)
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH] * wanted.serves + [ExtendedKeyUsageOID.CLIENT_AUTH] * wanted.calls
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), False)
        others = [*map(_alternative, wanted.names), *map(x509.UniformResourceIdentifier, wanted.uris)]
        if others:
            builder = builder.add_extension(x509.SubjectAlternativeName(others), False)
        self._sign(files, builder, key, wanted.chain)

    def _make(self, name: str) -> None:
        key = _new_key()
        _save(self.files, self._authority(name, key, path_length=1).issuer_name(_name(name, ())), key, key)

    def _authority(self, name: str, key: EllipticCurvePrivateKey, path_length: int = 0) -> x509.CertificateBuilder:
        from cryptography import x509

        builder = self._builder(_name(name, ()), key, VALID_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), True)
        return builder.add_extension(_usage(signs_certificates=True), True)

    def _sign(
        self, files: Issued, builder: x509.CertificateBuilder, key: EllipticCurvePrivateKey, chain: bytes = b""
    ) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        own = x509.load_pem_x509_certificate(self.files.cert_pem)
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(own.public_key())  # type: ignore[arg-type]
        builder = builder.issuer_name(own.subject).add_extension(signer, False)
        _save(files, builder, key, load_pem_private_key(self.files.key_pem, None), chain)
        made_at = self._now.timestamp()
        os.utime(files.cert_file, (made_at, made_at))  # who renews it need not read it

    def _builder(self, subject: x509.Name, key: EllipticCurvePrivateKey, valid_days: float) -> x509.CertificateBuilder:
        from cryptography import x509

        end = self._now + datetime.timedelta(days=valid_days)
        begin = min(self._now, end, datetime.datetime.now(datetime.UTC))  # OpenSSL looks at the machine's clock
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin - CLOCK_SKEW)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        )


def write_private(path: Path, data: bytes) -> None:
    """A file for its owner alone, whole or not at all."""
    beside = path.with_name(path.name + ".new")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
    beside.replace(path)


def new_key_pem() -> bytes:
    """A private key on the curve P-256, as PEM."""
    return _key_pem(_new_key())


def private_directory(path: Path) -> Path:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def _save(
    files: Issued,
    builder: x509.CertificateBuilder,
    key: EllipticCurvePrivateKey,
    signing_key: object,
    chain: bytes = b"",
) -> None:
    from cryptography.hazmat.primitives import hashes, serialization

    certificate = builder.sign(signing_key, hashes.SHA256())  # type: ignore[arg-type]
    write_private(files.key_file, _key_pem(key))
    write_private(files.cert_file, certificate.public_bytes(serialization.Encoding.PEM) + chain)


def _key_pem(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _name(common_name: str, organizations: Sequence[str]) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in organizations]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


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
