"""Guests of a cluster: who joined from outside, each under an authority of its own, and who of them is revoked.

A guest's name stands in the certificates of its systems, `ak://<guest>.joined.<cluster>/<system>`, and its authority
can sign no others. The one join file without a name may be given to several; they are told apart by their systems'
names, which they choose themselves.
"""

from __future__ import annotations

import errno
import re
from pathlib import Path

import msgspec

SHARED = "shared"  # the guest of the join file without a name
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)  # RFC 1123


class Revoked(msgspec.Struct, frozen=True):
    """`names` are guests, or systems of the shared join file; each with the time of the revocation (RFC 3339)."""

    names: dict[str, str] = {}

    def covers(self, guest: str, system: str) -> bool:
        """Whether a system of that guest is not believed any more: `node-4` is also `node-4-kubelet`."""
        if guest != SHARED:
            return guest in self.names
        return SHARED in self.names or any(is_of(name, system) for name in self.names)

    def adding(self, name: str, when: str) -> Revoked:
        return Revoked({name: when, **self.names})


def is_of(name: str, system: str) -> bool:
    return system == name or system.startswith(f"{name}-")


def read_revoked(file: Path) -> Revoked:
    """Nobody where there is no file. Raises OSError: who is revoked is not known."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Revoked)
    except FileNotFoundError:
        return Revoked()
    except msgspec.MsgspecError as error:
        raise OSError(errno.EINVAL, f"{file} does not say who is revoked: {error}") from None
