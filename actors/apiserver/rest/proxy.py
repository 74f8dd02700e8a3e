"""`.../pods/web:8080/proxy/path` and `.../services/web:http/proxy/path`: a request passed on to a pod, its answer back.

The API server connects to the pod's address itself, as Kubernetes' does. Bodies pass in pieces, in both directions, and
wait for whoever is slow. Headers about one connection stay on it; who the client is stays here.
"""

from __future__ import annotations

import random
from typing import Any, NamedTuple
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

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


def parse_name(text: str) -> Wanted:
    """Raises BadRequest."""
    parts = text.split(":")
    scheme, name, port = {1: ("", text, ""), 2: ("", *parts), 3: parts}.get(len(parts), ("-", "", ""))
    if scheme not in ("", "http", "https") or not name:
        raise BadRequest(f'invalid name "{text}": it is NAME, NAME:PORT or https:NAME:PORT')
    return Wanted(scheme or "http", name, port)


def pod_address(pod: Object, port: str) -> tuple[str, int]:
    """The pod's address and the port asked for, else its first one, else 80."""
    ips = pod_ips(pod)
    if not ips:
        raise ServiceUnavailable(f"pod {name_of(pod)} has no address yet")
    if not port:
        declared = [each["containerPort"] for each in _ports(pod)]
        return ips[0], int(declared[0]) if declared else 80
    number = find_port(pod, port)
    if number is None or not 0 < number < 65_536:
        raise BadRequest(f'pod {name_of(pod)} has no port "{port}"')
    return ips[0], number


def service_address(service: Object, endpoints: Object, port: str, chance: random.Random) -> tuple[str, int]:
    """One of the service's ready endpoints; `port` is a name, a number, or empty where there is only one."""
    ports = (service.get("spec") or {}).get("ports") or []
    chosen = [each for each in ports if port in (each.get("name") or "", str(each["port"]))]
    if not chosen and not port and len(ports) == 1:
        chosen = ports
    if not chosen:
        raise ServiceUnavailable(f'no service port "{port}" found for service "{name_of(service)}"')
    wanted = chosen[0].get("name") or ""
    ready = [
        (str(address["ip"]), int(each["port"]))
        for subset in endpoints.get("subsets") or ()
        for each in subset.get("ports") or ()
        if (each.get("name") or "") == wanted
        for address in subset.get("addresses") or ()
    ]
    if not ready:
        raise ServiceUnavailable(f'no endpoints available for service "{name_of(service)}"')
    return chance.choice(ready)


def rest_of(raw_path: str) -> str:
    """What stands behind `/proxy` in /api/v1/namespaces/NS/PLURAL/NAME/proxy/..., escaped as it came."""
    parts = raw_path.split("/", 8)
    return "/" + (parts[8] if len(parts) > 8 else "")


async def pass_on(request: web.BaseRequest, scheme: str, address: tuple[str, int]) -> web.StreamResponse:
    """Raises ServiceUnavailable when nobody answers there."""
    host, port = address
    at = f"[{host}]" if ":" in host else host
    query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
    url = URL(f"{scheme}://{at}:{port}{rest_of(request.rel_url.raw_path)}{query}", encoded=True)
    connector = aiohttp.TCPConnector(ssl=False, limit=1)  # as Kubernetes: a pod's certificate is not looked at
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
        skip_auto_headers=("Accept-Encoding", "User-Agent", "Content-Type", "Accept"),
    ) as session:
        body = request.content if request.can_read_body else None
        try:
            answer = await session.request(
                request.method, url, data=body, headers=_headers_there(request), allow_redirects=False
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServiceUnavailable(f"error trying to reach service: {error}") from None
        async with answer:
            return await _bring_back(request, answer)


async def _bring_back(request: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, reason=answer.reason)
    response.headers.extend(_kept(answer.headers))
    await response.prepare(request)
    try:
        async for piece in answer.content.iter_any():
            await response.write(piece)
        await response.write_eof()
    except (TimeoutError, aiohttp.ClientError, ConnectionError):
        response.force_close()  # one of the two left in the middle of it
    return response


def _headers_there(request: web.BaseRequest) -> CIMultiDict[str]:
    headers = _kept(request.headers)
    headers["X-Forwarded-Uri"] = unquote(request.rel_url.raw_path)
    headers["X-Forwarded-Host"] = request.host
    headers["X-Forwarded-Proto"] = "https" if request.secure else "http"
    return headers


def _kept(headers: Any) -> CIMultiDict[str]:
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _DROPPED | named)


def _ports(pod: Object) -> list[Object]:
    containers = (pod.get("spec") or {}).get("containers") or ()
    return [port for container in containers for port in container.get("ports") or ()]
