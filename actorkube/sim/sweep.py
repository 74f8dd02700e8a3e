"""Many seeds of one scenario over many processes, in each of which strings hash alike (PYTHONHASHSEED is fixed).

With `twice`, every seed is run a second time in a process that hashes strings otherwise: both must leave the same
trace.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from actorkube.sim.recording import compare
from actorkube.sim.trial import Outcome, Trial, attempt

HASH_SEEDS = ("0", "1")  # of the first run, and of the second


@dataclass
class Totals:
    """What a sweep has seen so far."""

    began: float = field(default_factory=time.perf_counter)
    passed: int = 0
    failed: list[int] = field(default_factory=list)
    seconds: float = 0.0  # simulated
    probes: dict[str, int] = field(default_factory=dict)  # in how many seeds each was reached

    def add(self, outcome: Outcome) -> None:
        if outcome.error:
            self.failed.append(outcome.seed)
        else:
            self.passed += 1
        self.seconds += outcome.seconds
        for name, count in outcome.probes.items():
            self.probes[name] = self.probes.get(name, 0) + bool(count)

    @property
    def seeds(self) -> int:
        return self.passed + len(self.failed)

    @property
    def took_s(self) -> float:
        return time.perf_counter() - self.began


class Sweep:
    """`outcomes` yields one a seed, as they come; whoever consumes it may stop. `record` keeps the recordings of seeds
    that fail in that directory."""

    def __init__(self, trial: Trial, *, jobs: int, twice: bool = False, record: Path | None = None) -> None:
        self._trial = trial
        self._jobs = jobs
        self._twice = twice
        self._record = record

    def outcomes(self, seeds: Iterable[int]) -> Generator[Outcome, None, None]:
        with ExitStack() as stack:
            pools = [stack.enter_context(_pool(self._jobs, seed)) for seed in HASH_SEEDS[: 1 + self._twice]]
            for pool in pools:
                stack.callback(pool.shutdown, wait=True, cancel_futures=True)
            waiting: dict[Future[Outcome], _Seed] = {}
            left = iter(seeds)
            more = True
            while more or waiting:
                while more and len(waiting) < 2 * self._jobs * len(pools):
                    seed = next(left, None)
                    more = seed is not None
                    if seed is not None:
                        self._begin(seed, pools, waiting)
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in sorted(done, key=lambda future: waiting[future].trials[0].seed):
                    seeded = waiting.pop(future)
                    seeded.outcomes.append(future.result())
                    if len(seeded.outcomes) == len(pools):
                        yield seeded.finish(keep=self._record is not None)

    def _begin(self, seed: int, pools: list[ProcessPoolExecutor], waiting: dict[Future[Outcome], _Seed]) -> None:
        directory = self._record
        trials = []
        for number in range(len(pools)):
            name = f"seed-{seed}{'-again' * number}.trace"
            trials.append(replace(self._trial, seed=seed, record=directory / name if directory else None))
        seeded = _Seed(trials)
        for pool, trial in zip(pools, trials, strict=True):
            waiting[pool.submit(attempt, trial)] = seeded


@dataclass
class _Seed:
    """One seed's runs and what came of them."""

    trials: list[Trial]
    outcomes: list[Outcome] = field(default_factory=list)

    def finish(self, *, keep: bool) -> Outcome:
        outcome = self.outcomes[0]
        if len({each.hash for each in self.outcomes}) > 1:
            outcome = replace(outcome, error=f"seed {outcome.seed} ran in two ways{self._difference()}")
        for trial in self.trials:
            if trial.record is not None and not outcome.error:
                trial.record.unlink(missing_ok=True)
        return outcome

    def _difference(self) -> str:
        one, other = (trial.record for trial in self.trials)
        return f": {compare(one, other)}" if one is not None and other is not None else "; --record DIR shows where"


def _pool(jobs: int, hash_seed: str) -> ProcessPoolExecutor:
    """Processes of a fresh interpreter each, which take the environment as it is now."""
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_in_process)
    before = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = hash_seed
    try:
        for started in [pool.submit(int) for _ in range(jobs)]:  # while none is idle yet, each starts one
            started.result()
    finally:
        if before is None:
            del os.environ["PYTHONHASHSEED"]
        else:
            os.environ["PYTHONHASHSEED"] = before
    return pool


def _in_process() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who started us decides
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Whoever started this process may be killed; then nobody is left to end it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
