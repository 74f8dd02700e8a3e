"""Which objects a list or watch is about: a namespace, a label selector, a field selector, compiled once.

The rules of the selectors' text are in protocols/rules/selectors.py. Here is which fields of which resource can be
selected by (Kubernetes' table), and how they are read without decoding whole objects.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import msgspec

from actors.apiserver.item import Head, Item
from protocols.errors import BadRequest
from protocols.objects import Object
from protocols.rules.selectors import (
    FieldRequirement,
    InvalidSelector,
    Requirement,
    field_value,
    labels_match,
    parse_field_selector,
    parse_label_selector,
)

_INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_EVENT_FIELDS = (*(f"involvedObject.{field}" for field in _INVOLVED), "reason", "reportingComponent", "source", "type")

# What can be selected by, beside metadata.name and metadata.namespace.
FIELDS: dict[str, tuple[str, ...]] = {
    "pods": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.podIPs",
        "status.nominatedNodeName",
    ),
    "nodes": ("spec.unschedulable",),
    "namespaces": ("status.phase",),
    "events": _EVENT_FIELDS,
    "secrets": ("type",),
    "services": ("spec.clusterIP", "spec.type"),
    "replicationcontrollers": ("status.replicas",),
    "jobs.batch": ("status.successful",),
    "certificatesigningrequests.certificates.k8s.io": ("spec.signerName",),
    "resourceslices.resource.k8s.io": ("spec.driver", "spec.nodeName"),
}

# What is selected by under a name of its own: the first of these fields that says something.
_READ = {"source": ("source.component", "reportingComponent")}

# Of these an object's namespace is nothing to select by: they have none, and have a table of their own.
_WITHOUT_NAMESPACE = (
    "namespaces",
    "nodes",
    "certificatesigningrequests.certificates.k8s.io",
    "resourceslices.resource.k8s.io",
)

# How events.k8s.io/v1 names what it selects by -> how v1 does, in which events are kept.
_OF_EVENTS = {
    **{f"regarding.{field}": f"involvedObject.{field}" for field in _INVOLVED},
    "reportingController": "reportingComponent",
    **{name: name for name in ("reason", "type", "metadata.name", "metadata.namespace")},
}

# Lists and watches by this field cost what they find, not what there is: every kubelet watches its pods and its node.
INDEXED: dict[str, str] = {"pods": "spec.nodeName", "nodes": "metadata.name"}


class Selection:
    """What is selected. `indexed` is the value of the indexed field when the selection pins it, else None."""

    def __init__(
        self,
        group_resource: str,
        namespace: str = "",
        labels: list[Requirement] | None = None,
        fields: list[FieldRequirement] | None = None,
        paths: tuple[str, ...] | None = None,
    ) -> None:
        self.namespace = namespace
        self.labels = labels or []
        self.name: str | None = None
        self.indexed: str | None = None
        self._prefix = f"{namespace}/" if namespace else ""
        self._paths = FIELDS.get(group_resource, ()) if paths is None else paths
        self._own = paths is not None  # of a custom resource: what can be selected by may change, so nothing is kept
        self._look = reader(group_resource) if paths is None else lambda item: _head_of(item, paths)
        self._metadata: list[FieldRequirement] = []
        self._fields: list[tuple[int, bool, str]] = []
        for requirement in fields or ():
            self._require(group_resource, requirement)
        self.everything = not (self.labels or self._fields or self._metadata)

    def matches(self, item: Item) -> bool:
        if self._prefix and not item.key.startswith(self._prefix):
            return False
        if self.everything:
            return True
        if self._metadata and not all(_metadata_matches(requirement, item) for requirement in self._metadata):
            return False
        if not (self.labels or self._fields):
            return True
        head = self._look(item) if self._own else item.head(self._look)
        return all((head.fields[at] == value) == equal for at, equal, value in self._fields) and labels_match(
            self.labels, head.labels
        )

    def _require(self, group_resource: str, requirement: FieldRequirement) -> None:
        equal = requirement.operator == "="
        if equal and INDEXED.get(group_resource) == requirement.path:
            self.indexed = requirement.value
        if requirement.path in ("metadata.name", "metadata.namespace"):
            self._metadata.append(requirement)
            if equal and requirement.path == "metadata.name":
                self.name = requirement.value
            return
        self._fields.append((self._paths.index(requirement.path), equal, requirement.value))


def select(
    group_resource: str,
    namespace: str = "",
    labels: str = "",
    fields: str = "",
    selectable: tuple[str, ...] | None = None,
    seen_as: str = "",
) -> Selection:
    """The selection of a request; `selectable` are a custom resource's own fields, None of a built-in one; `seen_as` is
    what was asked for where objects are kept as another resource. Raises BadRequest.
    """
    try:
        label_requirements = parse_label_selector(labels)
        field_requirements = parse_field_selector(fields)
    except InvalidSelector as error:
        raise BadRequest(str(error)) from None
    if seen_as == "events.events.k8s.io":
        field_requirements = [_of_events(requirement) for requirement in field_requirements]
    known = (*FIELDS.get(group_resource, selectable or ()), "metadata.name")
    if group_resource not in _WITHOUT_NAMESPACE:
        known = (*known, "metadata.namespace")
    for requirement in field_requirements:
        if requirement.path not in known:
            raise BadRequest(_not_supported(group_resource, requirement.path, custom=selectable is not None))
    return Selection(group_resource, namespace, label_requirements, field_requirements, selectable or None)


def _of_events(requirement: FieldRequirement) -> FieldRequirement:
    path = _OF_EVENTS.get(requirement.path)
    if path is None:
        raise BadRequest(f"field label not supported: {requirement.path}")
    return requirement._replace(path=path)


def _not_supported(group_resource: str, path: str, custom: bool) -> str:
    """Kubernetes has four sentences for it: kinds with fields of their own say it as each was written."""
    if group_resource == "jobs.batch":
        return f'field label "{path}" not supported for Job'
    if group_resource == "resourceslices.resource.k8s.io":
        return f"field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: {path}"
    if group_resource in FIELDS or custom:
        return f"field label not supported: {path}"
    return f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'


@cache
def reader(group_resource: str) -> Callable[[Item], Head]:
    """A function that reads a Head off an item's bytes; all other fields are skipped, not decoded."""
    paths = FIELDS.get(group_resource, ())
    read = [each for path in paths for each in _READ.get(path, (path,))]
    decoder = msgspec.msgpack.Decoder(_shape(("metadata.labels", *dict.fromkeys(read))))

    def look(item: Item) -> Head:
        part = msgspec.to_builtins(decoder.decode(item.body))
        labels = (part["metadata"] or {}).get("labels") or {}
        return Head(labels, tuple(_value(part, path) for path in paths))

    return look


