"""What a test leaves behind in its process: threads (not those of pools), child processes, open sockets and files.

Two looks, one before and one after; what is new is named as a person would look for it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread
import gc
import os
import threading
from dataclasses import dataclass
from pathlib import Path

FDS = Path("/proc/self/fd")
TASKS = Path("/proc/self/task")
NAMED = ("socket:", "pipe:", "/")  # what has a name worth telling; event loops' own descriptors go with their sockets
IGNORED = ("/dev/", "/proc/", "/sys/")


@dataclass(frozen=True)
class Resources:
    threads: frozenset[threading.Thread]
    children: frozenset[int]
    files: frozenset[tuple[int, str]]


def resources() -> Resources:
    pooled = concurrent.futures.thread._threads_queues  # they wait for work, and end with the process
    return Resources(
        frozenset(thread for thread in threading.enumerate() if thread not in pooled),
        frozenset(_children()),
        frozenset(_open_files()),
    )


def leaked(before: Resources) -> list[str]:
    """What is there now and was not before, in words; garbage does not count."""
    if not (found := _news(before)):
        return []
    gc.collect()
    return [] if not found else _news(before)


def _news(before: Resources) -> list[str]:
    now = resources()
    threads = sorted(thread.name for thread in now.threads - before.threads)
    files = sorted(now.files - before.files)
    processes = [pid for pid in sorted(now.children - before.children) if _runs(pid)]
    return [
        *(f"thread {name!r} still runs" for name in threads),
        *(f"process {pid} ({_title(pid)}) still runs" for pid in processes),
        *(f"{_file(fd, target)} is still open" for fd, target in files),
    ]


def pending(loop: asyncio.AbstractEventLoop) -> list[str]:
    """Tasks of the test's own that a simulated loop still holds: those that belong to no host."""
    tasks = [task for task in asyncio.all_tasks(loop) if getattr(task, "domain", None) is None]
    return sorted(f"task {getattr(task.get_coro(), '__qualname__', task.get_name())} still waits" for task in tasks)


def _children() -> list[int]:
    try:
        lists = [path.read_text() for path in TASKS.glob("*/children")]
    except OSError:
        lists = []
    if lists:
        return [int(pid) for pids in lists for pid in pids.split()]
    import psutil  # where the kernel keeps no list: a look at every process of the machine

    return [child.pid for child in psutil.Process().children()]


def _open_files() -> list[tuple[int, str]]:
    found = []
    if FDS.is_dir():
        for name in os.listdir(FDS):
            try:
                target = os.readlink(FDS / name)
            except OSError:
                continue  # the descriptor of this very listing
            if target.startswith(NAMED) and not target.startswith(IGNORED):
                found.append((int(name), target))
    return found


def _file(fd: int, target: str) -> str:
    if not target.startswith("socket:"):
        return f"file {target}" if target.startswith("/") else f"{target.partition(':')[0]} (descriptor {fd})"
    import psutil

    for connection in psutil.Process().net_connections("all"):
        if connection.fd == fd:
            ends = [_end(end) for end in (connection.laddr, connection.raddr) if end]
            return f"socket {' to '.join(ends)} {connection.status}".rstrip() if ends else f"socket (descriptor {fd})"
    return f"socket (descriptor {fd})"


def _end(end: object) -> str:
    return ":".join(str(part) for part in end[:2]) if isinstance(end, tuple) else str(end)


def _runs(pid: int) -> bool:
    """Not one that has only not been waited for: it may be an orphan of a killed process, which fell to this one."""
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _title(pid: int) -> str:
    import psutil

    try:
        return " ".join(psutil.Process(pid).cmdline())[:80]
    except psutil.NoSuchProcess:
        return "ended"
