"""How hard a property is tried: in full, or, in the quick tests of every change, with a quarter of the examples.

What decides whether a change lands says the same of it each time, and so do tests that are to find a planted bug: the
examples there follow from the text of the test. Everywhere else they are new in every run, and `./dev soak` looks for
more.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

QUICK = os.environ.get("ACTORKUBE_TESTS") == "quick"
GATE = bool(os.environ.get("ACTORKUBE_CI")) or os.environ.get("ACTORKUBE_TESTS") == "planted"
FEWEST = 5


def examples(full: int) -> int:
    """How many examples hypothesis is to draw for a property that gets `full` of them where all tests run."""
    return max(FEWEST, full // 4) if QUICK else full


def seeds(full: int) -> range:
    """The seeds of a scenario that gets `full` of them where all tests run."""
    return range(max(1, full // 4) if QUICK else full)


def set_default() -> None:
    """What a property gets that does not say how many, or how they are drawn. How fast a machine is decides nothing."""
    settings.register_profile(
        "here",
        max_examples=examples(100),
        derandomize=GATE,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("here")
    if GATE:
        draw_from_the_text_alone()


def draw_from_the_text_alone() -> None:
    """Hypothesis draws constants, too, that stand in whatever modules are loaded: so each change anywhere in the code,
    and what a process ran before, would draw other examples."""
    providers.is_local_module_file = lambda file: False
