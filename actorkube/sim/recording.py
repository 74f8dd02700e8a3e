"""Recordings: a run's trace as a file, and a run that follows one.

A file is a run of MessagePack values: a header (which scenario, seed and options made it, by which version), then
arrays of trace entries as they happened, and a trailer with their number and hash. It is bounded: past `bytes_max` the
entries stop, and the trailer says so. A file without a trailer is of a run that was killed: it is good as far as it
goes.
"""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, cast

import msgpack
import msgspec

from actorkube.sim.errors import SimulationError
from actorkube.sim.scenarios import find
from actorkube.sim.trace import Difference, Entry, Trace, encode, first_difference

FORMAT, VERSION = "actorkube trace", 1
RECORDING_BYTES_MAX = 256 << 20
ENTRIES_BYTES_MAX = 64 << 20  # of one array


class BadRecording(Exception):
    """The file is not a recording that this version can read. The message says what is wrong with it."""


class Diverged(SimulationError):
    """A run that follows a recording did something else. `difference` says what."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(f"the run is not the recorded one (-), but (+), from {difference}")
        self.difference = difference


class Header(msgspec.Struct, frozen=True, kw_only=True):
    seed: int | str
    scenario: str = ""  # by which name the run can be had again; empty when it has none
    options: dict[str, Any] = {}  # of the scenario
    package: str = ""
    python: str = ""
    format: str = FORMAT
    version: int = VERSION


class Trailer(msgspec.Struct, frozen=True, kw_only=True):
    count: int
    hash: str
    complete: bool


class Recorder:
    """Writes what a trace says into a file."""

    def __init__(self, path: Path, trace: Trace, header: Header, bytes_max: int = RECORDING_BYTES_MAX) -> None:
        from actorkube import __version__

        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb")
        self._trace = trace
        self._left = bytes_max
        self._file.write(encode(msgspec.structs.replace(header, package=__version__, python=platform.python_version())))
        trace.listeners.append(self._write)

    def close(self) -> None:
        if not self._file.closed:
            hashed = self._trace.hash
            self._file.write(encode(Trailer(count=self._trace.count, hash=hashed, complete=self._left >= 0)))
            self._file.close()

    def _write(self, entries: Sequence[Entry], encoded: bytes) -> None:
        if self._left >= 0:
            self._left -= len(encoded)
            if self._left >= 0 and not self._file.closed:
                self._file.write(encoded)


class Recording:
    """A file, read as a stream: a recording may be larger than memory."""

    def __init__(self, path: Path) -> None:
        """Raises BadRecording."""
        self.path = path
        self.trailer: Trailer | None = None  # known when all entries have been read
        self.header = self._read_header()

    def entries(self) -> Generator[Entry, None, None]:
        """All entries, once. Raises BadRecording when it comes to what is damaged."""
        with self.path.open("rb") as file:
            values = _unpacker(file)
            self._next(values)
            while isinstance(value := self._next(values), list):
                yield from (self._entry(given) for given in value)
            if value is not None:
                self.trailer = self._convert(value, Trailer)

    def _read_header(self) -> Header:
        try:
            with self.path.open("rb") as file:
                value = self._next(_unpacker(file))
        except OSError as error:
            raise BadRecording(f"{self.path}: {error.strerror}") from error
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise BadRecording(f"{self.path} is not a recording of a simulation")
        if value.get("version") != VERSION:
            raise BadRecording(f"{self.path} has format version {value.get('version')}; this package reads {VERSION}")
        return cast(Header, self._convert(value, Header))

    def _next(self, values: msgpack.Unpacker) -> Any:
        """The next value; None at the end, and where a killed run left half of one."""
        try:
            return values.unpack()
        except msgpack.OutOfData:
            return None
        except (msgpack.UnpackException, ValueError) as error:
            raise BadRecording(f"{self.path} is damaged at byte {values.tell()}: {error!r}") from error

    def _entry(self, given: Any) -> Entry:
        return cast(Entry, self._convert(given, Entry))

    def _convert(self, given: Any, kind: Any) -> Any:
        try:
            return msgspec.convert(given, kind)
        except msgspec.ValidationError as error:
            raise BadRecording(f"{self.path} is damaged: {error}") from error


def _unpacker(file: Any) -> msgpack.Unpacker:
    return msgpack.Unpacker(file, max_buffer_size=ENTRIES_BYTES_MAX)


class Follower:
    """Compares a run with a recording as it goes, and reports the first difference, once."""

    def __init__(self, recording: Recording, trace: Trace, report: Callable[[Diverged], None]) -> None:
        self._recorded = recording.entries()
        self._recording = recording
        self._report = report
        self._before: list[Entry] = []
        self._number = 0
        self._parted = False
        trace.batch = 1  # to stop at once
        trace.listeners.append(self._compare)

    def finish(self) -> None:
        """The run has ended: so must the recording have, unless it was cut short."""
        rest = None if self._parted else next(self._recorded, None)
        if rest is not None:
            self._part(rest, None)

    def close(self) -> None:
        self._recorded.close()

    def _compare(self, entries: Sequence[Entry], encoded: bytes) -> None:
        for entry in entries:
            if self._parted:
                return
            recorded = next(self._recorded, None)
            trailer = self._recording.trailer
            if recorded is None and (trailer is None or not trailer.complete):
                self._parted = True  # the recording was cut short: nothing more to compare with
            elif recorded != entry:
                self._part(recorded, entry)
            self._number += 1
            self._before = [*self._before, entry][-3:]

    def _part(self, recorded: Entry | None, entry: Entry | None) -> None:
        self._parted = True
        self._report(Diverged(Difference(self._number + 1, self._before, recorded, entry)))


def compare(one: Path, other: Path) -> Difference | None:
    """Where two recordings part; None when they say the same. Raises BadRecording."""
    for recording in (Recording(one), Recording(other)):
        with contextlib.suppress(Exception):  # for the names of its messages: without it, they are numbers
            find(recording.header.scenario)
    return first_difference(Recording(one).entries(), Recording(other).entries())
