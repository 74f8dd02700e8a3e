"""A replica set in any world, clients that remember what they were told, and whether all of it fits one history.

The check uses revisions. The store's own event history says what happened at each revision; every answer that a client
got must fit it, and revisions must not go back in real time. That is linearizability, in one sorted pass.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from actorkube.runtime import System
from actorkube.sim.loop import SimLoop
from actorkube.testing import World
from actors.etcd.actor import Etcd, EtcdConfig
from protocols.errors import Answer, AskError, NotSent
from protocols.etcd import (
    Compare,
    Event,
    NoSpace,
    NotLeader,
    Op,
    Range,
    RangeResponse,
    Status,
    StatusResponse,
    Txn,
    TxnResponse,
    WatchKeys,
)
from protocols.etcd_members import MemberList
from protocols.message import Request

R = TypeVar("R")

QUICK = EtcdConfig(
    heartbeat_s=0.03,
    election_s=(0.15, 0.3),
    housekeeping_s=0.05,
    segment_bytes_max=2_000,
    snapshot_log_bytes=3_000,
    entries_kept=5,
    piece_bytes_max=700,
)
MEMBERS = ("etcd-0", "etcd-1", "etcd-2")


class NoAnswer(Exception):
    """Nobody can say whether it happened."""


class Answered(NamedTuple):
    """Something a client was told, and when. `kind` is write, delete, refused (a compare failed) or read."""

    began: float
    ended: float
    kind: str
    revision: int
    key: bytes
    value: bytes | None  # what was written, or was found


@dataclass
class History:
    answers: list[Answered] = field(default_factory=list)
    maybe: list[bytes] = field(default_factory=list)  # values of writes that may have happened

    def check(self, events: list[Event]) -> None:
        """`events` are all that the store says ever happened, in order."""
        past = Past(events)
        written = {event.kv.mod_revision: event for event in events}
        values = [event.kv.value for event in events if event.type == "put"]
        assert len(set(values)) == len(values), "a write happened twice"
        acknowledged = {a.value for a in self.answers if a.kind == "write"}
        strangers = set(values) - acknowledged - set(self.maybe)
        assert not strangers, f"nobody was told of {strangers}, or that it may have happened"
        for answer in self.answers:
            if answer.kind == "write":
                event = written.get(answer.revision)
                assert event is not None and event.kv.value == answer.value, f"acknowledged, but lost: {answer}"
            elif answer.kind == "delete":
                assert event_is_deletion(written.get(answer.revision), answer.key), f"acknowledged, but lost: {answer}"
            else:
                assert answer.value == past.value_at(answer.key, answer.revision), f"never was so: {answer}"
        self._check_real_time()

    def _check_real_time(self) -> None:
        """Whoever asks after somebody was told a revision is told that one or a later one."""
        told: list[tuple[float, int]] = sorted((answer.ended, answer.revision) for answer in self.answers)
        newest, position = 0, 0
        for answer in sorted(self.answers, key=lambda a: a.began):
            while position < len(told) and told[position][0] < answer.began:
                newest = max(newest, told[position][1])
                position += 1
            assert answer.revision >= newest, f"{answer} came after revision {newest} was told"
            assert answer.kind not in ("write", "delete") or answer.revision > newest, f"{answer} is not new"


def event_is_deletion(event: Event | None, key: bytes) -> bool:
    return event is not None and event.type == "delete" and event.kv.key == key


def value_at(events: list[Event], key: bytes, revision: int) -> bytes | None:
    return Past(events).value_at(key, revision)


class Past:
    """What each key was at each revision, by all events there have been, in order."""

    def __init__(self, events: list[Event]) -> None:
        self._events: dict[bytes, list[Event]] = {}
        for event in events:
            self._events.setdefault(event.kv.key, []).append(event)

    def value_at(self, key: bytes, revision: int) -> bytes | None:
        events = self._events.get(key, [])
        found = bisect_right(events, revision, key=lambda event: event.kv.mod_revision)
        return events[found - 1].kv.value if found and events[found - 1].type == "put" else None


class Client:
    """Asks the leader, looks for it when it moved, never asks twice what may have happened."""

    def __init__(
        self, system: System, history: History | None = None, name: str = "", members: Sequence[str] = MEMBERS
    ) -> None:
        """`members` are asked in turn for the leader; whom a leader names is asked, too."""
        self.system = system
        self.members = members
        self.history = history or History()
        self._name = name
        self._at = 0
        self._leader = ""
        self._writes = 0

    async def ask(self, request: Request[R], within_s: float = 5.0) -> R:
        """Raises NoAnswer when it may have happened, TimeoutError when it has not. Of real time it takes ten times as
        much: how busy a machine is decides no test."""
        loop = asyncio.get_running_loop()
        times = 1.0 if isinstance(loop, SimLoop) else 10.0
        end = loop.time() + within_s * times
        while loop.time() < end:
            ref = self.system.ref(f"{self._leader or self.members[self._at]}/etcd")
            try:
                return await self.system.ask(ref, request, timeout_s=min(times, end - loop.time()))
            except NotLeader as refusal:
                self._follow(refusal.details["leader"])
            except NotSent:
                self._follow("")
            except AskError as error:
                self._follow("")
                if not isinstance(request, Range | MemberList):
                    raise NoAnswer from error
            await asyncio.sleep(0.02)
        raise TimeoutError("nobody led")

    def turn_to(self, member: str) -> None:
        """Ask this one next."""
        self._leader = member

    def _follow(self, leader: str) -> None:
        self._leader = leader.partition("/")[0]
        if not leader:
            self._at = (self._at + 1) % len(self.members)

    async def put(self, key: bytes, compare: tuple[Compare, ...] = ()) -> bool:
        """Write a value that nobody else writes, and remember the answer. Whether it was acknowledged."""
        self._writes += 1
        value = f"{self._name}:{self._writes}".encode()
        began = self.system.now
        try:
            response = await self.ask(Txn(compare, (Op("put", key, value),), (Op("range", key),)))
        except NoAnswer:
            self.history.maybe.append(value)
            return False
        except (TimeoutError, NoSpace):
            return False
        self._remember(began, key, value, response)
        return response.succeeded

    async def delete(self, key: bytes) -> None:
        began = self.system.now
        try:
            response = await self.ask(Txn((), (Op("delete", key),)))
        except (NoAnswer, TimeoutError):
            return
        kind = "delete" if response.responses[0].count else "read"
        self.history.answers.append(Answered(began, self.system.now, kind, response.revision, key, None))

    def _remember(self, began: float, key: bytes, value: bytes, response: TxnResponse) -> None:
        now = self.system.now
        if response.succeeded:
            self.history.answers.append(Answered(began, now, "write", response.revision, key, value))
        else:
            kvs = response.responses[0].kvs
            found = kvs[0].value if kvs else None
            self.history.answers.append(Answered(began, now, "refused", response.revision, key, found))

    async def get(self, key: bytes) -> RangeResponse | None:
        began = self.system.now
        try:
            response = await self.ask(Range(key))
        except (NoAnswer, TimeoutError):
            return None
        found = response.kvs[0].value if response.kvs else None
        self.history.answers.append(Answered(began, self.system.now, "read", response.revision, key, found))
        return response


# -- the replica set --------------------------------------------------------------------------------------------------


async def boot(world: World, config: EtcdConfig = QUICK, members: tuple[str, ...] = MEMBERS) -> System:
    """Members, and a system for clients, which is returned."""
    peers = {member: f"{member}/etcd" for member in members}
    for member in members:
        await world.boot(member, lambda system, member=member: _spawn(system, member, peers, config))  # type: ignore[misc]
    return await world.boot("client", listens=False)


async def boot_joining(world: World, member: str, config: EtcdConfig = QUICK, some: Sequence[str] = MEMBERS) -> None:
    """A member with an empty directory that knows only where some others are."""
    peers = {other: f"{other}/etcd" for other in some}
    await world.boot(member, lambda system: _spawn(system, member, peers, config, joins=True))


def _spawn(system: System, member: str, peers: dict[str, str], config: EtcdConfig, *, joins: bool = False) -> None:
    system.spawn(lambda: Etcd(member, peers, config, joins=joins), "etcd")


async def status(client: System, member: str) -> StatusResponse | None:
    try:
        return await client.ask(client.ref(f"{member}/etcd"), Status(), timeout_s=1.0)
    except AskError:
        return None


async def leader(client: System, world: World, members: Sequence[str] = MEMBERS) -> str:
    """The member that leads, as soon as those that are up agree on one."""
    found = ""

    async def agreed() -> bool:
        nonlocal found
        said = [await status(client, member) for member in members if world.is_up(member)]
        names = {answer.leader if answer is not None else "" for answer in said}
        found = names.pop().partition("/")[0] if len(names) == 1 else ""
        return bool(found)

    await world.until(agreed)
    return found


async def events_of(client: System, member: str, revision: int, start: int = 1) -> list[Event]:
    """All events up to `revision`, as one member tells them."""
    return [event async for event in watch(client, member, start, revision)]


async def watch(client: System, member: str, start: int, end: int, key: bytes = b"\0") -> AsyncIterator[Event]:
    """Events from one revision to another of one key, or of all. Ends early with the stream's error."""
    ref = client.ref(f"{member}/etcd")
    range_end = b"\0" if key == b"\0" else b""
    async with client.stream(ref, WatchKeys(key, range_end, start), window=4) as stream:
        async for response in stream:
            for event in response.events:
                if event.kv.mod_revision <= end:
                    yield event
            if response.revision >= end:
                return


async def converged(client: System, members: Sequence[str] = MEMBERS) -> int | None:
    """The revision at which all members are, or None if they are not equal."""
    answers = []
    for member in members:
        ref = client.ref(f"{member}/etcd")
        try:
            answers.append(await client.ask(ref, Range(b"\0", b"\0", serializable=True), timeout_s=1.0))
        except (AskError, Answer):
            return None
    return answers[0].revision if answers[1:] == answers[:-1] else None
