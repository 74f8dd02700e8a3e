"""How a default is set: only where nothing is; null is nothing."""

from __future__ import annotations

from typing import Any


def fill(target: dict[str, Any], **defaults: Any) -> None:
    for key, value in defaults.items():
        if target.get(key) is None:
            target[key] = value


def section(target: dict[str, Any], key: str) -> dict[str, Any]:
    """The object below `key`, made when it is not there."""
    if target.get(key) is None:
        target[key] = {}
    found: dict[str, Any] = target[key]
    return found
