"""When cycles are collected: in a world at fixed steps only, so that what their ends do is the same in every run, and
of worlds that are over before another one runs.

The interpreter would do the latter hardly ever: what is there when a world begins is frozen while it runs, and counts
as old afterwards.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import Protocol

GC_STEPS = 100_000  # within a world
# Of worlds that are over: a look at the whole process takes longer, and some 100 MB wait for it.
LEFT_STEPS_MAX = 1_000_000


class Stepping(Protocol):
    steps: int


class _Left:
    """Steps of worlds in this process since everything was collected: about how much they have left behind."""

    steps = 0


@contextlib.contextmanager
def collected_at_steps(loop: Stepping) -> Iterator[None]:
    """Around a run; within it the loop itself collects, each GC_STEPS. What was there before is not looked at then."""
    enabled, began = gc.isenabled(), loop.steps
    frozen = gc.get_freeze_count() > 0
    gc.disable()
    if _Left.steps >= LEFT_STEPS_MAX:
        _Left.steps = 0
        gc.collect()
    if not frozen:
        gc.freeze()
    try:
        yield
    finally:
        _Left.steps += loop.steps - began
        if not frozen:
            # What the run has made counts as old then, too. Else the next new object would have the interpreter look at
            # all of it, in vain: the world is still there.
            gc.freeze()
            gc.unfreeze()
        if enabled:
            gc.enable()
