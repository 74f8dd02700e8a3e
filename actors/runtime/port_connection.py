"""A connection to a port of a pod, held open for somebody (`kubectl port-forward`): a command that is a socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from actors.runtime.sessions import Command
from protocols.exec import CHUNK_BYTES_MAX, STDOUT, ExecItem


class PortConnection(Command):
    """Connects at once. What is not taken stays in the pod's socket; what the pod does not read, its writer keeps."""

    def __init__(self, host: str, port: int) -> None:
        self._opening = asyncio.ensure_future(asyncio.open_connection(host, port, limit=CHUNK_BYTES_MAX))

    async def items(self) -> AsyncIterator[ExecItem]:
        try:
            reader, _ = await asyncio.shield(self._opening)
        except OSError as error:
            yield ExecItem(ended=True, error=str(error))
            return
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(CHUNK_BYTES_MAX):
                yield ExecItem(channel=STDOUT, data=data)
        yield ExecItem(ended=True)

    async def write(self, data: bytes, last: bool) -> None:
        with contextlib.suppress(OSError):  # refused, or over: its reader is told
            _, writer = await asyncio.shield(self._opening)
            writer.write(data)
            await writer.drain()
            if last:
                writer.write_eof()

    def kill(self) -> None:
        if not self._opening.done():
            self._opening.cancel()
        elif not self._opening.cancelled() and self._opening.exception() is None:
            self._opening.result()[1].transport.abort()
