"""A certificate for the raw loop's TLS: P-256, TLS 1.3, both sides show it, as ActorKube's links do."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_certificate(directory: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    Path(directory, "bench.crt").write_bytes(certificate.public_bytes(pem))
    Path(directory, "bench.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def client_context(directory: str) -> ssl.SSLContext:
    return _mutual(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), directory)


def server_context(directory: str) -> ssl.SSLContext:
    return _mutual(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), directory)


def _mutual(context: ssl.SSLContext, directory: str) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(f"{directory}/bench.crt", f"{directory}/bench.key")
    context.load_verify_locations(f"{directory}/bench.crt")
    return context
