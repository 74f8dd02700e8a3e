"""Objects within an object (x-kubernetes-embedded-resource): they have the kind, version and metadata that any has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from actors.apiserver.custom.structural import Node
from actors.apiserver.rules import names
from actors.apiserver.rules.field import FieldErrors, invalid_value, required
from actors.apiserver.rules.validate.metadata import embedded_metadata
from actors.apiserver.schema.check import Checked, check_metadata
from actors.apiserver.schema.types import Types

Within = Iterator[tuple[str, dict[str, Any]]]
_OWN = ("apiVersion", "kind")


def embedded(node: Node, value: Any, path: str = "") -> Within:
    """Each of them, with its path, the outer before the inner."""
    if not node.embeds:
        return
    if isinstance(value, dict):
        if node.embedded:
            yield path, value
        for name, item in value.items():
            below = node.below(name)
            if below is not None:
                place = f"{path}.{name}".removeprefix(".") if name in node.properties else f"{path}[{name}]"
                yield from embedded(below, item, place)
    elif isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            yield from embedded(node.items, item, f"{path}[{index}]")


def check_embedded(types: Types, node: Node, obj: dict[str, Any]) -> Checked:
    """Check what all objects have in those within, in place."""
    checked = Checked()
    for path, inner in embedded(node, obj):
        for name in _OWN:
            if name in inner and not isinstance(inner[name], str):
                checked.errors.append(str(invalid_value(f"{path}.{name}", inner[name], "must be a string")))
        if "metadata" in inner:
            sent = json.loads(json.dumps(inner["metadata"], sort_keys=True))
            found = check_metadata(types, inner)
            at = f"{path}.metadata"
            checked.errors += [str(invalid_value(at, sent, problem)) for problem in found.errors]
            checked.unknown += [each.replace('"metadata', f'"{at}', 1) for each in found.unknown]
    checked.unknown.sort()
    return checked


def embedded_errors(node: Node, obj: Any) -> FieldErrors:
    for path, inner in embedded(node, obj):
        yield from (required(f"{path}.{name}") for name in _OWN if name not in inner)
        yield from _version_errors(f"{path}.apiVersion", inner.get("apiVersion"))
        yield from _kind_errors(f"{path}.kind", inner.get("kind"))
        if isinstance(inner.get("metadata"), dict):
            yield from embedded_metadata(f"{path}.metadata", inner["metadata"])


def _version_errors(field: str, version: str | None) -> FieldErrors:
    if version == "":
        yield invalid_value(field, version, "must not be empty")
    elif version is not None and version.count("/") > 1:
        yield invalid_value(field, version, f"unexpected GroupVersion string: {version}")


def _kind_errors(field: str, kind: str | None) -> FieldErrors:
    if kind == "":
        yield invalid_value(field, kind, "must not be empty")
    elif kind is not None and (problems := list(names.dns_1035_label(kind.lower()))):
        detail = f"may have mixed case, but should otherwise match: {','.join(problems)}"
        yield invalid_value(field, kind, detail)
