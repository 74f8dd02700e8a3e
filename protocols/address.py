"""Addresses: which system, which actor in it. `etcd-0/etcd` is the actor `etcd` of the system `etcd-0`."""

from __future__ import annotations

import zlib
from typing import NamedTuple


class Address(NamedTuple):
    system: str
    actor: str

    def __str__(self) -> str:
        return f"{self.system}/{self.actor}"

    @classmethod
    def parse(cls, text: str) -> Address:
        system, slash, actor = text.partition("/")
        if not (system and slash and actor):
            raise ValueError(f"an actor's address is SYSTEM/ACTOR, not {text!r}")
        return cls(system, actor)


def check_name(system: str) -> None:
    """ValueError for what cannot be a system's name."""
    if not system or "/" in system:
        raise ValueError(f"a system's name is the part of an address before the slash, not {system!r}")


def actor_id(name: str) -> int:
    """The number that stands for an actor's name in a frame header. Systems refuse two names with one number."""
    return zlib.crc32(name.encode())
