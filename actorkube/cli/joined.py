"""Who has joined a cluster on its own machine: their processes can be named in faults, as those of the cluster itself.

A run of `actorkube run` says so in a file of its own in the cluster's data directory. Who may not write there, because
it is another user's or another machine's, is not listed: then only what the API server hears of it can be cut off.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from actorkube.cli.data import JOINED, LOCK, cluster_name, write_private
from actorkube.cli.join import Join


class Joined(msgspec.Struct, frozen=True):
    """One run: where its data are, its hosts, and its processes by name (a host, or what is above all of them)."""

    data: str
    hosts: tuple[str, ...]
    pids: dict[str, int] = {}


def begin_joined(data: Path) -> None:
    """Nobody has joined a cluster that starts: its address is another one than before."""
    shutil.rmtree(data / JOINED, ignore_errors=True)
    (data / JOINED).mkdir(mode=0o700)


def joined(data: Path) -> list[Joined]:
    """Those that run now."""
    return [run for file in sorted((data / JOINED).glob("*.json")) for run in _read(file) if _runs(Path(run.data))]


def home_of(join: Join) -> Path | None:
    """The data directory of the cluster that wrote the join file, where that is one of ours."""
    home = Path(join.data)
    try:
        key = (home / "cluster.key").read_text()
        is_it = bool(join.data) and cluster_name(bytes.fromhex(key)) == join.cluster
        return home if is_it and (home / JOINED).is_dir() else None
    except (OSError, ValueError):
        return None


class Listing:
    """What one run says of itself, until `end`; `home` is the cluster's data directory, None where it is elsewhere."""

    def __init__(self, home: Path | None, name: str, data: Path, hosts: list[str]) -> None:
        self._file = home / JOINED / f"{name}.json" if home is not None else None
        self._joined = Joined(str(data.absolute()), tuple(hosts), {name: os.getpid()})

    def note(self, child: str, facts: Mapping[str, Any]) -> None:
        """What a supervisor hears of its children."""
        pids = self._joined.pids
        match facts:
            case {"event": "started", "pid": pid}:
                self._say({**pids, child: pid})
            case {"event": "exited"}:
                self._say({name: pid for name, pid in pids.items() if name != child})

    def end(self) -> None:
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def _say(self, pids: dict[str, int]) -> None:
        self._joined = msgspec.structs.replace(self._joined, pids=pids)
        if self._file is not None and self._file.parent.is_dir():  # else the cluster has ended, with its directory
            write_private(self._file, msgspec.json.encode(self._joined))


def _read(file: Path) -> Iterator[Joined]:
    try:
        yield msgspec.json.decode(file.read_bytes(), type=Joined)
    except FileNotFoundError:  # it ended meanwhile
        return


def _runs(data: Path) -> bool:
    """A run that was killed could not take its file away, but it does not hold its data directory any more."""
    try:
        with (data / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
