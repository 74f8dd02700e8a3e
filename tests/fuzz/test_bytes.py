"""Decoders under any bytes: by hypothesis, and by a fuzzer that follows the code it reaches, for a bounded time."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, seeds

ROOT = Path(__file__).parent.parent.parent
RUNS = 20_000
SECONDS = 10
MEMORY_MIB = 1024
each_target = pytest.mark.parametrize("target", TARGETS)


@each_target
def test_what_was_hard_to_bear_is_borne(target: str) -> None:
    for data in seeds(target):
        TARGETS[target](data)


@pytest.mark.slow
@each_target
def test_truncated_at_every_byte_and_with_every_bit_flipped_it_is_borne(target: str) -> None:
    for data in seeds(target):
        for size in range(min(len(data), 200)):
            TARGETS[target](data[:size])
            for bit in range(8):
                TARGETS[target](data[:size] + bytes([data[size] ^ 1 << bit]) + data[size + 1 :])


@each_target
@given(data=st.binary(max_size=300))
def test_any_bytes_are_borne(target: str, data: bytes) -> None:
    TARGETS[target](data)


@pytest.mark.slow
@each_target
def test_a_fuzzer_that_follows_the_code_finds_nothing(target: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        reason = "atheris is not installed: it has wheels for CPython on x86-64 Linux"
        assert not os.environ.get("ACTORKUBE_CI"), reason
        pytest.skip(reason)
    for number, data in enumerate(seeds(target)):
        (tmp_path / str(number)).write_bytes(data)
    bounds = [f"-runs={RUNS}", f"-max_total_time={SECONDS}", f"-rss_limit_mb={MEMORY_MIB}", "-timeout=10"]

    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.follow", target, str(tmp_path), *bounds, f"-artifact_prefix={tmp_path}/"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS + 60,
    )

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
