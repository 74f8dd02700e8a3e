"""What a template was, revision by revision: the ControllerRevisions of daemon sets and stateful sets.

The data of a revision is a strategic merge patch that puts its template back: `kubectl rollout undo` sends it. A set
whose template has been there before gets that revision again, with the next number (pkg/controller/history).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from actors.controllers.revisions import without_none
from protocols.objects import Object, labels_of, meta, name_of, namespace_of, uid_of
from protocols.rules.names import template_hash
from protocols.rules.owners import controller_reference, is_deleting

RESOURCE = "controllerrevisions.apps"
REVISION = "revision"  # the summary's name in the view of revisions
HASH_LABEL = "controller-revision-hash"  # on pods: of which revision they are
_PREFIX_MAX = 223  # of the set's name, so that the whole is a name


class RevisionSummary(NamedTuple):
    """What it takes to claim one (claim.py)."""

    uid: str
    labels: dict[str, str]
    deleting: bool

    @property
    def claimable(self) -> bool:
        return not self.deleting


def summarise_revision(revision: Object) -> RevisionSummary:
    return RevisionSummary(uid_of(revision), labels_of(revision), is_deleting(revision))


def number_of(revision: Object) -> int:
    return int(revision.get("revision") or 0)


def oldest_first(revision: Object) -> tuple[int, str, str]:
    return number_of(revision), str(meta(revision).get("creationTimestamp") or ""), name_of(revision)


def next_number(revisions: Iterable[Object]) -> int:
    return max(map(number_of, revisions), default=0) + 1


def patch_of(obj: Object) -> dict[str, Any]:
    """What puts the object's present template back."""
    return {"spec": {"template": {**without_none(obj["spec"]["template"]), "$patch": "replace"}}}


def with_template(obj: Object, revision: Object) -> Object:
    """The object as it was in that revision."""
    template = {key: value for key, value in revision["data"]["spec"]["template"].items() if key != "$patch"}
    return {**obj, "spec": {**obj["spec"], "template": template}}


def same_template(obj: Object, revisions: Iterable[Object]) -> list[Object]:
    """Those with the object's present template, the oldest first."""
    wanted = patch_of(obj)
    return sorted((each for each in revisions if without_none(each.get("data") or {}) == wanted), key=oldest_first)


def new_revision(obj: Object, kind: str, number: int, hash_label: str) -> Object:
    """Of the object's present template. `hash_label`: where its labels say its hash; apps/v1 kinds differ in that."""
    template = obj["spec"]["template"]
    collisions = (obj.get("status") or {}).get("collisionCount") or 0
    digest = template_hash(without_none(template), collisions)
    metadata: dict[str, Any] = {
        "name": f"{name_of(obj)[:_PREFIX_MAX]}-{digest}",
        "namespace": namespace_of(obj),
        "labels": {**(meta(template).get("labels") or {}), hash_label: digest},
        "ownerReferences": [controller_reference(obj, "apps/v1", kind)],
    }
    if annotations := meta(obj).get("annotations"):
        metadata["annotations"] = annotations
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata,
        "data": patch_of(obj),
        "revision": number,
    }
