"""Plain HTTP through the door for etcd's clients: its pages, its API in JSON, and what makes no sense."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actors.etcd.grpc import gateway
from protocols.etcd_maintenance import Alarm, RaiseAlarm
from tests.etcd.grpc_client import CLUSTER_ID, Housed, calling, housed, request


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Housed]:
    async with housed(tmp_path) as house:
        yield house


class Web:
    """A connection that says exactly what it is told to say."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, method: str, path: str, body: bytes = b"", *fields: str) -> tuple[int, dict[str, str], bytes]:
        head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *fields, "", ""])
        self.writer.write(head.encode() + body)
        return await self.answer(has_body=method != "HEAD")

    async def answer(self, *, has_body: bool = True) -> tuple[int, dict[str, str], bytes]:
        first, *lines = (await self.line(b"\r\n\r\n")).decode().strip().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines)
        length = int(fields.get("Content-Length", 0))
        return int(first.split()[1]), fields, await self.reader.readexactly(length) if has_body else b""

    async def line(self, end: bytes = b"\n") -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(end), 20)

    async def chunk(self) -> Any:
        size = int(await self.line(b"\r\n"), 16)
        return json.loads((await self.reader.readexactly(size + 2))[:size]) if size else None

    async def json(self, path: str, **said: Any) -> tuple[int, Any]:
        status, _, body = await self.ask("POST", f"/v3/{path}", json.dumps(said).encode())
        return status, json.loads(body)


@pytest.fixture
async def web(house: Housed) -> AsyncIterator[Web]:
    async for web in opened(house):
        yield web


async def opened(house: Housed) -> AsyncIterator[Web]:
    web = Web(*await asyncio.open_connection("127.0.0.1", house.port))
    yield web
    web.writer.close()
    await web.writer.wait_closed()


def b64(text: bytes) -> str:
    return b64encode(text).decode()


async def test_a_member_that_is_well_says_so_and_which_version_it_is(web: Web) -> None:
    assert await page(web, "/health") == (200, '{"health":"true","reason":""}')
    assert await page(web, "/health?serializable=true") == (200, '{"health":"true","reason":""}')
    assert await page(web, "/livez") == await page(web, "/readyz") == (200, "ok\n")
    verbose = "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\nok\n"
    assert await page(web, "/readyz?verbose") == (200, verbose)
    assert await page(web, "/version") == (200, '{"etcdserver":"3.6.0","etcdcluster":"3.6.0"}')


async def page(web: Web, path: str) -> tuple[int, str]:
    status, _, body = await web.ask("GET", path)
    return status, body.decode()


@pytest.mark.parametrize(("kind", "readyz"), [("NOSPACE", 200), ("CORRUPT", 503)])
async def test_an_alarm_makes_it_unwell_unless_it_is_excluded(house: Housed, web: Web, kind: Any, readyz: int) -> None:
    await house.door.ctx.ask(house.door.ctx.ref("etcd-0/etcd"), RaiseAlarm(Alarm("etcd-0", kind)))

    assert await page(web, "/health") == (503, f'{{"health":"false","reason":"ALARM {kind}"}}')
    assert await page(web, f"/health?exclude={kind}") == (200, '{"health":"true","reason":""}')
    assert (await page(web, "/readyz"))[0] == readyz


