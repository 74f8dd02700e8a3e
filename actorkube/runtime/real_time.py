"""For whoever waits for something that lives in real time while the time around him may be virtual."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any


def real_time(what: str, at_most_s: float) -> contextlib.AbstractContextManager[None]:
    """Around waiting for a process, or for an answer of one: on a loop whose time is virtual (ClockLoop) time stands
    still meanwhile, for so many real seconds at most. On other loops it changes nothing."""
    hold: Any = getattr(asyncio.get_running_loop(), "hold", None)
    return contextlib.nullcontext() if hold is None else hold(what, at_most_s)
