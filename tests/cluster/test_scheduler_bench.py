"""The benchmarks of the scheduler on a real cluster run; and beside a real kube-scheduler, where there is one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_pods_are_created_bound_and_seen_and_each_costs_something() -> None:
    printed = run("bench.scheduler_end_to_end", "--nodes", "5", "--pods", "20", "--peer", "").splitlines()

    runs = [line for line in printed if line.startswith("5 nodes: ")]
    assert [line.split("  ")[0] for line in runs] == [
        "5 nodes: created to seen",
        "5 nodes: creates alone",
        "5 nodes: decisions and bindings alone",
        "5 nodes: created to seen, with controllers",
        "5 nodes: created by a controller to seen",
    ]
    assert all("ms CPU per pod" in line for line in runs)


def test_a_real_kube_scheduler_decides_alike() -> None:
    """ACTORKUBE_KUBE_SCHEDULER names its binary."""
    program = os.environ.get("ACTORKUBE_KUBE_SCHEDULER")
    if not program:
        pytest.skip("no kube-scheduler is named by ACTORKUBE_KUBE_SCHEDULER")

    printed = run("bench.scheduler_compare", "--kube-scheduler", program, "--pods", "40", "--nodes", "12")

    assert "the same feasible nodes: 40 of 40" in printed
