"""Acting as somebody else: the Impersonate-* headers, each of which has to be allowed.

Either for what is asked alone (`impersonate-on:user-info:list` on pods, `impersonate:user-info` on users; KEP-5284), or
for everything, by the verb `impersonate`. Source: "User impersonation" of Kubernetes' authentication documentation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import unquote

from actors.apiserver.access.attributes import Attributes, quoted, refusal
from actors.apiserver.access.authorizer import Authorizer
from actors.apiserver.callers import (
    ACCOUNT_PREFIX,
    ANONYMOUS,
    AUTHENTICATED,
    MASTERS,
    NODES,
    UNAUTHENTICATED,
    Caller,
    account_of,
    service_account,
)
from protocols.errors import BadRequest, Forbidden

PREFIX = "impersonate-"
_USER, _GROUP, _UID, _EXTRA = (PREFIX + name for name in ("user", "group", "uid", "extra-"))
_AUTHENTICATION = "authentication.k8s.io"
_NODE = "system:node:"
_ASSOCIATED, _ARBITRARY = "associated-node", "arbitrary-node"
_NODE_TOLD = "authentication.kubernetes.io/node-name"  # by the token of an account, of the node that it is on
_MASTERS_REFUSED = f"impersonating the {MASTERS} group is not allowed"
_KEY_REFUSED = (
    'impersonating an invalid key in extra is not allowed: extra.key: Invalid value: "{}": '
    'must be a domain-prefixed path (such as "acme.io/foo")'
)

Extra = tuple[tuple[str, tuple[str, ...]], ...]


class Wanted(NamedTuple):
    user: str
    groups: tuple[str, ...]
    uid: str
    extra: Extra

    def modes(self, caller: Caller) -> tuple[str, ...]:
        """How it may be called to become that one for a single request; none where only `impersonate` will do."""
        is_plain = not (self.groups or self.uid or self.extra)
        if account_of(self.user) is not None:
            return ("serviceaccount",) if is_plain else ()
        if not self.user.startswith(_NODE):
            return ("user-info",)
        if not is_plain:
            return ()
        is_on_it = (
            account_of(caller.user) is not None and (_NODE_TOLD, (self.user.removeprefix(_NODE),)) in caller.extra
        )
        return (_ASSOCIATED, _ARBITRARY) if is_on_it else (_ARBITRARY,)


def impersonated(
    caller: Caller, headers: Iterable[tuple[str, str]], authorizer: Authorizer, on: Attributes | None = None
) -> Caller:
    """Who the caller is taken for; itself where no header asks for another. Raises Forbidden and BadRequest.

    `on`: what it asks, in versions of Kubernetes where becoming another may be allowed for that alone.
    """
    asked = [(name.lower(), value) for name, value in headers if name[:12].lower() == PREFIX]
    if not any(value for _, value in asked):
        return caller
    user = next((value for name, value in asked if name == _USER), "")
    uid = next((value for name, value in asked if name == _UID), "")
    wanted = Wanted(user, tuple(value for name, value in asked if name == _GROUP), uid, _extra(asked))
    if not user:
        raise BadRequest(f"requested {_shown(wanted)} without impersonating a user name")
    mode = _permit(caller, wanted, authorizer, on)
    groups = (NODES,) if mode in (_ASSOCIATED, _ARBITRARY) else wanted.groups
    return Caller(user, _complete(user, groups), uid, wanted.extra)


def _permit(caller: Caller, wanted: Wanted, authorizer: Authorizer, on: Attributes | None) -> str:
    """As what it is allowed for this request alone, "" for whatever is asked. Raises Forbidden: what stands against the
    first way in which it could be."""
    first: Forbidden | None = None
    for mode, asked in [(mode, on) for mode in wanted.modes(caller) if on is not None]:
        try:
            authorizer.permit(caller, asked._replace(verb=f"impersonate-on:{mode}:{asked.verb}"))
            for permission, why_never in _identity(wanted, mode):
                if why_never:
                    raise refusal(caller, permission, why_never)
                authorizer.permit(caller, permission)
            return mode
        except Forbidden as error:
            first = first or error
    try:
        for permission in _permissions(wanted):
            authorizer.permit(caller, permission)
    except Forbidden as error:
        raise first or error from None
    return ""


def _identity(wanted: Wanted, mode: str) -> Iterator[tuple[Attributes, str]]:
    """What is to be allowed of whom one becomes for one request, and why it never is."""
    verb = f"impersonate:{mode}"
    account = account_of(wanted.user)
    if account is not None:
        yield Attributes(verb, _AUTHENTICATION, "serviceaccounts", "", *account), ""
    elif mode == _ASSOCIATED:
        yield Attributes(verb, _AUTHENTICATION, "nodes", name="*"), ""  # there is no other that it could be
    elif mode == _ARBITRARY:
        yield Attributes(verb, _AUTHENTICATION, "nodes", name=wanted.user.removeprefix(_NODE)), ""
    else:
        yield Attributes(verb, _AUTHENTICATION, "users", name=wanted.user), ""
    if wanted.uid:
        yield Attributes(verb, _AUTHENTICATION, "uids", name=wanted.uid), ""
    for group in wanted.groups:
        yield Attributes(verb, _AUTHENTICATION, "groups", name=group), _MASTERS_REFUSED if group == MASTERS else ""
    for key, values in wanted.extra:
        if not all(key.partition("/")):
            yield Attributes(verb, _AUTHENTICATION, "userextras"), _KEY_REFUSED.format(key)
        for value in values:
            yield Attributes(verb, _AUTHENTICATION, "userextras", key, name=value), ""


def _shown(wanted: Wanted) -> str:
    """As Go prints it."""
    groups = f"{{{', '.join(map(quoted, wanted.groups))}}}" if wanted.groups else "(nil)"
    extra = ", ".join(f"{quoted(key)}:[]string{{{', '.join(map(quoted, values))}}}" for key, values in wanted.extra)
    return (
        f'&user.DefaultInfo{{Name:"", UID:{quoted(wanted.uid)}, Groups:[]string{groups}, '
        f"Extra:map[string][]string{f'{{{extra}}}' if extra else '(nil)'}}}"
    )


def _extra(asked: list[tuple[str, str]]) -> Extra:
    found: dict[str, list[str]] = {}
    for name, value in asked:
        if name.startswith(_EXTRA):
            found.setdefault(unquote(name.removeprefix(_EXTRA)).lower(), []).append(value)
    return tuple((key, tuple(values)) for key, values in found.items())


def _permissions(wanted: Wanted) -> Iterator[Attributes]:
    user, groups, uid, extra = wanted
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
