"""What actors ask of the API server: the same verbs as REST, objects as bytes.

`resource` is kubectl's group-resource notation: "pods", "deployments.apps". Every verb goes through the same pipeline
as REST (authenticate by address, authorise, admit, default, validate, store); refusals are `StatusError`s.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from protocols.message import Done, Lane, Message, Request, Streaming

Subresource = Literal[
    "", "status", "scale", "binding", "eviction", "ephemeralcontainers", "finalize", "token", "log", "resize"
]
PatchType = Literal["json", "merge", "strategic", "apply"]
EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]


class Stored(Message):
    """One object as it is stored: bytes (protocols/objects.py) and the revision of its last change."""

    body: bytes
    revision: int


class StoredList(Message):
    """Objects in key order at one revision; `continue_token` is not empty when `limit` cut the list."""

    items: tuple[Stored, ...]
    revision: int
    continue_token: str = ""
    remaining: int = 0


class Get(Request[Stored]):
    resource: str
    name: str
    namespace: str = ""
    subresource: Subresource = ""


class List(Request[StoredList]):
    """namespace "" lists all namespaces. Selectors in their string form (`app=web,tier!=db`; `spec.nodeName=n1`)."""

    resource: str
    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""
    limit: int = 0
    continue_token: str = ""


class WatchEvent(Message):
    """BOOKMARK carries an empty body; the first one ends the initial list of a watch from revision 0."""

    type: EventType
    body: bytes
    revision: int


class Watch(Streaming[WatchEvent]):
    """Changes of a resource.

    revision 0: first every object that exists, as ADDED, then one BOOKMARK (its revision: the list's), then changes.
    revision N: changes after N, or the stream ends with `Expired` when they are no longer kept: start again from 0.
    Events come in revision order; an object that begins or ceases to match the selectors is ADDED or DELETED.
    """

    resource: str
    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""
    revision: int = 0


class Create(Request[Stored]):
    """Create an object, or POST a subresource (`binding`, `eviction`, `token`) of `name`."""

    resource: str
    body: bytes
    namespace: str = ""
    name: str = ""
    subresource: Subresource = ""
    dry_run: bool = False


class Binding(msgspec.Struct, frozen=True, array_like=True):
    """A pod and its node. `uid`: of the pod that is meant; "": whichever has the name."""

    namespace: str
    name: str
    node: str
    uid: str = ""


class BindOutcomes(Message):
    """In the order of the bindings: empty for a pod that has its node now, else the error (protocols/errors.py)."""

    errors: tuple[bytes, ...]


class Bind(Request[BindOutcomes]):
    """Bind several pods, each by itself, as `Create` of the subresource `binding` does: some may be refused."""

    bindings: tuple[Binding, ...]


class Update(Request[Stored]):
    """Replace. Conflict when the object is not at `revision` any more; revision 0 does not compare."""

    resource: str
    name: str
    body: bytes
    namespace: str = ""
    revision: int = 0
    subresource: Subresource = ""
    dry_run: bool = False


class Patch(Request[Stored]):
    """`body` is MessagePack of the patch: a list of operations for "json", an object otherwise."""

    resource: str
    name: str
    type: PatchType
    body: bytes
    namespace: str = ""
    subresource: Subresource = ""
    field_manager: str = ""
    force: bool = False
    dry_run: bool = False


class Delete(Request[Stored]):
    """Ask for deletion; the answer is the object as it was, or with its deletionTimestamp when it lives on.

    grace_s -1 keeps the object's own grace period; 0 deletes at once.
    """

    resource: str
    name: str
    namespace: str = ""
    uid: str = ""
    revision: int = 0
    grace_s: int = -1
    propagation: Literal["", "Background", "Foreground", "Orphan"] = ""


class DeleteCollection(Request[StoredList]):
    resource: str
    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""
    propagation: Literal["", "Background", "Foreground", "Orphan"] = ""


class Origin(msgspec.Struct, frozen=True, array_like=True):
    """One revision of an object, and the span (protocols/observe.py) in which it was written."""

    revision: int
    deleted: bool
    trace_id: str
    span_id: int


class History(Message):
    """`resource` and `key` as they are stored. Oldest first, as far as it is remembered and was followed."""

    resource: str
    key: str
    origins: tuple[Origin, ...]


class AskHistory(Request[History]):
    """Where an object's revisions came from. `resource` as people call it: "pod", "po", "deployments.apps"."""

    resource: str
    name: str
    namespace: str = ""


class Ready(Request[Done]):
    """Answered once the API server serves: storage reachable, its cache caught up, its own objects created."""

    lane = Lane.CONTROL


class ReadLog(Streaming["LogChunk"]):
    """API server to kubelet: a container's log, as `kubectl logs` asks for it. Times are seconds; -1 means unset."""

    namespace: str
    pod: str
    container: str
    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail_lines: int = -1
    since_s: float = -1
    limit_bytes: int = -1


class LogChunk(Message):
    data: bytes


class NodeAddress(msgspec.Struct, frozen=True):
    """Where a node's kubelet listens as an actor: the annotation value that kubelets put on their Node."""

    system: str
    actor: str
