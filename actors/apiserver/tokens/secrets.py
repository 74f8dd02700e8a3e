"""Secrets of the type kubernetes.io/service-account-token: filled with a token of their account, and gone with it.

Pure. As Kubernetes' token controller, for programs that need a token without an end; pods do not need them.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from protocols.objects import Object, meta, namespace_of, uid_of

TYPE = "kubernetes.io/service-account-token"
NAME, UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"


def account_key(secret: Object) -> str:
    """The key of the account that it is for; "" where it names none."""
    name = _annotations(secret).get(NAME) or ""
    return f"{namespace_of(secret)}/{name}" if name else ""


def is_orphan(secret: Object, account: Object | None) -> bool:
    """Whether its account is gone, or another one by now."""
    uid = _annotations(secret).get(UID)
    return account is None or bool(uid and uid != uid_of(account))


def filled(secret: Object, account: Object, ca_pem: bytes, sign: Callable[[Object, Object], str]) -> Object:
    """The same object when nothing is missing. A token that is there stays; a CA that is not the cluster's does not."""
    data: dict[str, Any] = dict(secret.get("data") or {})
    if ca_pem:
        data["ca.crt"] = base64.b64encode(ca_pem).decode()
    if not data.get("namespace"):
        data["namespace"] = base64.b64encode(namespace_of(secret).encode()).decode()
    if not data.get("token"):
        data["token"] = base64.b64encode(sign(account, secret).encode()).decode()
    annotations = {**_annotations(secret), UID: uid_of(account)}
    if data == secret.get("data") and annotations == _annotations(secret):
        return secret
    return {**secret, "metadata": {**meta(secret), "annotations": annotations}, "data": data}


def _annotations(secret: Object) -> dict[str, str]:
    return meta(secret).get("annotations") or {}
