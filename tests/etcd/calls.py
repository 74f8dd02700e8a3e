"""The same calls of etcd's API, byte for byte what they are told to say, for two stores: ours and a real etcd.

    with both(...) as pair:
        assert not await pair.differ([call("KV/Put", key=b"a"), ...])

What belongs to one store alone does not count as a difference: numbers of clusters, members and terms, hashes, tokens.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf import text_format

from actors.etcd.actor import EtcdConfig
from actors.etcd.grpc.messages import message
from tests.etcd.grpc_client import Client, Failed, Stream, calling, housed, request
from tests.etcd.real_etcd import real_etcd

ME = 0xFEED  # in a request: the number of the member that is asked; in an answer, too
ANSWER_WITHIN_S = 20.0
OWN = re.compile(r'\b((?:cluster_id|member_id|raft_term|hash|hash_revision): \d+|token: "[^"]*") ?')
WITHOUT_HEADER = (
    "Maintenance/Alarm",
    "Maintenance/Defragment",
)  # of etcd 3.4; newer ones have it where it is filled in
_REQUESTS = {"Compact": "Compaction"}


class Call(NamedTuple):
    path: str
    request: Any


def call(path: str, /, **fields: Any) -> Call:
    """call("KV/Put", key=b"a")"""
    service, method = path.split("/")
    stem = _REQUESTS.get(method, method)
    prefix = "Auth" if service == "Auth" and not stem.startswith("Auth") else ""
    return Call(path, request(prefix + stem, **fields))


Script = Sequence[tuple[Any, int]]  # what is said to a stream of watches, or a call beside it; how many answers follow


class Side:
    """One of the two, as its client sees it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._member = 0

    async def begin(self) -> None:
        self._member = (await self._client.call("Cluster/MemberList", request("MemberList"))).header.member_id

    async def ask(self, asked: Call, token: str = "") -> str:
        if getattr(asked.request, "memberID", 0) == ME:
            asked.request.memberID = self._member
        try:
            answer = await self._client.call(asked.path, asked.request, token)
        except Failed as failed:
            return f"{failed.code} {failed.text}"
        finally:
            if getattr(asked.request, "memberID", 0) == self._member:
                asked.request.memberID = ME
        if asked.path in WITHOUT_HEADER:
            answer.ClearField("header")
        return self.plain(answer)

    async def token(self, name: str, password: str) -> str:
        said = await self._client.call("Auth/Authenticate", request("Authenticate", name=name, password=password))
        return str(said.token)

    def watch(self) -> Stream:
        return self._client.stream("Watch/Watch", "WatchResponse")

    def plain(self, answer: Any) -> str:
        text = OWN.sub("", text_format.MessageToString(answer, as_one_line=True))
        text = text.replace("header { }", "").replace(f"memberID: {self._member}", "memberID: ME")
        return " ".join(text.split())


class Pair:
    def __init__(self, theirs: Side, ours: Side) -> None:
        self.theirs = theirs
        self.ours = ours

    async def differ(self, calls: Sequence[Call], user: tuple[str, str] | None = None) -> dict[str, tuple[str, str]]:
        """Those calls that the two answer differently: what a real etcd says, what ours says."""
        tokens = [await side.token(*user) if user else "" for side in (self.theirs, self.ours)]
        found = {}
        for asked in calls:
            said = (await self.theirs.ask(asked, tokens[0]), await self.ours.ask(asked, tokens[1]))
            if said[0] != said[1]:
                found[f"{asked.path} {text_format.MessageToString(asked.request, as_one_line=True)}"[:300]] = said
        return found

    async def watches_differ(self, script: Script) -> dict[str, tuple[list[str], list[str]]]:
        """The steps at which two streams of watches are told different things, whichever watch is told first."""
        sides = [(side, side.watch()) for side in (self.theirs, self.ours)]
        found = {}
        for number, (step, count) in enumerate(script):
            told = []
            for side, stream in sides:
                if isinstance(step, Call):
                    await side.ask(step)
                else:
                    stream.send(step)
                responses = [await stream.next() for _ in range(count)]
                responses.sort(key=lambda response: response.watch_id)  # of one watch, they keep their order
                told.append([side.plain(response) for response in responses])
            if told[0] != told[1]:
                found[f"step {number}"] = (told[0], told[1])
        return found


@contextlib.asynccontextmanager
async def both(path: Path) -> AsyncIterator[Pair]:
    """Which begin empty, and are told the same from then on."""
    keeps_alarms = EtcdConfig(housekeeping_s=3_600.0)  # ours ends one for want of room itself, where there is room
    async with contextlib.AsyncExitStack() as stack:
        etcd = stack.enter_context(real_etcd(path / "etcd"))
        house = await stack.enter_async_context(housed(path / "store", keeps_alarms))
        ports = (int(etcd.url.rpartition(":")[2]), house.port)
        theirs, ours = [Side(await stack.enter_async_context(calling(port))) for port in ports]
        async with asyncio.timeout(ANSWER_WITHIN_S):
            await theirs.begin()
            await ours.begin()
        yield Pair(theirs, ours)


# -- what is asked ------------------------------------------------------------------------------------------------


def part(name: str, /, **fields: Any) -> Any:
    return message(f"etcdserverpb.{name}")(**fields)


def put(**fields: Any) -> Any:
    return part("RequestOp", request_put=request("Put", **fields))


def get(**fields: Any) -> Any:
    return part("RequestOp", request_range=request("Range", **fields))


def delete(**fields: Any) -> Any:
    return part("RequestOp", request_delete_range=request("DeleteRange", **fields))


def within(compare: Sequence[Any] = (), success: Sequence[Any] = (), failure: Sequence[Any] = ()) -> Any:
    return part("RequestOp", request_txn=request("Txn", compare=compare, success=success, failure=failure))


def compare(**fields: Any) -> Any:
    return part("Compare", **fields)


def txn(compare: Sequence[Any] = (), success: Sequence[Any] = (), failure: Sequence[Any] = ()) -> Call:
    return call("KV/Txn", compare=compare, success=success, failure=failure)


def permission(kind: int, key: bytes, range_end: bytes = b"") -> Any:
    return message("authpb.Permission")(permType=kind, key=key, range_end=range_end)
