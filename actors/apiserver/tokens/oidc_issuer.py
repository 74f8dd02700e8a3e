"""An OpenID Connect issuer, as the API server deals with it: its keys, fetched and kept, and what they have signed.

Keys are fetched by discovery (OpenID Connect Discovery 1.0) when the first token comes, when a token names a key that
is not known, and when they are old, so a key that the issuer withdraws ends. A stranger's tokens make it ask no more
often than every ten seconds. Where it cannot be reached, the keys that are known go on to count.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import jwt
import msgspec

from actors.apiserver.callers import Caller
from actors.apiserver.tokens.claims import NotValid
from actors.apiserver.tokens.issuer import TOKEN_BYTES_MAX
from actors.apiserver.tokens.oidc import ALGORITHMS

KEYS_AGE_MAX_S = 600.0
FETCH_EVERY_S = 10.0
_TIMEOUT_S = 5.0
_DOCUMENT_BYTES_MAX = 1024 * 1024
_KEYS_MAX = 100
_READ_MAX = 1024


class Log(Protocol):
    def info(self, event: str, **fields: Any) -> Any: ...


class Believed(Protocol):
    """Whose tokens are taken: `caller_of` says whose its claims are, or raises NotValid."""

    @property
    def issuer(self) -> str: ...
    @property
    def discovery_url(self) -> str: ...  # "": below the issuer's own
    @property
    def ca_file(self) -> Path | None: ...
    @property
    def ca_pem(self) -> str: ...
    def caller_of(self, claims: Mapping[str, Any], now: float) -> Caller: ...


class OidcIssuer:
    def __init__(self, config: Believed, clock: Callable[[], float], log: Log) -> None:
        self._config = config
        self._clock = clock
        self._log = log
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = self._asked_at = -FETCH_EVERY_S - KEYS_AGE_MAX_S
        self._fetching = asyncio.Lock()
        self._read: dict[str, dict[str, Any]] = {}  # claims of tokens that the keys known now have signed

    async def prepare(self, token: str) -> None:
        """Before `find`: sees to it that the token's key is known, if the issuer has it."""
        key_id = self._key_id(token)
        if key_id is None or not self._wants_keys(key_id):
            return
        async with self._fetching:
            if self._wants_keys(key_id):
                await self._fetch()

    def find(self, token: str) -> Caller | None:
        """None for a token that is not this issuer's to judge. Raises NotValid."""
        key_id = self._key_id(token)
        if key_id is None:
            return None
        claims = self._read.get(token)
        if claims is None:
            claims = self._verified(token, key_id)
            if len(self._read) >= _READ_MAX:
                del self._read[next(iter(self._read))]
            self._read[token] = claims
        return self._config.caller_of(claims, self._clock())

    def _key_id(self, token: str) -> str | None:
        """The key that a token of this issuer names ("": none); None for other tokens. Nothing is verified here."""
        unverified = _unverified(token)
        if unverified is None or unverified["payload"].get("iss") != self._config.issuer:
            return None
        return str(unverified["header"].get("kid") or "")

    def _wants_keys(self, key_id: str) -> bool:
        now = self._clock()
        known = key_id in self._keys or (not key_id and bool(self._keys))
        return now - self._asked_at >= FETCH_EVERY_S and (not known or now - self._fetched_at >= KEYS_AGE_MAX_S)

    def _verified(self, token: str, key_id: str) -> dict[str, Any]:
        """A token that names no key may be signed by any."""
        candidates = [self._keys[key_id]] if key_id in self._keys else [] if key_id else list(self._keys.values())
        for key in candidates:
            try:
                claims: dict[str, Any] = jwt.decode(token, key, [key.algorithm_name], options=_SIGNATURE_ONLY)
            except jwt.InvalidTokenError:
                continue
            return claims
        raise NotValid("oidc: verify token: failed to verify id token signature")

    async def _fetch(self) -> None:
        self._asked_at = self._clock()
        try:
            keys = await self._ask()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, jwt.PyJWTError) as error:
            self._log.info("the OIDC issuer cannot be asked for its keys", issuer=self._config.issuer, error=str(error))
            return
        self._keys, self._fetched_at = keys, self._clock()
        self._read.clear()

    async def _ask(self) -> dict[str, jwt.PyJWK]:
        ca_file, ca_pem = self._config.ca_file, self._config.ca_pem
        context = ssl.create_default_context(cafile=ca_file and str(ca_file), cadata=ca_pem or None)
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), timeout=timeout) as session:
            below = f"{self._config.issuer.rstrip('/')}/.well-known/openid-configuration"
            found = await _document(session, self._config.discovery_url or below)
            if found.get("issuer") != self._config.issuer:
                raise ValueError(f"it says that it is {found.get('issuer')!r}")
            address = str(found.get("jwks_uri") or "")
            if not address.startswith("https://"):
                raise ValueError("its jwks_uri is not at an https address")
            return _keys_of(await _document(session, address))


def issuer_of(token: str) -> str:
    """Whose it says it is; "" for what is no token. Nothing is verified here."""
    unverified = _unverified(token)
    return str(unverified["payload"].get("iss") or "") if unverified is not None else ""


def _unverified(token: str) -> dict[str, Any] | None:
    if len(token) > TOKEN_BYTES_MAX or token.count(".") != 2:
        return None
    try:
        return jwt.decode_complete(token, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return None


async def _document(session: aiohttp.ClientSession, address: str) -> dict[str, Any]:
    async with session.get(address, allow_redirects=False) as answer:
        answer.raise_for_status()
        body = await answer.content.read(_DOCUMENT_BYTES_MAX)
        while len(body) < _DOCUMENT_BYTES_MAX and (more := await answer.content.read(_DOCUMENT_BYTES_MAX - len(body))):
            body += more
    if len(body) >= _DOCUMENT_BYTES_MAX:
        raise ValueError(f"{address} answers with too much")
    return msgspec.json.decode(body, type=dict[str, Any])


def _keys_of(document: dict[str, Any]) -> dict[str, jwt.PyJWK]:
    """Those that sign, by their ids; what the library does not know is left out."""
    keys: dict[str, jwt.PyJWK] = {}
    for number, described in enumerate((document.get("keys") or [])[:_KEYS_MAX]):
        try:
            key = jwt.PyJWK.from_dict(described)
        except (jwt.PyJWTError, TypeError, ValueError):
            continue
        if key.algorithm_name in ALGORITHMS and described.get("use", "sig") == "sig":
            keys[str(described.get("kid") or f"#{number}")] = key
    return keys


# Times and audiences are compared with the cluster's clock and the configuration.
_SIGNATURE_ONLY: Any = {
    "verify_signature": True,
    **dict.fromkeys(
        ("verify_exp", "verify_nbf", "verify_iat", "verify_aud", "verify_iss", "verify_sub", "verify_jti"), False
    ),
}
