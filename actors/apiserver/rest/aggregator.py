"""Requests that another server answers for: passed on to it with who asks, and its answer brought back.

It is told the user in X-Remote-* headers, and believes them because of this server's client certificate. By whom that
is signed it reads in the ConfigMap kube-system/extension-apiserver-authentication. Watches pass piece by piece, and
connections that are upgraded (WebSocket, SPDY) byte by byte.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import random
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
from aiohttp import web
from yarl import URL

from actors.apiserver.admission.stored import Stored
from actors.apiserver.aggregation.door import Incoming, Sent
from actors.apiserver.aggregation.remotes import Said
from actors.apiserver.aggregation.services import Problem, Remote
from actors.apiserver.aggregation.swagger import part_of
from actors.apiserver.callers import MASTERS, Caller
from actors.apiserver.outward.services import resolve, server_name
from actors.apiserver.outward.session import KeptSession
from actors.apiserver.rest.config import RestConfig
from actors.apiserver.rest.proxy import CONNECT_S, headers_there, relay
from actors.apiserver.rest.upgraded import is_upgrade, relay_upgraded
from protocols.errors import ServiceUnavailable

_ITSELF = Caller("system:kube-aggregator", (MASTERS,))
_ASKED_S = 6.0
_DOCUMENT_BYTES_MAX = 8 * 1024 * 1024
_CONNECTIONS_MAX = 512
_REMOTE = "x-remote-"
_LINE_ENDS = str.maketrans("\r\n\0", "   ")


class Aggregator:
    """Connections are kept and bounded. `run` ends with the server and closes them."""

    def __init__(self, config: RestConfig, stored: Stored, chance: random.Random) -> None:
        self._config = config
        self._stored = stored
        self._chance = chance
        self._session = KeptSession(_session)
        self.run = self._session.run

    async def pass_on(self, request: web.BaseRequest, remote: Remote, caller: Caller) -> web.StreamResponse:
        """Raises ServiceUnavailable when it is not available, or nobody answers."""
        host, port = self._place(remote)
        headers = headers_there(request)
        for name in [name for name in headers if name.lower().startswith(_REMOTE)]:
            headers.popall(name)  # what somebody says to be is not who they are
        headers.extend(identity(caller))
        context = self._context(remote)
        if is_upgrade(request):
            return await relay_upgraded(request, host, port, headers, context, server_name(remote.reference))
        url = URL(f"{_base(host, port)}{request.rel_url.raw_path_qs}", encoded=True)
        return await relay(
            request, self._session.opened(), url, headers, ssl=context, server_hostname=server_name(remote.reference)
        )

    @asynccontextmanager
    async def exchange(self, remote: Remote, caller: Caller, sent: Sent) -> AsyncIterator[Incoming]:
        """A request that this server's actors make (`Sender`)."""
        host, port = self._place(remote)
        headers = [*identity(caller), ("Accept", "application/json")]
        headers += [("Content-Type", sent.content_type)] if sent.content_type else []
        options: dict[str, Any] = {"ssl": self._context(remote), "server_hostname": server_name(remote.reference)}
        url = URL(f"{_base(host, port)}{sent.path}", encoded=True)
        with _reached():
            answer = await self._session.opened().request(
                sent.method, url, data=sent.body or None, headers=headers, allow_redirects=False, **options
            )
        async with answer:
            yield _Answer(answer)

    async def ask(self, remote: Remote) -> Said | Problem:
        """What it serves (`Asker`): the check of whether it is available, as kube-aggregator makes it."""
        path = f"/apis/{remote.api_version}"
        try:
            host, port = resolve(self._stored, remote.reference, self._chance)
            url = f"{_base(host, port)}{path}"
            found = await self._document(remote, url)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, ServiceUnavailable) as error:
            where = f"https://{server_name(remote.reference)}{path}"
            why = str(error) or "context deadline exceeded"
            return Problem("FailedDiscoveryCheck", f"failing or missing response from {where}: {why}")
        resources = found.get("resources") if isinstance(found, dict) else None
        named = [each for each in resources or () if isinstance(each, dict) and isinstance(each.get("name"), str)]
        base = _base(host, port)
        openapi = await self._openapi(remote, f"{base}/openapi/v3", path[1:])
        return Said(named, openapi, await self._swagger(remote, f"{base}/openapi/v2"))

    async def _swagger(self, remote: Remote, url: str) -> dict[str, Any]:
        try:
            return part_of(await self._document(remote, url), remote.api_version)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return {}

    async def _openapi(self, remote: Remote, url: str, name: str) -> str:
        try:
            index = await self._document(remote, url)
            return str(index["paths"][name]["serverRelativeURL"])
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, LookupError, TypeError):
            return ""  # not every server has OpenAPI

    async def _document(self, remote: Remote, url: str) -> Any:
        headers = [*identity(_ITSELF), ("Accept", "application/json")]
        options: dict[str, Any] = {"ssl": self._context(remote), "server_hostname": server_name(remote.reference)}
        async with asyncio.timeout(_ASKED_S), self._session.opened().get(url, headers=headers, **options) as answer:
            if not 200 <= answer.status < 300:
                raise ValueError(f"bad status from {url}: {answer.status}")
            body = await answer.content.read(_DOCUMENT_BYTES_MAX)
            while piece := await answer.content.read(_DOCUMENT_BYTES_MAX):
                body += piece
                if len(body) > _DOCUMENT_BYTES_MAX:
                    raise ValueError("the answer is too large")
            return orjson.loads(body)

    def _place(self, remote: Remote) -> tuple[str, int]:
        if not remote.available:
            raise ServiceUnavailable("service unavailable")
        return resolve(self._stored, remote.reference, self._chance)

    def _context(self, remote: Remote) -> ssl.SSLContext:
        config = self._config
        files = (str(config.proxy_cert_file or ""), str(config.proxy_key_file or ""))
        try:
            return _context(remote.bundle, remote.insecure, *files)
        except (binascii.Error, ValueError, ssl.SSLError) as error:
            raise ServiceUnavailable(f"the caBundle of {remote.name} cannot be used: {error}") from None


class _Answer:
    """`Incoming`."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self.status = answer.status

    async def pieces(self) -> AsyncIterator[bytes]:
        with _reached():
            async for piece in self._answer.content.iter_any():
                yield piece


@contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, OSError) as error:
        raise ServiceUnavailable(f"error trying to reach service: {error}") from None


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=_CONNECTIONS_MAX),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
        skip_auto_headers=("Accept-Encoding", "User-Agent", "Content-Type", "Accept"),
    )


def identity(caller: Caller) -> Iterator[tuple[str, str]]:
    """The headers that say who asks. Whoever names users (a certificate, an issuer of tokens) names no headers."""
    yield "X-Remote-User", _on_a_line(caller.user)
    if caller.uid:
        yield "X-Remote-Uid", _on_a_line(caller.uid)
    for group in caller.groups:
        yield "X-Remote-Group", _on_a_line(group)
    for name, values in caller.extra:
        for value in values:
            yield f"X-Remote-Extra-{quote(name.lower(), safe='')}", _on_a_line(value)


def _on_a_line(value: str) -> str:
    """As Go's net/http writes a header's value: what would end the line is a space."""
    return value.translate(_LINE_ENDS)


def _base(host: str, port: int) -> str:
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


@lru_cache(maxsize=256)
def _context(bundle: str, insecure: bool, cert_file: str, key_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=base64.b64decode(bundle).decode() if bundle else None)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert_file:
        context.load_cert_chain(cert_file, key_file)
    return context
