"""`.../pods/web:8080/proxy/path` and `.../services/web:http/proxy/path`: a request passed on to a pod, its answer back.

The API server connects to the pod's address itself, as Kubernetes' does. Bodies pass in pieces, in both directions, and
wait for whoever is slow. Headers about one connection stay on it; who the client is stays here.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from actors.apiserver.rest.audit import has_started
from actors.apiserver.rest.warned import warned
from protocols.errors import BadRequest, ServiceUnavailable
from protocols.objects import Object, name_of
from protocols.rules.pods import find_port, pod_ips

CONNECT_S = 30.0
_OF_ONE_CONNECTION = "connection host keep-alive proxy-authenticate te trailer transfer-encoding upgrade"
_OF_THE_CLIENT = ("authorization", "proxy-authorization")
_DROPPED = frozenset(_OF_ONE_CONNECTION.split()).union(_OF_THE_CLIENT)


class Wanted(NamedTuple):
    """What the name in the path asks for: `[scheme:]name[:port]`."""

    scheme: str
    name: str
    port: str


def parse_name(text: str, kind: str) -> Wanted:
    """`kind`: of what has the name. Raises BadRequest."""
    parts = text.split(":")
    scheme, name, port = {1: ("", text, ""), 2: ("", *parts), 3: parts}.get(len(parts), ("-", "", ""))
    if scheme not in ("", "http", "https") or not name:
        raise BadRequest(f'invalid {kind.lower()} request "{text}"')
    return Wanted(scheme or "http", name, port)


def pod_address(pod: Object, port: str) -> tuple[str, int]:
    """The pod's address and the port asked for, else its first one, else 80."""
    ips = pod_ips(pod)
    if not ips:
        raise BadRequest("address not allowed")  # in Kubernetes' words: it has none yet
    if not port:
        declared = [each["containerPort"] for each in _ports(pod)]
        return ips[0], int(declared[0]) if declared else 80
    number = find_port(pod, port)
    if number is None or not 0 < number < 65_536:
        raise BadRequest(f'pod {name_of(pod)} has no port "{port}"')
    return ips[0], number


def rest_of(raw_path: str) -> str:
    """What stands behind `/proxy` in /api/v1[/namespaces/NS]/PLURAL/NAME/proxy/..., escaped as it came."""
    depth = 8 if raw_path.startswith("/api/v1/namespaces/") else 6
    parts = raw_path.split("/", depth)
    return "/" + (parts[depth] if len(parts) > depth else "")


def path_asked(path: str) -> str:
    """The same as admission sees it, unescaped: nothing where nothing stands there, not even a slash."""
    return rest_of(path) if rest_of(path) != "/" or path.endswith("/") else ""


async def pass_on(request: web.BaseRequest, scheme: str, address: tuple[str, int], path: str) -> web.StreamResponse:
    """`path`: with what must be escaped in it. Raises ServiceUnavailable when nobody answers there."""
    host, port = address
    at = f"[{host}]" if ":" in host else host
    query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
    url = URL(f"{scheme}://{at}:{port}{path}{query}", encoded=True)
    connector = aiohttp.TCPConnector(ssl=False, limit=1)  # as Kubernetes: a pod's certificate is not looked at
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
        skip_auto_headers=("Accept-Encoding", "User-Agent", "Content-Type", "Accept"),
    ) as session:
        return await relay(request, session, url, headers_there(request))


async def relay(
    request: web.BaseRequest, session: aiohttp.ClientSession, url: URL, headers: CIMultiDict[str], **tls: Any
) -> web.StreamResponse:
    """The request with these headers to the URL, and its answer back. Raises ServiceUnavailable."""
    body = request.content if request.can_read_body else None
    try:
        answer = await session.request(request.method, url, data=body, headers=headers, allow_redirects=False, **tls)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ServiceUnavailable(f"error trying to reach service: {error}") from None
    async with answer:
        return await _bring_back(request, answer)


async def _bring_back(request: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, reason=answer.reason)
    response.headers.extend(_kept(answer.headers))
    response.headers.extend(warned(request))
    await response.prepare(request)
    has_started(request, response)
    try:
        async for piece in answer.content.iter_any():
            await response.write(piece)
        await response.write_eof()
    except (TimeoutError, aiohttp.ClientError, ConnectionError):
        response.force_close()  # one of the two left in the middle of it
    return response


def headers_there(request: web.BaseRequest) -> CIMultiDict[str]:
    """The client's headers as far as they go further, and how it reached this server."""
    headers = _kept(request.headers)
    headers["X-Forwarded-Uri"] = unquote(request.rel_url.raw_path)
    headers["X-Forwarded-Host"] = request.host
    headers["X-Forwarded-Proto"] = "https" if request.secure else "http"
    return headers


def _kept(headers: Any) -> CIMultiDict[str]:
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    return CIMultiDict((name, value) for name, value in headers.items() if not _dropped(name.lower(), named))


def _ports(pod: Object) -> list[Object]:
    containers = (pod.get("spec") or {}).get("containers") or ()
    return [port for container in containers for port in container.get("ports") or ()]


def _dropped(name: str, named: frozenset[str] | set[str]) -> bool:
    """What is between the client and this server: its credentials, and whom it acts as."""
    return name in _DROPPED or name in named or name.startswith("impersonate-")