async def test_its_numbers_are_what_is(house: Housed, web: Web) -> None:
    async with calling(house.port) as client:
        await client.call("KV/Put", request("Put", key=b"a", value=b"1"))

    status, fields, body = await web.ask("GET", "/metrics")

    numbers = dict(line.rsplit(" ", 1) for line in body.decode().splitlines() if not line.startswith("#"))
    assert (status, fields["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert numbers["etcd_debugging_mvcc_current_revision"] == "2"
    assert numbers["etcd_server_has_leader"] == numbers["etcd_server_is_leader"] == "1"
    assert int(numbers["process_resident_memory_bytes"]) > 1 << 20


async def test_what_json_says_grpc_reads_and_the_other_way_round(house: Housed, web: Web) -> None:
    async with calling(house.port) as client:
        put = await web.json("kv/put", key=b64(b"a"), value=b64(b"1"))
        read = await client.call("KV/Range", request("Range", key=b"a"))
        await client.call("KV/Put", request("Put", key=b"b", value=b"2"))
    _, found = await web.json("kv/range", key="AA==", range_end="AA==", sort_order="DESCEND", sort_target="VALUE")

    header = {"cluster_id": str(CLUSTER_ID), "member_id": str(read.header.member_id), "revision": "2", "raft_term": "1"}
    assert put == (200, {"header": header})
    assert [kv.value for kv in read.kvs] == [b"1"]
    kv = {"key": b64(b"b"), "create_revision": "3", "mod_revision": "3", "version": "1", "value": b64(b"2")}
    assert found["kvs"][0] == kv
    assert (found["count"], len(found["kvs"])) == ("2", 2)


async def test_a_transaction_a_lease_and_a_role_in_json(web: Web) -> None:
    compare = {"key": b64(b"a"), "target": "VERSION", "result": "EQUAL", "version": "0"}
    put = {"requestPut": {"key": b64(b"a"), "value": b64(b"1")}}  # in camelCase, which is read, too
    _, done = await web.json("kv/txn", compare=[compare], success=[put], unknown=1)
    _, granted = await web.json("lease/grant", TTL=100, ID="77")
    missing = await web.json("lease/revoke", ID=78)
    await web.json("auth/role/add", name="r")
    perm = {"permType": "READWRITE", "key": b64(b"a"), "range_end": b64(b"b")}
    await web.json("auth/role/grant", name="r", perm=perm)
    _, role = await web.json("auth/role/get", role="r")

    assert done["succeeded"] is True
    assert done["responses"] == [{"response_put": {"header": {"revision": "2"}}}]
    assert (granted["ID"], granted["TTL"]) == ("77", "100")
    text = "etcdserver: requested lease not found"
    assert missing == (404, {"error": text, "message": text, "code": 5})
    assert role["perm"] == [perm]


async def test_a_watch_in_json_is_a_line_for_each_answer(house: Housed, web: Web) -> None:
    created = {"create_request": {"key": b64(b"a"), "start_revision": "1"}}
    status, _, _ = await web.ask("POST", "/v3/watch", json.dumps(created).encode())
    said = [await web.chunk()]

    async with calling(house.port) as client:
        await client.call("KV/Put", request("Put", key=b"a", value=b"1"))
        said.append(await web.chunk())
        await client.call("KV/DeleteRange", request("DeleteRange", key=b"a"))
        said.append(await web.chunk())

    assert status == 200
    assert said[0]["result"]["created"] is True
    assert said[1]["result"]["events"][0]["kv"]["value"] == b64(b"1")
    assert said[2]["result"]["events"] == [{"type": "DELETE", "kv": {"key": b64(b"a"), "mod_revision": "3"}}]


async def test_a_stream_that_ends_leaves_its_connection_to_the_next_request(web: Web) -> None:
    await web.json("lease/grant", TTL=100, ID=77)

    status, fields, _ = await web.ask("POST", "/v3/lease/keepalive", b'{"ID":77}{"ID":78}')
    said = [await web.chunk() for _ in range(3)]
    await web.line(b"\r\n")

    assert (status, fields["Transfer-Encoding"]) == (200, "chunked")
    assert [one and one["result"].get("TTL") for one in said] == ["100", None, None]
    assert await page(web, "/livez") == (200, "ok\n")


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("kv/range", b"", 400, "etcdserver: key is not provided"),
        ("kv/range", b"{bad", 400, "Expecting property name"),
        ("kv/range", b"[]", 400, "RangeRequest: an object is expected"),
        ("kv/range", b'{"key":"!"}', 400, "key: illegal base64 data"),
        ("kv/range", b'{"key":1}', 400, "key: a string is expected"),
        ("kv/range", b'{"key":"YQ","limit":1.5}', 400, "limit: a number is expected"),
        ("kv/range", b'{"key":"YQ","limit":"99999999999999999999"}', 400, "limit: Value out of range"),
        ("kv/range", b'{"key":"YQ","serializable":1}', 400, "serializable: true or false is expected"),
        ("kv/txn", b'{"compare":{}}', 400, "compare: a list is expected"),
        ("kv/range", b"[" * 100_000, 400, "recursion"),
        ("kv/range", b"\xff", 400, "utf-8"),
        ("kv/range", b'{"key":"YQ==","revision":"99"}', 400, "etcdserver: mvcc: required revision is a future"),
        ("maintenance/transfer-leadership", b'{"targetID":1}', 400, "etcdserver: bad leader transferee"),
    ],
)
async def test_what_is_refused_in_json_has_a_reason(web: Web, path: str, body: bytes, status: int, text: str) -> None:
    refused, _, said = await web.ask("POST", f"/v3/{path}", body)

    assert refused == status
    assert text in json.loads(said)["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nope", 404), ("POST", "/v3/nope", 404), ("GET", "/v3/kv/range", 405), ("PUT", "/health", 405)],
)
async def test_what_is_not_there_is_refused_and_the_connection_goes_on(
    web: Web, method: str, path: str, status: int
) -> None:
    assert (await web.ask(method, path))[0] == status
    assert (await web.ask("HEAD", "/health"))[0] == 200
    assert await page(web, "/livez") == (200, "ok\n")


