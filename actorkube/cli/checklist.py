"""The start of a cluster as a ticked checklist: a line when a step is done, and a progress line on a terminal."""

from __future__ import annotations

import contextlib
import shutil
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

    def ready(self, member: str, note: str, at: float) -> None:
        """`at`: when it was ready, on the monotonic clock."""
        for step in self._steps:
            if member in step.waiting:
                del step.waiting[member]
                step.note = note or step.note
                if not step.waiting:
                    step.done = True
                    self.line(f"{self._tick()} {step.label:<24} {step.note:<44} {at - self._began:6.2f}s")
        self._draw()

    @property
    def complete(self) -> bool:
        return all(step.done for step in self._steps)

    def line(self, text: str) -> None:
        """Print a whole line, above the progress line where there is one."""
        self._write(("\r\033[K" if self._terminal else "") + text.rstrip() + "\n")

    def waiting(self) -> list[str]:
        return [member for step in self._steps for member in step.waiting]

    def _draw(self) -> None:
        if not self._terminal:
            return
        open_steps = [f"{s.label} {s.size - len(s.waiting)}/{s.size}" for s in self._steps if not s.done]
        line = f"  … {', '.join(open_steps)}" if open_steps else ""
        self._write("\r\033[K" + line[: shutil.get_terminal_size().columns - 1])  # a wrapped line cannot be redrawn

    def _write(self, text: str) -> None:
        """A reader that went away (`| head`) does not end the cluster."""
        with contextlib.suppress(BrokenPipeError):
            self._out.write(text)
            self._out.flush()

    def _tick(self) -> str:
        return "\033[32m✓\033[0m" if self._terminal else "✓"
