"""One version of one object, as the API server keeps it: bytes, and what was worked out from them once.

Bodies stay encoded. The JSON that REST clients read and the few fields that selectors look at are made when first asked
for and kept beside the bytes, so a list of a thousand pods is a join of a thousand ready pieces.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import orjson

from protocols.objects import Object, decode_object, split_key

if TYPE_CHECKING:
    from actors.apiserver.schema.resources import Resource


class Head(NamedTuple):
    """What selectors look at: labels, and the kind's selectable fields in the order of its table."""

    labels: dict[str, str]
    fields: tuple[str, ...]


class Item:
    made = False  # whether it was made for an answer, and is shown as it is, whatever it was asked of

    __slots__ = ("_head", "_json", "_prepared", "_seen_as", "body", "key", "revision")

    def __init__(self, key: str, body: bytes, revision: int) -> None:
        self.key = key
        self.body = body
        self.revision = revision
        self._json: bytes | None = None
        self._seen_as: Resource | None = None
        self._head: Head | None = None
        self._prepared: dict[str, tuple[Resource, bytes]] | None = None  # by API version

    @property
    def namespace(self) -> str:
        return split_key(self.key)[0]

    @property
    def name(self) -> str:
        return split_key(self.key)[1]

    def object(self) -> Object:
        """A fresh dict that the caller owns."""
        return decode_object(self.body, self.revision)

    def object_for(self, view: Resource) -> Object:
        """The same, in the version of the view where it was prepared for that."""
        kept = (self._prepared or {}).get(view.api_version)
        return decode_object(self.body if kept is None else kept[1], self.revision)

    def is_prepared(self, view: Resource) -> bool:
        """Whether it is kept in the view's version, made by what is the view now."""
        kept = (self._prepared or {}).get(view.api_version)
        return kept is not None and kept[0] is view

    def keep_prepared(self, view: Resource, body: bytes) -> None:
        self._prepared = {**(self._prepared or {}), view.api_version: (view, body)}

    def json(self) -> bytes:
        if self._json is None:
            self._json = orjson.dumps(self.object())
        return self._json

    def show(self, obj: Object) -> None:
        """`obj` is what the body was encoded from, so its JSON is had without decoding that."""
        if self._json is None:
            metadata = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
            metadata["resourceVersion"] = str(self.revision)  # last, where a decoded object has it
            self._json = orjson.dumps({**obj, "metadata": metadata})

    def json_as(self, view: Resource, render: Callable[[], bytes]) -> bytes:
        """As somebody sees it: rendered once for whoever asks next with the same view."""
        if self._json is None or self._seen_as is not view:
            self._json, self._seen_as = render(), view
        return self._json

    def head(self, look: Callable[[Item], Head]) -> Head:
        if self._head is None:
            self._head = look(self)
        return self._head

    def forget_json(self) -> None:
        """Called when a newer version took its place: only watchers that lag still want it."""
        self._json = None

    def at(self, revision: int) -> Item:
        """The same content, as of the revision that deleted it or took it out of somebody's sight."""
        item = Item(self.key, self.body, revision)
        item._prepared = self._prepared
        return item

    def __repr__(self) -> str:
        return f"<Item {self.key}@{self.revision}>"


class Made(Item):
    """An object of another kind than what it was asked of: a Scale, the answer to a review."""

    __slots__ = ()
    made = True
