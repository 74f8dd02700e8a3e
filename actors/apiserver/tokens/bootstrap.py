"""Whom a bootstrap token makes who shows it."""

from __future__ import annotations

import hmac
import re

from actors.apiserver.callers import AUTHENTICATED, Caller
from actors.apiserver.tokens.claims import Lookup
from protocols.objects import meta
from protocols.rules.bootstrap_tokens import NAME_PREFIX, NAMESPACE, TYPE, ends_at, may, text

_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_GROUP = "system:bootstrappers"
_EXTRA_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")


def of_bootstrap_token(token: str, now: float, lookup: Lookup) -> Caller | None:
    """Who shows it; None for what is none, or no good any more."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        return None
    number, secret_part = match.groups()
    secret = lookup("secrets", f"{NAMESPACE}/{NAME_PREFIX}{number}")
    if secret is None or secret.get("type") != TYPE or "deletionTimestamp" in meta(secret):
        return None
    if not hmac.compare_digest(text(secret, "token-secret"), secret_part) or text(secret, "token-id") != number:
        return None
    if not may(secret, "authentication") or now >= ends_at(secret):
        return None
    groups = [group.strip() for group in text(secret, "auth-extra-groups").split(",") if group.strip()]
    if not all(_EXTRA_GROUP.fullmatch(group) for group in groups):
        return None
    return Caller(f"system:bootstrap:{number}", (_GROUP, *groups, AUTHENTICATED))
