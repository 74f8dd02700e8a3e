"""Bugs that were planted to see whether a test finds each. Most are ones that other implementations have had.

    python -m tests.etcd.planted_bugs            plants each in a copy of the tree, and runs the tests for it
    python -m tests.etcd.planted_bugs lease      only those whose name has the word

A bug is one replacement of text. That each can still be planted is checked by every test run (test_planted_bugs.py);
whether each is found takes some minutes, so that is asked for by hand.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.etcd.bug import ROOT, Bug
from tests.etcd.mvcc_bugs import MVCC_BUGS
from tests.etcd.raft_bugs import RAFT_BUGS
from tests.etcd.replica_bugs import REPLICA_BUGS

BUGS = [*RAFT_BUGS, *MVCC_BUGS, *REPLICA_BUGS]


def main() -> None:
    words = sys.argv[1:]
    missed = []
    for bug in BUGS:
        if words and not any(word in bug.name for word in words):
            continue
        finder = find(bug)
        print(f"{'found ' if finder else 'MISSED'}  {bug.name:60s} {finder}", flush=True)
        if not finder:
            missed.append(bug.name)
    sys.exit(1 if missed else 0)


def find(bug: Bug) -> str:
    """Plant the bug in a copy, run the tests, and name the first that fails; empty if none does."""
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory)
        for part in ("actorkube", "protocols", "actors/etcd", "tests/etcd", "tests/planted"):
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "actors/__init__.py", "tests/__init__.py", "tests/effort.py"):
            shutil.copy(ROOT / name, tree / name)
        plant(bug, tree)
        tests = [f"tests/etcd/{name}.py" for name in bug.found_by]
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "--timeout=120",
            "-p",
            "tests.planted.no_shrinking",
            f"--basetemp={tree / 'files'}",
            *tests,
        ]
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": "."})
        failed = [text for text in done.stdout.splitlines() if text.startswith(("FAILED", "ERROR"))]
        if any("::" not in text for text in failed):
            raise RuntimeError(f"the tests do not run in the copy: {done.stdout[-2000:]}")
        return failed[0].partition("::")[2].partition(" ")[0] if failed else ""


def plant(bug: Bug, tree: Path) -> None:
    path = tree / bug.file
    text = path.read_text()
    if text.count(bug.right) != 1:
        raise ValueError(f"{bug.name}: {bug.file} has {text.count(bug.right)} places like {bug.right!r}")
    path.write_text(text.replace(bug.right, bug.wrong))


if __name__ == "__main__":
    main()
