"""A bug to plant: one replacement of text, and the test that must fail then."""

from __future__ import annotations

from typing import NamedTuple


class Bug(NamedTuple):
    name: str
    file: str
    old: str
    new: str
    test: str
