"""Whose token is it that an OpenID Connect issuer has signed? Its claims become a user and groups. Pure.

Source: "OpenID Connect Tokens" of Kubernetes' reference (kube-apiserver's --oidc-* options); OpenID Connect Core 1.0,
3.1.3.7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actors.apiserver.callers import AUTHENTICATED, Caller
from actors.apiserver.tokens.claims import NotValid

ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512")
_EMAIL = "email"
_NO_PREFIX = "-"
_GROUPS_MAX = 1000


class OidcError(ValueError):
    """What is wrong with the options; the text is for whoever wrote them."""


@dataclass(frozen=True)
class OidcConfig:
    """`username_prefix` "": the issuer's URL and a "#" (nothing for the claim `email`); "-": nothing."""

    issuer: str
    client_id: str
    username_claim: str = "sub"
    username_prefix: str = ""
    groups_claim: str = ""
    groups_prefix: str = ""
    required_claims: Mapping[str, str] = field(default_factory=dict)
    ca_file: Path | None = None
    ca_pem: str = ""
    discovery_url: str = ""

    def check(self) -> None:
        """Raises OidcError."""
        if not self.issuer.startswith("https://") or "?" in self.issuer or "#" in self.issuer:
            raise OidcError(f"the issuer {self.issuer!r} is no URL of the form https://HOST/PATH")
        if not self.client_id:
            raise OidcError("an issuer needs a client id, whom its tokens are for")
        if self.ca_file is not None and not self.ca_file.is_file():
            raise OidcError(f"there is no file {self.ca_file} with the issuer's CA")

    def caller_of(self, claims: Mapping[str, Any], now: float) -> Caller:
        return caller_of(claims, self, now)


def caller_of(claims: Mapping[str, Any], config: OidcConfig, now: float) -> Caller:
    """Of claims whose signature is the issuer's. Raises NotValid."""
    _check_issued(claims, config, now)
    name = claims.get(config.username_claim)
    if not isinstance(name, str) or not name:
        raise NotValid(f"oidc: parse username claims {config.username_claim!r}: claim not present")
    if config.username_claim == _EMAIL and claims.get("email_verified", True) is not True:
        raise NotValid("oidc: email not verified")
    for claim, value in config.required_claims.items():
        if claims.get(claim) != value:
            raise NotValid(f"oidc: required claim {claim} is not {value}")
    groups = _groups(claims.get(config.groups_claim)) if config.groups_claim else []
    prefixed = tuple(f"{config.groups_prefix}{group}" for group in groups)
    return Caller(_prefix(config) + name, (*prefixed, AUTHENTICATED))


def _check_issued(claims: Mapping[str, Any], config: OidcConfig, now: float) -> None:
    if claims.get("iss") != config.issuer:
        raise NotValid("oidc: the token is of another issuer")
    audiences = claims.get("aud")
    if config.client_id not in (audiences if isinstance(audiences, list) else [audiences]):
        raise NotValid("oidc: the token is for another client")
    check_times(claims, now)


def check_times(claims: Mapping[str, Any], now: float) -> None:
    """Raises NotValid for a token that has ended, or does not say when it does, and for one that has not begun."""
    end, begin = _number(claims.get("exp")), _number(claims.get("nbf", 0))
    if end is None or now >= end:
        raise NotValid("oidc: token is expired")
    if begin is None or now < begin:
        raise NotValid("oidc: current time before the nbf (not before) time")


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _prefix(config: OidcConfig) -> str:
    if config.username_prefix:
        return "" if config.username_prefix == _NO_PREFIX else config.username_prefix
    return "" if config.username_claim == _EMAIL else f"{config.issuer}#"


def _groups(claim: Any) -> list[str]:
    """One name or a list of names; a token that does not say has none."""
    names = [claim] if isinstance(claim, str) else claim if isinstance(claim, list) else []
    if (claim is not None and not isinstance(claim, str | list)) or not all(isinstance(each, str) for each in names):
        raise NotValid("oidc: parse groups claim: it is neither a string nor a list of strings")
    return names[:_GROUPS_MAX]
