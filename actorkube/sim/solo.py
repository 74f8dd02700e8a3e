"""One actor alone: a tape is played to a fresh instance, and its decisions are compared with those on the tape.

    replay_actor(Path("counter.tape"), Counter)

No network, no other actor, no real time: the tape says what enters and when, also which task goes on next. The first
decision that differs ends it with `Diverged`; so a recording of a live system becomes a regression test of one actor.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from contextvars import Context
from pathlib import Path
from typing import Any

import msgpack
import msgspec

from actorkube.runtime.actor import Actor, Ref
from actorkube.runtime.cell import Cell
from actorkube.runtime.envelope import Envelope, Opening
from actorkube.runtime.link import Link, Transport
from actorkube.runtime.log import Quiet
from actorkube.runtime.system import System
from actorkube.runtime.tape import FORMAT, VERSION, Entry, TapeHeader, unpack_value
from actorkube.runtime.taped import TapedFuture, with_tape
from actorkube.sim.errors import SimulationError
from actorkube.sim.loop import SimLoop
from actorkube.sim.recording import BadRecording
from protocols.address import Address
from protocols.message import Lane, Message, Streaming, decode, name_of

ENTRY_BYTES_MAX = 64 << 20
CREDIT = 1 << 30  # to a generator; whether it may go on is on the tape
STEPS_MAX = 10_000  # of the loop for one entry


class TapeDiverged(SimulationError):
    """The actor did not decide what is on the tape. The message shows the entries before, and both."""

    def __init__(self, number: int, before: list[Entry], recorded: Entry | None, found: Entry | None) -> None:
        lines = [f"  {show(entry)}" for entry in before]
        lines += [f"- {show(recorded)}", f"+ {show(found)}"]
        super().__init__("\n".join([f"the actor does not decide what is on the tape, from entry {number}:", *lines]))
        self.number = number
        self.recorded = recorded
        self.found = found


def replay_actor(path: Path, factory: Callable[[], Actor]) -> int:
    """Play a tape to the end; the number of entries. Raises TapeDiverged and BadRecording."""
    header, entries = read_tape(path)
    loop = SimLoop()
    player = Player(header, entries, loop)
    loop.on_unhandled = player.failed
    try:
        loop.run_until_complete(player.play(factory))
    finally:
        loop.close()
    return player.number


def read_tape(path: Path) -> tuple[TapeHeader, list[Entry]]:
    """Raises BadRecording. Half an entry at the end, as a killed process leaves it, is left out."""
    values = _values(path)
    header = next(values, None)
    if not isinstance(header, dict) or header.get("format") != FORMAT or header.get("version") != VERSION:
        raise BadRecording(f"{path} is not a tape of format version {VERSION}")
    entries = [_frozen(value) for value in values]
    for entry in entries:
        if not (isinstance(entry, tuple) and [type(part) for part in entry[:2]] == [float, str]):
            raise BadRecording(f"{path} is damaged: {entry!r} is no entry")
    try:
        return msgspec.convert(header, TapeHeader), entries
    except msgspec.ValidationError as error:
        raise BadRecording(f"{path} is damaged: {error}") from error


def _values(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as file:
            yield from msgpack.Unpacker(file, max_buffer_size=ENTRY_BYTES_MAX)
    except OSError as error:
        raise BadRecording(f"{path}: {error.strerror}") from error
    except (msgpack.UnpackException, ValueError) as error:
        raise BadRecording(f"{path} is damaged: {error!r}") from error


def _frozen(value: Any) -> Any:
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value


def show(entry: Entry | None) -> str:
    """An entry as a line for people: time, kind, details, with messages by name."""
    if entry is None:
        return "(nothing)"
    now, kind, *details = entry
    return f"{now:.6f} {kind} {' '.join(_show(detail) for detail in details)}"


def _show(detail: Any) -> str:
    if isinstance(detail, tuple) and len(detail) == 2 and detail[0] == "error" and isinstance(detail[1], bytes):
        return repr(unpack_value(detail))
    if isinstance(detail, tuple):
        return f"({' '.join(_show(each) for each in detail)})"
    if isinstance(detail, bytes):
        return f"{detail[:24].hex()}{'...' * (len(detail) > 24)}"
    if isinstance(detail, int) and not isinstance(detail, bool) and not name_of(detail).startswith("message "):
        return name_of(detail)
    return str(detail)


class Player:
    """A tape that is played: it lets in what entered, and compares what is decided (see `Tape`)."""

    live = False

    def __init__(self, header: TapeHeader, entries: list[Entry], loop: SimLoop) -> None:
        self.now = entries[0][0] if entries else 0.0
        self.number = 0  # entries that have been played
        self._header = header
        self._entries = entries
        self._loop = loop
        self._futures: dict[int, TapedFuture] = {}
        self._tasks: list[asyncio.Task[Any]] = []
        self._held: dict[tuple[str, int], list[tuple[Callable[[], Any], Context | None]]] = {}
        self._address = Address.parse(header.address)

    async def play(self, factory: Callable[[], Actor]) -> None:
        system = System(self._address.system, Nowhere(), seed=self._header.seed, epoch=0.0, log=Quiet())
        await system.start()
        cell = self._spawn(system, lambda: with_tape(factory(), lambda _: self, self._header.incarnation))
        while self.number < len(self._entries):
            number = self.number
            await self._let_in(self._entries[number], cell)
            await self._settle()
            if self.number == number:
                raise self._diverged(None)

    def _spawn(self, system: System, factory: Callable[[], Actor]) -> Cell:
        """As it began: started, or in the place of another one."""
        match self._entries[:1]:
            case [(_, "takeover", type_id, body)]:
                state = decode(type_id, body)
                ref = system.spawn(lambda: Predecessor(state), self._address.actor, shutdown_s=math.inf)
                self._tasks.append(self._loop.create_task(system.replace(self._address.actor, factory)))
            case _:
                ref = system.spawn(factory, self._address.actor)
        return system._cells[ref.actor_id]

    # -- as the actor sees it -------------------------------------------------------------------------------------

    def put(self, *entry: Any) -> None:
        recorded = self._next()
        found = (self.now, *_frozen(_plain(entry)))
        if recorded is None:
            return  # the tape is over: whatever follows was not recorded
        if recorded[1:] != found[1:]:
            raise self._fail(self._diverged(found))
        self.number += 1

    def value(self, ask: Callable[[], Any]) -> Any:
        recorded = self._next()
        if recorded is None or recorded[1] != "value":
            raise self._fail(self._diverged((self.now, "value")))
        self.number += 1
        value = unpack_value(recorded[2])
        if isinstance(value, BaseException):
            raise value
        return list(value) if isinstance(value, tuple) else value

    def enter(self, kind: str, number: int, code: Callable[[], Any], context: Context | None = None) -> None:
        self._held.setdefault((kind, number), []).append((code, context))

    def gate(self, number: int) -> TapeGate:
        gate = TapeGate(self._loop)
        self.enter("step", number, gate.open)
        return gate

    def await_(self, number: int, future: TapedFuture) -> None:
        self._futures[number] = future

    def close(self) -> None:
        return

    # -- what enters ----------------------------------------------------------------------------------------------

    async def _let_in(self, entry: Entry, cell: Cell) -> None:
        await asyncio.sleep(max(0.0, entry[0] - self.now))  # past `ctx` it may have timers of its own
        self.now = entry[0]
        match entry[1:]:
            case ("start",) | ("takeover", _, _):
                return  # it has been spawned
            case ("handover", _):
                self._tasks.append(self._loop.create_task(cell.actor.on_handover(), context=cell.context.copy()))
            case ("message", _, sender, type_id, body):
                message = decode(type_id, body)
                source = Ref(Address.parse(sender)) if sender else None
                if isinstance(message, Streaming):
                    cell.deliver(_opening(source, type_id, body, cell))
                else:
                    cell.deliver(Envelope(message, source, None, math.inf))
            case ("resolved", number, value):
                self.number += 1
                future = self._futures.pop(number, None)
                if future is not None and not future.done():
                    future.resolve(unpack_value(value))
            case ("called", number):
                code, _ = self._take("called", number)
                self._loop.call_soon(cell.guarded, code, context=cell.context)
            case (("woke" | "step") as kind, number):
                code, context = self._take(kind, number)
                self._loop.call_soon(code, context=context)
            case ("stop",):
                await cell.stop()
            case _:
                raise self._diverged(None)  # a decision that the actor has not made

    def _take(self, kind: str, number: int) -> tuple[Callable[[], Any], Context | None]:
        codes = self._held.get((kind, number))
        if not codes:
            raise self._diverged(None)  # the actor does not wait for that
        self.number += 1
        return codes.pop(0)

    async def _settle(self) -> None:
        """Until all that follows has happened: the loop has nothing to do but us."""
        for _ in range(STEPS_MAX):
            before = self._loop.steps
            await asyncio.sleep(0)
            if self._loop.steps == before + 1:
                return
        raise SimulationError(f"the actor never comes to rest after entry {self.number}")

    def failed(self, context: dict[str, Any]) -> None:
        """An exception that nobody looks at."""
        error = context.get("exception")
        if isinstance(error, TapeDiverged):
            self._fail(error)

    def _next(self) -> Entry | None:
        return self._entries[self.number] if self.number < len(self._entries) else None

    def _diverged(self, found: Entry | None) -> TapeDiverged:
        before = self._entries[max(0, self.number - 3) : self.number]
        return TapeDiverged(self.number + 1, before, self._next(), found)

    def _fail(self, error: TapeDiverged) -> TapeDiverged:
        if self._loop.failure is None:
            self._loop.failure = error
        return error


class TapeGate:
    """Where a task of a played actor waits until the tape comes to its next step."""

    def __init__(self, loop: SimLoop) -> None:
        self.is_open = False
        self._loop = loop
        self._waiting: asyncio.Future[None] | None = None

    def wait(self) -> asyncio.Future[None]:
        self._waiting = self._loop.create_future()
        return self._waiting

    def open(self) -> None:
        self.is_open = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def _opening(source: Ref | None, type_id: int, body: bytes, cell: Cell) -> Opening:
    return Opening(None, source, None, math.inf, type_id, body, cell, Nobody(), 1, credit=CREDIT)


def _plain(entry: Any) -> Any:
    """As it comes back from the tape."""
    return msgpack.unpackb(msgspec.msgpack.encode(entry), strict_map_key=False)


class Predecessor(Actor):
    """Hands over what the played actor was given when it was recorded."""

    def __init__(self, state: Message) -> None:
        self._state = state

    async def on_handover(self) -> Message:
        return self._state


class Nobody(Link):
    """The other end of a stream that a played actor feeds."""

    def __init__(self) -> None:
        super().__init__("nobody")

    def send(self, kind: int, type_id: int, target: int, sender: int, corr: int, number: int, body: bytes) -> bool:
        return True


class Nowhere(Transport):
    """A played actor reaches nobody."""

    async def start(self, system: System) -> None:
        return

    def link(self, peer: str, lane: Lane) -> Link | None:
        return None

    async def stop(self) -> None:
        return
