"""A server over TLS in this process, for the API server to call: by URL, or behind a Service of the cluster."""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from actors.apiserver.tls import Authority
from tests.apiserver.rest_client import NOW, Rest

Serve = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Server(NamedTuple):
    """`bundle` is the caBundle of who signed its certificate: PEM in base64."""

    port: int
    bundle: str


@asynccontextmanager
async def serving(directory: Path, serve: Serve, *names: str, callers: Path | None = None) -> AsyncIterator[Server]:
    """`names`: whom the certificate is for, beside localhost. `callers`: who signs certificates of those who ask."""
    authority = Authority(directory, NOW)
    issued = authority.server(names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert_file, issued.key_file)
    if callers is not None:
        context.load_verify_locations(callers)
        context.verify_mode = ssl.CERT_REQUIRED
    runner = web.ServerRunner(web.Server(serve), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield Server(runner.addresses[0][1], base64.b64encode(authority.ca_pem).decode())
    finally:
        await runner.cleanup()


async def behind_service(client: Rest, name: str, *ports: int) -> None:
    """A service of port 443 with an endpoint on loopback for each port."""
    namespace = "/api/v1/namespaces/default"
    await client.create(f"{namespace}/services", {"metadata": {"name": name}, "spec": {"ports": [{"port": 443}]}})
    subsets = [{"addresses": [{"ip": "127.0.0.1"}], "ports": [{"port": port}]} for port in ports]
    await client.create(f"{namespace}/endpoints", {"metadata": {"name": name}, "subsets": subsets})
