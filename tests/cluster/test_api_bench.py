"""The benchmark of the API server under load runs, and every watcher sees everything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_watchers_a_quota_and_many_pods_are_measured() -> None:
    command = [sys.executable, "-m", "bench.api_load", "--watchers", "3", "--events", "20", "--pods", "40"]
    command += ["--peer", ""]  # one that is named would print lines of its own

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)

    assert done.returncode == 0, done.stderr + done.stdout
    begins = ["the API server's process with nothing", "create ", "create, quota", "ActorKube create, watched"]
    begins += ["ActorKube 3 watchers x 20 events", "get of 20", "fill", "get of 40"]
    lines = done.stdout.splitlines()
    assert [line.startswith(begin) for line, begin in zip(lines, begins, strict=False)] == [True] * len(begins)
    assert lines[-1].startswith("the API server's process with 40 pods: ")
