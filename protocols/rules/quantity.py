"""Quantities (`100m`, `1.5Gi`, `2e3`): exact integers in billionths, because that is Kubernetes' own finest step.

Every Kubernetes quantity is a whole number of nanos after parsing: what is finer is rounded away from zero ("you want
some resources if you asked for some"), what is larger than 2^63-1 is capped. So an `int` of nanos compares, adds and
hashes exactly, and needs no class of its own.
"""

from __future__ import annotations

import functools
import re
from typing import Literal

QuantityFormat = Literal["DecimalSI", "BinarySI", "DecimalExponent"]

NANOS = 10**9
_NANOS_MAX = (2**63 - 1) * NANOS
_DECIMAL_EXPONENTS = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY_EXPONENTS = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIXES = {exponent: suffix for suffix, exponent in _DECIMAL_EXPONENTS.items()}
_EXPONENT_DIGITS_MAX = 4
_QUANTITY = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?(?:([eE])([+-]?\d+)|([numkMGTPE]|[KMGTPE]i)?)", re.ASCII)


class InvalidQuantity(ValueError):
    """Kubernetes' own message for a value that is no quantity."""

    def __init__(self) -> None:
        pattern = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
        super().__init__(f"quantities must match the regular expression '{pattern}'")


def parse_quantity(value: str | float) -> int:
    """The quantity in nanos. Numbers are accepted as JSON allows them; raises InvalidQuantity."""
    return _parse(value)[0]


def cpu_milli(value: str | float) -> int:
    """Thousandths, rounded up: how CPU is counted (`100m` -> 100, `1` -> 1000)."""
    return -(-parse_quantity(value) // (NANOS // 1000))


def bytes_of(value: str | float) -> int:
    """Whole units, rounded up: how memory, storage and counts are counted (`1Ki` -> 1024)."""
    return -(-parse_quantity(value) // NANOS)


def canonical_quantity(value: str | float) -> str:
    """The one spelling in which Kubernetes prints it: `0.5` -> `500m`, `1024Mi` -> `1Gi`, `1000` -> `1k`."""
    return format_quantity(*_parse(value))


def format_quantity(nanos: int, style: QuantityFormat = "DecimalSI") -> str:
    """No fraction, the largest possible suffix, no precision lost: a BinarySI that would lose some is DecimalSI."""
    if style == "BinarySI" and abs(nanos) >= 1024 * NANOS and nanos % NANOS == 0:
        return _format_binary(nanos // NANOS)
    return _format_decimal(nanos, style)


@functools.lru_cache(maxsize=4096, typed=True)
def _parse(value: str | float) -> tuple[int, QuantityFormat]:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidQuantity
    match = _QUANTITY.fullmatch(value.strip() if isinstance(value, str) else repr(value))
    if match is None or not (match[2] or match[3]):
        raise InvalidQuantity
    sign, whole, fraction, scientific, exponent, suffix = match.groups("")
    digits, scale, style = int(whole + fraction), -len(fraction), _style(scientific, suffix)
    if style == "BinarySI":
        nanos = _shift((digits << _BINARY_EXPONENTS[suffix]) * NANOS, scale)
    else:
        if len(exponent) > _EXPONENT_DIGITS_MAX:
            raise InvalidQuantity
        nanos = _shift(digits * NANOS, scale + (int(exponent) if scientific else _DECIMAL_EXPONENTS[suffix]))
    nanos = min(nanos, _NANOS_MAX)
    return (-nanos if sign == "-" else nanos), style


def _style(scientific: str, suffix: str) -> QuantityFormat:
    if scientific:
        return "DecimalExponent"
    return "BinarySI" if suffix in _BINARY_EXPONENTS else "DecimalSI"


def _shift(amount: int, exponent: int) -> int:
    """amount * 10**exponent, rounded up; amount is not negative."""
    if exponent >= 0:
        return amount * int(10**exponent)
    return -(-amount // int(10**-exponent))


def _format_binary(units: int) -> str:
    power = 0
    while units % 1024 == 0 and power < 6:
        units, power = units // 1024, power + 1
    return f"{units}{('', *_BINARY_EXPONENTS)[power]}"


def _format_decimal(nanos: int, style: QuantityFormat) -> str:
    exponent = -9
    while nanos and nanos % 1000 == 0 and exponent < 18:
        nanos, exponent = nanos // 1000, exponent + 3
    if not nanos or exponent == 0:
        return str(nanos)
    if style == "DecimalExponent":
        return f"{nanos}e{exponent}"
    return f"{nanos}{_DECIMAL_SUFFIXES[exponent]}"
