"""Asking extenders: POST, JSON, a bound on time and on the size of an answer; connections are kept and bounded."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from actors.scheduler.extenders import Extender, ExtenderFailed, Tls

if TYPE_CHECKING:
    import aiohttp

ANSWER_BYTES_MAX = 64 * 1024 * 1024  # all nodes, where an extender has no copies of its own
CONNECTIONS_MAX = 32


class ExtenderCalls:
    """aiohttp is imported with the first call: who has no extenders does not pay for it."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def post(self, extender: Extender, verb: str, body: Any) -> Any:
        """The answer, decoded. Raises ExtenderFailed."""
        import aiohttp

        url = extender.url(verb)
        try:
            data = msgspec.json.encode(body)
            context = _context(extender.tls) if extender.tls is not None else None
            name = extender.tls.server_name or None if extender.tls is not None else None
            more: dict[str, Any] = {"ssl": context, "server_hostname": name} if context is not None else {}
            headers = {"Content-Type": "application/json"}
            sent = self._opened().post(url, data=data, headers=headers, **more)
            async with asyncio.timeout(extender.timeout_s), sent as response:
                if response.status != 200:
                    raise ExtenderFailed(f"failed {verb} with extender at URL {url}, code {response.status}")
                return msgspec.json.decode(await _bounded(response, url))
        except TimeoutError:
            raise ExtenderFailed(f'Post "{url}": context deadline exceeded') from None
        except msgspec.DecodeError:
            raise ExtenderFailed(f"extender at {url} answers nonsense") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ExtenderFailed(f'Post "{url}": {error}') from None

    async def run(self) -> None:
        """Ends with its actor, and closes the connections."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            if self._session is not None:
                await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX))
        return self._session


async def _bounded(response: aiohttp.ClientResponse, url: str) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > ANSWER_BYTES_MAX:
            raise ExtenderFailed(f"extender at {url} answers too much")
    return b"".join(parts)


@lru_cache(maxsize=32)
def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=_pem(tls.ca) if tls.ca else None)
    if tls.cert:
        with tempfile.NamedTemporaryFile() as file:  # readable for its owner only; ssl takes a key from files alone
            file.write(f"{_pem(tls.cert)}\n{_pem(tls.key)}".encode())
            file.flush()
            context.load_cert_chain(file.name)
    if not tls.verifies:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _pem(said: str) -> str:
    return said if "-----BEGIN" in said else Path(said).read_text()
