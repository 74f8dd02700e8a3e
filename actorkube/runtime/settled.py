"""Settled: everybody has done what there was to do. No message waits, no ask is unanswered, nobody is at work, and no
timer is due; what happens next, only time or somebody from outside can cause."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actorkube.runtime.system import System

SETTLE_WITHIN_S = 60.0
LOOK_EVERY_S = 0.002
CALM_LOOKS = 3  # on a loop that cannot say that nothing is ready: nobody is busy so often in a row
NAMED_MAX = 12


class NotSettled(Exception):
    """Something is still busy after the time that was given; the message names it."""


def busy(systems: Iterable[System]) -> list[str]:
    """Who has something to do now, as far as the systems themselves can tell; one line each."""
    return [reason for system in systems for reason in system.busy()]


async def settled(systems: Callable[[], Iterable[System]], within_s: float = SETTLE_WITHIN_S) -> None:
    """Wait until the systems (asked for anew at each look) have settled. Raises NotSettled after `within_s`.

    On a ClockLoop the bound is in real time, and nothing is overlooked: its systems share the loop, and it knows when
    nothing is ready. On another loop the bound is in that loop's time, and what travels between systems over sockets
    unasked (a tell) is not seen.
    """
    quiet: Any = getattr(asyncio.get_running_loop(), "quiet", None)
    if quiet is not None:
        await quiet(lambda: busy(systems()), within_s)
    else:
        await _look_until_calm(systems, within_s)


async def _look_until_calm(systems: Callable[[], Iterable[System]], within_s: float) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + within_s
    calm = 0
    while calm < CALM_LOOKS:
        found = busy(systems())
        calm = 0 if found else calm + 1
        if loop.time() > end:
            raise NotSettled(f"not settled: {name_some(found)}")
        await asyncio.sleep(LOOK_EVERY_S)


def name_some(reasons: list[str]) -> str:
    """The first of them, and how many more there are."""
    if not reasons:
        return "nobody here is busy, but it did not come to rest"
    more = len(reasons) - NAMED_MAX
    return "; ".join(reasons[:NAMED_MAX]) + (f"; and {more} more" if more > 0 else "")
