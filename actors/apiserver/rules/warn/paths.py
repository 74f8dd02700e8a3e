"""Files of a volume that are in each other's way: one has the path of another, or of its directory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Entry = tuple[str, str]  # a path, and where it is from

ENTRIES_MAX = 256  # of one volume, that are compared: each with each


def overlapping(volume: dict[str, Any]) -> Iterator[str]:
    name = volume.get("name")
    for title, entries in _titled(volume):
        for index, (path, source) in enumerate(entries[:ENTRIES_MAX]):
            for other, other_source in entries[:index]:
                if _overlap(path, other):
                    yield f'volume "{name}" ({title}): overlapping paths: "{path}"{source} with "{other}"{other_source}'


def _titled(volume: dict[str, Any]) -> Iterator[tuple[str, list[Entry]]]:
    if secret := volume.get("secret"):
        yield f'Secret "{secret.get("secretName") or ""}"', _items(secret)
    if config_map := volume.get("configMap"):
        yield f'ConfigMap "{config_map.get("name") or ""}"', _items(config_map)
    if downward := volume.get("downwardAPI"):
        yield "DownwardAPI", _items(downward)
    if projected := volume.get("projected"):
        yield "Projected", [entry for source in projected.get("sources") or () for entry in _projected(source)]


def _projected(source: dict[str, Any]) -> list[Entry]:
    for key, title in (("secret", "Secret"), ("configMap", "ConfigMap")):
        if found := source.get(key):
            return _items(found, f' ({title} "{found.get("name") or ""}")')
    if downward := source.get("downwardAPI"):
        return _items(downward, " (DownwardAPI)")
    if token := source.get("serviceAccountToken"):
        return [(token.get("path") or "", " (ServiceAccountToken)")]
    return []


def _items(source: dict[str, Any], origin: str = "") -> list[Entry]:
    return [(item.get("path") or "", origin) for item in source.get("items") or ()]


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")