async def test_a_web_page_of_somewhere_else_reaches_nothing(web: Web) -> None:
    body = json.dumps({"key": b64(b"a"), "value": b64(b"1")}).encode()

    refused, _, _ = await web.ask("POST", "/v3/kv/put", body, "Origin: https://evil.example")

    assert refused == 403
    assert "count" not in (await web.json("kv/range", key=b64(b"a")))[1]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/9\r\n\r\n", 400),
        (b"GET http://x/ HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: 1\r\nA : 1\r\n\r\n", 400),
        (b"POST /v3/kv/put HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST /v3/kv/put HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /v3/kv/put HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"POST /v3/kv/put HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"A" * 20_000, 431),
    ],
)
async def test_what_is_no_request_is_answered_once_and_closed(
    house: Housed, web: Web, sent: bytes, status: int
) -> None:
    web.writer.write(sent)

    refused, _, _ = await web.answer()

    assert refused == status
    assert await asyncio.wait_for(web.reader.read(), 20) == b""
    assert sum(house.door.closed.values()) == 1


async def test_requests_that_come_together_or_in_pieces_are_answered_in_order(web: Web) -> None:
    for byte in b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\nGET /version HTTP/1.1\r\nHost: a\r\n\r\n":
        web.writer.write(bytes((byte,)))
        await web.writer.drain()
    web.writer.write(b"GET /nope HTTP/1.1\r\nHost: a\r\n\r\nGET /livez HTTP/1.0\r\n\r\n")

    bodies = [(await web.answer())[2] for _ in range(4)]

    assert [bodies[0], bodies[2], bodies[3]] == [b"ok\n", b"404 page not found\n", b"ok\n"]
    assert b"etcdserver" in bodies[1]
    assert await asyncio.wait_for(web.reader.read(), 20) == b""


async def test_a_body_that_waits_to_be_asked_for_is_asked_for(web: Web) -> None:
    body = b'{"key":"YQ=="}'
    head = f"POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
    web.writer.write(head.encode())

    asked = await web.line(b"\r\n\r\n")
    web.writer.write(body)

    assert asked == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (await web.answer())[0] == 200


async def test_a_body_may_come_in_chunks(web: Web) -> None:
    head = b"POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    web.writer.write(head + b'7\r\n{"key":\r\n7\r\n"YQ=="}\r\n0\r\n\r\nGET /livez HTTP/1.1\r\nHost: a\r\n\r\n')

    assert (await web.answer())[0] == 200
    assert (await web.answer())[2] == b"ok\n"


async def test_a_body_in_chunks_has_the_bound_of_any_other(web: Web) -> None:
    web.writer.write(b"POST /v3/kv/put HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n400001\r\n")
    web.writer.write(b"x" * 0x300001)

    assert (await web.answer())[0] == 413


async def test_a_watch_whose_client_is_gone_is_gone(house: Housed) -> None:
    async for web in opened(house):
        await web.ask("POST", "/v3/watch", b'{"create_request":{"key":"YQ=="}}')
        await web.chunk()

    for _ in range(1_000):
        await asyncio.sleep(0)
    assert not house.door._watches.streams
    assert not house.door.connections


async def test_every_url_calls_a_method_that_is_served(house: Housed) -> None:
    assert set(gateway.PATHS.values()) <= set(house.door.methods)


async def test_who_has_a_token_says_it_where_http_has_it(house: Housed, web: Web) -> None:
    await web.json("auth/user/add", name="root", password="root")
    await web.json("auth/role/add", name="root")
    await web.json("auth/user/grant", user="root", role="root")
    await web.json("auth/enable")

    refused, _ = await web.json("kv/range", key=b64(b"a"))
    _, given = await web.json("auth/authenticate", name="root", password="root")
    read, _, _ = await web.ask("POST", "/v3/kv/range", b'{"key":"YQ=="}', f"Authorization: {given['token']}")

    assert (refused, read) == (400, 200)


async def test_who_speaks_neither_is_told_as_before(house: Housed) -> None:
    async for web in opened(house):
        web.writer.write(b"\0\1\2 garbage\r\n\r\n" * 10)
        assert b"this is no HTTP/2" in await asyncio.wait_for(web.reader.read(), 20)
