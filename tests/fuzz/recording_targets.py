"""Files of runs, damaged in any way: recordings of a world, and tapes of one actor, are refused in words or read."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from actorkube.runtime.tape import TapeHeader, TapeWriter, pack_value
from actorkube.sim.recording import BadRecording, Header, Recorder, Recording
from actorkube.sim.solo import read_tape, show
from actorkube.sim.trace import Trace
from protocols.errors import BadRequest
from protocols.message import Done


def recording(data: bytes) -> None:
    _read(data, lambda path: list(Recording(path).entries()))


def tape(data: bytes) -> None:
    """Each entry can be shown to people."""
    _read(data, lambda path: [show(entry) for entry in read_tape(path)[1]])


def _read(data: bytes, read: Callable[[Path], object]) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            read(Path(file.name))
        except BadRecording as error:
            assert file.name in str(error)


RECORDING_TARGETS: dict[str, Callable[[bytes], None]] = {"recording": recording, "tape": tape}


def recording_seeds(target: str) -> list[bytes]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / target
        (_record if target == "recording" else _tape)(path)
        return [path.read_bytes(), b"", msgspec.msgpack.encode({"format": "actorkube trace", "version": 99})]


def _record(path: Path) -> None:
    trace = Trace()
    recorder = Recorder(path, trace, Header(seed=1))
    for number in range(3):
        trace.note(float(number), number, "x")
    recorder.close()


def _tape(path: Path) -> None:
    writer = TapeWriter(path, TapeHeader(address="s/a", seed=1, incarnation=0), lambda: 1.5)
    writer.put("start")
    writer.put("message", 1, "s/b", *pack_value(Done())[1:])
    writer.put("reply", 1, pack_value(BadRequest("no")))
    writer.close()
