"""What is given to `apply`: an object, several, YAML text, or a file of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from protocols.objects import Object

Manifest: TypeAlias = "Object | Sequence[Object] | str | Path"


def objects_in(manifest: Manifest) -> list[Object]:
    """Its objects in order; a List counts as its items. ValueError for what is not an API object."""
    found = [obj for document in _documents(manifest) for obj in _flat(document)]
    for obj in found:
        if not (isinstance(obj, dict) and obj.get("apiVersion") and obj.get("kind")):
            raise ValueError(f"not an API object (apiVersion and kind are missing): {str(obj)[:200]}")
    return found


def _documents(manifest: Manifest) -> Iterable[Object]:
    if isinstance(manifest, dict):
        return [manifest]
    if isinstance(manifest, Path) or (isinstance(manifest, str) and "\n" not in manifest and ":" not in manifest):
        return _parse(Path(manifest).read_text())
    if isinstance(manifest, str):
        return _parse(manifest)
    return manifest


def _parse(text: str) -> list[Object]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [document for document in yaml.load_all(text, Loader=loader) if document is not None]


def _flat(document: Object) -> list[Object]:
    if isinstance(document, dict) and document.get("kind") == "List":
        return list(document.get("items") or ())
    return [document]
