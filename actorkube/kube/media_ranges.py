"""The Accept header of HTTP."""

from __future__ import annotations

from typing import NamedTuple


class Range(NamedTuple):
    """One media range of an Accept header."""

    media_type: str
    params: dict[str, str]


def accepted(accept: str) -> list[Range]:
    """The media ranges of an Accept header, best first; no header accepts anything."""
    weighted: list[tuple[float, Range]] = []
    for part in accept.split(",") if accept.strip() else ["*/*"]:
        media_type, *params = (piece.strip() for piece in part.split(";"))
        pairs = dict(_pair(param) for param in params if "=" in param)
        weighted.append((_weight(pairs.pop("q", "1")), Range(media_type.lower(), pairs)))
    weighted.sort(key=lambda entry: -entry[0])
    return [media for weight, media in weighted if weight > 0]


def _pair(param: str) -> tuple[str, str]:
    key, _, value = param.partition("=")
    return key.strip(), value.strip().strip('"')


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
