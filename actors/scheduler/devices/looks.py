"""What matters of a device: the attributes that somebody looks at. Most have one that is theirs alone, as a serial
number is; as long as nobody asks for it, devices are alike without it.

An expression is read as text. `device.attributes["domain"].name` looks at that attribute; if the device, or its
attributes as a whole, are used in any other way, all of them matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

Names = frozenset[str] | None  # of attributes, without their domains; None: all
NAMES_MAX = 256
_ATTRIBUTE = re.compile(
    r"""\bdevice\s*\.\s*attributes\s*\[\s*(["'])[^"'\\]*\1\s*\]"""
    r"""\s*(?:\.\s*([A-Za-z_]\w*)(?![\w\s]*\()|\[\s*(["'])([^"'\\]*)\3\s*\])"""
)
_DEVICE = re.compile(r"\bdevice\b(?!\s*\.\s*(?:driver|capacity|allowMultipleAllocations)\b)")


@lru_cache(maxsize=1024)
def looks_at(expression: str) -> Names:
    found = {name or quoted for _, name, _, quoted in _ATTRIBUTE.findall(expression)}
    return None if _DEVICE.search(_ATTRIBUTE.sub("", expression)) else frozenset(map(short_name, found))


def looked_at(expressions: Iterable[str], names: Iterable[str]) -> Names:
    """By any of these expressions, or by its name with its domain."""
    found = set(map(short_name, names))
    for expression in expressions:
        seen = looks_at(expression)
        if seen is None:
            return None
        found |= seen
    return frozenset(found)


def both(one: Names, other: Names) -> Names:
    if one is None or other is None or len(one | other) > NAMES_MAX:
        return None
    return one if other <= one else one | other


def short_name(name: str) -> str:
    return name.rpartition("/")[2]
