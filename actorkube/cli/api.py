"""The API server as a command sees it: over REST, with the kubeconfig that kubectl uses. No event loop, no aiohttp.

So what looks into a cluster works for every cluster that kubectl reaches, in one process or in many, and needs no key
of the actors' own.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from actorkube.cli.errors import CliError
from actorkube.cli.kubeconfig import DEFAULT
from actorkube.runtime.observer import relay_of
from actorkube.runtime.observers import Observers
from protocols.errors import NotFound, StatusError
from protocols.message import Message, Request, decode
from protocols.observe import Relayed
from protocols.trace import TraceContext, traceparent

TIMEOUT_S = 15.0
FIRST = "apiserver"


class Api:
    """One connection, kept alive. `close` it."""

    def __init__(self, kubeconfig: str | None) -> None:
        path = Path(kubeconfig or _default()).expanduser()
        self._server, context = _read(path)
        host = urlsplit(self._server)
        self._connection = http.client.HTTPSConnection(
            host.hostname or "", host.port or 443, timeout=TIMEOUT_S, context=context
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
        given = {"User-Agent": "actorkube", "Accept": "application/json", **(headers or {})}
        try:
            self._connection.request(method, path, body, given)
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
        message = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        message = f"the API server answers with code {code}"
    return NotFound(message) if code == 404 else StatusError(message)


def _default() -> str:
    """As kubectl finds it: the first file that KUBECONFIG names, or ours."""
    named = [name for name in os.environ.get("KUBECONFIG", "").split(os.pathsep) if name]
    return named[0] if named else str(DEFAULT)


def _read(path: Path) -> tuple[str, ssl.SSLContext]:
    import yaml

    hint = "start a cluster, or name its file with --kubeconfig"
    try:
        config = yaml.safe_load(path.read_bytes())
        context = {entry["name"]: entry["context"] for entry in config["contexts"]}[config["current-context"]]
        cluster = {entry["name"]: entry["cluster"] for entry in config["clusters"]}[context["cluster"]]
        user = {entry["name"]: entry["user"] for entry in config["users"]}[context["user"]]
        return str(cluster["server"]), _tls(
            base64.b64decode(cluster["certificate-authority-data"]),
            base64.b64decode(user["client-certificate-data"]) + b"\n" + base64.b64decode(user["client-key-data"]),
        )
    except OSError as error:
        raise CliError(f"cannot read {path}: {error.strerror}", hint) from None
    except (yaml.YAMLError, KeyError, TypeError, ValueError):
        raise CliError(f"{path} is no kubeconfig with certificates in it", hint) from None


def _tls(authority: bytes, identity: bytes) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.decode())
    with tempfile.NamedTemporaryFile() as file:  # readable for its owner only; ssl takes a key from files alone
        file.write(identity)
        file.flush()
        context.load_cert_chain(file.name)
    return context
