"""kubectl in a terminal of its own, typed to by a script."""

from __future__ import annotations

import os
import pty
import select
import time
from typing import NamedTuple

from tests.cluster.kubectl import Kubectl


class Typed(NamedTuple):
    """What is typed once `after` has been printed."""

    after: bytes
    keys: bytes


def talk(k: Kubectl, *arguments: str, typed: tuple[Typed, ...] = (), timeout_s: float = 60) -> tuple[int, str]:
    """kubectl's exit code, and all that was printed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(k._command[0], [*k._command, *arguments], k._environment)
    printed, left, deadline = b"", list(typed), time.monotonic() + timeout_s
    try:
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 0.2)[0]:
                continue
            try:
                data = os.read(terminal, 65_536)
            except OSError:  # nobody has the other end open any more
                data = b""
            if not data:
                return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), printed.decode("utf-8", "replace")
            printed += data
            if left and left[0].after in printed:
                os.write(terminal, left.pop(0).keys)
                printed += b"|"  # so that the next one waits for what comes now
    finally:
        os.close(terminal)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    raise AssertionError(f"kubectl {' '.join(arguments)} does not end: {printed.decode('utf-8', 'replace')}")
