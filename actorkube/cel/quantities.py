"""Quantities of resources: `100m`, `1.5Gi`. CEL's whole numbers have 64 bits, and 10Gi has more nanos than that: so a
quantity is kept as the digits of its nanos."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from protocols.rules.quantity import NANOS, InvalidQuantity, parse_quantity

Quantity = dict[str, str]


def of_nanos(nanos: int) -> Quantity:
    return {"Quantity": str(nanos)}


def _quantity(text: str) -> Quantity:
    return of_nanos(parse_quantity(text))


def _is_quantity(text: str) -> bool:
    try:
        parse_quantity(text)
    except InvalidQuantity:
        return False
    return True


def _nanos(value: Quantity | int) -> int:
    return value * NANOS if isinstance(value, int) else int(value["Quantity"])


def _integer(quantity: Quantity) -> int:
    whole, rest = divmod(_nanos(quantity), NANOS)
    if rest:
        raise ValueError("cannot convert value to integer")
    return whole


def _compare(one: Quantity, other: Quantity) -> int:
    return (_nanos(one) > _nanos(other)) - (_nanos(one) < _nanos(other))


def _add(one: Quantity, other: Quantity | int) -> Quantity:
    return of_nanos(_nanos(one) + _nanos(other))


def _subtract(one: Quantity, other: Quantity | int) -> Quantity:
    return of_nanos(_nanos(one) - _nanos(other))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "quantity(string) -> Quantity": _quantity,
    "isQuantity(string) -> bool": _is_quantity,
    "Quantity.sign() -> int": lambda quantity: (_nanos(quantity) > 0) - (_nanos(quantity) < 0),
    "Quantity.isInteger() -> bool": lambda quantity: _nanos(quantity) % NANOS == 0,
    "Quantity.asInteger() -> int": _integer,
    "Quantity.asApproximateFloat() -> double": lambda quantity: _nanos(quantity) / NANOS,
    "Quantity.isGreaterThan(Quantity) -> bool": lambda one, other: _nanos(one) > _nanos(other),
    "Quantity.isLessThan(Quantity) -> bool": lambda one, other: _nanos(one) < _nanos(other),
    "Quantity.compareTo(Quantity) -> int": _compare,
    "Quantity.add(Quantity) -> Quantity": _add,
    "Quantity.add(int) -> Quantity": _add,
    "Quantity.sub(Quantity) -> Quantity": _subtract,
    "Quantity.sub(int) -> Quantity": _subtract,
}
