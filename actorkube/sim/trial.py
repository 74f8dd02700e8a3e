"""One seed of a scenario, tried: what came of it, as a value that fits through a pipe."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from actorkube.sim.policies import PolicyName
from actorkube.sim.scenarios import find
from actorkube.sim.world import World


@dataclass(frozen=True)
class Trial:
    """What to run. `scenario` is a name that `find` understands, in any process."""

    scenario: str
    seed: int
    policy: PolicyName = "shuffle"
    options: Mapping[str, Any] = field(default_factory=dict)
    record: Path | None = None
    replay: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """`error` is empty when it went well, else what a person needs to read. `seconds` are simulated, `took_s` real."""

    seed: int
    error: str
    seconds: float
    took_s: float
    steps: int
    hash: str
    probes: dict[str, int]


def attempt(trial: Trial) -> Outcome:
    """Run it here. Raises UnknownScenario and BadRecording; whatever the scenario raises is in the outcome."""
    scenario = find(trial.scenario)
    began = time.perf_counter()
    world = World(
        trial.seed,
        policy=trial.policy,
        record=trial.record or False,
        replay=trial.replay,
        name=trial.scenario,
        options={**trial.options, "policy": trial.policy},
        **scenario.world,
    )
    error = ""
    with contextlib.closing(world):
        try:
            world.run(partial(scenario.run, **trial.options), scenario.for_s)
        except Exception as caught:
            error = "".join(traceback.format_exception(caught))
        return Outcome(
            trial.seed,
            error,
            world.loop.now,
            time.perf_counter() - began,
            world.loop.steps,
            world.trace.hash,
            dict(world.probes),
        )
