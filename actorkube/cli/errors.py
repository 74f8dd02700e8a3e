"""What a command line user is told: one line, with a hint at what to do."""

from __future__ import annotations


class CliError(Exception):
    """Ends the command with code 1."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(f"{problem}; {hint}")
