"""The processes of containers: started, signalled, counted, and ended with everything that they started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from actorkube.runtime.real_time import real_time
from actors.runtime import procfs
from actors.runtime.attachments import Attachment, Attachments
from actors.runtime.child import LINUX, Child, Output
from actors.runtime.launch import Launch, lookup_paths, not_found
from actors.runtime.orphans import OrphanSweep, end_tree, live_containers
from actors.runtime.process_command import ProcessCommand
from actors.runtime.records import Leftover
from protocols.cri import ContainerRefused, ExecSyncResult
from protocols.exec import STDERR, STDOUT

_EXEC_OUTPUT_BYTES_MAX = 1024 * 1024
_STOP_GRACE_S = 2.0
_LEFTOVERS_S = 5.0
_SWEEPS_S = (0.0, 0.02, 0.1, 0.5)
_SWEEP_PERIOD_S = 10.0
_LOOK_S = 0.005
_COMES_UP_S = 0.25  # of real time: how long virtual time waits for a process that may be about to serve
_ENDS_S = 1.0  # and for one that was told to end


class Usage(NamedTuple):
    cpu_ns: int
    resident_bytes: int
    processes: int


class Running:
    """A container's first process and the commands that run beside it, all with the same launch plan."""

    def __init__(self, launch: Launch, child: Child, attachments: Attachments) -> None:
        self.launch = launch
        self.child = child
        self.attachments = attachments
        self.execs: dict[Child, None] = {}
        self._awaited = contextlib.ExitStack()

    def awaited(self, what: str, at_most_s: float) -> None:
        """Virtual time, where there is such, waits for what the process does about this, or for its end."""
        self._awaited.close()
        self._awaited.enter_context(real_time(what, at_most_s))

    def ended(self) -> None:
        self._awaited.close()


class Processes:
    """By container id. Synchronous, except for what has to wait for the operating system."""

    def __init__(self) -> None:
        self._running: dict[str, Running] = {}
        self._commands: dict[Child, None] = {}  # that somebody watches; some outlive their container by a moment
        self._sweep = OrphanSweep()
        self._sweep_timer: asyncio.TimerHandle | None = None

    def __contains__(self, id: str) -> bool:
        return id in self._running

    def first(self, id: str) -> Child | None:
        running = self._running.get(id)
        return running.child if running else None

    def start(
        self,
        id: str,
        launch: Launch,
        on_stdout: Output,
        on_stderr: Output,
        on_exit: Callable[[int, int], None],
        *,
        stdin: bool = False,
        tty: bool = False,
    ) -> None:
        """`on_exit` comes after the last output, when the container's process group is dead."""
        attachments = Attachments()

        def ended(exit_code: int, signal_number: int) -> None:
            attachments.ended()
            self._forget(id)
            on_exit(exit_code, signal_number)

        live_containers[id] = None  # before there is a process: shims in other threads look for orphans, too
        try:
            outputs = _both(on_stdout, attachments, STDOUT), _both(on_stderr, attachments, STDERR)
            child = _spawn(launch, launch.argv, *outputs, ended, stdin=stdin, tty=tty)
        except ContainerRefused:
            del live_containers[id]
            raise
        attachments.started(child, tty)
        running = self._running[id] = Running(launch, child, attachments)
        running.awaited(f"container {id} comes up", _COMES_UP_S)

    def limit(self, id: str, launch: Launch) -> None:
        """Whatever runs in it has the limits of this plan from now on, and what is started in it later."""
        running = self._running.get(id)
        if running is None:
            return
        running.launch = launch
        found = {pid: None for pid, container in procfs.marked_processes().items() if container == id}
        for child in (running.child, *running.execs):
            found |= dict.fromkeys([child.pid, *procfs.tree(child.pid)])
        for pid in found:
            _limit(pid, launch)
            _make_nice(pid, launch.nice)

    def signal(self, id: str, number: signal.Signals) -> None:
        running = self._running[id]
        running.child.signal_group(number)
        running.awaited(f"container {id} ends", _ENDS_S)

    def kill(self, id: str) -> None:
        running = self._running[id]
        running.awaited(f"container {id} ends", _ENDS_S)
        for child in (*running.execs, running.child):
            child.signal_group(signal.SIGKILL)

    async def exec(self, id: str, argv: tuple[str, ...], timeout_s: float) -> ExecSyncResult:
        running = self._running[id]
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        out, err = bytearray(), bytearray()
        child = _spawn(running.launch, argv, _into(out), _into(err), lambda exit_code, _: ended.set_result(exit_code))
        running.execs[child] = None
        try:
            with real_time(f"a command in container {id}", timeout_s):
                async with asyncio.timeout(timeout_s):
                    exit_code = await asyncio.shield(ended)
        except TimeoutError:
            text = f'command "{" ".join(argv)}" timed out after {timeout_s:g}s'
            raise ContainerRefused(text, {"reason": "Timeout"}) from None
        finally:
            if not child.ended:
                child.signal_group(signal.SIGKILL)
            running.execs.pop(child, None)
        return ExecSyncResult(bytes(out), bytes(err), exit_code)

    def run(self, id: str, argv: tuple[str, ...], stdin: bool, tty: bool) -> ProcessCommand:
        """A command for somebody who watches. Raises ContainerRefused when it cannot be started."""
        running = self._running[id]

        def start(on_stdout: Output, on_stderr: Output, on_exit: Callable[[int, int], None]) -> Child:
            def ended(exit_code: int, signal_number: int) -> None:
                running.execs.pop(child, None)
                self._commands.pop(child, None)
                on_exit(exit_code, signal_number)

            child = _spawn(running.launch, argv, on_stdout, on_stderr, ended, stdin=stdin, tty=tty)
            running.execs[child] = self._commands[child] = None
            running.awaited(f"a command in container {id}", _COMES_UP_S)
            return child

        return ProcessCommand(start, tty)

    def attach(self, id: str, stdin: bool, stdin_once: bool) -> Attachment:
        return self._running[id].attachments.attach(stdin, stdin_once)

    def usage(self, id: str) -> Usage:
        running = self._running.get(id)
        pids = [running.child.pid, *procfs.tree(running.child.pid)] if running else []
        stats = [stat for pid in pids if (stat := procfs.process_stat(pid)) is not None]
        return Usage(sum(stat.cpu_ns for stat in stats), sum(stat.resident_bytes for stat in stats), len(stats))

    # -- the end --------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """TERM to all, KILL to what is left after two seconds, and nothing that they started survives."""
        for id in list(self._running):
            self.signal(id, signal.SIGTERM)
        await _until(lambda: not self._running, _STOP_GRACE_S)
        for id in list(self._running):
            self.kill(id)
        await _until(lambda: not (self._running or self._commands), _STOP_GRACE_S)
        await _until(lambda: not self._sweep(), _STOP_GRACE_S)
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()

    async def end_leftovers(self, ids: Iterable[str], first: Mapping[str, Leftover]) -> None:
        """Kill what these containers of an earlier life still run, and wait until it is gone."""
        over = dict.fromkeys(ids)
        for id in over:
            live_containers.pop(id, None)
        if over:
            await _until(lambda: not self._kill_leftovers(over, first), _LEFTOVERS_S)
        self._sweep_later(0)

    def _kill_leftovers(self, over: dict[str, None], first: Mapping[str, Leftover]) -> bool:
        """Found by the mark in their environment, or by pid and start time where they wiped it."""
        marked = [pid for pid, container in procfs.marked_processes().items() if container in over]
        recorded = [process.pid for process in first.values() if procfs.is_process(*process)]
        for pid in (*marked, *recorded):
            end_tree(pid)
        return self._sweep() or bool(marked or recorded)

    def _forget(self, id: str) -> None:
        running = self._running.pop(id)
        running.ended()
        live_containers.pop(id, None)
        for child in running.execs:
            child.signal_group(signal.SIGKILL)
        self._sweep_later(0)

    def _sweep_later(self, turn: int) -> None:
        """At once, then again after growing pauses while orphans are found, and every ten seconds in any case."""
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        delay_s = _SWEEPS_S[turn] if turn < len(_SWEEPS_S) else _SWEEP_PERIOD_S
        self._sweep_timer = asyncio.get_running_loop().call_later(delay_s, self._sweep_now, turn)

    def _sweep_now(self, turn: int) -> None:
        found = self._sweep()
        self._sweep_later(min(turn + 1, len(_SWEEPS_S) - 1) if found else len(_SWEEPS_S))


