"""What the claims of a token say of its bearer, by one entry of an AuthenticationConfiguration. Pure.

Source: apiserver.config.k8s.io/v1, JWTAuthenticator; KEP-3331. Expressions see `claims`, or `user` with `username`,
`uid`, `groups` and `extra`; their values are checked when they are known, since a claim can be anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from actors.apiserver.callers import AUTHENTICATED, Caller
from actors.apiserver.tokens.claims import NotValid
from actors.apiserver.tokens.oidc import check_times

_EMAIL = "email"
_GROUPS_MAX = 1000


class Evaluated(Protocol):
    """An expression that has been compiled."""

    def __call__(self, values: Mapping[str, Any], /) -> Any: ...


class Mapped(NamedTuple):
    """Where a value comes from: a claim with a prefix, or an expression."""

    claim: str = ""
    prefix: str = ""
    expression: Evaluated | None = None


class Required(NamedTuple):
    """A rule about claims, or about the user that they make: a value, or an expression that must be true."""

    claim: str = ""
    value: str = ""
    expression: Evaluated | None = None
    message: str = ""


@dataclass(frozen=True)
class JwtConfig:
    """One issuer that is believed."""

    issuer: str
    audiences: tuple[str, ...]
    username: Mapped
    groups: Mapped | None = None
    uid: Mapped | None = None
    extra: tuple[tuple[str, Evaluated], ...] = ()
    claim_rules: tuple[Required, ...] = ()
    user_rules: tuple[Required, ...] = ()
    discovery_url: str = ""  # where its documents are, if not below its URL
    ca_pem: str = ""  # "": the system's authorities
    ca_file: Path | None = None

    def caller_of(self, claims: Mapping[str, Any], now: float) -> Caller:
        """Of claims whose signature is the issuer's. Raises NotValid."""
        if claims.get("iss") != self.issuer:
            raise NotValid("jwt: the token is of another issuer")
        meant = claims.get("aud")
        if not set(meant if isinstance(meant, list) else [meant]) & set(self.audiences):
            raise NotValid("jwt: the token is for another audience")
        check_times(claims, now)
        for rule in self.claim_rules:
            _check_claim(rule, claims)
        caller = self._caller(claims)
        user = {
            "username": caller.user,
            "uid": caller.uid,
            "groups": list(caller.groups[:-1]),
            "extra": {key: list(values) for key, values in caller.extra},
        }
        for rule in self.user_rules:
            _check_true(rule, {"user": user})
        return caller

    def _caller(self, claims: Mapping[str, Any]) -> Caller:
        name = _text(self.username, claims, "username")
        if not name or (self.username.claim and name == self.username.prefix):
            raise NotValid("jwt: the username is empty")
        if self.username.claim == _EMAIL and claims.get("email_verified", True) is not True:
            raise NotValid("jwt: email not verified")
        groups = _texts(self.groups, claims, "groups") if self.groups is not None else ()
        uid = _text(self.uid, claims, "uid") if self.uid is not None else ""
        extra = []
        for key, expression in self.extra:
            values = tuple(each for each in _strings(_evaluate(expression, {"claims": claims}), key) if each)
            if values:
                extra.append((key, values))
        return Caller(name, (*groups, AUTHENTICATED), uid, tuple(extra))


def _text(mapped: Mapped, claims: Mapping[str, Any], what: str) -> str:
    value = claims.get(mapped.claim) if mapped.expression is None else _evaluate(mapped.expression, {"claims": claims})
    if not isinstance(value, str):
        raise NotValid(f"jwt: the {what} is no string")
    return mapped.prefix + value


def _texts(mapped: Mapped, claims: Mapping[str, Any], what: str) -> tuple[str, ...]:
    value = claims.get(mapped.claim) if mapped.expression is None else _evaluate(mapped.expression, {"claims": claims})
    return tuple(mapped.prefix + each for each in _strings(value, what) if each or mapped.expression is None)


def _strings(value: Any, what: str) -> Sequence[str]:
    """One or several; nothing is none."""
    listed = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise NotValid(f"jwt: {what}: neither a string nor a list of strings")
    return listed[:_GROUPS_MAX]


def _check_claim(rule: Required, claims: Mapping[str, Any]) -> None:
    if rule.expression is not None:
        _check_true(rule, {"claims": claims})
    elif claims.get(rule.claim) != rule.value:
        raise NotValid(f"jwt: the claim {rule.claim} is not {rule.value!r}")


def _check_true(rule: Required, values: Mapping[str, Any]) -> None:
    assert rule.expression is not None
    if _evaluate(rule.expression, values) is not True:
        raise NotValid(f"jwt: {rule.message or 'a validation rule does not hold'}")


def _evaluate(expression: Evaluated, values: Mapping[str, Any]) -> Any:
    from actorkube.cel.engine import EvaluationError, OutOfBudget  # cel-cpp: only where a rule has it

    try:
        return expression(values)
    except (EvaluationError, OutOfBudget) as error:
        raise NotValid(f"jwt: an expression has no value: {error}") from None
