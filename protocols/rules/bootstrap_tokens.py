"""Bootstrap tokens: `ID.SECRET`, kept in a Secret `bootstrap-token-ID` of kube-system, good until they expire.

Source: "Authenticating with Bootstrap Tokens" of Kubernetes' reference.
"""

from __future__ import annotations

import base64
import binascii
import math
import re

from protocols.objects import Object, name_of, namespace_of
from protocols.rules.times import seconds_of

TYPE = "bootstrap.kubernetes.io/token"
NAMESPACE = "kube-system"
NAME_PREFIX = "bootstrap-token-"
CLUSTER_INFO = ("kube-public", "cluster-info")  # the ConfigMap that whoever has a token finds the cluster by
_NAME = re.compile(NAME_PREFIX + "([a-z0-9]{6})")


def is_token(secret: Object) -> bool:
    return secret.get("type") == TYPE and namespace_of(secret) == NAMESPACE


def ends_at(secret: Object) -> float:
    """When it expires, in seconds since the epoch: never without an expiration, always with one that is no time."""
    expiration = text(secret, "expiration")
    if not expiration:
        return math.inf
    try:
        return seconds_of(expiration)
    except (ValueError, OverflowError):
        return -math.inf


def may(secret: Object, usage: str) -> bool:
    """`usage`: "authentication" or "signing"."""
    return text(secret, f"usage-bootstrap-{usage}") == "true"


def named(secret: Object) -> tuple[str, str] | None:
    """The token's two parts, where the secret's name says the same id."""
    found = _NAME.fullmatch(name_of(secret))
    id, secret_part = text(secret, "token-id"), text(secret, "token-secret")
    return (id, secret_part) if found is not None and found.group(1) == id and secret_part else None


def text(secret: Object, key: str) -> str:
    try:
        return base64.b64decode((secret.get("data") or {}).get(key) or "").decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return ""
