"""An HTTPS client of the API server under test, with a certificate of its own cluster."""

from __future__ import annotations

import io
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from actors.apiserver.callers import AUTHENTICATED, Caller
from actors.apiserver.flowcontrol.levels import SEATS
from actors.apiserver.rest.config import RestConfig
from actors.apiserver.tls import Authority, Issued
from protocols.objects import Object
from tests.apiserver.world import World, world

NOW = 1_790_000_000.0  # within the certificates' days, whenever the tests run


TOKENS = {
    "good": Caller("robot", (AUTHENTICATED,)),
    "jane": Caller("jane", ("team", AUTHENTICATED)),
    "monitor": Caller("prometheus", ("system:monitoring", AUTHENTICATED)),
}


class Answer:
    def __init__(self, response: aiohttp.ClientResponse, body: bytes) -> None:
        self.code = response.status
        self.headers = response.headers
        self.body = body

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


class Rest:
    """`send` speaks as the administrator, or as whoever `session` belongs to."""

    def __init__(
        self,
        world: World,
        config: RestConfig,
        admin: aiohttp.ClientSession,
        anonymous: aiohttp.ClientSession,
        context: ssl.SSLContext,
    ) -> None:
        self.world = world
        self.config = config
        self.base = f"https://localhost:{config.address[1]}"
        self.admin = admin
        self.anonymous = anonymous
        self.context = context  # the administrator's, for connections of any kind

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        session: aiohttp.ClientSession | None = None,
        **headers: str,
    ) -> Answer:
        data = body if body is None else io.BytesIO(body if isinstance(body, bytes) else orjson.dumps(body))
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if data is not None:
            given["Content-Type"] = content_type
        async with (session or self.admin).request(method, self.base + path, data=data, headers=given) as response:
            return Answer(response, await response.read())

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.send("GET", path, **headers)

    async def by(self, token: str, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        """As the owner of a bearer token; "" is nobody."""
        authorization = {"Authorization": f"Bearer {token}"} if token else {}
        return await self.send(method, path, body, session=self.anonymous, **authorization, **options)

    async def restart(self) -> None:
        """Another API server on the same port, before the same store."""
        await self.world.restart(rest=self.config)

    async def create(self, path: str, obj: Object) -> Object:
        answer = await self.send("POST", path, obj)
        assert answer.code == 201, answer.body
        created: Object = answer.json
        return created

    @asynccontextmanager
    async def watch(self, path: str, **headers: str) -> AsyncIterator[Watch]:
        async with self.admin.get(self.base + path, headers=headers) as response:
            yield Watch(response)


class Watch:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def event(self) -> Object:
        line = await self.response.content.readline()
        event: Object = orjson.loads(line)
        return event

    async def names(self, count: int) -> list[tuple[str, str]]:
        events = [await self.event() for _ in range(count)]
        return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


def client_context(authority: Authority, issued: Issued | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    if issued is not None:
        context.load_cert_chain(issued.cert_file, issued.key_file)
    return context


@asynccontextmanager
async def rest(directory: Path, *, seats: int = SEATS, **options: Any) -> AsyncIterator[Rest]:
    authority = Authority(directory / "pki", NOW)
    server = authority.server([])
    proxy_ca, proxy = authority.front_proxy()
    listener = socket.create_server(("127.0.0.1", 0))
    config = RestConfig(
        listener=listener,
        ca_file=authority.ca_file,
        cert_file=server.cert_file,
        key_file=server.key_file,
        account_key_file=authority.account_key(),
        proxy_ca_file=proxy_ca,
        proxy_cert_file=proxy.cert_file,
        proxy_key_file=proxy.key_file,
        tokens=TOKENS,
        seats=seats,
    )
    try:
        async with world(directory, rest=config, **options) as here:
            context = client_context(authority, authority.admin())
            admin = aiohttp.TCPConnector(ssl=context)
            nobody = aiohttp.TCPConnector(ssl=client_context(authority))
            async with aiohttp.ClientSession(connector=admin) as one, aiohttp.ClientSession(connector=nobody) as two:
                yield Rest(here, config, one, two, context)
    finally:
        listener.close()
