"""The order of a merged list: what the client ordered, among what was there before."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from protocols.errors import BadRequest


def identity(item: Any, key: str) -> Hashable:
    """What tells items of a merged list apart: the value of the merge key, or a scalar itself (key "")."""
    if key:
        if not isinstance(item, dict):
            raise BadRequest(f"an item of a list that is merged by {key} is not a map: {item}")
        if key not in item:
            raise BadRequest(f"map: {_shown(item)} does not contain declared merge key: {key}")
        item = item[key]
    if isinstance(item, dict | list):
        raise BadRequest(f"a map or list cannot be what tells items apart: {item}")
    return type(item), item  # True is not 1 here


def _shown(value: Any) -> str:
    """As Go prints it: `map[image:nginx ports:[map[containerPort:80]]]`."""
    match value:
        case dict():
            return f"map[{' '.join(f'{key}:{_shown(value[key])}' for key in sorted(value))}]"
        case list():
            return f"[{' '.join(map(_shown, value))}]"
        case bool():
            return "true" if value else "false"
    return "<nil>" if value is None else str(value)


def ordered(items: Iterable[Any], wanted: Iterable[Any], before: Iterable[Any], key: str) -> list[Any]:
    """`items`, those of `wanted` in its order, the others in the order of `before`.

    The two are interleaved: one of the others comes first where both stood in `before`, it before the wanted one.
    """
    rank, place = _ranks(wanted, key), _ranks(before, key)
    ours: list[tuple[Hashable, Any]] = []
    theirs: list[tuple[Hashable, Any]] = []
    for item in items:
        known = identity(item, key)
        (ours if known in rank else theirs).append((known, item))
    ours.sort(key=lambda entry: rank[entry[0]])
    theirs.sort(key=lambda entry: place.get(entry[0], len(place)))
    return _interleaved(ours, theirs, place)


def unique(items: Iterable[Any]) -> list[Any]:
    """Scalars, each once, where it is first."""
    return list({identity(item, ""): item for item in reversed(list(items))}.values())[::-1]


def _interleaved(
    ours: list[tuple[Hashable, Any]], theirs: list[tuple[Hashable, Any]], place: dict[Hashable, int]
) -> list[Any]:
    merged, next_theirs = [], 0
    for known, item in ours:
        while next_theirs < len(theirs) and known in place and _before(theirs[next_theirs][0], known, place):
            merged.append(theirs[next_theirs][1])
            next_theirs += 1
        merged.append(item)
    return merged + [item for _, item in theirs[next_theirs:]]


def _before(one: Hashable, other: Hashable, place: dict[Hashable, int]) -> bool:
    return one in place and place[one] < place[other]


def _ranks(items: Iterable[Any], key: str) -> dict[Hashable, int]:
    ranks: dict[Hashable, int] = {}
    for item in items:
        if not key or (isinstance(item, dict) and key in item):
            ranks.setdefault(identity(item, key), len(ranks))
    return ranks
