"""Lists that are sets, or maps by some of their items' fields (x-kubernetes-list-type): nothing is in them twice."""

from __future__ import annotations

import json
from typing import Any

from actors.apiserver.custom.structural import Node
from actors.apiserver.rules.field import FieldError, FieldErrors, duplicate, invalid_value


def unique_errors(node: Node, value: Any, path: str = "") -> FieldErrors:
    if not node.lists:
        return
    if isinstance(value, dict):
        for name, item in value.items():
            below = node.below(name)
            if below is not None:
                place = f"{path}.{name}".removeprefix(".") if name in node.properties else f"{path}[{name}]"
                yield from unique_errors(below, item, place)
    elif isinstance(value, list):
        yield from _own_errors(node, value, path)
        if node.items is not None:
            for index, item in enumerate(value):
                yield from unique_errors(node.items, item, f"{path}[{index}]")


def _own_errors(node: Node, value: list[Any], path: str) -> FieldErrors:
    if node.list_type == "set":
        yield from _twice(value, path)
    elif node.list_type == "map":
        for index, item in enumerate(value):
            if item is not None and not isinstance(item, dict):
                yield invalid_value(f"{path}[{index}]", item, "must be an object for an array of list-type map")
                return
        yield from _twice([_keys(node, item or {}) for item in value], path)


def _keys(node: Node, item: dict[str, Any]) -> dict[str, Any]:
    return {key: item[key] for key in node.keys if key in item}


def _twice(values: list[Any], path: str) -> list[FieldError]:
    """Each value that is there again, where it is so for the first time."""
    times: dict[str, int] = {}
    found = []
    for index, value in enumerate(values):
        text = json.dumps(value, sort_keys=True)
        times[text] = times.get(text, 0) + 1
        if times[text] == 2:
            found.append(duplicate(f"{path}[{index}]", value))
    return found
