"""X.509 certificate requests (PKCS #10): read, and signed by an authority whose certificate and key are files.

Nothing here is imported by a process that only serves: it needs `cryptography`.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from actorkube.runtime.certificates import Issued

BACKDATE = datetime.timedelta(minutes=5)
_LABEL = b"-----BEGIN CERTIFICATE REQUEST-----"

# Bits of the key usage by the names that Kubernetes' API gives them; those of the extended one.
_KEY_USAGES = {
    "signing": "digital_signature",
    "digital signature": "digital_signature",
    "content commitment": "content_commitment",
    "key encipherment": "key_encipherment",
    "data encipherment": "data_encipherment",
    "key agreement": "key_agreement",
    "cert sign": "key_cert_sign",
    "crl sign": "crl_sign",
}
_PURPOSES = {
    "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "s/mime": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp signing": ExtendedKeyUsageOID.OCSP_SIGNING,
}
_BITS = (*dict.fromkeys(_KEY_USAGES.values()), "encipher_only", "decipher_only")


_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


class RequestError(ValueError):
    """It is no certificate request, or nobody signs it; the text says why."""


class Subject(NamedTuple):
    """What a request asks to be called."""

    common_name: str
    organizations: tuple[str, ...]
    dns: tuple[str, ...]
    addresses: tuple[str, ...]
    emails: tuple[str, ...]
    uris: tuple[str, ...]


def read_request(pem: bytes) -> Subject:
    """Raises RequestError."""
    request = _load(pem)
    try:
        return _subject(request)
    except _UNREADABLE as error:  # parts are parsed when they are asked for
        raise RequestError(f"the certificate request cannot be read: {error}") from None


def _subject(request: x509.CertificateSigningRequest) -> Subject:
    names, san = request.subject, _alternatives(request)
    common = [str(each.value) for each in names.get_attributes_for_oid(NameOID.COMMON_NAME)]
    organizations = [str(each.value) for each in names.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    kinds = (x509.DNSName, x509.IPAddress, x509.RFC822Name, x509.UniformResourceIdentifier)
    others = [tuple(str(each.value) for each in san if isinstance(each, kind)) for kind in kinds]
    return Subject(common[-1] if common else "", tuple(organizations), *others)


def sign_request(authority: Issued, pem: bytes, usages: Collection[str], seconds: float, now: float) -> bytes:
    """A certificate with the request's names, as PEM; it ends with the authority at the latest. Raises RequestError."""
    request = _load(pem)
    if not _is_signed(request):
        raise RequestError("unable to verify certificate request signature")
    own = x509.load_pem_x509_certificate(authority.cert_pem)
    begin = datetime.datetime.fromtimestamp(now, datetime.UTC)
    end = min(begin + datetime.timedelta(seconds=seconds), own.not_valid_after_utc)
    if end <= begin:
        raise RequestError("the signer has expired")
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(own.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - BACKDATE)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(own.public_key()), False)  # type: ignore[arg-type]
    )
    bits = {_KEY_USAGES[usage] for usage in usages if usage in _KEY_USAGES}
    if bits:
        builder = builder.add_extension(x509.KeyUsage(**{bit: bit in bits for bit in _BITS}), True)
    if purposes := [_PURPOSES[usage] for usage in usages if usage in _PURPOSES]:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), False)
    if san := _alternatives(request):
        builder = builder.add_extension(x509.SubjectAlternativeName(san), False)
    certificate = builder.sign(load_pem_private_key(authority.key_pem, None), hashes.SHA256())  # type: ignore[arg-type]
    return certificate.public_bytes(Encoding.PEM)


def ends_at(pem: bytes) -> float:
    """When the first certificate of a chain ends, in seconds since the epoch. Raises RequestError."""
    try:
        return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()
    except _UNREADABLE as error:
        raise RequestError(str(error)) from None


def _load(pem: bytes) -> x509.CertificateSigningRequest:
    if not pem.lstrip().startswith(_LABEL):
        raise RequestError("PEM block type must be CERTIFICATE REQUEST")
    try:
        request = x509.load_pem_x509_csr(pem)
        request.public_key()
    except _UNREADABLE as error:
        raise RequestError(f"the certificate request cannot be read: {error}") from None
    return request


def _is_signed(request: x509.CertificateSigningRequest) -> bool:
    try:
        return request.is_signature_valid
    except _UNREADABLE:
        return False


def _alternatives(request: x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    try:
        return list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []
