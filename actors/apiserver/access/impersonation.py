"""Acting as somebody else: the Impersonate-* headers, each of which has to be allowed by the verb `impersonate`.

Source: "User impersonation" of Kubernetes' authentication documentation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from actors.apiserver.access.attributes import Attributes
from actors.apiserver.access.authorizer import Authorizer
from actors.apiserver.callers import (
    ACCOUNT_PREFIX,
    ANONYMOUS,
    AUTHENTICATED,
    UNAUTHENTICATED,
    Caller,
    account_of,
    service_account,
)
from protocols.errors import BadRequest

PREFIX = "impersonate-"
_USER, _GROUP, _UID, _EXTRA = (PREFIX + name for name in ("user", "group", "uid", "extra-"))
_AUTHENTICATION = "authentication.k8s.io"


def impersonated(caller: Caller, headers: Iterable[tuple[str, str]], authorizer: Authorizer) -> Caller:
    """Who the caller is taken for; itself where no header asks for another. Raises Forbidden and BadRequest."""
    asked = [(name.lower(), value) for name, value in headers if name[:12].lower() == PREFIX]
    if not asked:
        return caller
    user = next((value for name, value in asked if name == _USER), "")
    if not user:
        raise BadRequest(f"requested {sorted(dict(asked))} without impersonating a user")
    uid = next((value for name, value in asked if name == _UID), "")
    groups = tuple(value for name, value in asked if name == _GROUP)
    extra = _extra(asked)
    for permission in _permissions(user, groups, uid, extra):
        authorizer.permit(caller, permission)
    return Caller(user, _complete(user, groups), uid, extra)


def _extra(asked: list[tuple[str, str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found: dict[str, list[str]] = {}
    for name, value in asked:
        if name.startswith(_EXTRA):
            found.setdefault(unquote(name.removeprefix(_EXTRA)).lower(), []).append(value)
    return tuple((key, tuple(values)) for key, values in found.items())


def _permissions(
    user: str, groups: tuple[str, ...], uid: str, extra: tuple[tuple[str, tuple[str, ...]], ...]
) -> Iterator[Attributes]:
    account = account_of(user)
    if account is not None:
        yield Attributes("impersonate", "", "serviceaccounts", "", *account)
    else:
        yield Attributes("impersonate", "", "users", name=user)
    for group in groups:
        yield Attributes("impersonate", "", "groups", name=group)
    if uid:
        yield Attributes("impersonate", _AUTHENTICATION, "uids", name=uid)
    for key, values in extra:
        for value in values:
            yield Attributes("impersonate", _AUTHENTICATION, "userextras", key, name=value)


def _complete(user: str, groups: tuple[str, ...]) -> tuple[str, ...]:
    """With the groups that everybody has, and those of an account that was named without any."""
    if user.startswith(ACCOUNT_PREFIX) and not groups:
        account = account_of(user)
        return service_account(*account).groups if account is not None else (AUTHENTICATED,)
    if AUTHENTICATED in groups or UNAUTHENTICATED in groups:
        return groups
    return (*groups, UNAUTHENTICATED if user == ANONYMOUS.user else AUTHENTICATED)
