"""Operating-system processes, supervised: forked from this warm process, restarted when they die, ended together.

The supervising process has no event loop and no threads, so forking it is safe and cheap: a restarted component costs
a fork, not an import. Listening sockets are opened before the fork and outlive the process that accepts on them, so
nobody meets a closed port while a component restarts.

What a dead child leaves behind (the processes that it had started) becomes ours, on Linux, and is ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from actorkube.runtime.supervisor import Backoff, Restart, Supervision, Supervisor

STOP_GRACE_S = 10.0
REPORT_BYTES_MAX = 64 * 1024
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SWEEP_FOR_S = 2.0  # orphans come one generation after the other
SWEEP_EVERY_S = 0.05
RESTARTS = Supervision(intensity=20, period_s=60.0, backoff=Backoff(0.05, 5.0))


class Reporter:
    """A child's way to tell its supervisor what it has reached, and when (`at`, monotonic): one JSON object a line."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __call__(self, **facts: Any) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._fd, json.dumps({"at": time.monotonic(), **facts}).encode() + b"\n")


@dataclass
class Child:
    """`run` is called in the forked process; when it returns, the process ends with code 0."""

    name: str
    run: Callable[[Reporter], None]
    restart: bool = True
    supervisor: Supervisor = field(default_factory=lambda: Supervisor(RESTARTS))
    pid: int = 0
    reports: int = -1
    buffered: bytes = b""


class ProcessSupervisor:
    """`on_event(child name, facts)` hears of: started (pid), what the child reports, exited (status), given_up."""

    def __init__(self, on_event: Callable[[str, dict[str, Any]], None], title: str = "actorkube") -> None:
        self._on_event = on_event
        self._title = title
        self._children: dict[str, Child] = {}
        self._by_pid: dict[int, Child] = {}
        self._restarts: dict[str, float] = {}  # child: when (monotonic)
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._wakeup_write = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(self._wakeup_write, False)
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        self._stopping = False
        self._sweep_until = 0.0

    def listen_to_signals(self) -> None:
        """SIGINT and SIGTERM end `run`; SIGCHLD wakes it."""
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_stop_signal)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        prctl(PR_SET_CHILD_SUBREAPER, 1)

    def start(self, child: Child) -> None:
        self._children[child.name] = child
        read, write = os.pipe()
        gc.freeze()  # what exists now stays shared between parent and children: the collector will not touch it
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            self._become(child, write)
        os.close(write)
        os.set_blocking(read, False)
        child.pid, child.reports, child.buffered = pid, read, b""
        self._by_pid[pid] = child
        self._selector.register(read, selectors.EVENT_READ, child)
        self._on_event(child.name, {"event": "started", "pid": pid})

    def run(self, until: Callable[[], bool] = lambda: False, timeout_s: float | None = None) -> bool:
        """Supervise until a stop signal (True), or until `until` holds or the time is up (False)."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._stopping and not until():
            now = time.monotonic()
            if end is not None and now >= end:
                return False
            self._restart_due(now)
            self._sweep(now)
            sweep = [now + SWEEP_EVERY_S] if now < self._sweep_until else []
            self._wait(min([*self._restarts.values(), *sweep, *([end] if end else [])], default=None))
        return self._stopping

    def poll(self) -> None:
        """Take what has been reported so far, without waiting."""
        self._wait(0.0)

    def stop(self) -> None:
        """SIGTERM to all, then SIGKILL to whoever is still there after the grace period."""
        self._stopping = True
        self._restarts.clear()
        for pid in self._by_pid:
            os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + STOP_GRACE_S
        while self._by_pid and time.monotonic() < end:
            self._wait(end)
        for pid in list(self._by_pid):
            os.kill(pid, signal.SIGKILL)
        while self._by_pid:
            self._wait(None)
        while end_orphans(()) and time.monotonic() < end:
            self._wait(time.monotonic() + SWEEP_EVERY_S)

    def pids(self) -> dict[str, int]:
        return {child.name: pid for pid, child in self._by_pid.items()}

    # -- the loop -------------------------------------------------------------------------------------------------

    def _wait(self, until: float | None) -> None:
        timeout = None if until is None else max(0.0, until - time.monotonic())
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wakeup, 4096)
            else:
                self._read_reports(key.data)
        self._reap()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._by_pid.pop(pid, None)
            if child is not None:
                self._exited(child, status)

    def _exited(self, child: Child, status: int) -> None:
        self._read_reports(child)
        if child.reports >= 0:
            self._close_reports(child)
        self._on_event(child.name, {"event": "exited", "status": os.waitstatus_to_exitcode(status)})
        self._sweep_until = time.monotonic() + SWEEP_FOR_S
        if self._stopping or not child.restart:
            return
        now = time.monotonic()
        decision = child.supervisor.crashed(child.name, now)
        if isinstance(decision, Restart):
            self._restarts[child.name] = now + decision.delay_s
        else:
            self._on_event(child.name, {"event": "given_up", "restarts": decision.restarts})

    def _sweep(self, now: float) -> None:
        if now < self._sweep_until:
            end_orphans(self._by_pid)

    def _restart_due(self, now: float) -> None:
        for name, when in list(self._restarts.items()):
            if when <= now:
                del self._restarts[name]
                self.start(self._children[name])

    def _read_reports(self, child: Child) -> None:
        while child.reports >= 0:
            try:
                data = os.read(child.reports, 65536)
            except BlockingIOError:
                return
            if not data:
                self._close_reports(child)
                return
            *lines, child.buffered = (child.buffered + data).split(b"\n")
            if len(child.buffered) > REPORT_BYTES_MAX:
                child.buffered = b""
            for line in lines:
                self._on_event(child.name, json.loads(line))

    def _close_reports(self, child: Child) -> None:
        self._selector.unregister(child.reports)
        os.close(child.reports)
        child.reports = -1

    def _on_stop_signal(self, number: int, frame: object) -> None:
        self._stopping = True

    # -- in the child ---------------------------------------------------------------------------------------------

    def _become(self, child: Child, reports: int) -> None:
        """Everything after the fork; never returns."""
        code = 1
        try:
            die_with_parent()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent decides
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._selector.close()
            for other in self._children.values():
                if other.reports >= 0:
                    os.close(other.reports)
            os.close(self._wakeup)
            os.close(self._wakeup_write)
            set_title(f"{self._title}: {child.name}")
            child.run(Reporter(reports))
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def end_orphans(own: Collection[int]) -> int:
    """Kill children that are not our own: what a process that died had started. Returns how many there were."""
    import psutil

    orphans = [child for child in psutil.Process().children() if child.pid not in own]
    for orphan in orphans:
        with contextlib.suppress(psutil.NoSuchProcess):
            orphan.kill()
    return len(orphans)


def die_with_parent() -> None:
    """On Linux the kernel ends this process when its parent dies, however that happens."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def set_title(title: str) -> None:
    """What `ps` and `pkill -f` see."""
    import setproctitle

    setproctitle.setproctitle(title)
