"""When the request that a task works for runs out of time (loop time): asks made on the way inherit it."""

from __future__ import annotations

import contextvars
import math

deadline: contextvars.ContextVar[float] = contextvars.ContextVar("deadline", default=math.inf)
