"""What could be allocated on a node, remembered: claims that ask alike get the same answer until something of what the
node reaches changes. So a pod of many costs one search on the node that the last one got, not one on every node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from actors.scheduler.devices.allocator import CannotAllocate, Picks

FORMS_MAX = 16  # ways to ask
Form = tuple[bytes, ...]
Stamp = tuple[int, int]
Found = Sequence[Picks] | CannotAllocate | None


class _Kept(NamedTuple):
    stamp: Stamp
    found: Found


class Answers:
    def __init__(self) -> None:
        self._kept: dict[Form, dict[str, _Kept]] = {}

    def of(self, form: Form) -> dict[str, _Kept]:
        """By node. The way to ask that was first asked for is forgotten where there are too many."""
        found = self._kept.get(form)
        if found is None:
            if len(self._kept) >= FORMS_MAX:
                del self._kept[next(iter(self._kept))]
            found = self._kept[form] = {}
        return found

    def keep(self, form: Form, node: str, stamp: Stamp, found: Found) -> None:
        self.of(form)[node] = _Kept(stamp, found)

    def clear(self) -> None:
        self._kept.clear()
