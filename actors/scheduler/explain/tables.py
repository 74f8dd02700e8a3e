"""Columns of text for a terminal."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def aligned(rows: Sequence[Sequence[str]], left: Collection[int] = ()) -> list[str]:
    """The first column to the left and numbers to the right; those in `left` to the left, too."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    left = {0, *left}
    return ["  ".join(_cell(row, widths, left)).rstrip() for row in rows]


def _cell(row: Sequence[str], widths: Sequence[int], left: Collection[int]) -> list[str]:
    return [
        text.ljust(width) if column in left else text.rjust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    ]
