"""Bytes of which there is a fraction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from protocols.rules.quantity import NANOS, parse_quantity


def whole(field: str, amounts: Mapping[str, Any] | None, name: str) -> Iterator[str]:
    """Warns where the amount of `name` is not one of whole bytes."""
    amount = (amounts or {}).get(name)
    if amount is not None and parse_quantity(amount) % NANOS:
        yield f'{field}[{name}]: fractional byte value "{amount}" is invalid, must be an integer'
