"""Processors that do not fall asleep: on each a process that runs only when nothing else would.

A processor with nothing to do is halted, and to wake it takes longer than a short exchange of messages: in a virtual
machine, which it leaves for that, many times as long. Where two programs take turns, that is most of what is measured
on a machine that does nothing else. Such a process needs no rights, and gives way at once (SCHED_IDLE).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

SPINNER = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(100_000):
        pass
"""


@contextlib.contextmanager
def processors_awake() -> Iterator[list[int]]:
    """Until the block ends, or this process. Gives the ids of what runs meanwhile."""
    command = [sys.executable, "-c", SPINNER]
    spinners = [subprocess.Popen([*command, str(cpu)]) for cpu in sorted(os.sched_getaffinity(0))]
    try:
        yield [spinner.pid for spinner in spinners]
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()
