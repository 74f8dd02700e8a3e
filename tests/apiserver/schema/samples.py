"""Objects made up from their types: right in every respect, and canonical, so that a check leaves them as they are."""

from __future__ import annotations

import random
from typing import Any

from actors.apiserver.schema.types import Type

_SCALARS: dict[str, list[Any]] = {
    "integer": [0, 1, 80, 2**31 - 1, -(2**31)],
    "number": [0.5, 1, -3],
    "boolean": [True, False],
    "quantity": ["100m", "1", "2Gi", "1500m"],
    "int-or-string": [0, 8080, "25%", "http"],
    "any": [{"a": {"b": None}}, [1, None], "text"],
}
_STRINGS: dict[str, list[str]] = {
    "": ["", "web", "ü", 'quo"te'],
    "byte": ["", "Yg==", "AAAA"],
    "date-time": ["2026-01-01T00:00:00Z"],
    "micro-time": ["2026-01-01T00:00:00.000001Z"],
}


def sample(type_: Type, chance: random.Random, density: float = 0.5) -> Any:
    """A value of a type; the deeper it is, the fewer optional fields it has."""
    match type_.kind:
        case "object":
            chosen = [name for name in type_.fields if name in type_.required or chance.random() < density]
            values = {name: sample(type_.fields[name], chance, density * 0.6) for name in chosen}
            kept = {name: value for name, value in values.items() if name not in type_.dropped}
            return {name: value for name, value in kept.items() if value or name not in type_.omitted}
        case "map":
            return {
                key: sample(type_.values, chance, density * 0.6) for key in chance.sample("abc", chance.randint(0, 2))
            }
        case "array":
            return [sample(type_.items, chance, density * 0.6) for _ in range(chance.randint(0, 2))]
        case "string":
            return chance.choice(_STRINGS[type_.format])
    return chance.choice(_SCALARS[type_.kind])
