"""Columns: one number for each node's row, read and written one by one or all at once.

A numpy array answers for all rows at once, a memoryview on the same memory for one row at a third of numpy's price.
A journal says which rows changed, so that what was worked out for all rows is worked out again for those only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Bools = NDArray[np.bool_]
# What each row is looked up by, with `take`: of numpy's own type for indices, as another is converted each time.
Places = NDArray[np.intp]
Rows = NDArray[np.intp] | slice

ALL = slice(None)
ROWS_MIN = 64
_JOURNAL_MAX = 8192


class Column:
    """`values` for all rows, `at` for one. Whole numbers up to 2^53 are exact."""

    __slots__ = ("at", "values")

    def __init__(self, rows: int, fill: float = 0.0) -> None:
        self.values: Floats = np.full(rows, fill)
        self.at: Any = self.values.data

    def grow(self, rows: int, fill: float = 0.0) -> None:
        values = np.full(rows, fill)
        values[: len(self.values)] = self.values
        self.values, self.at = values, values.data


class Journal:
    """Rows that changed, in order. Who has read up to `head` asks `since(head)` next time."""

    __slots__ = ("_forgotten", "_rows")

    def __init__(self) -> None:
        self._rows: list[int] = []
        self._forgotten = 0

    @property
    def head(self) -> int:
        return self._forgotten + len(self._rows)

    @property
    def latest(self) -> int:
        return self._rows[-1]

    def note(self, row: int) -> None:
        self._rows.append(row)
        if len(self._rows) > _JOURNAL_MAX:
            del self._rows[: _JOURNAL_MAX // 2]
            self._forgotten += _JOURNAL_MAX // 2

    def since(self, head: int) -> list[int] | None:
        """None: too long ago, read everything again."""
        return self._rows[head - self._forgotten :] if head >= self._forgotten else None
