"""A document that is made once and served many times."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """A document's bytes, and the hash that names them: the value of its ETag and of `?hash=`."""

    body: bytes
    hash: str

    @classmethod
    def of(cls, body: bytes) -> Page:
        return cls(body, hashlib.sha256(body).hexdigest().upper())

    @property
    def etag(self) -> str:
        return f'"{self.hash}"'
