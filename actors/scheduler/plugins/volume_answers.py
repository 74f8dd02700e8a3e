"""Answers of plugins about volumes: worked out once for a shape, anew when a node changes.

A template of pods with claims lasts until something happens to any volume, so what it keeps depends on nodes alone.
"""

from __future__ import annotations

from collections.abc import Callable

from actors.scheduler.columns import Ints
from actors.scheduler.framework import Cycle


def kept_numbers(cycle: Cycle, plugin: str, work_out: Callable[[Cycle], Ints]) -> Ints:
    version = (cycle.state.objects.version, cycle.state.volumes.version)
    kept: tuple[tuple[int, int], Ints] | None = cycle.memo.get(plugin)
    if kept is None or kept[0] != version:
        kept = cycle.memo[plugin] = (version, work_out(cycle))
    return kept[1]
