"""What Kubernetes' signers sign, and in which words they refuse."""

from __future__ import annotations

import pytest

from protocols.rules.certificate_signers import API_CLIENT, KUBELET_CLIENT, KUBELET_SERVING, Asked, problem

NODE = Asked("system:node:n1", ("system:nodes",))
SERVER = NODE._replace(dns=("n1",))
CLIENT_USAGES, SERVER_USAGES = ("digital signature", "client auth"), ("digital signature", "server auth")


@pytest.mark.parametrize(
    ("signer", "asked", "usages"),
    [
        (API_CLIENT, Asked("jane", ("dev",)), ("client auth",)),
        (API_CLIENT, Asked("jane", ()), ("digital signature", "key encipherment", "client auth")),
        (KUBELET_CLIENT, NODE, CLIENT_USAGES),
        (KUBELET_CLIENT, NODE, (*CLIENT_USAGES, "key encipherment")),
        (KUBELET_SERVING, SERVER, SERVER_USAGES),
        (KUBELET_SERVING, NODE._replace(addresses=("10.0.0.1",)), SERVER_USAGES),
    ],
)
def test_it_signs(signer: str, asked: Asked, usages: tuple[str, ...]) -> None:
    assert problem(signer, asked, usages) == ""


@pytest.mark.parametrize(
    ("signer", "asked", "usages", "why"),
    [
        (API_CLIENT, NODE, ("server auth",), "invalid usage for client certificate: server auth"),
        (API_CLIENT, NODE, ("digital signature",), "missing required usage for client certificate: client auth"),
        (KUBELET_CLIENT, Asked("system:node:n1", ()), CLIENT_USAGES, "subject organization is not system:nodes"),
        (
            KUBELET_CLIENT,
            NODE._replace(organizations=("system:nodes", "system:masters")),
            CLIENT_USAGES,
            "subject organization is not system:nodes",
        ),
        (KUBELET_CLIENT, SERVER, CLIENT_USAGES, "DNS subjectAltNames are not allowed"),
        (
            KUBELET_CLIENT,
            NODE._replace(common_name="n1"),
            CLIENT_USAGES,
            "subject common name does not begin with system:node:",
        ),
        (
            KUBELET_CLIENT,
            NODE,
            SERVER_USAGES,
            "usages did not match [digital signature key encipherment client auth]",
        ),
        (KUBELET_SERVING, NODE, SERVER_USAGES, "DNS or IP subjectAltName is required"),
        (KUBELET_SERVING, SERVER._replace(uris=("a:b",)), SERVER_USAGES, "URI subjectAltNames are not allowed"),
        (
            KUBELET_SERVING,
            SERVER,
            (*SERVER_USAGES, "client auth"),
            "usages did not match [digital signature key encipherment server auth]",
        ),
        ("example.com/x", NODE, CLIENT_USAGES, "no signer is called example.com/x"),
    ],
)
def test_it_says_why_not(signer: str, asked: Asked, usages: tuple[str, ...], why: str) -> None:
    assert problem(signer, asked, usages) == why
