"""How a webhook is reached: HTTPS to its URL, or to an endpoint of its service, with the certificate it must have."""

from __future__ import annotations

import asyncio
import base64
import binascii
import errno
import random
import ssl
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from actors.apiserver.admission.stored import Stored
from actors.apiserver.outward.services import resolve, server_name
from actors.apiserver.outward.session import KeptSession
from protocols.errors import ServiceUnavailable

if TYPE_CHECKING:
    import aiohttp

ANSWER_BYTES_MAX = 16 * 1024 * 1024
CONNECTIONS_MAX = 64
_PER_WEBHOOK_MAX = 16
_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, */*",
    "User-Agent": "kube-apiserver-admission",
}
_UNKNOWN_AUTHORITY = (18, 19, 20, 21)  # self-signed, or by nobody who is known: X509_V_ERR_...
_ANSWERS = {
    400: "the server rejected our request for an unknown reason",
    401: "the server has asked for the client to provide credentials",
    403: "unknown",
    404: "the server could not find the requested resource",
    405: "the server does not allow this method on the requested resource",
    409: "the server reported a conflict",
    429: "the server has received too many requests and has asked us to try again later",
    503: "the server is currently unable to handle the request",
    504: "the server was unable to return a response in the time allotted, but may still be processing the request",
}


class Unreachable(Exception):
    """No answer came; the message says why."""


class Client(Protocol):
    async def post(self, config: dict[str, Any], body: bytes, timeout_s: float) -> bytes:
        """The body of the answer. Raises Unreachable."""


class NoClient:
    """Where there is no network of sockets: in simulation."""

    async def post(self, config: dict[str, Any], body: bytes, timeout_s: float) -> bytes:
        raise Unreachable("this API server has no network to call webhooks on")


class HttpsClient:
    """Connections are kept and bounded. `run` ends with its actor and closes them."""

    def __init__(self, stored: Stored, chance: random.Random) -> None:
        self._stored = stored
        self._chance = chance
        self._session = KeptSession(_session)
        self.run = self._session.run

    async def post(self, config: dict[str, Any], body: bytes, timeout_s: float) -> bytes:
        import aiohttp

        shown = _with_timeout(shown_url(config), timeout_s)
        try:
            url, name = self._place(config)
            context = _context(config.get("caBundle") or "")
            url = _with_timeout(url, timeout_s)
            sent = self._session.opened().post(url, data=body, ssl=context, server_hostname=name, headers=_HEADERS)
            async with asyncio.timeout(timeout_s), sent as response:
                if response.status != 200:
                    raise Unreachable(_answered(response.status))
                return await _bounded(response)
        except TimeoutError:
            raise Unreachable(f'Post "{shown}": context deadline exceeded') from None
        except ServiceUnavailable as refusal:
            raise Unreachable(f'Post "{shown}": {refusal.message}') from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unreachable(f'Post "{shown}": {_said(error)}') from None

    def _place(self, config: dict[str, Any]) -> tuple[str, str | None]:
        """(URL, the name that the certificate must have where it is not the URL's). Raises ServiceUnavailable."""
        if config.get("url"):
            return str(config["url"]), None
        service = config.get("service") or {}
        host, port = resolve(self._stored, service, self._chance)
        at = f"[{host}]" if ":" in host else host
        return f"https://{at}:{port}/{(service.get('path') or '').lstrip('/')}", server_name(service)


def _answered(status: int) -> str:
    """As Kubernetes' client speaks of an answer that is no Status."""
    by_server = 'an error on the server ("unknown") has prevented the request from succeeding'
    other = f"the server responded with the status code {status} but did not return more information"
    return _ANSWERS.get(status) or (by_server if status >= 500 else other)


def _said(error: Exception) -> str:
    """As Go speaks of a connection that does not come about."""
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = error.certificate_error
        unknown = isinstance(reason, ssl.SSLCertVerificationError) and reason.verify_code in _UNKNOWN_AUTHORITY
        why = "certificate signed by unknown authority" if unknown else str(getattr(reason, "verify_message", reason))
        return f"tls: failed to verify certificate: x509: {why}"
    if isinstance(error, aiohttp.ClientConnectorError):
        why = (error.strerror or str(error.os_error)).lower()
        refused = "connect: connection refused" if error.errno == errno.ECONNREFUSED else why
        return f"dial tcp {error.host}:{error.port}: {refused}"
    return str(error)


def shown_url(config: dict[str, Any]) -> str:
    """What an error names: the service that was asked, whichever of its endpoints it was."""
    if config.get("url"):
        return str(config["url"])
    service = config.get("service") or {}
    return f"https://{server_name(service)}:{service.get('port') or 443}/{(service.get('path') or '').lstrip('/')}"


def _with_timeout(url: str, timeout_s: float) -> str:
    return f"{url}{'&' if '?' in url else '?'}timeout={timeout_s:g}s"


def _session() -> aiohttp.ClientSession:
    import aiohttp

    connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX, limit_per_host=_PER_WEBHOOK_MAX)
    return aiohttp.ClientSession(connector=connector)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > ANSWER_BYTES_MAX:
            raise Unreachable("the answer is too large")
    return b"".join(parts)


@lru_cache(maxsize=256)
def _context(bundle: str) -> ssl.SSLContext:
    """Trusts who signed in the bundle (PEM, in base64); without one, whom the machine trusts."""
    try:
        text = base64.b64decode(bundle).decode() if bundle else None
    except (binascii.Error, ValueError):
        raise ValueError("the caBundle is no PEM in base64") from None
    return ssl.create_default_context(cadata=text)
