"""The token cleaner: a bootstrap token that has expired goes, and one whose expiration cannot be read."""

from __future__ import annotations

import math

from actorkube.kube import Controller, Views, Watches
from actorkube.kube.writes import RequeueAfter, Write, delete
from actors.controllers.essence import essence
from protocols.objects import Object, key_of, meta
from protocols.rules.bootstrap_tokens import ends_at, is_token

RESOURCE = "secrets"


def controller() -> Controller:
    return Controller("token-cleaner-controller", (Watches(RESOURCE, key_of_token, trim=essence),), reconcile)


def key_of_token(secret: Object, views: Views) -> tuple[str, ...]:
    return (key_of(secret),) if is_token(secret) else ()


def reconcile(key: str, views: Views, now: float) -> list[Write]:
    secret = views[RESOURCE].get(key)
    if secret is None or not is_token(secret) or "deletionTimestamp" in meta(secret):
        return []
    ends = ends_at(secret)
    if now >= ends:
        return [delete(RESOURCE, secret)]
    return [RequeueAfter(ends - now)] if ends < math.inf else []
