"""Regular expressions that find, and versions (semver.org 2.0)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from actorkube.cel.patterns import BadPattern, Pattern, compiled

_NUMBER = r"(0|[1-9]\d*)"
_SEMVER = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?")


def _pattern(text: str) -> Pattern:
    try:
        return compiled(text)
    except BadPattern as error:
        raise ValueError(f"error parsing regexp: {error}") from None


def _find(text: str, pattern: str) -> str:
    match = _pattern(pattern).search(text)
    return match[0] if match else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = [match[0] for match in _pattern(pattern).finditer(text)]
    return found if limit < 0 else found[:limit]


def _semver(text: str) -> dict[str, str]:
    if not _SEMVER.fullmatch(text):
        raise ValueError(f"{text!r} is no semantic version")
    return {"Semver": text}


def _order(version: dict[str, str]) -> tuple[Any, ...]:
    """Sorts as semver.org says: a pre-release is less than its release, numbers are less than words."""
    match = _SEMVER.fullmatch(version["Semver"])
    assert match is not None
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in (match[4] or "").split(".") if part]
    return int(match[1]), int(match[2]), int(match[3]), match[4] is None, parts


def _number(version: dict[str, str], which: int) -> int:
    return int(_order(version)[which])


def _compare(one: Any, other: Any) -> int:
    return (_order(one) > _order(other)) - (_order(one) < _order(other))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "string.find(string) -> string": _find,
    "string.findAll(string) -> list(string)": _find_all,
    "string.findAll(string, int) -> list(string)": _find_all,
    "jsonpatch.escapeKey(string) -> string": lambda key: key.replace("~", "~0").replace("/", "~1"),
    "semver(string) -> Semver": _semver,
    "isSemver(string) -> bool": lambda text: _SEMVER.fullmatch(text) is not None,
    "Semver.major() -> int": lambda version: _number(version, 0),
    "Semver.minor() -> int": lambda version: _number(version, 1),
    "Semver.patch() -> int": lambda version: _number(version, 2),
    "Semver.isLessThan(Semver) -> bool": lambda one, other: _order(one) < _order(other),
    "Semver.isGreaterThan(Semver) -> bool": lambda one, other: _order(one) > _order(other),
    "Semver.compareTo(Semver) -> int": _compare,
}
