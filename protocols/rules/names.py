"""Names of children, made from their parent: deciding twice gives the same name, so deciding twice is harmless.

They look like Kubernetes' (`web-7d4b9c6f5b-x2x8z`), whose alphabet has no vowels and no look-alikes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5
_encoder = msgspec.msgpack.Encoder(order="deterministic")


def suffix(seed: str, length: int = _SUFFIX_LENGTH) -> str:
    """`length` characters that follow from `seed`."""
    number = int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=8).digest(), "big")
    characters = []
    for _ in range(length):
        number, index = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[index])
    return "".join(characters)


def child_name(parent: str, seed: str, length_max: int = 63) -> str:
    """`parent-xxxxx`; the parent's part is cut where the whole would be too long for a host name."""
    return f"{parent[: length_max - _SUFFIX_LENGTH - 1]}-{suffix(seed)}"


def template_hash(template: Mapping[str, Any], collisions: int = 0) -> str:
    """The value of `pod-template-hash`: equal templates give equal hashes, whatever the order of their fields."""
    digest = hashlib.blake2b(_encoder.encode(template) + b"%d" % collisions, digest_size=4).digest()
    decimal = str(int.from_bytes(digest, "big"))
    return "".join(_ALPHABET[ord(digit) % len(_ALPHABET)] for digit in decimal)  # k8s rand.SafeEncodeString
