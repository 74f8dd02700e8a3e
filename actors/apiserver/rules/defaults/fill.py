"""How a default is set: only where nothing is; null is nothing."""

from __future__ import annotations

from typing import Any

from protocols.rules.quantity import InvalidQuantity, canonical_quantity


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


def canonical(quantities: dict[str, Any] | None, *keys: str) -> None:
    """Quantities in the one spelling that Kubernetes stores (`0.5` is `500m`); all of them, or those of `keys`."""
    for key in keys or tuple(quantities or ()):
        if quantities and quantities.get(key) is not None:
            try:
                quantities[key] = canonical_quantity(quantities[key])
            except InvalidQuantity:
                continue  # validation refuses it, and shows it as it was written
