"""Runs of pytest in forks of one process, which has what the tests import from others: to load that takes longer than
most tests run. What is ours is loaded in each fork, as it is in the files at that time.

Run as a program it answers each line of its input, the arguments of one run, with one line. Runs come one at a time.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

OURS = ("protocols", "actorkube", "actors", "tests", "bench", "examples")
PLUGINS = ("pytest_asyncio.plugin", "pytest_timeout", "tests.planted.no_shrinking")
KILLED = -signal.SIGKILL
LOOK_EVERY_S = 0.01


class Done(NamedTuple):
    status: int
    output: str


class Warm:
    """The process that forks, seen from whoever wants runs. `tree`: its working directory, and where ours is."""

    def __init__(self, tree: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=tree,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, files: Path, timeout_s: float) -> Done:
        """One run of pytest, whose tests have their files in a directory of its own: what other runs on this machine
        do with theirs does not reach it. One that takes longer is killed and has status KILLED."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([timeout_s, f"--basetemp={files}", *arguments]) + "\n")
        self._process.stdin.flush()
        return Done(*json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """Returns once the process has ended: it ends when nothing more can be asked."""
        self._process.communicate(timeout=30)


def main() -> None:
    for name in in_a_fork(foreign_modules):
        with contextlib.suppress(ImportError):  # some are there only for the one that asked for them first
            importlib.import_module(name)
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        timeout_s, *arguments = json.loads(line)
        answers.write(json.dumps(forked_run(arguments, timeout_s)) + "\n")
        answers.flush()


def foreign_modules() -> list[str]:
    """What the product's modules import from others, in the order of loading. pytest loads its plugins itself."""
    for name in ("hypothesis.internal.conjecture.engine", *product_modules()):
        with contextlib.suppress(ImportError):  # of an extra that is not installed
            importlib.import_module(name)
    return [name for name in sys.modules if name.partition(".")[0] not in (*OURS, "__main__")]


def product_modules() -> Iterator[str]:
    for package in OURS[:3]:
        for found in pkgutil.walk_packages([package], f"{package}."):
            if not found.name.endswith("__main__"):
                yield found.name


def in_a_fork(function: Callable[[], list[str]]) -> list[str]:
    """What the function returns in a process of its own, whose imports and threads are nobody else's."""
    with tempfile.TemporaryFile("w+") as file:
        if (pid := os.fork()) == 0:
            json.dump(function(), file)
            file.flush()
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        assert status == 0, "what the product imports cannot be told"
        file.seek(0)
        names: list[str] = json.load(file)
        return names


def forked_run(arguments: Sequence[str], timeout_s: float) -> tuple[int, str]:
    with tempfile.TemporaryFile("w+") as file:
        if (pid := os.fork()) == 0:
            run_here(arguments, file.fileno())
        status = waited(pid, timeout_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # whatever the run has left
        file.seek(0)
        return status, file.read()


def run_here(arguments: Sequence[str], output: int) -> None:
    os.setsid()
    os.dup2(output, 1)
    os.dup2(output, 2)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    status = 1
    try:
        status = pytest.main(["-x", "-q", *(f"-p{plugin}" for plugin in PLUGINS), *arguments])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def waited(pid: int, timeout_s: float) -> int:
    """The exit status of the child, as a subprocess has it."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(LOOK_EVERY_S)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return KILLED


if __name__ == "__main__":
    main()
