"""Requests that no client should send: each gets a 4xx, or what it asks for; none a 500 or a busy server."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest

from tests.apiserver.rest_client import Rest, rest

MAPS = "/api/v1/namespaces/default/configmaps"
ONE = f"{MAPS}/one"
JSON, YAML = "application/json", "application/yaml"
JSON_PATCH, MERGE, STRATEGIC = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)
HEAD = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":'


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        await client.create(
            MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"a": "1"}}
        )
        yield client
        assert (await client.get(ONE)).code == 200, "the server is well, and so is what was there"


def bomb(levels: int) -> bytes:
    """Each level is the one before, nine times: as a tree it has 9 ** levels leaves."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines).encode()


BODIES = {
    "deep objects": (JSON, b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "deep lists": (JSON, b"[" * 1_000_000),
    "deep yaml": (YAML, b"{a: " * 5_000 + b"1" + b"}" * 5_000),
    "aliases that explode": (YAML, bomb(9)),
    "an alias of itself": (YAML, b"apiVersion: v1\nkind: ConfigMap\nmetadata: &m\n  name: r\n  labels: *m\n"),
    "python in yaml": (YAML, b"a: !!python/object/apply:os.system [x]\n"),
    "a set in yaml": (YAML, b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata: !!set {a}\n"),
    "bytes in yaml": (YAML, b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata: {a: !!binary aGk=}\n"),
    "keys that are lists": (YAML, b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata: {[x]: b}\n"),
    "no utf-8": (JSON, HEAD + b'{"a":"\xff\xfe"}}'),
    "half a surrogate": (JSON, HEAD + b'{"a":"\\ud800"}}'),
    "a number of 5,000 digits": (JSON, HEAD + b"9" * 5_000 + b"}"),
    "infinity": (JSON, HEAD + b"1e400}"),
    "no number": (JSON, HEAD + b"NaN}"),
    "another charset": ("application/json; charset=utf-16", HEAD + b"{}}"),
    "protobuf of noise": ("application/vnd.kubernetes.protobuf", b"k8s\0" + bytes(range(256)) * 10),
}
PATCHES = {
    "a path without end": (JSON_PATCH, b'[{"op":"add","path":"/data/' + b"a/" * 5_000 + b'","value":1}]'),
    "copies that double": (
        JSON_PATCH,
        b"[" + b",".join(b'{"op":"copy","from":"/data","path":"/data/x%d"}' % n for n in range(60)) + b"]",
    ),
    "all of it away": (JSON_PATCH, b'[{"op":"remove","path":""}]'),
    "metadata away": (JSON_PATCH, b'[{"op":"remove","path":"/metadata"}]'),
    "a list instead": (JSON_PATCH, b'[{"op":"replace","path":"","value":[1]}]'),
    "into itself": (JSON_PATCH, b'[{"op":"move","from":"/data","path":"/data/a"}]'),
    "no operation": (JSON_PATCH, b"[{}]"),
    "a number among them": (JSON_PATCH, b"[1]"),
    "an object of operations": (JSON_PATCH, b"{}"),
    "nothing named so": (STRATEGIC, b'{"metadata":{"$patch":"nonsense"}}'),
    "an order that is none": (STRATEGIC, b'{"metadata":{"$setElementOrder/finalizers":5}}'),
    "keys that are none": (STRATEGIC, b'{"metadata":{"$retainKeys":5}}'),
    "a directive in a list": (STRATEGIC, b'{"metadata":{"ownerReferences":[{"$patch":"delete"}]}}'),
    "a list in a list": (STRATEGIC, b'{"metadata":{"ownerReferences":[[1]]}}'),
    "no object": (MERGE, b"1"),
    "no metadata": (MERGE, b'{"metadata":null}'),
    "fields that are none": (MERGE, b'{"metadata":{"managedFields":[{"fieldsV1":5}]}}'),
    "a deep one": (MERGE, b'{"a":' * 3_000 + b"1" + b"}" * 3_000),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BODIES)
async def test_bodies(api: Rest, name: str) -> None:
    content_type, body = BODIES[name]

    async with asyncio.timeout(20):
        answer = await api.send("POST", MAPS, body, content_type=content_type)

    assert 200 <= answer.code < 500 and answer.json["kind"] in ("Status", "ConfigMap"), answer.body


@pytest.mark.slow
@pytest.mark.parametrize("name", PATCHES)
async def test_patches(api: Rest, name: str) -> None:
    content_type, body = PATCHES[name]

    async with asyncio.timeout(20):
        answer = await api.send("PATCH", ONE, body, content_type=content_type)

    assert 200 <= answer.code < 500 and answer.json["kind"] in ("Status", "ConfigMap"), answer.body


@pytest.mark.slow
async def test_a_body_that_grows_when_it_is_unpacked_is_refused(api: Rest) -> None:
    body = gzip.compress(b"[" * 50_000_000)

    answer = await api.send("POST", MAPS, body, Content_Encoding="gzip")

    assert 400 <= answer.code < 500


@pytest.mark.parametrize(
    "query",
    [
        *("limit=-5", "limit=1&continue=%ff%fe", "labelSelector=%00%ff((", "labelSelector=" + "a," * 1000),
        *("fieldSelector==", "resourceVersion=-1", "timeoutSeconds=99999999999999999999&limit=1"),
        *("pretty=x", "resourceVersionMatch=x"),
    ],
)
async def test_queries(api: Rest, query: str) -> None:
    assert 200 <= (await api.get(f"{MAPS}?{query}")).code < 500


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(2_000)) + b"\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_bytes_that_are_no_request_are_refused(api: Rest, request_bytes: bytes) -> None:
    at = urlsplit(api.base)
    reader, writer = await asyncio.open_connection(at.hostname, at.port, ssl=api.context)
    writer.write(request_bytes)

    async with asyncio.timeout(20):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")

    writer.transport.abort()
    assert b" 400 " in head.splitlines()[0]
    status = orjson.loads(body)
    assert (status["kind"], status["reason"], status["code"]) == ("Status", "BadRequest", 400)


@pytest.mark.parametrize("says", [b"", b"\x16\x03\x01\x02\x00"], ids=["nothing", "half a hello"])
async def test_a_handshake_that_does_not_come_ends(api: Rest, monkeypatch: pytest.MonkeyPatch, says: bytes) -> None:
    monkeypatch.setattr("actors.apiserver.rest.connections.HANDSHAKE_S", 0.2)
    await api.restart()
    at = urlsplit(api.base)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    writer.write(says)

    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""

    writer.transport.abort()


@pytest.mark.parametrize("says", [b"", b"GET /version HTTP/1.1\r\nHost: x\r\nX-Slow: "], ids=["nothing", "half a head"])
async def test_a_first_request_that_does_not_come_ends(api: Rest, monkeypatch: pytest.MonkeyPatch, says: bytes) -> None:
    monkeypatch.setattr("actors.apiserver.rest.connections.FIRST_REQUEST_S", 0.2)
    at = urlsplit(api.base)
    reader, writer = await asyncio.open_connection(at.hostname, at.port, ssl=api.context)
    writer.write(says)

    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""

    writer.transport.abort()


async def test_a_handshake_that_outlives_its_server_leads_nowhere(api: Rest) -> None:
    """The next server is at the same port; this one has nobody left who could answer."""
    at = urlsplit(api.base)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    assert (await api.get(ONE)).code == 200, "whoever came before has been taken in"
    await api.restart()

    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionError):
            await writer.start_tls(api.context, server_hostname=at.hostname)
            writer.write(f"GET {MAPS} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert await reader.read() == b""

    writer.transport.abort()


async def test_a_connection_that_has_asked_once_may_rest(api: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.apiserver.rest.connections.FIRST_REQUEST_S", 0.2)
    async with api.watch(f"{MAPS}?watch=true") as watch:
        await asyncio.sleep(0.4)
        await api.create(MAPS, {"metadata": {"name": "later"}})
        async with asyncio.timeout(20):
            while ("ADDED", "later") not in await watch.names(1):
                pass


@pytest.mark.slow
async def test_connections_that_are_only_half_opened_keep_nobody_out(api: Rest) -> None:
    at = urlsplit(api.base)
    half_open = [await asyncio.open_connection(at.hostname, at.port) for _ in range(300)]

    async with asyncio.timeout(20):
        answer = await api.get(ONE)

    for _, writer in half_open:
        writer.transport.abort()
    assert answer.code == 200
