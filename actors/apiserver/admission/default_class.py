"""Which class is the default one: the newest that is marked so, of equally old ones the first by name."""

from __future__ import annotations

from collections.abc import Iterable

from protocols.objects import Object, meta, name_of


def default_class(classes: Iterable[Object], *annotations: str) -> Object | None:
    marked = [found for found in classes if any(_annotation(found, each) == "true" for each in annotations)]
    marked.sort(key=name_of)
    return max(marked, key=lambda found: str(meta(found).get("creationTimestamp") or ""), default=None)


def _annotation(obj: Object, name: str) -> str:
    return str((meta(obj).get("annotations") or {}).get(name, ""))
