"""CertificateSigningRequests: who made one, who says yes, who signs, and what each endpoint may change."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from protocols.objects import Object
from tests.apiserver.rest_client import Rest, rest

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
ROLES = "/apis/rbac.authorization.k8s.io/v1"
API_CLIENT, KUBELET = "kubernetes.io/kube-apiserver-client", "kubernetes.io/kube-apiserver-client-kubelet"
APPROVED = {"type": "Approved", "status": "True", "reason": "ByTest", "message": "yes"}
_TURNS_MAX = 2000


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


def pem(common_name: str, organizations: Sequence[str] = ()) -> str:
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organizations]
    subject = x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    signed = request.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return base64.b64encode(signed.public_bytes(Encoding.PEM)).decode()


def asking(name: str, request: str = "", **spec: Any) -> Object:
    spec = {"signerName": API_CLIENT, "usages": ["client auth"], "request": request or pem("jane"), **spec}
    return {"metadata": {"name": name}, "spec": spec}


async def grant(api: Rest, user: str, *rules: tuple[str, str, list[str]]) -> None:
    made = [
        {
            "apiGroups": ["certificates.k8s.io"],
            "resources": [resource],
            "verbs": verbs.split(","),
            "resourceNames": names,
        }
        for resource, verbs, names in rules
    ]
    await api.create(f"{ROLES}/clusterroles", {"metadata": {"name": user}, "rules": made})
    subject = {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
    reference = {"kind": "ClusterRole", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
    binding = {"metadata": {"name": user}, "roleRef": reference, "subjects": [subject]}
    await api.create(f"{ROLES}/clusterrolebindings", binding)


async def change(api: Rest, name: str, endpoint: str, status: Any, user: str = "") -> Any:
    body = {"status": status}
    acting = {"Impersonate_User": user} if user else {}
    path = f"{REQUESTS}/{name}/{endpoint}"
    return await api.send("PATCH", path, body, content_type="application/merge-patch+json", **acting)


async def test_the_server_says_who_made_it(api: Rest) -> None:
    made = await api.create(REQUESTS, asking("a", username="somebody", groups=["else"], uid="x"))

    assert made["spec"]["username"] == "kubernetes-admin"
    assert made["spec"]["groups"] == ["system:masters", "system:authenticated"]
    assert "uid" not in made["spec"] and "generation" not in made["metadata"] and made["status"] == {}


async def test_its_spec_stays_and_each_endpoint_changes_its_own(api: Rest) -> None:
    made = await api.create(REQUESTS, asking("a"))

    main = (await api.send("PUT", f"{REQUESTS}/a", {**made, "spec": {}, "status": {"conditions": [APPROVED]}})).json
    by_status = await change(api, "a", "status", {"conditions": [APPROVED]})
    by_approval = (await change(api, "a", "approval", {"conditions": [APPROVED], "certificate": "eA=="})).json
    withdrawn = (await change(api, "a", "status", {"conditions": []})).json

    assert main["spec"] == made["spec"] and main["status"] == {}
    forbidden = 'status.conditions: Forbidden: updates may not add a condition of type "Approved"'
    assert by_status.code == 422 and by_status.json["message"].endswith(forbidden)
    (condition,) = by_approval["status"]["conditions"]
    assert APPROVED.items() <= condition.items() and condition["lastTransitionTime"] and condition["lastUpdateTime"]
    assert "certificate" not in by_approval["status"]
    assert withdrawn["status"]["conditions"] == [condition]


async def test_who_approves_and_who_signs_is_allowed_it_for_the_signer(api: Rest) -> None:
    everything = ("certificatesigningrequests/approval,certificatesigningrequests/status", "patch,update", list[str]())
    rights = [(each, "patch,update", list[str]()) for each in everything[0].split(",")]
    await grant(api, "nobody", *rights)
    await grant(api, "one", *rights, ("signers", "approve,sign", [API_CLIENT]))
    await grant(api, "domain", *rights, ("signers", "approve,sign", ["kubernetes.io/*"]))
    for name in ("nobody", "one", "domain"):
        await api.create(REQUESTS, asking(name))
    certificate = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n").decode()

    refused = await change(api, "nobody", "approval", {"conditions": [APPROVED]}, "nobody")
    unsigned = await change(api, "nobody", "status", {"certificate": certificate}, "nobody")

    assert refused.json["message"] == (
        'certificatesigningrequests.certificates.k8s.io "nobody" is forbidden: '
        f'user not permitted to approve requests with signerName "{API_CLIENT}"'
    )
    assert unsigned.json["message"].endswith(f'user not permitted to sign requests with signerName "{API_CLIENT}"')
    for name in ("one", "domain"):
        assert (await change(api, name, "approval", {"conditions": [APPROVED]}, name)).code == 200
        assert (await change(api, name, "status", {"certificate": certificate}, name)).code == 200


async def test_administrators_are_not_made_by_asking(api: Rest) -> None:
    answer = await api.send("POST", REQUESTS, asking("a", pem("eve", ["system:masters"])))

    assert (answer.code, answer.json["message"]) == (
        403,
        'certificatesigningrequests.certificates.k8s.io "a" is forbidden: '
        f"use of {API_CLIENT} signer with system:masters group is not allowed",
    )


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"request": base64.b64encode(b"x").decode()}, "PEM block type must be CERTIFICATE REQUEST"),
        ({"usages": []}, "spec.usages: Required value"),
        ({"usages": ["fly"]}, 'spec.usages[0]: Unsupported value: "fly"'),
        ({"usages": ["client auth", "client auth"]}, 'spec.usages[1]: Duplicate value: "client auth"'),
        ({"signerName": "me"}, "must be a fully qualified domain and path of the form 'example.com/signer-name'"),
        ({"signerName": "kubernetes.io/legacy-unknown"}, "the legacy signerName is not allowed via this API version"),
        ({"expirationSeconds": 599}, "may not specify a duration less than 600 seconds (10 minutes)"),
    ],
)
async def test_what_cannot_be_signed_is_refused_with_the_field(api: Rest, spec: Any, why: str) -> None:
    answer = await api.send("POST", REQUESTS, asking("a", **spec))

    assert answer.code == 422 and why in answer.json["message"]


async def test_yes_and_no_exclude_each_other(api: Rest) -> None:
    await api.create(REQUESTS, asking("a"))
    denied = {**APPROVED, "type": "Denied"}

    answer = await change(api, "a", "approval", {"conditions": [APPROVED, denied]})

    assert answer.code == 422 and "Approved and Denied conditions are mutually exclusive" in answer.json["message"]


async def until(api: Rest, name: str, good: Callable[[Any], bool]) -> Any:
    for _ in range(_TURNS_MAX):
        answer = (await api.get(f"{REQUESTS}/{name}")).json
        if good(answer):
            return answer
        await asyncio.sleep(0)
    raise AssertionError(answer)


async def test_a_kubelet_gets_its_next_certificate_by_itself_when_a_role_says_so(api: Rest) -> None:
    path = f"{ROLES}/clusterrolebindings"
    role = "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient"
    reference = {"kind": "ClusterRole", "name": role, "apiGroup": "rbac.authorization.k8s.io"}
    subject = {"kind": "Group", "name": "system:nodes", "apiGroup": "rbac.authorization.k8s.io"}
    await api.create(path, {"metadata": {"name": "renew"}, "roleRef": reference, "subjects": [subject]})
    usages = {"signerName": KUBELET, "usages": ["digital signature", "client auth"]}
    acting = {"Impersonate_User": "system:node:n1", "Impersonate_Group": "system:nodes"}
    for node in ("n1", "n2"):
        asked = asking(node, pem(f"system:node:{node}", ["system:nodes"]), **usages)
        assert (await api.send("POST", REQUESTS, asked, **acting)).code == 201

    own = await until(api, "n1", lambda request: bool(request["status"].get("conditions")))
    another = (await api.get(f"{REQUESTS}/n2")).json

    assert own["status"]["conditions"][0]["message"] == (
        "Auto approving self kubelet client certificate after SubjectAccessReview."
    )
    assert another["status"] == {}
