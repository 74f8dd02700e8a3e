"""A copy of this process, as it is now, that does one thing and is thrown away: a warm cluster is never booted twice.

`os.fork` copies a process of a few hundred megabytes in milliseconds, because memory is shared until it is written.
Whatever happens to the copy happens to it alone; only what it sends back is known here.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import struct
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from actorkube.runtime.processes import die_with_parent

T = TypeVar("T")

LOOK_EVERY_S = 0.2  # whether the copy is still there, should one of its own children hold the pipe open
_length = struct.Struct("<Q")


def can_fork() -> bool:
    return hasattr(os, "fork")


class CopyDied(Exception):
    """The copy ended before it said how it went: the message names its signal or exit code."""


class Fork:
    """`split()` once: True in the copy, which goes on and ends by `finish`; False here, when the copy has ended."""

    def __init__(self) -> None:
        self.is_copy = False
        self.was_split = False
        self.message = b""
        self._pipe = -1

    def split(self) -> bool:
        self.was_split = True
        read, write = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # from Python 3.12 on, if there are threads
            pid = os.fork()
        if pid == 0:
            os.close(read)
            self.is_copy, self._pipe = True, write
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both: the original decides
            die_with_parent()
            return True
        os.close(write)
        try:
            self.message = _read(read, pid)
        finally:
            os.close(read)
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                _end(pid)
        return False

    def finish(self, message: bytes) -> NoReturn:
        """In the copy: send it, and end. Nothing else of this process runs, no `finally`, no `atexit`."""
        try:
            _write(self._pipe, _length.pack(len(message)) + message)
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(0)


def on_a_copy(work: Callable[[], T]) -> T:
    """Call it in a copy of this process: what it returns, or raises, is returned or raised here (both by pickle).

    Its own traceback is a note of the exception. Raises CopyDied when the copy was killed.
    """
    if not can_fork():
        raise RuntimeError("this system cannot fork: boot a fresh cluster instead")
    fork = Fork()
    if fork.split():
        fork.finish(_outcome(work))
    returned, raised = pickle.loads(fork.message)
    if raised is not None:
        raise raised
    result: T = returned
    return result


def _outcome(work: Callable[[], Any]) -> bytes:
    try:
        try:
            return pickle.dumps((work(), None))
        except Exception as error:
            story = "".join(traceback.format_exception(error))
            error.add_note(f"on a copy of the cluster:\n{story}")
            packed = pickle.dumps((None, error))
            pickle.loads(packed)  # some can be written, and not read
            return packed
    except Exception as error:
        return pickle.dumps((None, RuntimeError("".join(traceback.format_exception(error)))))


def _read(pipe: int, pid: int) -> bytes:
    """One message. The copy may die first, or leave children that keep the pipe open."""
    data = bytearray()
    wanted = _length.size
    while len(data) < wanted:
        readable, _, _ = select.select([pipe], [], [], LOOK_EVERY_S)
        if readable:
            chunk = os.read(pipe, 1 << 20)
            if not chunk:
                raise CopyDied(_ending(pid))
            data += chunk
            if len(data) >= _length.size:
                wanted = _length.size + _length.unpack_from(data)[0]
        elif (ended := os.waitpid(pid, os.WNOHANG))[0]:
            raise CopyDied(_words(ended[1]))
    return bytes(data[_length.size :])


def _write(pipe: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(pipe, view) :]


def _ending(pid: int) -> str:
    return _words(os.waitpid(pid, 0)[1])


def _words(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"it ended with code {code}"


def _end(pid: int) -> None:
    """A copy that has said everything ends by itself; one that is still at work when we are interrupted is killed."""
    if os.waitpid(pid, os.WNOHANG)[0] == 0:
        if sys.exc_info()[0] is not None:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
