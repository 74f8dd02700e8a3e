"""A connection that is upgraded on the way: the handshake is passed on, and after it bytes, in both directions."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

from aiohttp import web
from multidict import CIMultiDict

from actors.apiserver.rest.audit import has_started
from actors.apiserver.rest.upgrade import Upgraded
from protocols.errors import InternalError, ServiceUnavailable

CONNECT_S = 30.0
_HEAD_BYTES_MAX = 64 * 1024
_REFUSAL_BYTES_MAX = 1024 * 1024
_PIECE_BYTES = 64 * 1024


def is_upgrade(request: web.BaseRequest) -> bool:
    named = {name.strip().lower() for name in request.headers.get("Connection", "").split(",")}
    return "upgrade" in named and "Upgrade" in request.headers


async def relay_upgraded(
    request: web.BaseRequest, host: str, port: int, headers: CIMultiDict[str], context: ssl.SSLContext, name: str
) -> web.StreamResponse:
    """Returns when both sides are done. Raises ServiceUnavailable when nobody answers there."""
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=context, server_hostname=name, limit=_HEAD_BYTES_MAX
            )
            writer.write(_head(request, headers))
            answer = await reader.readuntil(b"\r\n\r\n")
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise ServiceUnavailable(f"error trying to reach service: {error}") from None
    try:
        status, given = _parsed(answer)
        if status != 101:
            return await _refusal(reader, status, given)
        return await _exchange(request, reader, writer, given)
    finally:
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()


def _head(request: web.BaseRequest, headers: CIMultiDict[str]) -> bytes:
    lines = [f"{request.method} {request.rel_url.raw_path_qs} HTTP/1.1", f"Host: {request.host}"]
    lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() != "host"]
    lines += ["Connection: Upgrade", f"Upgrade: {request.headers['Upgrade']}", "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")


def _parsed(head: bytes) -> tuple[int, CIMultiDict[str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split(" ", 2)
    if len(parts) < 2 or not parts[1].isdigit():
        raise ServiceUnavailable("error trying to reach service: it does not speak HTTP")
    pairs = (line.partition(":") for line in lines if line)
    return int(parts[1]), CIMultiDict((name.strip(), value.strip()) for name, _, value in pairs)


async def _refusal(reader: asyncio.StreamReader, status: int, headers: CIMultiDict[str]) -> web.StreamResponse:
    """It does not upgrade: its answer, as far as it says how long that is."""
    length = headers.get("Content-Length", "")
    size = min(int(length), _REFUSAL_BYTES_MAX) if length.isdigit() else 0
    try:
        body = await reader.readexactly(size)
    except (asyncio.IncompleteReadError, OSError):
        raise ServiceUnavailable("error trying to reach service: the answer ended too early") from None
    return web.Response(status=status, body=body, headers={"Content-Type": headers.get("Content-Type", "text/plain")})


async def _exchange(
    request: web.BaseRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: CIMultiDict[str]
) -> web.StreamResponse:
    if request.transport is None:
        raise InternalError("the client has left")
    response = web.StreamResponse(status=101, headers=headers)
    response.force_close()
    way = Upgraded(response, request.transport)
    await response.prepare(request)
    has_started(request, response)
    request.protocol.set_parser(way)  # type: ignore[arg-type]  # what aiohttp needs of a parser, Upgraded has
    ways = [asyncio.ensure_future(_there(way, writer)), asyncio.ensure_future(_back(reader, way))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in ways:
            task.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        await way.close()
    return response


async def _there(way: Upgraded, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await way.read():
            writer.write(data)
            await writer.drain()


async def _back(reader: asyncio.StreamReader, way: Upgraded) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_PIECE_BYTES):
            await way.write(data)
