"""Quantities against worked examples of apimachinery's, and against exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.rules.quantity import (
    NANOS,
    InvalidQuantity,
    bytes_of,
    canonical_quantity,
    cpu_milli,
    format_quantity,
    parse_quantity,
)

SUFFIXES = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    **{suffix: Fraction(1000**power) for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Fraction(1024**power) for power, letter in enumerate("KMGTPE", 1)},
    "e3": Fraction(1000),
    "E-2": Fraction(1, 100),
    "e+1": Fraction(10),
}
CAP = 2**63 - 1


@st.composite
def numbers(draw: st.DrawFn) -> tuple[str, Fraction]:
    """A quantity in some spelling, and what it means."""
    whole, fraction = draw(st.integers(0, 10**20)), draw(st.text("0123456789", max_size=12))
    suffix = draw(st.sampled_from(sorted(SUFFIXES)))
    sign = draw(st.sampled_from(["", "+", "-"]))
    value = Fraction(f"{whole}.{fraction or 0}") * SUFFIXES[suffix]
    return f"{sign}{whole}{'.' if fraction else ''}{fraction}{suffix}", -value if sign == "-" else value


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", "0"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("5.", "5"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("100", "100"),
        ("1000", "1k"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("512Ki", "512Ki"),
        ("1025Ki", "1025Ki"),
        ("0.0005Ki", "512m"),
        ("0.1n", "1n"),
        ("1e3", "1e3"),
        ("1200e-3", "1200e-3"),
        ("12e-1", "1200e-3"),
        ("1E", "1E"),
        ("1E3", "1e3"),
        ("-1.5", "-1500m"),
        ("100000000E", "9223372036854775807"),
        (2, "2"),
        (0.1, "100m"),
    ],
)
def test_spells_a_quantity_as_kubernetes_does(text: str | float, canonical: str) -> None:
    assert canonical_quantity(text) == canonical


@pytest.mark.parametrize(
    "text", ["", "-", ".", "abc", "1.2.3", "1 Gi", "1kb", "1K", "1ki", "1e", "0x10", "1e99999", "٣"]
)
def test_refuses_what_is_no_quantity(text: str) -> None:
    with pytest.raises(InvalidQuantity, match="quantities must match the regular expression"):
        parse_quantity(text)


def test_refuses_a_truth_value() -> None:
    with pytest.raises(InvalidQuantity):
        parse_quantity(True)


@pytest.mark.parametrize(
    ("text", "milli", "units"),
    [("1", 1000, 1), ("100m", 100, 1), ("1u", 1, 1), ("1.5", 1500, 2), ("2Ki", 2048000, 2048), ("-1500m", -1500, -1)],
)
def test_rounds_up_to_what_is_counted(text: str, milli: int, units: int) -> None:
    assert (cpu_milli(text), bytes_of(text)) == (milli, units)


@given(numbers())
def test_is_the_exact_value_rounded_away_from_zero_to_nanos(case: tuple[str, Fraction]) -> None:
    text, value = case

    expected = min(math.ceil(abs(value) * NANOS), CAP * NANOS)

    assert parse_quantity(text) == (-expected if value < 0 else expected)


@given(numbers())
def test_a_canonical_spelling_keeps_the_value_and_is_its_own(case: tuple[str, Fraction]) -> None:
    canonical = canonical_quantity(case[0])

    assert parse_quantity(canonical) == parse_quantity(case[0])
    assert canonical_quantity(canonical) == canonical
    assert "." not in canonical


@given(
    st.integers(-(2**63 - 1) * NANOS, (2**63 - 1) * NANOS),
    st.sampled_from(["DecimalSI", "BinarySI", "DecimalExponent"]),
)
def test_formatting_loses_nothing_in_any_style(nanos: int, style: str) -> None:
    assert parse_quantity(format_quantity(nanos, style)) == nanos  # type: ignore[arg-type]
