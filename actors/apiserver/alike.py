"""Pods of one template are alike: what was found out about one pod's spec holds for the next one's.

Looking closely at a pod costs hundreds of microseconds, and most pods are the hundredth of their kind. Whoever looks
remembers answers by the bytes of what was looked at: `functools.lru_cache(REMEMBERED)` on a pure function of `exactly`.
Pods that differ in a container still have their tolerations and volumes in common, so parts are remembered as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import msgspec

REMEMBERED = 256  # answers of one question
BYTES_MAX = 8 * 1024  # larger things are looked at each time: with the answers, some ten MiB are kept at most

_encode = msgspec.msgpack.Encoder().encode
again = msgspec.msgpack.Decoder().decode  # the value that `exactly` was made of


def exactly(value: object) -> bytes | None:
    """Bytes that are equal for equal values alone, the order of keys included; None where nothing is remembered."""
    try:
        encoded = _encode(value)
    except (OverflowError, TypeError, ValueError, RecursionError):
        return None  # a number or text that cannot be stored either: whoever looks at it says so
    return encoded if len(encoded) <= BYTES_MAX else None


def is_sound(rule: Callable[[str, Any], Iterator[object]], value: object) -> bool:
    """Whether the rule found nothing wrong with a value like this one; False also where nothing is remembered.

    `rule` is given a field's path and a value, yields what is wrong, and looks at nothing else.
    """
    encoded = exactly(value)
    return encoded is not None and _was_sound(rule, encoded)


@lru_cache(REMEMBERED)
def _was_sound(rule: Callable[[str, Any], Iterator[object]], encoded: bytes) -> bool:
    return next(rule("", again(encoded)), None) is None