def _value(obj: Object, path: str) -> str:
    return next(filter(None, (field_value(obj, each) for each in _READ.get(path, (path,)))), "")


def _head_of(item: Item, paths: tuple[str, ...]) -> Head:
    obj = item.object()
    labels = (obj.get("metadata") or {}).get("labels") or {}
    return Head(labels, tuple(field_value(obj, path) for path in paths))


@cache
def indexed_field(group_resource: str) -> Callable[[Item], str] | None:
    """Reads the field that the resource is indexed by; None where it is not."""
    path = INDEXED.get(group_resource)
    if path is None:
        return None
    indexed_path = path
    decoder = msgspec.msgpack.Decoder(_shape((indexed_path,)))
    steps, absent = indexed_path.split("."), field_value({}, indexed_path)

    def look(item: Item) -> str:
        """Of every change of the resource: so what is as it should be is not made a dict first."""
        part = value = decoder.decode(item.body)
        for step in steps:
            value = getattr(value, step, None)
        if value is None:
            return absent
        return value if isinstance(value, str) else field_value(msgspec.to_builtins(part), indexed_path)

    return look


def _metadata_matches(requirement: FieldRequirement, item: Item) -> bool:
    value = item.name if requirement.path == "metadata.name" else item.namespace
    return (value == requirement.value) == (requirement.operator == "=")


class _Tree(NamedTuple):
    branches: dict[str, Any]


def _shape(paths: tuple[str, ...]) -> Any:
    """A struct type with just these dotted paths: what msgspec does not find in it, it skips."""
    tree = _Tree({})
    for path in paths:
        here = tree
        *above, leaf = path.split(".")
        for step in above:
            here = here.branches.setdefault(step, _Tree({}))
        here.branches[leaf] = None
    return _struct("Head", tree)


def _struct(name: str, tree: _Tree) -> Any:
    fields: list[tuple[str, Any, Any]] = [
        (field, Any if below is None else _struct(field, below) | None, None) for field, below in tree.branches.items()
    ]
    return msgspec.defstruct(name, fields)