def _spawn(
    launch: Launch,
    argv: tuple[str, ...],
    on_stdout: Output,
    on_stderr: Output,
    on_exit: Callable[[int, int], None],
    *,
    stdin: bool = False,
    tty: bool = False,
) -> Child:
    program = _find(argv[0], launch)
    env = {"TERM": "xterm", **launch.env} if tty else launch.env
    try:
        child = Child((program, *argv[1:]), launch.cwd, env, on_stdout, on_stderr, on_exit, stdin=stdin, tty=tty)
    except OSError as error:
        text = f'exec: "{program}" in {launch.cwd}: {error.strerror}'
        raise ContainerRefused(text, {"reason": "RunContainerError"}) from error
    if launch.memory_limit_bytes or launch.nice:
        _limit_from_start(child.pid, launch)
    return child


def _find(command: str, launch: Launch) -> str:
    for path in lookup_paths(command, launch.cwd, launch.env, launch.image):
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise not_found(command)


def _limit_from_start(pid: int, launch: Launch) -> None:
    """Mostly the process still is its launcher, so that the command starts with them. Where that was quicker, what it
    had started by then is limited now, and what it starts afterwards from its start."""
    _limit(pid, launch)
    for child in procfs.children(pid):
        _limit_from_start(child, launch)


def _limit(pid: int, launch: Launch) -> None:
    """Best effort, as it is documented.

    RLIMIT_DATA counts what is really writable; RLIMIT_AS would count address space that Go, Java and Node only reserve.
    The hard limit stays: nobody but root could raise it again.
    """
    if not LINUX:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError, ValueError):
        if limit := launch.memory_limit_bytes:
            _, hard = resource.prlimit(pid, resource.RLIMIT_DATA)
            soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.prlimit(pid, resource.RLIMIT_DATA, (soft, hard))
        if launch.nice:
            os.setpriority(os.PRIO_PROCESS, pid, launch.nice)


def _make_nice(pid: int, nice: int) -> None:
    """Each of its threads: Linux knows no niceness of processes."""
    for thread in procfs.threads(pid):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.setpriority(os.PRIO_PROCESS, thread, nice)


def _both(output: Output, attachments: Attachments, channel: int) -> Output:
    def printed(data: bytes) -> None:
        output(data)
        attachments.printed(channel, data)

    return printed


def _into(buffer: bytearray) -> Output:
    def keep(data: bytes) -> None:
        buffer.extend(data[: max(_EXEC_OUTPUT_BYTES_MAX - len(buffer), 0)])

    return keep


async def _until(done: Callable[[], bool], timeout_s: float) -> None:
    """Look every 5 ms of real time, because processes live in it; for starting and stopping only."""
    loop = asyncio.get_running_loop()
    for _ in range(int(timeout_s / _LOOK_S)):
        if done():
            return
        await loop.run_in_executor(None, time.sleep, _LOOK_S)  # the operating system sends no event for this
