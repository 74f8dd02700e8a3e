"""Owners: who an object belongs to (`metadata.ownerReferences`), and who controls it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from protocols.objects import Object, meta, name_of, uid_of

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


def owner_references(obj: Object) -> list[dict[str, Any]]:
    references: list[dict[str, Any]] = meta(obj).get("ownerReferences") or []
    return references


def controller_of(obj: Object) -> dict[str, Any] | None:
    """The one owner reference whose owner manages the object, if there is one."""
    return next((reference for reference in owner_references(obj) if reference.get("controller")), None)


def controller_uid(obj: Object) -> str:
    """The uid of the controller, "" for an object that nobody controls."""
    reference = controller_of(obj)
    return reference["uid"] if reference else ""


def owner_uids(obj: Object) -> Iterator[str]:
    return (reference["uid"] for reference in owner_references(obj))


def controller_reference(owner: Object, api_version: str, kind: str) -> dict[str, Any]:
    """The reference that marks an object as managed by `owner`, which cannot go first in a foreground deletion."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def without_owner(obj: Object, uid: str) -> list[dict[str, Any]]:
    return [reference for reference in owner_references(obj) if reference["uid"] != uid]


def is_deleting(obj: Object) -> bool:
    return meta(obj).get("deletionTimestamp") is not None
