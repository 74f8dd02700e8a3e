"""A pod that is closed but for its name, its uid, the time and some texts: encoded once, and filled for each.

It is made of a pod whose texts are marks, which nothing else says; they are found again in what it is encoded to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from actors.apiserver.open_texts import OPEN_MAX
from protocols.objects import Object
from protocols.rules.times import time_of

_OWN = ("name", "namespace", "uid", "creationTimestamp")  # of the metadata, and so the namespace can be read


def marks(number: int) -> tuple[str, ...]:
    """Texts that may stand wherever one is open."""
    return tuple(f"mark-{number}-83b1c64e-{place:02}" for place in range(OPEN_MAX))


class _Open:
    """What is written is made of pieces; between two of them is a text."""

    def __init__(self, pieces: list[bytes], places: list[int], encode: Callable[[Any], bytes]) -> None:
        self._pieces = pieces
        self._places = places
        self._encode = encode

    def filled(self, texts: Sequence[str]) -> bytes:
        written = [self._pieces[0]]
        for place, piece in zip(self._places, self._pieces[1:], strict=True):
            written += self._encode(texts[place]), piece
        return b"".join(written)


class Cast:
    """`raw` makes a value of bytes that the encoder takes over as they are."""

    def __init__(
        self, pod: Object, texts: Sequence[str], encode: Callable[[Any], bytes], raw: Callable[[bytes], Any]
    ) -> None:
        self._encode = encode
        self._raw = raw
        self._places = {encode(text): place for place, text in enumerate(texts)}
        self._marks = re.compile(b"(" + b"|".join(map(re.escape, self._places)) + b")")
        metadata = pod["metadata"]
        self._managed = [
            {key: self._closed(value) for key, value in entry.items()} for entry in metadata.get("managedFields") or ()
        ]
        self._metadata = {key: value if key in _OWN else self._closed(value) for key, value in metadata.items()}
        self._pod = {key: self._closed(value) for key, value in pod.items()}
        self._open = [
            [(key, value) for key, value in some.items() if isinstance(value, _Open)]
            for some in (self._metadata, self._pod)
        ]

    def filled(self, name: str, uid: str, now: float, texts: Sequence[str]) -> Object:
        """The pod with what is its own, its fields in the order that they have in every pod."""
        made, metadata, pod = time_of(now), {**self._metadata}, {**self._pod}
        metadata["name"], metadata["uid"], metadata["creationTimestamp"] = name, uid, made
        if self._managed:
            metadata["managedFields"] = [{**entry, "time": made} for entry in self._managed]
        for some, open_ones in zip((metadata, pod), self._open, strict=True):
            for key, value in open_ones:
                some[key] = self._raw(value.filled(texts))
        pod["metadata"] = metadata
        return pod

    def _closed(self, value: Any) -> Any:
        pieces = self._marks.split(self._encode(value))
        if len(pieces) == 1:
            return self._raw(pieces[0])
        return _Open(pieces[::2], [self._places[mark] for mark in pieces[1::2]], self._encode)
