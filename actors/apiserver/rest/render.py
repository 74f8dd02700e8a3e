"""Answers as bytes. An object's JSON is made once for each of its revisions; a list is a join of what is there."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from actors.apiserver.item import Item
from actors.apiserver.lists import RUN_KEYS_MAX, KeptList, Packed, Row, Run
from actors.apiserver.reads import Listing
from actors.apiserver.rest import gzip
from actors.apiserver.rest.negotiate import JSON, PROTOBUF, YAML, Output
from actors.apiserver.rest.parts import Parts, Piece
from actors.apiserver.schema import protobuf_encode
from actors.apiserver.schema.resources import Resource
from actors.apiserver.versions import served
from protocols.objects import Object

if TYPE_CHECKING:
    from actors.apiserver.tables import Include


_WARNINGS_CHARACTERS_MAX = 4 * 1024  # of all warnings of an answer
_WARNING_CHARACTERS_MAX = 256  # of each, where there are more than that
_TAIL = b"]}"
_PACKED_TAIL, _PACKED_COMMA = gzip.pack(_TAIL + b"\n"), gzip.pack(b",")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Reply(NamedTuple):
    """An answer that is complete; watches and logs are written piece by piece instead."""

    body: bytes | Parts
    code: int = 200
    content_type: str = JSON
    headers: Sequence[tuple[str, str]] = ()
    zipped: bool = False  # the body is compressed already


class Renderer:
    """How one request wants its answer: the form, and for tables how much of each object. `clock` says the time (epoch,
    s), for a watch each time anew: what it shows came long after it was asked for."""

    def __init__(
        self,
        output: Output,
        clock: Callable[[], float],
        include: Include,
        pretty: bool = False,
        *,
        reads_gzip: bool = False,
    ) -> None:
        self.output = output
        self._clock = clock
        self._include = include
        self._pretty = pretty
        self._reads_gzip = reads_gzip

    @property
    def writes_plainly(self) -> bool:
        """Whether it wants JSON as it is kept."""
        return self.output.media_type == JSON and not self._pretty

    @property
    def form(self) -> str:
        """What an object is shown as: forms of one name show the same; "" for the object itself."""
        match self.output.as_kind:
            case "":
                return ""
            case "Table":
                return f"Table {self._include}"
        return f"PartialObjectMetadata {self.output.as_version}"

    @property
    def shows_json(self) -> bool:
        return not self.output.as_kind and self.output.media_type == JSON

    def item(self, resource: Resource, item: Item, code: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Reply:
        return self._reply(self.item_json(resource, item), code, headers)

    def item_json(self, resource: Resource, item: Item) -> bytes:
        match self.output.as_kind:
            case "Table":
                return self.table_json(resource, [item], item.revision)
            case "PartialObjectMetadata" | "PartialObjectMetadataList":
                return orjson.dumps(_metadata_only(served(resource, item), self.output.as_version))
        return object_json(resource, item)

    def list(self, resource: Resource, listing: Listing) -> Reply:
        match self.output.as_kind:
            case "Table":
                rendered = self._table(resource, listing.items, listing.revision)
                rendered["metadata"] = _list_metadata(listing)
                return self._reply(orjson.dumps(rendered))
            case "PartialObjectMetadata" | "PartialObjectMetadataList":
                version = self.output.as_version
                head = {"kind": "PartialObjectMetadataList", "apiVersion": f"meta.k8s.io/{version}"}
                items = [_metadata_only(served(resource, item), version) for item in listing.items]
                return self._reply(orjson.dumps({**head, "metadata": _list_metadata(listing), "items": items}))
        begins = _list_head(resource, _list_metadata(listing))
        return self._answer([begins, *items_json(resource, listing.items), _TAIL])

    def kept_list(self, kept: KeptList, revision: int) -> Reply:
        """A plain answer; of a long list, what did not change since it was last asked for is compressed already."""
        head = self._head(kept.view, {"resourceVersion": str(revision)})
        if self._reads_gzip and gzip.JOINS and len(kept) > RUN_KEYS_MAX:
            pieces = [gzip.pack(head), *self._packed(kept), _PACKED_TAIL]
            if sum([piece.size_bytes for piece in pieces]) >= gzip.BYTES_MIN:
                return Reply(Parts(gzip.joined(pieces)), zipped=True)
        parts: list[Piece] = [head]
        for index, run in enumerate(kept.runs):
            parts.extend([b",", *self._run(kept, run)] if index else self._run(kept, run))
        return self._answer([*parts, _TAIL])

    def table_json(self, resource: Resource, items: Sequence[Item], revision: int, *, headed: bool = True) -> bytes:
        """In a watch only the first table carries the columns."""
        rendered = self._table(resource, items, revision)
        if not headed:
            rendered["columnDefinitions"] = []
        return orjson.dumps(rendered)

    def document(self, obj: Any, code: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Reply:
        """What is made for the occasion: a Status, a review, a discovery document."""
        return self._reply(orjson.dumps(obj), code, headers)

    def _table(self, resource: Resource, items: Sequence[Item], revision: int) -> Object:
        from actors.apiserver.tables import table  # 30 ms that the start need not take

        objects = [served(resource, item) for item in items]
        rendered = table(resource, objects, now=self._clock(), include=self._include, revision=str(revision))
        rendered["apiVersion"] = f"meta.k8s.io/{self.output.as_version}"
        return rendered

    def _head(self, resource: Resource, metadata: Object) -> bytes:
        """All of a list that comes before its first object."""
        version = self.output.as_version
        match self.output.as_kind:
            case "":
                return _list_head(resource, metadata)
            case "Table":
                from actors.apiserver.tables import columns_of

                head = {"kind": "Table", "apiVersion": f"meta.k8s.io/{version}", "metadata": metadata}
                return orjson.dumps({**head, "columnDefinitions": columns_of(resource)})[:-1] + b',"rows":['
        head = {"kind": "PartialObjectMetadataList", "apiVersion": f"meta.k8s.io/{version}", "metadata": metadata}
        return orjson.dumps(head)[:-1] + b',"items":['

    def _packed(self, kept: KeptList) -> Iterator[Packed]:
        """Its runs, with commas in between."""
        for index, run in enumerate(kept.runs):
            if index:
                yield _PACKED_COMMA
            if run.packed is None or self._clock() >= run.good_until:
                run.packed = gzip.pack(b"".join(self._run(kept, run)))
            yield run.packed

    def _run(self, kept: KeptList, run: Run) -> Sequence[Piece]:
        """The objects of a run as they are shown now, with commas in between."""
        view = kept.view
        if not self.output.as_kind:
            return items_json(view, kept.items_of(run))
        rows = kept.rows_of(run, lambda item: self._row(view, item))
        now = self._clock()
        run.good_until = min([time.changes_at(now) for row in rows for time in row.times], default=math.inf)
        parts = [part for row in rows for part in (b",", *row.parts(now))]
        return parts[1:]

    def _row(self, resource: Resource, item: Item) -> Row:
        if self.output.as_kind == "Table":
            from actors.apiserver.tables import row

            return row(resource, served(resource, item), self._include)
        return Row((orjson.dumps(_metadata_only(served(resource, item), self.output.as_version)),), ())

    def _answer(self, parts: Sequence[Piece]) -> Reply:
        """A body that may be long."""
        if not self.writes_plainly:
            return self._reply(b"".join(parts))
        return Reply(Parts([*parts, b"\n"]))

    def _reply(self, body: bytes, code: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Reply:
        if self.output.media_type == PROTOBUF:
            return Reply(protobuf_encode.encode(orjson.loads(body)), code, PROTOBUF, headers)
        if self.output.media_type == YAML:
            return Reply(_yaml(body), code, YAML, headers)
        if self._pretty:
            body = orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2)
        return Reply(body + b"\n", code, JSON, headers)


def object_json(resource: Resource, item: Item) -> bytes:
    if item.made:
        return item.json()
    if resource.custom is not None:
        return item.json_as(resource, lambda: orjson.dumps(served(resource, item)))
    if not resource.alias:
        return item.json()
    return orjson.dumps(served(resource, item))


def items_json(resource: Resource, items: Sequence[Item]) -> Sequence[Piece]:
    """The objects of a list, with commas in between. The list says of what kind all of them are, so none of a built-in
    kind does; but for that they are what is kept of them, and are not copied."""
    if resource.custom is not None:
        return [piece for item in items for piece in (b",", object_json(resource, item))][1:]
    heads = _kind_heads(resource)
    length = len(heads[0])
    pieces: list[Piece] = [b",{"] * (2 * len(items))
    pieces[:1] = [b"{"] * bool(items)
    pieces[1::2] = [
        memoryview(whole)[length:] if whole.startswith(heads) else _without_kind(whole)
        for whole in ([object_json(resource, item) for item in items] if resource.alias else map(Item.json, items))
    ]
    return pieces


def _without_kind(whole: bytes) -> bytes:
    """Behind the brace with which it begins."""
    obj = orjson.loads(whole)
    return orjson.dumps({key: value for key, value in obj.items() if key not in ("apiVersion", "kind")})[1:]


@lru_cache(maxsize=512)
def _kind_heads(resource: Resource) -> tuple[bytes, bytes]:
    """How the JSON of an object begins: in the order of kubectl, or of Go."""
    version, kind = (orjson.dumps(text) for text in (resource.api_version, resource.kind))
    return b'{"apiVersion":%b,"kind":%b,' % (version, kind), b'{"kind":%b,"apiVersion":%b,' % (kind, version)


def _list_head(resource: Resource, metadata: Object) -> bytes:
    head = {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata}
    return orjson.dumps(head)[:-1] + b',"items":['


def warning_headers(warnings: Sequence[str]) -> list[tuple[str, str]]:
    """As kube-apiserver sends them: what no header can carry is left out, and where it would be too much, each is cut
    short, and the last are left out."""
    texts = [text for text in dict.fromkeys(warnings) if text and not _CONTROL.search(text)]
    if sum(map(len, texts)) > _WARNINGS_CHARACTERS_MAX:
        texts = [text[:_WARNING_CHARACTERS_MAX] for text in texts]
        sums = itertools.accumulate(map(len, texts), initial=0)
        texts = [text for text, before in zip(texts, sums, strict=False) if before < _WARNINGS_CHARACTERS_MAX]
    escaped = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return [("Warning", f'299 - "{text}"') for text in escaped]


def _metadata_only(obj: Object, version: str) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{version}", "metadata": obj["metadata"]}


def _list_metadata(listing: Listing) -> Object:
    metadata: Object = {"resourceVersion": str(listing.revision)}
    if listing.token:
        metadata["continue"] = listing.token
        if listing.remaining:
            metadata["remainingItemCount"] = listing.remaining
    return metadata


def _yaml(body: bytes) -> bytes:
    import yaml  # only who asks for YAML pays for it

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(orjson.loads(body), Dumper=dumper, default_flow_style=False, allow_unicode=True)
    return text.encode()
