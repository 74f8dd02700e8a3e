"""What a reconciler may ask for: values, carried out in order by the controller's shell.

Every write says enough to be harmless when it is carried out late or twice: a create has a name that follows from
its parent, an update carries the revision it is based on, a patch and a delete name the uid they mean. The first write
that fails ends the pass; the object it was about is read again before the key is reconciled again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from protocols.api import PatchType
from protocols.message import Request
from protocols.objects import Object, name_of, namespace_of, revision_of, uid_of

Propagation = Literal["", "Background", "Foreground", "Orphan"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth telling the user about an object; `kubectl describe` shows it.

    `action` and `related` are for components that write events.k8s.io/v1: what was done or tried, and with what else.
    """

    about: dict[str, Any]
    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    action: str = ""
    related: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Create:
    """`announce` is recorded when it worked, `lament` (with the error's text appended) when it was refused.

    A row of creates without anything between them may be carried out side by side, in growing batches.
    """

    resource: str
    obj: Object
    announce: Event | None = None
    lament: Event | None = None

    @property
    def namespace(self) -> str:
        return namespace_of(self.obj)

    @property
    def name(self) -> str:
        return name_of(self.obj)


@dataclass(frozen=True, slots=True)
class Update:
    """Replace the object; Conflict when it has changed since the revision that `obj` carries."""

    resource: str
    obj: Object
    subresource: Literal["", "status", "finalize"] = ""
    announce: Event | None = None
    lament: Event | None = None

    @property
    def namespace(self) -> str:
        return namespace_of(self.obj)

    @property
    def name(self) -> str:
        return name_of(self.obj)

    @property
    def revision(self) -> int:
        return revision_of(self.obj)


def UpdateStatus(resource: str, obj: Object) -> Update:
    """Replace only the status."""
    return Update(resource, obj, "status")


@dataclass(frozen=True, slots=True)
class Patch:
    """Change some fields. Put `metadata.uid` into a merge patch to mean that very object: another one is a Conflict."""

    resource: str
    namespace: str
    name: str
    patch: Any
    type: PatchType = "merge"
    subresource: Literal["", "status"] = ""
    announce: Event | None = None
    lament: Event | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Ask for the deletion of the object with that uid; when it is gone already, that is well. Rows as for Create."""

    resource: str
    namespace: str
    name: str
    uid: str
    propagation: Propagation = ""
    grace_s: int = -1
    revision: int = 0
    announce: Event | None = None
    lament: Event | None = None


@dataclass(frozen=True, slots=True)
class DeleteAll:
    """Delete every object of a resource in a namespace. When there were any, the pass ends: look again."""

    resource: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Look:
    """Read one object from the API server into its view. When it is not that uid (or not at all), that uid is gone."""

    resource: str
    namespace: str
    name: str
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Confirm:
    """Go on only if that object is still there and not being deleted, as the API server says now. Else look again.

    Without a uid the other way round: go on only if nobody has that name. `gone`: only if nobody has that name and uid.
    """

    resource: str
    namespace: str
    name: str
    uid: str = ""
    gone: bool = False


@dataclass(frozen=True, slots=True)
class ConfirmNone:
    """Go on only if the API server knows no such object in that namespace now. Else look again."""

    resource: str
    namespace: str
    is_one: Callable[[Object], bool]


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the API server for what is no write of an object, and go on when it is done. It may be asked twice."""

    request: Request[Any]
    lament: Event | None = None


@dataclass(frozen=True, slots=True)
class Inquire:
    """Ask the API server what no view shows, once all other writes of the pass are done.

    The answer, or the error instead of one, is `views.answer` in the next pass over the key, which comes at once.
    """

    request: Request[Any]


@dataclass(frozen=True, slots=True)
class RequeueAfter:
    """Reconcile this key again after a while, whatever happens until then."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Rest:
    """Do not reconcile this key again before that time has passed, whatever happens: for passes that cost much."""

    seconds: float


Write = (
    Create
    | Update
    | Patch
    | Delete
    | DeleteAll
    | Look
    | Confirm
    | ConfirmNone
    | Ask
    | Event
    | Inquire
    | RequeueAfter
    | Rest
)


def reference_to(obj: Object, api_version: str, kind: str, field_path: str = "") -> dict[str, Any]:
    """An ObjectReference, for events."""
    reference = {
        "kind": kind,
        "namespace": namespace_of(obj),
        "name": name_of(obj),
        "uid": uid_of(obj),
        "apiVersion": api_version,
        "resourceVersion": str(revision_of(obj) or ""),
    }
    if field_path:
        reference["fieldPath"] = field_path
    return reference


def delete(resource: str, obj: Object, **options: Any) -> Delete:
    """The deletion of exactly this object."""
    return Delete(resource, namespace_of(obj), name_of(obj), uid_of(obj), **options)
