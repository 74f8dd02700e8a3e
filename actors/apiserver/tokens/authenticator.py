"""Whose token is this? Tokens of the configuration, of service accounts, and of those who want to join."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from actors.apiserver.cache import Cache
from actors.apiserver.callers import Caller
from actors.apiserver.tokens.bootstrap import of_bootstrap_token
from actors.apiserver.tokens.claims import NotValid, caller_of
from actors.apiserver.tokens.discovery import ISSUER
from protocols.objects import Object

if TYPE_CHECKING:
    from actors.apiserver.tokens.issuer import Issuer
    from actors.apiserver.tokens.jwt_issuers import JwtIssuers

NO_TOKEN = "invalid bearer token"
_READ_MAX = 1024


class Known(NamedTuple):
    caller: Caller
    audiences: list[str]


class TokenAuthenticator:
    """`issuer` is None where no service account has tokens, `oidc` where no other issuer is believed.

    A signature is checked once and its claims remembered; whether they still hold is looked at each time.
    """

    def __init__(
        self,
        cache: Cache,
        clock: Callable[[], float],
        configured: Mapping[str, Caller],
        issuer: Issuer | None,
        oidc: JwtIssuers | None = None,
    ) -> None:
        self.issuer = issuer
        self._oidc = oidc
        self._cache = cache
        self._clock = clock
        self._configured = configured
        self._read: dict[str, dict[str, object]] = {}

    def is_configured(self, token: str) -> bool:
        """Whether it is known without a look at what is stored."""
        return token in self._configured

    async def prepare(self, token: str) -> None:
        """Before `find`: what it needs and does not have is asked for."""
        if self._oidc is not None and token not in self._configured:
            await self._oidc.prepare(token)

    def find(self, token: str, audiences: tuple[str, ...] = (ISSUER,)) -> Known:
        """Raises NotValid."""
        caller = self._configured.get(token) or of_bootstrap_token(token, self._clock(), self.lookup)
        if caller is None and self._oidc is not None:
            caller = self._oidc.find(token)
        if caller is not None:
            meant = [each for each in audiences if each == ISSUER]
            if not meant:
                raise NotValid(NO_TOKEN)  # it is for the API server alone
            return Known(caller, meant)
        claims = self._claims(token)
        if claims is None:
            raise NotValid(NO_TOKEN)
        return Known(*caller_of(claims, audiences, self._clock(), self.lookup, token))

    def lookup(self, group_resource: str, key: str) -> Object | None:
        item = self._cache.get(group_resource, key)
        return item.object() if item is not None else None

    def _claims(self, token: str) -> dict[str, object] | None:
        claims = self._read.get(token)
        if claims is None and self.issuer is not None:
            claims = self.issuer.read(token)
            if claims is not None:
                if len(self._read) >= _READ_MAX:
                    del self._read[next(iter(self._read))]
                self._read[token] = claims
        return claims
