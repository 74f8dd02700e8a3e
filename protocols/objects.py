"""API objects: plain dicts when looked at, MessagePack bytes when kept or moved.

An object's bytes never contain `metadata.resourceVersion`: the revision is given by the store when the bytes are
committed, travels beside them, and is stamped on decode. So the same bytes serve the Raft log, the WAL, the caches
and every watcher.
"""

from __future__ import annotations

from typing import Any

import msgspec

Object = dict[str, Any]

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder()


def encode_object(obj: Object) -> bytes:
    """The object's canonical bytes, without its resourceVersion."""
    metadata = obj.get("metadata")
    if metadata and "resourceVersion" in metadata:
        obj = {**obj, "metadata": {k: v for k, v in metadata.items() if k != "resourceVersion"}}
    return _encoder.encode(obj)


def decode_object(body: bytes, revision: int = 0) -> Object:
    """A fresh dict that the caller owns; `metadata.resourceVersion` is stamped when revision is not 0."""
    obj: Object = _decoder.decode(body)
    if revision:
        obj.setdefault("metadata", {})["resourceVersion"] = str(revision)
    return obj


def meta(obj: Object) -> dict[str, Any]:
    metadata: dict[str, Any] = obj.get("metadata") or {}
    return metadata


def name_of(obj: Object) -> str:
    return str(meta(obj).get("name", ""))


def namespace_of(obj: Object) -> str:
    return str(meta(obj).get("namespace") or "")


def uid_of(obj: Object) -> str:
    return str(meta(obj).get("uid", ""))


def labels_of(obj: Object) -> dict[str, str]:
    return meta(obj).get("labels") or {}


def revision_of(obj: Object) -> int:
    return int(meta(obj).get("resourceVersion") or 0)


def key_of(obj: Object) -> str:
    """`namespace/name`, or `name` for what has no namespace: the key of views and work queues."""
    namespace = namespace_of(obj)
    return f"{namespace}/{name_of(obj)}" if namespace else name_of(obj)


def split_key(key: str) -> tuple[str, str]:
    """The (namespace, name) of a key; namespace is empty for cluster-scoped objects."""
    namespace, slash, name = key.rpartition("/")
    return (namespace, name) if slash else ("", key)
