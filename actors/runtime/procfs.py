"""What Linux tells about processes in /proc: parents, start times, and which container a process belongs to.

A process belongs to the container whose id is in the environment it was started with; that survives forks, new
sessions and the death of its parents. (A program that wipes its environment on purpose can hide.) Elsewhere than on
Linux there is no /proc, and every answer here is "nothing".
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from actors.runtime.launch import CONTAINER_ID

_PROC = Path("/proc")
_MARK = f"\0{CONTAINER_ID}=".encode()
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class ProcessStat(NamedTuple):
    parent: int
    zombie: bool
    start_ticks: int
    cpu_ns: int
    resident_bytes: int


def process_stat(pid: int) -> ProcessStat | None:
    """None when there is no such process (any more)."""
    text = _read(_PROC / str(pid) / "stat")
    if not text:
        return None
    fields = text[text.rindex(b")") + 2 :].split()  # the name may contain anything; fields[0] is the third, state
    cpu_ns = (int(fields[11]) + int(fields[12])) * 1_000_000_000 // _TICKS
    return ProcessStat(int(fields[1]), fields[0] in b"ZX", int(fields[19]), cpu_ns, int(fields[21]) * _PAGE)


def is_process(pid: int, start_ticks: int) -> bool:
    """Whether the process is still the one that started then, and not another with its number."""
    stat = process_stat(pid)
    return stat is not None and not stat.zombie and stat.start_ticks == start_ticks


def container_of(pid: int) -> str:
    """The id of the container that the process belongs to, "" for none."""
    environ = b"\0" + _read(_PROC / str(pid) / "environ")
    at = environ.find(_MARK)
    return environ[at + len(_MARK) :].split(b"\0", 1)[0].decode("ascii", "replace") if at >= 0 else ""


def children(pid: int) -> list[int]:
    """Direct children; for this process that includes orphans it has adopted."""
    return [int(child) for task in _tasks(pid) for child in _read(task / "children").split()]


def tree(pid: int) -> Iterator[int]:
    """The process's descendants, not itself."""
    for child in children(pid):
        yield child
        yield from tree(child)


def threads(pid: int) -> list[int]:
    return [int(task.name) for task in _tasks(pid)]


def marked_processes() -> dict[int, str]:
    """Every process that belongs to a container: pid to container id. Reads all of /proc: for start and stop."""
    pids = sorted(int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()) if _PROC.is_dir() else []
    found = {pid: container_of(pid) for pid in pids}
    return {pid: container for pid, container in found.items() if container}


def _tasks(pid: int) -> list[Path]:
    try:
        return sorted((_PROC / str(pid) / "task").iterdir())
    except OSError:
        return []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
