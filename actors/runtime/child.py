"""One operating-system process in a session of its own: its output as it comes, its end as it happens.

No thread and no task per process: two pipes and a pidfd in the event loop. Where there are no pidfds (macOS), the
process is looked at ten times a second. On Linux it dies with this process (PR_SET_PDEATHSIG, set by `setpriv` between
fork and exec, at about a millisecond).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import os
import shutil
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from actors.runtime.procfs import process_stat

_OUTPUT_BYTES_MAX = 64 * 1024
_LAST_OUTPUT_BYTES_MAX = 1024 * 1024
_POLL_S = 0.1
LINUX = sys.platform == "linux"

# Every process that this operating-system process has started and not yet waited for: all others that turn up among
# its children are orphans that it adopted (child subreaper). Shared by the shims of one process.
own_children: dict[int, None] = {}

Output = Callable[[bytes], None]


def _popen(
    command: Sequence[str], cwd: str, env: Mapping[str, str], stdin: int, stdout: int, stderr: int
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, stdin=stdin, stdout=stdout, stderr=stderr, cwd=cwd, env=env, start_new_session=True
    )


class Child:
    """`on_exit(exit_code, signal)` comes once, after the last output; exit_code is 128 + signal for a killed one."""

    def __init__(
        self,
        argv: Sequence[str],
        cwd: str,
        env: Mapping[str, str],
        on_stdout: Output,
        on_stderr: Output,
        on_exit: Callable[[int, int], None],
        *,
        stdin: bool = False,
        tty: bool = False,
    ) -> None:
        """Raises OSError when it cannot be started. `tty`: a terminal of its own is all three of its files."""
        self.stdin = -1  # where to write what it reads, without blocking; -1 where there is nothing, or not any more
        self._loop = asyncio.get_running_loop()
        self._on_exit = on_exit
        self._pidfd = -1
        self._paused = False
        self._outputs: dict[int, Output] = {}
        if tty:
            self._process = self._spawn_in_terminal(argv, cwd, env, on_stdout)
        else:
            self._process = self._spawn(argv, cwd, env, on_stdout, on_stderr, stdin)
        self.pid = self._process.pid
        stat = process_stat(self.pid)
        self.start_ticks = stat.start_ticks if stat else 0
        own_children[self.pid] = None
        self._watch()

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    def signal_group(self, number: signal.Signals) -> None:
        """To every process of its session's first group; none left is fine."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def end(self) -> None:
        """KILL, if it has not ended; what it still prints may come."""
        if not self.ended:
            self.signal_group(signal.SIGKILL)
            self.resume()

    def pause(self) -> None:
        """Read nothing of its output, until `resume`: it waits in its own write."""
        for fd in self._outputs:
            self._loop.remove_reader(fd)
        self._paused = True

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            for fd in self._outputs:
                self._loop.add_reader(fd, self._read, fd)

    def close_stdin(self) -> None:
        if self.stdin >= 0:
            self._loop.remove_writer(self.stdin)
            os.close(self.stdin)
            self.stdin = -1

    def _spawn_in_terminal(
        self, argv: Sequence[str], cwd: str, env: Mapping[str, str], on_stdout: Output
    ) -> subprocess.Popen[bytes]:
        ours, its = os.openpty()
        try:
            process = _popen([*terminal_launcher(), *argv], cwd, env, its, its, its)
        except OSError:
            os.close(ours)
            raise
        finally:
            os.close(its)
        os.set_blocking(ours, False)
        self._outputs[ours] = on_stdout
        self.stdin = os.dup(ours)
        return process

    def _spawn(
        self,
        argv: Sequence[str],
        cwd: str,
        env: Mapping[str, str],
        on_stdout: Output,
        on_stderr: Output,
        stdin: bool,
    ) -> subprocess.Popen[bytes]:
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        in_read, in_write = os.pipe() if stdin else (subprocess.DEVNULL, -1)
        try:
            process = _popen([*launcher(), *argv], cwd, env, in_read, out_write, err_write)
        except OSError:
            os.close(out_read)
            os.close(err_read)
            if stdin:
                os.close(in_write)
            raise
        finally:
            os.close(out_write)
            os.close(err_write)
            if stdin:
                os.close(in_read)
        if stdin:
            os.set_blocking(in_write, False)
            self.stdin = in_write
        for fd, output in ((out_read, on_stdout), (err_read, on_stderr)):
            os.set_blocking(fd, False)
            self._outputs[fd] = output
        return process

    def _watch(self) -> None:
        for fd in self._outputs:
            self._loop.add_reader(fd, self._read, fd)
        if hasattr(os, "pidfd_open"):
            self._pidfd = os.pidfd_open(self.pid)
            self._loop.add_reader(self._pidfd, self._exited)
        else:
            self._loop.call_later(_POLL_S, self._poll)

    def _read(self, fd: int) -> int:
        try:
            data = os.read(fd, _OUTPUT_BYTES_MAX)
        except BlockingIOError:
            return 0
        except OSError:  # EIO: nobody has the terminal open any more
            data = b""
        if data:
            self._outputs[fd](data)
        else:
            self._close_output(fd)
        return len(data)

    def _poll(self) -> None:
        if self._process.poll() is None:
            self._loop.call_later(_POLL_S, self._poll)
        else:
            self._exited()

    def _exited(self) -> None:
        self.signal_group(signal.SIGKILL)  # a container ends with its first process; before its id can be reused
        code = self._process.poll()
        if code is None:
            return
        own_children.pop(self.pid, None)
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
        self._read_the_rest()
        self._on_exit(*((code, 0) if code >= 0 else (128 - code, -code)))

    def _read_the_rest(self) -> None:
        """What is in the pipes; survivors that hold them open are not waited for."""
        for fd in list(self._outputs):
            left = _LAST_OUTPUT_BYTES_MAX
            while left > 0 and (count := self._read(fd)):
                left -= count
            if fd in self._outputs:
                self._close_output(fd)

    def _close_output(self, fd: int) -> None:
        del self._outputs[fd]
        self._loop.remove_reader(fd)
        os.close(fd)


def set_window_size(terminal: int, width: int, height: int) -> None:
    """In columns and rows; whoever runs in the terminal is sent SIGWINCH."""
    with contextlib.suppress(OSError):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height & 0xFFFF, width & 0xFFFF, 0, 0))


@functools.cache
def terminal_launcher() -> tuple[str, ...]:
    """What stands before a command that gets a terminal: it must take it as its own, after `setsid`, before `exec`."""
    return (sys.executable, "-I", "-S", str(Path(__file__).with_name("launcher.py")), "--terminal")


@functools.cache
def launcher() -> tuple[str, ...]:
    """What stands before a command so that it dies with this process; nothing outside Linux."""
    if not LINUX:
        return ()
    setpriv = shutil.which("setpriv", path="/usr/bin:/bin:/usr/sbin:/sbin:/run/current-system/sw/bin")
    if setpriv is not None and not os.path.realpath(setpriv).endswith("busybox"):  # busybox's knows no pdeathsig
        return (setpriv, "--pdeathsig", "KILL", "--")
    return (sys.executable, "-I", "-S", str(Path(__file__).with_name("launcher.py")))
