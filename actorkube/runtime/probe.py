"""Probes: marks in the code under test at what should happen sometimes, such as an election during a partition.

    probe("election")

In simulation they are counted, and a run, or a sweep over seeds, reports which were reached: a test that never gets
into a branch has not tested it. Outside of a simulation a probe costs a look at a context variable, some 40 ns.
"""

from __future__ import annotations

from contextvars import ContextVar

# The counts of the simulation that this context belongs to.
reached: ContextVar[dict[str, int] | None] = ContextVar("reached", default=None)


def probe(name: str, condition: object = True) -> None:
    """It was reached, if the condition is true."""
    counts = reached.get()
    if counts is not None:
        counts[name] = counts.get(name, 0) + bool(condition)
