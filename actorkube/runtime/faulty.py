"""What one process of a live cluster does when it is told to: it looks at the file of faults, or at who is revoked."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from actorkube.runtime.control_socket import serve_on
from actorkube.runtime.faults import Faults
from actorkube.runtime.system import System
from actorkube.runtime.tcp import TcpTransport

LOOK = {"do": "faults"}
GUESTS = {"do": "guests"}  # look at who is revoked; who is linked to us then?


class Faulty:
    """One system. Nothing is set before the first look, and what is missing is no fault."""

    def __init__(self, system: System, file: Path) -> None:
        self._system = system
        self._file = file
        self._ahead_s = 0.0

    def look(self) -> None:
        """Raises ValueError when the file makes no sense."""
        if not self._file.exists():
            return
        system = self._system
        faults = msgspec.json.decode(self._file.read_bytes(), type=Faults)
        system.transport.cut(faults.unheard_by(system.name))
        ahead_s = faults.ahead_s.get(system.name, 0.0)
        if ahead_s != self._ahead_s:
            self._ahead_s = ahead_s
            system.set_clock(ahead_s)

    async def answer(self, request: dict[str, Any]) -> str:
        match request:
            case {"do": "faults"}:
                self.look()
                return self._system.name
            case {"do": "guests"} if isinstance(transport := self._system.transport, TcpTransport):
                transport.look_at_certificates()
                return json.dumps(transport.guests())
        raise ValueError(f"{self._system.name} does not know how to {request.get('do')!r}")


@contextlib.asynccontextmanager
async def faulty(system: System, file: Path, listener: socket.socket) -> AsyncIterator[None]:
    """Until the block ends, the system's faults are those in the file, looked at now and when somebody asks for it."""
    carries_out = Faulty(system, file)
    carries_out.look()
    async with serve_on(carries_out, listener):
        yield
