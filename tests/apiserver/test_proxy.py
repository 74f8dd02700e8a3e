"""The proxy subresource: a request is passed on to a pod as it came, and its answer back."""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from actors.apiserver.outward.services import service_address
from actors.apiserver.rest.proxy import Wanted, parse_name, pod_address, rest_of
from protocols.errors import BadRequest, NotFound, ServiceUnavailable, StatusError
from protocols.objects import Object
from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.world import pod

NAMESPACE = "/api/v1/namespaces/default"
PODS = f"{NAMESPACE}/pods"


async def _echo(request: web.BaseRequest) -> web.Response:
    """Says what it was asked."""
    body = await request.read()
    lines = [request.method, request.rel_url.raw_path_qs, body.decode(), request.headers.get("Authorization", "-")]
    headers = {"X-Mine": "yes", "Connection": "X-Secret", "X-Secret": "hop"}
    return web.Response(status=418, text="\n".join(lines), headers=headers)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    runner = web.ServerRunner(web.Server(_echo))
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    yield listener.getsockname()[1]
    await runner.cleanup()


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        await client.create(PODS, pod("web", node="n1"))
        status = {"status": {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}}
        answer = await client.send("PATCH", f"{PODS}/web/status", status, content_type="application/merge-patch+json")
        assert answer.code == 200, answer.body
        yield client


async def test_method_path_query_and_body_pass_as_they_came(api: Rest, port: int) -> None:
    path = f"{PODS}/web:{port}/proxy/a%2Fb/c/?x=1&watch=true"

    answer = await api.send("POST", path, b"text", content_type="text/plain", Authorization="Basic eDp5")

    assert answer.code == 418 and answer.body.decode() == "POST\n/a%2Fb/c/?x=1&watch=true\ntext\n-"
    assert answer.headers["X-Mine"] == "yes" and "X-Secret" not in answer.headers


async def test_a_service_is_one_of_its_endpoints(api: Rest, port: int) -> None:
    spec = {"ports": [{"name": "http", "port": 80}]}
    await api.create(f"{NAMESPACE}/services", {"metadata": {"name": "web"}, "spec": spec})
    subsets = [{"addresses": [{"ip": "127.0.0.1"}], "ports": [{"name": "http", "port": port}]}]
    await api.create(f"{NAMESPACE}/endpoints", {"metadata": {"name": "web"}, "subsets": subsets})

    answers = [await api.get(f"{NAMESPACE}/services/{name}/proxy") for name in ("web:http", "web:80", "web")]

    assert [answer.body.decode().splitlines()[:2] for answer in answers] == [["GET", "/"]] * 3


async def test_what_cannot_be_reached_is_a_status(api: Rest) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    await api.create(PODS, pod("new"))
    names = (f"pods/web:{port}", "pods/new:80", "pods/none:80", "pods/a:b:c:d", "pods/web:named", "services/none:80")

    answers = [await api.get(f"{NAMESPACE}/{name}/proxy/") for name in names]

    assert [answer.code for answer in answers] == [503, 400, 404, 400, 400, 404]
    assert "error trying to reach service" in answers[0].json["message"]


async def test_who_is_not_authenticated_reaches_no_pod(api: Rest, port: int) -> None:
    answer = await api.send("GET", f"{PODS}/web:{port}/proxy/", session=api.anonymous)

    assert answer.code in (401, 403)


def test_a_name_has_a_scheme_and_a_port_or_has_not() -> None:
    assert parse_name("web", "Pod") == Wanted("http", "web", "")
    assert parse_name("web:80", "Pod") == Wanted("http", "web", "80")
    assert parse_name("https:web:", "Pod") == Wanted("https", "web", "")
    for bad in ("ftp:web:80", ":80", "a:b:c:d", "::"):
        with pytest.raises(BadRequest, match=f'invalid service request "{bad}"'):
            parse_name(bad, "Service")


def test_the_path_behind_the_proxy_is_kept_as_it_is() -> None:
    assert rest_of(f"{PODS}/web/proxy") == rest_of(f"{PODS}/web/proxy/") == "/"
    assert rest_of(f"{PODS}/web/proxy/a%20b//proxy/c/") == "/a%20b//proxy/c/"


def test_a_pods_first_port_is_meant_where_none_is_named() -> None:
    ports = [{"containerPort": 8080, "name": "http"}, {"containerPort": 9090, "name": "metrics"}]
    with_ports: Object = {
        "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "main", "ports": ports}]},
        "status": {"podIP": "127.0.0.9"},
    }

    assert [pod_address(with_ports, port)[1] for port in ("", "metrics", "70")] == [8080, 9090, 70]
    with pytest.raises(BadRequest):
        pod_address(with_ports, "70000")


@pytest.mark.parametrize(
    ("endpoints", "port", "refusal", "words"),
    [
        ({}, "http", NotFound, 'services "web" not found'),
        ({}, "nope", NotFound, 'services "web" not found'),
        ({}, "81", ServiceUnavailable, 'no service port 81 found for service "web"'),
        ({"subsets": []}, "nope", ServiceUnavailable, 'no endpoints available for service "web"'),
        (
            {"subsets": [{"notReadyAddresses": [{"ip": "1.1.1.1"}], "ports": [{"name": "http", "port": 1}]}]},
            "",
            ServiceUnavailable,
            'no endpoints available for service "web"',
        ),
    ],
)
def test_why_a_service_cannot_be_reached(endpoints: Any, port: str, refusal: type[StatusError], words: str) -> None:
    service: Object = {"metadata": {"name": "web"}, "spec": {"ports": [{"name": "http", "port": 80}]}}

    with pytest.raises(refusal) as refused:
        service_address(service, endpoints, port, random.Random(1))

    assert refused.value.message == words
