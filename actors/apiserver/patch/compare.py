"""Which fields differ between two objects of one type: added, modified, removed, as sets of paths.

What comes or goes is listed with everything below it. Equal subtrees are skipped at once, so the cost of comparing two
versions is that of their differences.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from actors.apiserver.alike import REMEMBERED, again, exactly
from actors.apiserver.patch.fields import LEAF, MEMBER, FieldSet, union
from actors.apiserver.patch.structure import NotOfItsType, by_step, divides, field_type, must_be_map
from actors.apiserver.schema.types import Type

# In Go these are structs and not pointers: always there, so never added, removed or owned themselves. So is what is
# required: an object, or, as null, a list.
_ALWAYS_THERE = frozenset({"metadata", "spec", "status", "template", "strategy", "updateStrategy", "jobTemplate"})
_ALWAYS_THERE_IN = frozenset(
    {
        ("PersistentVolumeClaimSpec", "resources"),
        ("Event", "source"),
        ("NodeStatus", "nodeInfo"),
        ("NodeStatus", "daemonEndpoints"),
        ("IngressStatus", "loadBalancer"),
        ("ServiceStatus", "loadBalancer"),
        ("NetworkPolicySpec", "podSelector"),
        ("ResourceClaimSpec", "devices"),
    }
)
_POINTER = ("ReplicationControllerSpec", "template")
_ABSENT = object()


@dataclass(slots=True)
class Comparison:
    added: FieldSet = field(default_factory=dict)
    modified: FieldSet = field(default_factory=dict)
    removed: FieldSet = field(default_factory=dict)

    @property
    def changed(self) -> FieldSet:
        return union(self.added, self.modified)

    def __bool__(self) -> bool:
        return bool(self.added or self.modified or self.removed)

    def put(self, step: str, below: Comparison) -> None:
        for mine, theirs in ((self.added, below.added), (self.modified, below.modified), (self.removed, below.removed)):
            if theirs:
                mine[step] = theirs


def compare(type: Type, old: dict[str, Any], new: dict[str, Any]) -> Comparison:
    found = Comparison()
    for key in {**old, **new}:
        before, after = old.get(key, _ABSENT), new.get(key, _ABSENT)
        if before is after or before == after:
            continue
        if before is _ABSENT and key in type.required and after in (0, "", False):
            continue
        zero = _zero(type, key)
        if zero is not None:
            before, after = zero if before is _ABSENT else before, zero if after is _ABSENT else after
            if before == after:
                continue
        _compare_value(found, f"f:{key}", field_type(type, key), before, after)
    return found


def _zero(type: Type, key: str) -> Any:
    """What stands in Go where the field says nothing; None for a pointer, which can be absent."""
    kind = type.name.rpartition(".")[2]
    there = key in _ALWAYS_THERE and (kind != type.name or key == "metadata") and (kind, key) != _POINTER
    if there or (kind, key) in _ALWAYS_THERE_IN:
        return {}
    if key not in type.required:
        return None
    required = type.fields[key]
    return [] if divides(required, []) else {} if must_be_map(required) else None


def _compare_value(found: Comparison, step: str, type: Type | None, before: Any, after: Any) -> None:
    if before is _ABSENT:
        found.added[step] = everything(type, after)
    elif after is _ABSENT:
        found.removed[step] = everything(type, before)
    elif type is None or not (divides(type, before) and divides(type, after)):
        found.modified[step] = LEAF
    elif isinstance(before, dict):
        found.put(step, compare(type, before, after))
    else:
        _compare_lists(found, step, type, before, after)


def _compare_lists(found: Comparison, step: str, type: Type, before: list[Any], after: list[Any]) -> None:
    try:
        old, new = by_step(type, before), by_step(type, after)
    except NotOfItsType:  # an item without its keys: the list can only be looked at as a whole
        found.modified[step] = LEAF
        return
    below = Comparison()
    for item in {**old, **new}:
        _compare_items(below, item, type.items, old.get(item, []), new.get(item, []))
    found.put(step, below)


def _compare_items(found: Comparison, step: str, type: Type, old: list[Any], new: list[Any]) -> None:
    """The items with one key; where there are several, they are one thing as a whole."""
    if old == new:
        return
    if len(old) <= 1 and len(new) <= 1:
        _compare_value(found, step, type, old[0] if old else _ABSENT, new[0] if new else _ABSENT)
    elif len(old) > 1 and len(new) > 1:
        found.modified[step] = LEAF
    else:
        if old:
            found.removed[step] = LEAF if len(old) > 1 else everything(type, old[0])
        if new:
            found.added[step] = LEAF if len(new) > 1 else everything(type, new[0])


def everything(type: Type | None, value: Any) -> FieldSet:
    """The node of a value that comes or goes: itself and all that is below."""
    if not value or type is None or not divides(type, value):
        return LEAF
    try:
        below = _fields(type, value) if isinstance(value, dict) else _items(type, value)
    except NotOfItsType:
        return LEAF
    return {MEMBER: LEAF, **below}


def _fields(type: Type, value: dict[str, Any]) -> FieldSet:
    return {f"f:{key}": everything(field_type(type, key), item) for key, item in value.items()}


def _items(type: Type, value: list[Any]) -> FieldSet:
    items = by_step(type, value)
    return {step: _of_item(type.items, same[0]) if len(same) == 1 else LEAF for step, same in items.items()}


def _of_item(type: Type, item: Any) -> FieldSet:
    """As `everything`. Items of Kubernetes' own types (a volume, a toleration) are alike in many objects."""
    encoded = exactly(item) if type.name and isinstance(item, dict) else None
    return everything(type, item) if encoded is None else _of_item_like(type, encoded)


@lru_cache(REMEMBERED)
def _of_item_like(type: Type, encoded: bytes) -> FieldSet:
    return everything(type, again(encoded))
