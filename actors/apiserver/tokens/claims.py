"""What a service account's token says, and whether that still holds.

A token is for a time, for audiences, and for as long as its account exists; one that is bound to a pod, secret or node
ends with that. Source: KEP-1205 (bound tokens), KEP-4193 (node information), and kube-apiserver's own wording.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from actors.apiserver.access.attributes import quoted
from actors.apiserver.callers import Caller, account_of, service_account
from actors.apiserver.tokens.discovery import ISSUER
from protocols.objects import Object, meta, name_of, namespace_of, uid_of
from protocols.rules.times import seconds_of

# (group resource, key) -> the stored object, or None.
Lookup = Callable[[str, str], Object | None]

LEGACY_ISSUER = "kubernetes/serviceaccount"
_PRIVATE = "kubernetes.io"
_LEGACY = "kubernetes.io/serviceaccount/"
_LEEWAY_S = 60.0  # what is being deleted still speaks for itself
_EXTRA = "authentication.kubernetes.io/"
_BOUND = {"pod": "pods", "secret": "secrets", "node": "nodes"}
_ACCOUNTS = "serviceaccounts"
_INVALIDATED = "service account token has been invalidated"
_SECRET_TYPE = "kubernetes.io/service-account-token"


class NotValid(Exception):
    """The token is no good; the text says why, to the log and in a TokenReview."""


def claims_of(
    account: Object, bound: Mapping[str, Object], audiences: list[str], seconds: int, now: float, token_id: str
) -> dict[str, Any]:
    """`bound`: "pod", "secret" or "node" -> the object that it ends with (a pod's comes with its node)."""
    begin = int(now)
    private: dict[str, Any] = {"namespace": namespace_of(account), "serviceaccount": _reference(account)}
    private |= {kind: _reference(obj) for kind, obj in sorted(bound.items())}
    return {
        "aud": audiences,
        "exp": begin + seconds,
        "iat": begin,
        "iss": ISSUER,
        "jti": token_id,
        _PRIVATE: private,
        "nbf": begin,
        "sub": service_account(namespace_of(account), name_of(account)).user,
    }


def legacy_claims(account: Object, secret: Object) -> dict[str, Any]:
    """Of a token that is kept in a Secret: without an end, but for that of the secret and the account."""
    namespace, name = namespace_of(account), name_of(account)
    return {
        "iss": LEGACY_ISSUER,
        f"{_LEGACY}namespace": namespace,
        f"{_LEGACY}secret.name": name_of(secret),
        f"{_LEGACY}service-account.name": name,
        f"{_LEGACY}service-account.uid": uid_of(account),
        "sub": service_account(namespace, name).user,
    }


def caller_of(
    claims: Mapping[str, Any], audiences: tuple[str, ...], now: float, lookup: Lookup, token: str = ""
) -> tuple[Caller, list[str]]:
    """Who shows it, and which of the audiences it is for. Raises NotValid."""
    if claims.get("iss") == LEGACY_ISSUER:
        return _legacy_caller(claims, lookup, token), [each for each in audiences if each == ISSUER]
    if claims.get("iss") != ISSUER:
        raise NotValid("the token is of another issuer")
    meant = [each for each in audiences if each in _texts(claims.get("aud"))]
    if not meant:
        asked, wanted = _shown(_texts(claims.get("aud"))), _shown(audiences)
        raise NotValid(f"token audiences {asked} is invalid for the target audiences {wanted}")
    _check_time(claims, now)
    private = claims.get(_PRIVATE) or {}
    namespace = str(private.get("namespace"))
    account = _alive(_ACCOUNTS, namespace, private.get("serviceaccount") or {}, now, lookup)
    extra = [("credential-id", f"JTI={claims.get('jti')}")]
    for kind, resource in _BOUND.items():
        if reference := private.get(kind):
            extra += [(f"{kind}-name", str(reference.get("name"))), (f"{kind}-uid", str(reference.get("uid")))]
            if kind != "node" or "pod" not in private:  # a pod's node is told, not asked for
                _alive(resource, "" if kind == "node" else namespace, reference, now, lookup)
    told = tuple((f"{_EXTRA}{key}", (value,)) for key, value in extra if not key.startswith("secret"))
    caller = service_account(namespace, name_of(account))
    if claims.get("sub") != caller.user:
        raise NotValid("the token's subject is not its account")
    return Caller(caller.user, caller.groups, uid_of(account), told), meant


def _legacy_caller(claims: Mapping[str, Any], lookup: Lookup, token: str) -> Caller:
    namespace, name = account_of(str(claims.get("sub"))) or ("", "")
    uid = claims.get(f"{_LEGACY}service-account.uid")
    account = _alive(_ACCOUNTS, namespace, {"name": name, "uid": uid}, 0.0, lookup)
    secret = lookup("secrets", f"{namespace}/{claims.get(f'{_LEGACY}secret.name')}")
    if secret is None or secret.get("type") != _SECRET_TYPE or "deletionTimestamp" in meta(secret):
        raise NotValid(_INVALIDATED)
    if (secret.get("data") or {}).get("token") != b64encode(token.encode()).decode():
        raise NotValid("service account token does not match server's copy")
    caller = service_account(namespace, name)
    return Caller(caller.user, caller.groups, uid_of(account))


def _check_time(claims: Mapping[str, Any], now: float) -> None:
    end, begin = claims.get("exp"), claims.get("nbf", 0)
    if not isinstance(end, int) or now >= end:
        raise NotValid("service account token has expired")
    if isinstance(begin, int) and now < begin - _LEEWAY_S:
        raise NotValid("service account token is not valid yet")


def _alive(resource: str, namespace: str, reference: Mapping[str, Any], now: float, lookup: Lookup) -> Object:
    name = str(reference.get("name"))
    found = lookup(resource, f"{namespace}/{name}" if namespace else name)
    if found is None:
        raise NotValid(f'{resource} "{name}" not found' if resource == _ACCOUNTS else _INVALIDATED)
    if uid_of(found) != reference.get("uid"):
        uids = f"service account UID ({uid_of(found)}) does not match claim ({reference.get('uid')})"
        raise NotValid(uids if resource == _ACCOUNTS else _INVALIDATED)
    deleted = meta(found).get("deletionTimestamp")
    if deleted and seconds_of(deleted) < now - _LEEWAY_S:
        raise NotValid(_INVALIDATED)
    return found


def _reference(obj: Object) -> dict[str, str]:
    return {"name": name_of(obj), "uid": uid_of(obj)}


def _shown(texts: Iterable[str]) -> str:
    return f"[{' '.join(map(quoted, texts))}]"


def _texts(value: object) -> list[str]:
    return [value] if isinstance(value, str) else [str(each) for each in value] if isinstance(value, list) else []
