"""Small kinds: namespaces, secrets, nodes, bindings, priorities."""

from __future__ import annotations

import base64

from actors.apiserver.rules.defaults.fill import fill, section
from protocols.objects import Object

NAME_LABEL = "kubernetes.io/metadata.name"
_RBAC = "rbac.authorization.k8s.io"


def namespace(obj: Object) -> None:
    """Selectable by name. (Its finalizer is set once, when it is created: rules/prepare.py.)"""
    metadata = section(obj, "metadata")
    if metadata.get("name"):
        section(metadata, "labels")[NAME_LABEL] = metadata["name"]


def secret(obj: Object) -> None:
    """`stringData` is how people write `data`; it is never stored."""
    fill(obj, type="Opaque")
    plain = obj.pop("stringData", None)
    if plain:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
        obj["data"] = {**(obj.get("data") or {}), **encoded}


def node(obj: Object) -> None:
    status = obj.get("status")
    if status and status.get("capacity"):
        fill(status, allocatable=dict(status["capacity"]))


def role_binding(obj: Object) -> None:
    reference = section(obj, "roleRef")
    reference["apiGroup"] = reference.get("apiGroup") or _RBAC
    for subject in obj.get("subjects") or ():
        if not subject.get("apiGroup") and subject.get("kind") in ("User", "Group"):
            subject["apiGroup"] = _RBAC


def priority_class(obj: Object) -> None:
    fill(obj, value=0, preemptionPolicy="PreemptLowerPriority")


def with_a_spec(obj: Object) -> None:
    """Kinds whose spec is there though it says nothing."""
    section(obj, "spec")
