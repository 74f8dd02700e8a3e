"""The bootstrap signer: kube-public/cluster-info carries a signature by each bootstrap token that is for signing.

Who has a token reads the config map as anybody may, and knows by its signature (a JWS without its content, RFC 7515
appendix F) that the cluster is the one that gave the token. Source: "Authenticating with Bootstrap Tokens".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

from actorkube.kube import Controller, Views, Watches
from actorkube.kube.writes import Update, Write
from actors.controllers.essence import essence
from protocols.objects import Object, key_of
from protocols.rules.bootstrap_tokens import CLUSTER_INFO, ends_at, is_token, may, named

RESOURCE, SECRETS = "configmaps", "secrets"
KEY = "/".join(CLUSTER_INFO)
SIGNED = "kubeconfig"
SIGNATURE = "jws-kubeconfig-"
_TOKENS = "bootstrap tokens"


def controller() -> Controller:
    return Controller(
        "bootstrap-signer-controller",
        (
            Watches(RESOURCE, lambda config_map, views: (KEY,) if key_of(config_map) == KEY else (), trim=essence),
            Watches(
                SECRETS,
                lambda secret, views: (KEY,) if is_token(secret) else (),
                indexes={_TOKENS: lambda secret: ("all",) if is_token(secret) else ()},
                trim=essence,
            ),
        ),
        reconcile,
    )


def reconcile(key: str, views: Views, now: float) -> list[Write]:
    info = views[RESOURCE].get(KEY)
    content = (info.get("data") or {}).get(SIGNED) if info is not None else None
    if info is None or content is None:
        return []
    plain = {name: text for name, text in info["data"].items() if not name.startswith(SIGNATURE)}
    data = {**plain, **signatures(content, views[SECRETS].by_index(_TOKENS, "all"), now)}
    return [] if data == info["data"] else [Update(RESOURCE, {**info, "data": data})]


def signatures(content: str, secrets: list[Object], now: float) -> dict[str, str]:
    tokens = [named(secret) for secret in secrets if may(secret, "signing") and now < ends_at(secret)]
    return {SIGNATURE + id: signature(content, id, part) for id, part in filter(None, tokens)}


def signature(content: str, id: str, secret_part: str) -> str:
    """HS256, in the compact form, its middle left out."""
    header = _base64url(json.dumps({"alg": "HS256", "kid": id}, separators=(",", ":")).encode())
    signed = hmac.digest(secret_part.encode(), f"{header}.{_base64url(content.encode())}".encode(), hashlib.sha256)
    return f"{header}..{_base64url(signed)}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
