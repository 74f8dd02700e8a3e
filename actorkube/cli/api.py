"""The API server as a command sees it: over REST, with the kubeconfig that kubectl uses. No event loop, no aiohttp.

So what looks into a cluster works for every cluster that kubectl reaches, in one process or in many, and needs no key
of the actors' own.
"""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import msgspec

from actorkube.cli.access import find_access
from actorkube.cli.errors import CliError
from actorkube.runtime.observer import relay_of
from actorkube.runtime.observers import Observers
from protocols.errors import StatusError, error_of
from protocols.message import Message, Request, decode
from protocols.observe import Relayed
from protocols.trace import TraceContext, traceparent

TIMEOUT_S = 15.0
FIRST = "apiserver"


class Api:
    """One connection, kept alive. `close` it."""

    def __init__(self, kubeconfig: str | None, context: str = "") -> None:
        access = find_access(kubeconfig, context)
        self._server, self._headers = access.server, access.headers
        host = urlsplit(self._server)
        self._root = host.path.rstrip("/")
        self._connection = (
            http.client.HTTPConnection(host.hostname or "", host.port or 80, timeout=TIMEOUT_S)
            if access.tls is None
            else http.client.HTTPSConnection(
                host.hostname or "", host.port or 443, timeout=TIMEOUT_S, context=access.tls
            )
        )

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def observers(self) -> Observers:
        return Observers(self._ask_observer, FIRST)

    def ask(self, path: tuple[str, ...], request: Request[Any]) -> Message:
        """Ask the observer at the end of the path. Raises StatusError."""
        body = msgspec.msgpack.encode(relay_of(path, request))
        answer = self.send("POST", "/observe", body)
        relayed = msgspec.msgpack.decode(answer, type=Relayed)
        return decode(relayed.number, relayed.body)

    async def _ask_observer(self, path: tuple[str, ...], request: Request[Any]) -> Message:
        return self.ask(path, request)

    def get(self, path: str, cause: TraceContext | None = None) -> bytes:
        """The body behind a path. With a cause, the request is followed as a part of that trace."""
        headers = {"traceparent": traceparent(cause)} if cause is not None else {}
        return self.send("GET", path, None, headers)

    def send(self, method: str, path: str, body: bytes | None, headers: dict[str, str] | None = None) -> bytes:
        given = {"User-Agent": "actorkube", "Accept": "application/json", **self._headers, **(headers or {})}
        try:
            self._connection.request(method, self._root + path, body, given)
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise CliError(
                f"the API server at {self._server} does not answer: {error}", "is the cluster running? see --kubeconfig"
            ) from None
        if response.status >= 400:
            raise _refusal(response.status, answer)
        return answer


def _refusal(code: int, body: bytes) -> StatusError:
    try:
        status = dict(json.loads(body))
    except (ValueError, TypeError):
        status = {}
    return error_of({"message": f"the API server answers with code {code}", **status}, code)
