"""Bootstrap tokens: secrets of kube-system that let a node ask for its certificate."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from actors.apiserver.tokens.bootstrap import of_bootstrap_token
from protocols.objects import Object

NOW = 1_790_000_000.0
TOKEN = "abcdef.0123456789abcdef"
GOOD = {
    "token-id": "abcdef",
    "token-secret": "0123456789abcdef",
    "usage-bootstrap-authentication": "true",
    "expiration": "2999-01-01T00:00:00Z",
    "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
}


def secret(type: str = "bootstrap.kubernetes.io/token", metadata: Any = None, **changes: str) -> Object:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in {**GOOD, **changes}.items()}
    return {"metadata": metadata or {}, "type": type, "data": data}


def who(token: str, stored: Object) -> object:
    def lookup(resource: str, key: str) -> Object | None:
        return stored if (resource, key) == ("secrets", "kube-system/bootstrap-token-abcdef") else None

    return of_bootstrap_token(token, NOW, lookup)


def test_its_bearer_bootstraps() -> None:
    caller = of_bootstrap_token(TOKEN, NOW, lambda *_: secret())

    assert caller is not None and caller.user == "system:bootstrap:abcdef"
    assert caller.groups == (
        "system:bootstrappers",
        "system:bootstrappers:kubeadm:default-node-token",
        "system:authenticated",
    )
    assert who(TOKEN, secret(**{"auth-extra-groups": ""}))
    assert who(TOKEN, secret(expiration=""))


@pytest.mark.parametrize(
    ("token", "stored"),
    [
        ("abcdef.0123456789abcdee", secret()),
        ("abcdeg.0123456789abcdef", secret()),
        ("ABCDEF.0123456789abcdef", secret()),
        (TOKEN + "0", secret()),
        (TOKEN, secret("Opaque")),
        (TOKEN, secret(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})),
        (TOKEN, secret(expiration="2001-01-01T00:00:00Z")),
        (TOKEN, secret(expiration="soon")),
        (TOKEN, secret(**{"token-id": "other1"})),
        (TOKEN, secret(**{"usage-bootstrap-authentication": "false"})),
        (TOKEN, secret(**{"auth-extra-groups": "system:masters"})),
    ],
)
def test_what_is_wrong_expired_or_meant_otherwise_is_nobodys(token: str, stored: Object) -> None:
    assert who(token, stored) is None
