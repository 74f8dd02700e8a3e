"""What a command line user is told: one line, with a hint at what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterable


class CliError(Exception):
    """Ends the command with code 1."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(f"{problem}; {hint}")


def tell_of(remarks: Iterable[str]) -> None:
    """What goes on nevertheless, a line each."""
    for remark in remarks:
        print(f"actorkube: {remark}", file=sys.stderr, flush=True)
