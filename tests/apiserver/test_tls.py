"""Certificates: made once, private, good for what they are for."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import stat
import warnings
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from actors.apiserver.rest.authenticate import of_certificate
from actors.apiserver.tls import Authority
from tests.apiserver.rest_client import NOW, client_context, rest


def names_of(cert_file: Path) -> list[str]:
    certificate = x509.load_pem_x509_certificate(cert_file.read_bytes())
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in found]


def test_the_servers_certificate_stands_for_its_names(tmp_path: Path) -> None:
    server = Authority(tmp_path / "pki", NOW).server(["127.66.0.1", "example.com"])

    names = names_of(server.cert_file)

    assert {"localhost", "127.0.0.1", "kubernetes", "kubernetes.default.svc", "127.66.0.1", "example.com"} <= set(names)


def test_what_exists_is_used_again_and_new_names_make_a_new_certificate(tmp_path: Path) -> None:
    first = Authority(tmp_path / "pki", NOW)
    pems = [first.ca_pem, first.server([]).cert_pem, first.admin().cert_pem]

    second = Authority(tmp_path / "pki", NOW + 1000)

    assert [second.ca_pem, second.server([]).cert_pem, second.admin().cert_pem] == pems
    assert second.server(["example.com"]).cert_pem != pems[1]
    assert "example.com" in names_of(second.server(["example.com"]).cert_file)


def test_keys_are_for_nobody_else(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki", NOW)
    authority.server([]), authority.admin()

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "pki").iterdir()}

    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700
    assert {"ca.key", "apiserver.key", "admin.key"} <= set(modes) and set(modes.values()) == {0o600}


def test_a_certificates_subject_is_the_caller() -> None:
    subject = ((("organizationName", "dev"),), (("organizationName", "ops"),), (("commonName", "jane"),))

    caller = of_certificate({"subject": subject})

    assert (caller.user, caller.groups) == ("jane", ("dev", "ops", "system:authenticated"))
    assert not of_certificate({"subject": ()}).authenticated


async def test_reviews_and_audits_are_told_which_certificate_was_shown(tmp_path: Path) -> None:
    async with rest(tmp_path) as client:
        own = x509.load_pem_x509_certificate((tmp_path / "pki" / "admin.crt").read_bytes())
        review = await client.send("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})

    shown = f"X509SHA256={own.fingerprint(hashes.SHA256()).hex()}"
    assert review.json["status"]["userInfo"]["extra"] == {"authentication.kubernetes.io/credential-id": [shown]}


async def test_a_certificate_of_another_authority_is_turned_away(tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", NOW)
    async with rest(tmp_path) as client:
        context = client_context(Authority(tmp_path / "pki", NOW), other.admin())

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            with pytest.raises(aiohttp.ClientError):
                await client.send("GET", "/version", session=session)


@pytest.mark.slow
def test_a_connection_that_its_client_keeps_open_ends_with_the_server(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki", NOW)

    def connect(port: int) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", port), timeout=20)
        tls = client_context(authority, authority.admin()).wrap_socket(plain, server_hostname="localhost")
        tls.sendall(b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert tls.recv(12) == b"HTTP/1.1 200"
        return tls

    async def scenario() -> ssl.SSLSocket:
        async with rest(tmp_path) as client:
            return await asyncio.to_thread(connect, client.config.address[1])

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        kept = asyncio.run(scenario())
        gc.collect()
    kept.close()

    assert [str(warning.message) for warning in said if warning.category is ResourceWarning] == []
