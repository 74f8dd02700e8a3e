"""The signers of CertificateSigningRequests that Kubernetes has built in, and what they sign.

Source: "Certificates and Certificate Signing Requests" of Kubernetes' reference, and its signers' own words.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from protocols.objects import Object

RESOURCE = "certificatesigningrequests.certificates.k8s.io"
API_CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY = "kubernetes.io/legacy-unknown"
SIGNED = (API_CLIENT, KUBELET_CLIENT, KUBELET_SERVING)
NODES, NODE_PREFIX, MASTERS = "system:nodes", "system:node:", "system:masters"

SIGNING, ENCIPHERMENT = "digital signature", "key encipherment"
CLIENT, SERVER = "client auth", "server auth"


class Asked(NamedTuple):
    """What an X.509 request asks to be called. Alternative names by their kind."""

    common_name: str
    organizations: tuple[str, ...]
    dns: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()


def problem(signer: str, asked: Asked, usages: Collection[str]) -> str:
    """Why the signer does not sign it; "" when it does."""
    match signer:
        case "kubernetes.io/kube-apiserver-client":
            return _client_usages(usages)
        case "kubernetes.io/kube-apiserver-client-kubelet":
            return _kubelet_client(asked, usages)
        case "kubernetes.io/kubelet-serving":
            return _kubelet_serving(asked, usages)
    return f"no signer is called {signer}"


def condition(request: Object, type: str) -> bool:
    conditions = (request.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == type and each.get("status", "True") == "True" for each in conditions)


def _client_usages(usages: Collection[str]) -> str:
    for usage in usages:
        if usage not in (SIGNING, ENCIPHERMENT, CLIENT):
            return f"invalid usage for client certificate: {usage}"
    return "" if CLIENT in usages else f"missing required usage for client certificate: {CLIENT}"


def _kubelet_client(asked: Asked, usages: Collection[str]) -> str:
    refused = {"DNS": asked.dns, "IP": asked.addresses, "Email": asked.emails, "URI": asked.uris}
    problem = _of_a_node(asked, refused)
    if problem:
        return problem
    if not _exactly(usages, CLIENT):
        return f"usages did not match [{SIGNING} {ENCIPHERMENT} {CLIENT}]"
    return ""


def _kubelet_serving(asked: Asked, usages: Collection[str]) -> str:
    if asked.organizations == (NODES,) and not asked.dns and not asked.addresses:
        return "DNS or IP subjectAltName is required"
    problem = _of_a_node(asked, {"Email": asked.emails, "URI": asked.uris})
    if problem:
        return problem
    if not _exactly(usages, SERVER):
        return f"usages did not match [{SIGNING} {ENCIPHERMENT} {SERVER}]"
    return ""


def _of_a_node(asked: Asked, refused: Mapping[str, Collection[str]]) -> str:
    """What speaks against its being a node's certificate; `refused` are the other names that it must not have."""
    if asked.organizations != (NODES,):
        return "subject organization is not system:nodes"
    for kind, names in refused.items():
        if names:
            return f"{kind} subjectAltNames are not allowed"
    if not asked.common_name.startswith(NODE_PREFIX):
        return "subject common name does not begin with system:node:"
    return ""


def _exactly(usages: Collection[str], purpose: str) -> bool:
    """The key of an elliptic curve enciphers no other key, so that usage may be left out."""
    return set(usages) - {ENCIPHERMENT} == {SIGNING, purpose}
