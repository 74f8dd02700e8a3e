"""Processes that outlive their container: found, ended and waited for.

This process is a child subreaper (prctl), so whatever loses its parent below it becomes its child. An orphan whose
container is over is killed with everything below it; a dead one is waited for, because nobody else will.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal

from actors.runtime import procfs
from actors.runtime.child import LINUX, own_children

_PR_SET_CHILD_SUBREAPER = 36

# The ids of all containers that run under this operating-system process, whichever shim they belong to.
live_containers: dict[str, None] = {}


def adopt_orphans() -> None:
    if LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class OrphanSweep:
    """Call it after a container's end until it finds nothing, and from time to time."""

    def __init__(self) -> None:
        self._dead: dict[int, None] = {}

    def __call__(self) -> bool:
        """Whether there was something, so that it is worth looking again."""
        dead, self._dead = self._dead, {}
        found = False
        for pid in procfs.children(os.getpid()) if LINUX else ():
            if pid not in own_children:
                found |= self._end(pid, dead)
        return found

    def _end(self, pid: int, dead_before: dict[int, None]) -> bool:
        stat = procfs.process_stat(pid)
        if stat is None:
            return False
        if not stat.zombie:
            return end_if_over(pid)
        if pid in dead_before:  # dead for a while, so no other part of this process waits for it
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        self._dead[pid] = None
        return True


def end_if_over(pid: int) -> bool:
    """End a process whose container does not run (any more)."""
    container = procfs.container_of(pid)
    if not container or container in live_containers:
        return False
    end_tree(pid)
    return True


def end_tree(pid: int) -> None:
    """Kill a process and what is below it."""
    for process in (*procfs.tree(pid), pid):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGKILL)
