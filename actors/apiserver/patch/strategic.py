"""Strategic merge patch: a merge patch that knows which lists are maps in disguise.

The schema says of a list whether patches replace it or merge it, and by which key its items are told apart. What a
merge cannot express, directives in the patch do:

    $patch: delete | replace       on a map or on an item of a merged list; `replace` in a list replaces all of it
    $retainKeys: [a, b]            the map keeps only these keys (one of several alternatives was chosen)
    $deleteFromPrimitiveList/x     items to remove from the list x of scalars
    $setElementOrder/x             the order of the list x: its items as the client wants to see them

Order of merged lists: items named by the patch stand as the patch (or $setElementOrder) says, the others keep their
places relative to those that were there before (design proposal preserve-order-in-strategic-merge-patch).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from actors.apiserver.patch.ordering import identity, ordered, unique
from actors.apiserver.schema.types import Type
from protocols.errors import BadRequest, Invalid

Map = dict[str, Any]

PATCH, RETAIN_KEYS = "$patch", "$retainKeys"
DELETE_PREFIX, ORDER_PREFIX = "$deleteFromPrimitiveList/", "$setElementOrder/"


def strategic_merge(type: Type | None, original: Map, patch: Map) -> Map:
    """What the patch makes of `original`, which stays as it is and shares with the result what is not patched. Without
    a type it is a merge patch with directives."""
    directive = patch.get(PATCH)
    if directive == "delete":
        return {}
    if directive == "replace":
        return _plain_map(patch)
    if directive not in (None, "merge"):
        raise BadRequest(f"Unknown patch type [{directive}] in map")
    original = {**original}
    _retain_keys(original, patch)
    done = _merge_ordered(type, original, patch)
    for key, value in patch.items():
        if key.startswith(DELETE_PREFIX):
            _delete_scalars(original, key.removeprefix(DELETE_PREFIX), value)
        elif not key.startswith("$") and key not in done:
            _merge_field(type, original, key, value)
    return original


def _merge_field(type: Type | None, original: Map, key: str, value: Any) -> None:
    if value is None:
        original.pop(key, None)
        return
    current = original.get(key)
    if isinstance(current, dict) and isinstance(value, dict):
        original[key] = _merge_maps(_below(type, key), current, value)
    elif isinstance(current, list) and isinstance(value, list):
        original[key] = _merge_lists(_below(type, key), current, value)
    elif _directs(value):
        original.pop(key, None)  # there is no map here to do it with
    else:
        original[key] = plain(value)


def _merge_maps(type: Type | None, current: Map, value: Map) -> Map:
    return _plain_map(value) if "replace" in _strategies(type) else strategic_merge(type, current, value)


def _merge_lists(type: Type | None, current: list[Any], value: list[Any]) -> list[Any]:
    if type is None or type.kind != "array" or "merge" not in _strategies(type):
        return [plain(item) for item in value]
    if not current and not value:
        return current
    kinds = {_kind(item) for item in [*current, *value]}
    if len(kinds) > 1 or "list" in kinds:
        raise BadRequest("list element types are not identical, or are lists")
    if kinds == {"scalar"}:
        return _merge_scalars(current, value)
    return _merge_items(type, current, value)


def _merge_scalars(current: list[Any], value: list[Any]) -> list[Any]:
    return ordered(unique([*current, *value]), value, current, "")


def _merge_items(type: Type, current: list[Map], value: list[Map]) -> list[Map]:
    key = type.patch_merge_key
    if not key:
        raise BadRequest(f"cannot merge lists without merge key for {type.items.name}")
    current, value = _without_directives(key, current, value)
    return ordered(_merge_by_key(type, key, current, value), value, current, key)


def _without_directives(key: str, current: list[Map], value: list[Map]) -> tuple[list[Map], list[Map]]:
    """The list without the deleted items, and the patch without its directives."""
    kept = [item for item in value if item.get(PATCH) in (None, "merge")]
    directives = [item[PATCH] for item in value if PATCH in item]
    for directive in directives:
        if directive not in ("delete", "replace", "merge"):
            raise BadRequest(f"Unknown patch type [{directive}] in list")
    deleted = {identity(item, key) for item in value if item.get(PATCH) == "delete"}
    if "replace" in directives:
        return [_plain_map(item) for item in kept], []
    return [item for item in current if key not in item or identity(item, key) not in deleted], kept


def _merge_by_key(type: Type, key: str, current: list[Map], value: list[Map]) -> list[Map]:
    merged = list(current)
    places: dict[Hashable, int] = {}
    for index, item in enumerate(merged):
        if key in item:
            places.setdefault(identity(item, key), index)  # of two with one key, the first is meant
    for item in value:
        index = places.setdefault(identity(item, key), len(merged))
        if index == len(merged):
            merged.append(_plain_map(item))
        else:
            merged[index] = strategic_merge(type.items, merged[index], item)
    return merged


def _merge_ordered(type: Type | None, original: Map, patch: Map) -> set[str]:
    """Merges the lists whose order the patch sets, and returns their names."""
    done = set()
    for directive, order in patch.items():
        name = directive.removeprefix(ORDER_PREFIX)
        current, value = original.get(name), patch.get(name)
        if name == directive or (name in patch and value is None):
            continue  # no such directive, or the list goes
        _check_lists(directive, order, current, value)
        done.add(name)
        below = _below(type, name)
        key = below.patch_merge_key if below is not None else ""
        _check_order(directive, key, order, value or [])
        if current is not None or value is not None:
            merged = current if value is None else _merge_lists(below, current, value) if current else plain(value)
            original[name] = ordered(merged or [], order, current or [], key)
    return done


def _check_lists(directive: str, *lists: Any) -> None:
    if not isinstance(lists[0], list) or any(each is not None and not isinstance(each, list) for each in lists):
        raise BadRequest(f"{directive} and the list it orders must be lists")


def _check_order(directive: str, key: str, order: list[Any], value: list[Any]) -> None:
    """What the patch adds or changes must be in the order, and in that order."""
    if not order or not value:
        return
    ranks = {identity(item, key): rank for rank, item in enumerate(order)}
    kept = [item for item in value if not _directs(item)]
    found = [ranks.get(identity(item, key), -1) for item in kept]
    if -1 in found or found != sorted(found):
        raise BadRequest(f"The order in patch list:\n{value}\n doesn't match {directive} list:\n{order}\n")


def _retain_keys(original: Map, patch: Map) -> None:
    if RETAIN_KEYS not in patch:
        return
    retained = patch[RETAIN_KEYS]
    if not isinstance(retained, list):
        raise BadRequest("invalid retainKeys: it must be a list")
    for key, value in patch.items():
        if value is not None and not key.startswith("$") and key not in retained:
            raise Invalid(f"the patch has {key}, which $retainKeys does not retain")
    for key in [key for key in original if key not in retained]:
        del original[key]


def _delete_scalars(original: Map, key: str, value: Any) -> None:
    if not isinstance(value, list):
        raise BadRequest(f"invalid patch format of primitive list: {key}")
    current = original.get(key)
    if isinstance(current, list):
        original[key] = [item for item in current if item not in value]


def plain(value: Any) -> Any:
    """A copy of a patch's value that stands for itself: without nulls, directives, and maps that only direct."""
    if isinstance(value, dict):
        return _plain_map(value)
    return [plain(item) for item in value if not _directs(item)] if isinstance(value, list) else value


def _plain_map(value: Map) -> Map:
    items = value.items()
    return {key: plain(item) for key, item in items if not (item is None or key.startswith("$") or _directs(item))}


def _directs(value: Any) -> bool:
    """A map that only says what to do with another."""
    return isinstance(value, dict) and value.get(PATCH, "merge") != "merge"


def _below(type: Type | None, key: str) -> Type | None:
    if type is None:
        return None
    if type.kind == "object":
        return type.fields.get(key)
    return type.values if type.kind == "map" else None


def _strategies(type: Type | None) -> list[str]:
    return type.patch_strategy.split(",") if type is not None else []


def _kind(item: Any) -> str:
    return "map" if isinstance(item, dict) else "list" if isinstance(item, list) else "scalar"
