"""Answers as bytes. An object's JSON is made once for each of its revisions; a list is a join of what is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from actors.apiserver.item import Item
from actors.apiserver.reads import Listing
from actors.apiserver.rest.negotiate import JSON, YAML, Output
from actors.apiserver.schema.resources import Resource
from actors.apiserver.versions import to_served
from protocols.objects import Object

if TYPE_CHECKING:
    from actors.apiserver.tables import Include

GZIP_BYTES_MIN = 128 * 1024  # Kubernetes' own threshold


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is complete; watches and logs are written piece by piece instead."""

    body: bytes
    code: int = 200
    content_type: str = JSON
    headers: Sequence[tuple[str, str]] = field(default=())


class Renderer:
    """How one request wants its answer: the form, and for tables the time and how much of each object."""

    def __init__(self, output: Output, now: float, include: Include, pretty: bool = False) -> None:
        self.output = output
        self._now = now
        self._include = include
        self._pretty = pretty

    def item(self, resource: Resource, item: Item, code: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Reply:
        return self._reply(self.item_json(resource, item), code, headers)

    def item_json(self, resource: Resource, item: Item) -> bytes:
        match self.output.as_kind:
            case "Table":
                return self.table_json(resource, [item], item.revision)
            case "PartialObjectMetadata" | "PartialObjectMetadataList":
                return orjson.dumps(_metadata_only(_served(resource, item), self.output.as_version))
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
                items = [_metadata_only(_served(resource, item), version) for item in listing.items]
                return self._reply(orjson.dumps({**head, "metadata": _list_metadata(listing), "items": items}))
        return self._reply(list_json(resource, listing))

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

        objects = [_served(resource, item) for item in items]
        rendered = table(resource, objects, now=self._now, include=self._include, revision=str(revision))
        rendered["apiVersion"] = f"meta.k8s.io/{self.output.as_version}"
        return rendered

    def _reply(self, body: bytes, code: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Reply:
        if self.output.media_type == YAML:
            return Reply(_yaml(body), code, YAML, headers)
        if self._pretty:
            body = orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2)
        return Reply(body + b"\n", code, JSON, headers)


def object_json(resource: Resource, item: Item) -> bytes:
    if item.made:
        return item.json()
    if resource.custom is not None:
        return item.json_as(resource, lambda: orjson.dumps(_served(resource, item)))
    if not resource.alias:
        return item.json()
    return orjson.dumps(_served(resource, item))


def list_json(resource: Resource, listing: Listing) -> bytes:
    head = {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": _list_metadata(listing)}
    items = b",".join([object_json(resource, item) for item in listing.items])
    return orjson.dumps(head)[:-1] + b',"items":[' + items + b"]}"


def warning_headers(warnings: Sequence[str]) -> list[tuple[str, str]]:
    escaped = (text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") for text in dict.fromkeys(warnings))
    return [("Warning", f'299 - "{text}"') for text in escaped]


def _served(resource: Resource, item: Item) -> Object:
    return item.object() if item.made else to_served(resource, item.object())


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
