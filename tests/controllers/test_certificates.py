"""Who is approved gets a certificate, in the signer's rules; and requests do not stay for ever."""

from __future__ import annotations

import base64
import contextlib
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from actorkube.runtime.certificate_requests import RequestError, read_request, sign_request
from actorkube.runtime.certificates import CertificateAuthority, Issued
from actors.controllers import certificate_cleaner, certificate_signing
from protocols.objects import Object
from protocols.rules.certificate_signers import RESOURCE
from protocols.rules.times import time_of
from tests.controllers.virtual_time import run
from tests.controllers.world import World

NOW = 1_700_000_000.0
HOUR_S = 3600.0


@pytest.fixture
def ca(tmp_path: Path) -> Issued:
    return CertificateAuthority.root(Issued.at(tmp_path, "ca"), "kubernetes", NOW).files


def pem(common_name: str = "jane", organization: str = "dev", dns: str = "") -> bytes:
    names = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
        x509.NameAttribute(NameOID.COMMON_NAME, common_name),
    ]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    if dns:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(dns)]), False)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.PEM)


def answered(type: str, at: float = NOW) -> dict[str, Any]:
    return {"type": type, "status": "True", "reason": "Test", "lastUpdateTime": time_of(at)}


def asking(*conditions: Any, request: bytes = b"", created: float = NOW, **spec: Any) -> Object:
    encoded = base64.b64encode(request or pem()).decode()
    about = {"signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"], "request": encoded, **spec}
    metadata = {"name": "a", "creationTimestamp": time_of(created)}
    return {"metadata": metadata, "spec": about, "status": {"conditions": list(conditions)} if conditions else {}}


# -- signing ----------------------------------------------------------------------------------------------------------


def signed(ca: Issued, request: Object) -> Object:
    """The request's status when the controller has settled."""
    status: Object = {}

    async def play() -> None:
        def sign(asked: bytes, usages: Any, seconds: float, now: float) -> bytes:
            return sign_request(ca, asked, usages, seconds, NOW)

        async with World(certificate_signing.controller(sign), seed=0) as world:
            world.create(RESOURCE, request)
            await world.settled()
            status.update(world.get(RESOURCE, "a", "").get("status") or {})

    run(play())
    return status


def test_what_is_approved_is_signed_with_its_names_and_usages(ca: Issued) -> None:
    status = signed(ca, asking(answered("Approved"), expirationSeconds=7200))

    certificate = x509.load_pem_x509_certificate(base64.b64decode(status["certificate"]))
    assert certificate.subject.rfc4514_string() == "CN=jane,O=dev"
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(ca.cert_pem))
    assert certificate.not_valid_after_utc.timestamp() == NOW + 7200
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


@pytest.mark.parametrize(
    "request_",
    [
        asking(),
        asking(answered("Denied")),
        asking(answered("Approved"), answered("Denied")),
        asking(answered("Approved"), signerName="example.com/mine"),
    ],
)
def test_nothing_else_is(ca: Issued, request_: Object) -> None:
    assert "certificate" not in signed(ca, request_)


def test_what_the_signer_does_not_sign_fails_with_the_reason(ca: Issued) -> None:
    status = signed(ca, asking(answered("Approved"), usages=["server auth"]))

    failed = status["conditions"][-1]
    assert (failed["type"], failed["reason"]) == ("Failed", "SignerValidationFailure")
    assert failed["message"] == "invalid usage for client certificate: server auth"
    assert "certificate" not in status


def test_a_certificate_ends_with_its_authority_and_keeps_the_other_names(ca: Issued) -> None:
    made = sign_request(ca, pem(dns="n1"), ["server auth", "digital signature"], 1e10, NOW)

    certificate, own = x509.load_pem_x509_certificate(made), x509.load_pem_x509_certificate(ca.cert_pem)
    assert certificate.not_valid_after_utc == own.not_valid_after_utc
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["n1"]
    assert certificate.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature


def test_a_request_that_is_not_signed_by_its_own_key_gets_nothing(ca: Issued) -> None:
    one = x509.load_pem_x509_csr(pem()).public_bytes(Encoding.DER)
    forged = one[:-2] + bytes([one[-2] ^ 1, one[-1]])

    with pytest.raises(RequestError):
        encoded = base64.encodebytes(forged)
        sign_request(
            ca,
            b"-----BEGIN CERTIFICATE REQUEST-----\n" + encoded + b"-----END CERTIFICATE REQUEST-----\n",
            ["client auth"],
            3600,
            NOW,
        )


def test_what_is_asked_to_be_called_is_read() -> None:
    assert read_request(pem("system:node:n1", "system:nodes", "n1")) == (
        "system:node:n1",
        ("system:nodes",),
        ("n1",),
        (),
        (),
        (),
    )


# -- cleaning ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "after_s"),
    [
        (asking(), 24 * HOUR_S),
        (asking(answered("Denied")), HOUR_S),
        (asking(answered("Failed")), HOUR_S),
        (asking(answered("Approved")), None),
    ],
)
def test_it_goes_when_nobody_needs_it(request_: Object, after_s: float | None) -> None:
    goes_at = certificate_cleaner.goes_at(request_)

    assert goes_at == (float("inf") if after_s is None else NOW + after_s)


def test_what_was_issued_goes_after_an_hour_or_with_its_certificate(ca: Issued) -> None:
    request = asking(answered("Approved"))
    for seconds, goes_s in ((7200, HOUR_S), (600, 600)):
        certificate = sign_request(ca, pem(), ["client auth"], seconds, NOW)
        request["status"]["certificate"] = base64.b64encode(certificate).decode()
        assert certificate_cleaner.goes_at(request) == NOW + goes_s


def test_another_signers_certificate_need_not_be_one() -> None:
    request = asking()
    request["status"] = {"certificate": base64.b64encode(b"x").decode()}

    assert certificate_cleaner.goes_at(request) == float("inf")


@pytest.mark.filterwarnings("ignore:Attribute's length")
@given(st.binary(max_size=64), st.integers(0, 1_000_000))
def test_what_was_tampered_with_is_refused_or_read(noise: bytes, at: int) -> None:
    """Never another error than the one that says so."""
    whole = x509.load_pem_x509_csr(REQUEST).public_bytes(Encoding.DER)
    at %= len(whole)
    der = whole[:at] + noise + whole[at + len(noise) :]
    tampered = b"-----BEGIN CERTIFICATE REQUEST-----\n" + base64.encodebytes(der)
    try:
        read_request(tampered + b"-----END CERTIFICATE REQUEST-----\n")
    except RequestError:
        return


@pytest.mark.filterwarnings("ignore:Attribute's length")
def test_whichever_bit_is_flipped_it_is_refused_or_read() -> None:
    whole = x509.load_pem_x509_csr(REQUEST).public_bytes(Encoding.DER)
    for place in range(len(whole) * 8):
        der = bytearray(whole)
        der[place // 8] ^= 1 << place % 8
        with contextlib.suppress(RequestError):
            read_request(
                b"-----BEGIN CERTIFICATE REQUEST-----\n"
                + base64.encodebytes(der)
                + b"-----END CERTIFICATE REQUEST-----\n"
            )


REQUEST = pem("system:node:n1", "system:nodes", "n1")
