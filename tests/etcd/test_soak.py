"""The replica set under everything at once: some seeds in every run, 300 in CI, ten thousand by hand (soak.py)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from actorkube.sim import World
from tests.effort import seeds
from tests.etcd.soak import replicas

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(9))
def test_whatever_breaks_all_that_clients_were_told_fits_one_history(seed: int) -> None:
    answers = World.run_sync(replicas, seed, check_steps=4)

    assert answers > 20, f"too little happened to prove anything: {answers}"


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_three_hundred_seeds_find_nothing() -> None:
    command = [sys.executable, "-m", "actorkube", "sim", "--scenario", "tests.etcd.soak:SCENARIO", "--seeds", "1..300"]

    run = subprocess.run(
        [*command, "--keep-going", "--jobs", "2"], capture_output=True, text=True, cwd=ROOT, check=False
    )

    assert run.returncode == 0, run.stdout
    assert "300 seeds passed" in run.stdout
