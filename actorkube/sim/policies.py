"""In which order tasks run that are ready in one turn of the loop. asyncio promises none, so none may be relied on.

Callbacks and timers are not touched: they are first in, first out, which asyncio does promise.
"""

from __future__ import annotations

import random
from typing import Literal, Protocol, get_args

from actorkube.sim.tasks import SimHandle, SimTask

PolicyName = Literal["fifo", "shuffle", "priority", "any"]
POLICIES: tuple[PolicyName, ...] = get_args(PolicyName)


class Policy(Protocol):
    def order(self, steps: list[SimHandle]) -> None:
        """Put the steps of tasks into the order in which they are to run, in place."""


class Shuffle:
    """Any order, each as likely."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def order(self, steps: list[SimHandle]) -> None:
        self._chance.shuffle(steps)


class Priority:
    """Every task has a priority by chance, kept until, now and then, whoever is first becomes last for good.

    After PCT (Burckhardt and others, 2010): a bug that needs one task to be late every time, or from one moment on, is
    found sooner than by shuffling, which evens out.
    """

    CHANGE = 0.01  # a turn

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._last = 0.0

    def order(self, steps: list[SimHandle]) -> None:
        steps.sort(key=self._priority)
        if self._chance.random() < self.CHANGE:
            self._last += 1.0
            steps[0].callback.__self__.priority = self._last
            steps.append(steps.pop(0))

    def _priority(self, step: SimHandle) -> float:
        task: SimTask = step.callback.__self__
        if task.priority is None:
            task.priority = self._chance.random()
        return task.priority


def policy(name: PolicyName, chance: random.Random) -> Policy | None:
    """None: as they came. `any`: one of the others, by chance."""
    if name == "any":
        name = chance.choice(POLICIES[:-1])
    match name:
        case "fifo":
            return None
        case "shuffle":
            return Shuffle(chance)
        case "priority":
            return Priority(chance)
    raise ValueError(f"a policy is one of {', '.join(POLICIES)}, not {name!r}")
