"""Watches over WebSocket, as dashboards in browsers ask for them."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.world import config_map

MAPS = "/api/v1/namespaces/default/configmaps"
BROWSERS = "base64.binary.k8s.io"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


@pytest.mark.parametrize("protocols", [(), (BROWSERS,)])
async def test_each_event_is_a_message(api: Rest, protocols: tuple[str, ...]) -> None:
    await api.create(MAPS, config_map("a"))

    async with api.admin.ws_connect(f"{api.base}{MAPS}?watch=1", protocols=protocols) as socket:
        spoken = socket.protocol
        first = await socket.receive_json(timeout=20)
        made = await api.create(MAPS, config_map("b"))
        second = await socket.receive_json(timeout=20)

    assert spoken == (protocols[0] if protocols else None)
    assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "a")
    assert second == {"type": "ADDED", "object": made}


async def test_events_that_come_together_are_told_apart(api: Rest) -> None:
    for name in "abc":
        await api.create(MAPS, config_map(name))

    async with api.admin.ws_connect(f"{api.base}{MAPS}?watch=1") as socket:
        events = [await socket.receive_json(timeout=20) for _ in "abc"]

    assert [event["object"]["metadata"]["name"] for event in events] == ["a", "b", "c"]


async def test_it_ends_in_time_and_with_its_client(api: Rest) -> None:
    timed = f"{api.base}{MAPS}?watch=1&timeoutSeconds=1&resourceVersion=0"
    async with api.admin.ws_connect(timed) as socket:
        ended = await socket.receive(timeout=20)
    running = asyncio.all_tasks()
    async with api.admin.ws_connect(f"{api.base}{MAPS}?watch=1") as socket:
        await socket.close()
    of_the_watch = asyncio.all_tasks() - running
    _, left = await asyncio.wait(of_the_watch, timeout=20) if of_the_watch else (set(), set())

    assert ended.type == aiohttp.WSMsgType.CLOSE
    assert (left, socket.close_code) == (set(), aiohttp.WSCloseCode.OK)


async def test_a_refusal_comes_before_it_begins(api: Rest) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await api.admin.ws_connect(f"{api.base}{MAPS}?watch=1&resourceVersion=abc")

    assert refused.value.status == 400


@pytest.mark.parametrize(("token", "code"), [("monitor", 403), ("nonsense", 401)])
async def test_a_browser_offers_its_token_as_a_protocol(api: Rest, token: str, code: int) -> None:
    """`monitor` is somebody who may not watch config maps: known, and refused."""
    shown = "base64url.bearer.authorization.k8s.io." + base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")

    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await api.anonymous.ws_connect(f"{api.base}{MAPS}?watch=1", protocols=(shown, BROWSERS))

    assert refused.value.status == code


async def test_the_token_is_not_what_is_spoken(api: Rest) -> None:
    shown = "base64url.bearer.authorization.k8s.io." + base64.urlsafe_b64encode(b"good").decode().rstrip("=")
    path = "/apis/rbac.authorization.k8s.io/v1"
    subject = {"kind": "User", "name": "robot", "apiGroup": "rbac.authorization.k8s.io"}
    role = {"kind": "ClusterRole", "name": "cluster-admin", "apiGroup": "rbac.authorization.k8s.io"}
    binding = {"metadata": {"name": "robot"}, "roleRef": role, "subjects": [subject]}
    await api.create(f"{path}/clusterrolebindings", binding)
    await api.create(MAPS, config_map("a"))

    async with api.anonymous.ws_connect(f"{api.base}{MAPS}?watch=1", protocols=(shown, BROWSERS)) as socket:
        event = await socket.receive_json(timeout=20)

    assert (socket.protocol, event["object"]["metadata"]["name"]) == (BROWSERS, "a")
