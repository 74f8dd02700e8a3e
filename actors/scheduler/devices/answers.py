"""What could be allocated, remembered: claims that ask alike get the same answer until something changes of what the
node reaches.

For one node the devices themselves are kept. For all nodes only whether there are enough, and why not: nodes of one
kind (`kinds.py`) are asked about once, and after a decision those whose kind has changed, mostly one. So of n nodes,
the first pod that asks so costs as many searches as there are kinds, and every further one a look at n numbers and one
search where it goes. Where devices are not on one node, who gets one changes what all others can get: then each kind is
asked about again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from actors.scheduler.columns import Ints
from actors.scheduler.devices.allocator import CannotAllocate, Picks
from actors.scheduler.devices.kinds import NOBODY, Kinds
from actors.scheduler.devices.looks import Names
from actors.scheduler.devices.pools import Stamp

FORMS_MAX = 16  # ways to ask
ENOUGH = 0
Form = tuple[bytes, ...]
Found = tuple[Picks, ...] | CannotAllocate | None


class Kept(NamedTuple):
    stamp: Stamp
    found: Found


class AnswersToForm:
    """`names`: of the attributes that matter; `of_node`: the devices. `numbers`: for each row ENOUGH, or a number from
    1 for which `why` has the reason."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.of_node: dict[str, Kept] = {}
        self.numbers: Ints = np.zeros(0, np.int32)
        self._reasons: list[CannotAllocate | None] = []
        self._known: dict[tuple[int, str] | None, int] = {}  # reason -> number
        self._of_kind: dict[int, int] = {}
        self._seen: tuple[int, int] | None = None
        self._head = 0

    def why(self, number: int) -> CannotAllocate | None:
        return self._reasons[number - 1]

    def refresh(self, kinds: Kinds, far_version: int, ask: Callable[[int], Found]) -> None:
        """`ask`: what could be allocated on the node of that row."""
        seen = (kinds.version, far_version)
        changed = kinds.changes.since(self._head) if seen == self._seen else None
        self._seen, self._head = seen, kinds.changes.head
        if changed is None:
            self._work_out_all(kinds, ask)
            return
        for row in dict.fromkeys(changed):
            number = self._of_kind.get(int(kinds.of[row]))
            self.numbers[row] = self._ask(int(kinds.of[row]), row, ask) if number is None else number

    def _work_out_all(self, kinds: Kinds, ask: Callable[[int], Found]) -> None:
        for kept in (self._reasons, self._known, self._of_kind):
            kept.clear()
        example = np.zeros(kinds.count, np.intp)
        example[kinds.of] = np.arange(len(kinds.of))
        numbers = np.zeros(kinds.count, np.int32)
        alike = np.bincount(kinds.of, minlength=kinds.count)
        alike[NOBODY] = 0
        unlike = []
        for kind in np.flatnonzero(alike).tolist():
            numbers[kind] = self._ask(kind, int(example[kind]), ask)
            if kind not in self._of_kind:
                unlike.append(kind)
        self.numbers = numbers[kinds.of]
        for row in np.flatnonzero(np.isin(kinds.of, unlike)).tolist() if unlike else ():
            self.numbers[row] = self._ask(int(kinds.of[row]), row, ask)

    def _ask(self, kind: int, row: int, ask: Callable[[int], Found]) -> int:
        """A reason that names something of the node is no other's."""
        found = ask(row)
        if isinstance(found, tuple):
            number = ENOUGH
        else:
            reason = (found.claim, str(found)) if found is not None else None
            number = self._known.setdefault(reason, len(self._reasons) + 1)
            if number > len(self._reasons):
                self._reasons.append(found)
        if not isinstance(found, CannotAllocate) or not found.names:
            self._of_kind[kind] = number
        return number


class Answers:
    def __init__(self) -> None:
        self._kept: dict[Form, AnswersToForm] = {}

    def get(self, form: Form) -> AnswersToForm | None:
        return self._kept.get(form)

    def begin(self, form: Form, names: Names) -> AnswersToForm:
        """The way to ask that was first asked for is forgotten where there are too many."""
        if len(self._kept) >= FORMS_MAX:
            del self._kept[next(iter(self._kept))]
        self._kept[form] = found = AnswersToForm(names)
        return found

    def clear(self) -> None:
        self._kept.clear()
