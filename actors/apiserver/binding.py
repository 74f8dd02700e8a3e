"""The binding subresource: a pod gets its node, once."""

from __future__ import annotations

from actors.apiserver.answers import conflict, wrong_uid
from actors.apiserver.rules.field import invalid, invalid_value, required
from actors.apiserver.schema.resources import Resource
from protocols.objects import Object, meta, name_of, uid_of
from protocols.rules.conditions import with_condition
from protocols.rules.owners import is_deleting


def bound(resource: Resource, pod: Object, binding: Object, now: float, *, labelled: bool = True) -> Object:
    """The pod on its node. Raises Conflict when it has one, is being deleted, or is not the one that was meant.

    `labelled`: the binding's labels become the pod's.
    """
    name, target = name_of(pod), binding.get("target") or {}
    if target.get("kind", "Node") != "Node":
        raise invalid(resource, name, [invalid_value("target.kind", target["kind"], "must be empty or 'Node'")])
    if not target.get("name"):
        raise invalid(resource, name, [required("target.name")])
    if uid_of(binding) and uid_of(binding) != uid_of(pod):
        raise wrong_uid(resource, name, uid_of(binding), uid_of(pod))
    spec = pod.get("spec") or {}
    if is_deleting(pod):
        raise conflict(resource, name, f"pod {name} is being deleted, cannot be assigned to a host")
    if spec.get("nodeName"):
        raise conflict(resource, name, f'pod {name} is already assigned to node "{spec["nodeName"]}"')
    if spec.get("schedulingGates"):
        raise conflict(resource, name, f"pod {name} has non-empty .spec.schedulingGates")
    status = pod.get("status") or {}
    conditions = [
        {key: value for key, value in condition.items() if value != ""}
        for condition in with_condition(status.get("conditions"), "PodScheduled", "True", "", "", now)
    ]
    metadata = {**meta(pod)}
    for kind in ("annotations", "labels") if labelled else ("annotations",):
        if meta(binding).get(kind):
            metadata[kind] = {**(metadata.get(kind) or {}), **meta(binding)[kind]}
    spec = {**spec, "nodeName": target["name"]}
    status = {field: value for field, value in status.items() if field != "nominatedNodeName"}  # it waits no more
    return {**pod, "metadata": metadata, "spec": spec, "status": {**status, "conditions": conditions}}
