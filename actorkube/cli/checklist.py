"""The start of a cluster as a ticked checklist: a line when a step is done, and a progress line on a terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TextIO


@dataclass
class Step:
    """Done when every member is ready; `note` is what the last one said."""

    label: str
    waiting: dict[str, None]
    size: int = 0
    note: str = ""
    done: bool = field(default=False)


class Checklist:
    """Steps print in the order in which they are done."""

    def __init__(self, steps: Sequence[tuple[str, Sequence[str]]], out: TextIO, began: float) -> None:
        self._steps = [Step(label, dict.fromkeys(members), len(members)) for label, members in steps]
        self._out = out
        self._began = began
        self._terminal = out.isatty()
        self._draw()

    def ready(self, member: str, note: str) -> None:
        for step in self._steps:
            if member in step.waiting:
                del step.waiting[member]
                step.note = note or step.note
                if not step.waiting:
                    step.done = True
                    self.line(f"{self._tick()} {step.label:<24} {step.note:<44} {self._elapsed():>7}")
        self._draw()

    @property
    def complete(self) -> bool:
        return all(step.done for step in self._steps)

    def line(self, text: str) -> None:
        """Print a whole line, above the progress line where there is one."""
        self._out.write(("\r\033[K" if self._terminal else "") + text.rstrip() + "\n")
        self._out.flush()

    def waiting(self) -> list[str]:
        return [member for step in self._steps for member in step.waiting]

    def _draw(self) -> None:
        if not self._terminal:
            return
        open_steps = [f"{s.label} {s.size - len(s.waiting)}/{s.size}" for s in self._steps if not s.done]
        self._out.write("\r\033[K" + (f"  … {', '.join(open_steps)}" if open_steps else ""))
        self._out.flush()

    def _tick(self) -> str:
        return "\033[32m✓\033[0m" if self._terminal else "✓"

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._began:.2f}s"
