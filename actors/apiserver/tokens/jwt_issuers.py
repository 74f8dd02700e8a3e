"""Several issuers of tokens that are believed: a token says whose it is, and only that issuer is asked about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from actors.apiserver.callers import Caller
from actors.apiserver.tokens.oidc_issuer import Believed, Log, OidcIssuer, issuer_of


class JwtIssuers:
    """Asked as one OidcIssuer is."""

    def __init__(self, configs: Sequence[Believed], clock: Callable[[], float], log: Log) -> None:
        self._issuers = {config.issuer: OidcIssuer(config, clock, log) for config in configs}

    async def prepare(self, token: str) -> None:
        issuer = self._issuers.get(issuer_of(token))
        if issuer is not None:
            await issuer.prepare(token)

    def find(self, token: str) -> Caller | None:
        """None for a token of somebody else's. Raises NotValid."""
        issuer = self._issuers.get(issuer_of(token))
        return issuer.find(token) if issuer is not None else None
