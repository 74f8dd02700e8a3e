"""Priority: the number behind a pod's or a group's priorityClassName, and one default class at most."""

from __future__ import annotations

from typing import Any

from actors.apiserver.admission.attributes import Attributes
from actors.apiserver.admission.stored import Stored
from protocols.objects import Object, name_of

CLASSES = "priorityclasses.scheduling.k8s.io"

# They exist as objects too; but a pod of the system need not wait until this server has seen them.
SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_PREEMPTS = "PreemptLowerPriority"


def resolve(attributes: Attributes, stored: Stored) -> None:
    spec = attributes.obj["spec"]
    priority_class = _class_of(attributes, spec, stored)
    value = int((priority_class or {}).get("value") or 0)
    policy = (priority_class or {}).get("preemptionPolicy") or _PREEMPTS
    given = spec.get("priority")
    if given is not None and given != value:
        raise attributes.refusal(
            f"the integer value of priority ({given}) must not be provided in pod spec; "
            f"priority admission controller computed {value} from the given PriorityClass name"
        )
    given_policy = spec.get("preemptionPolicy")
    if given_policy is not None and given_policy != policy:
        raise attributes.refusal(
            f"the string value of PreemptionPolicy ({given_policy}) must not be provided in pod spec; "
            f"priority admission controller computed {policy} from the given PriorityClass name"
        )
    spec["priority"], spec["preemptionPolicy"] = value, policy


def keep(attributes: Attributes, stored: Stored) -> None:
    """What an update leaves out is what it was."""
    spec, before = attributes.obj.get("spec") or {}, attributes.old.get("spec") or {}
    for field in ("priority", "preemptionPolicy"):
        if spec.get(field) is None and before.get(field) is not None:
            spec[field] = before[field]


def resolve_groups(attributes: Attributes, stored: Stored) -> None:
    """The number behind the priorityClassName of a PodGroup, or of each template of a Workload (KEP-5710)."""
    spec = attributes.obj.get("spec") or {}
    groups = spec.get("podGroupTemplates") or () if attributes.resource.kind == "Workload" else (spec,)
    for group in groups:
        value = int((_class_of(attributes, group, stored) or {}).get("value") or 0)
        given = group.get("priority")
        if given is not None and given != value:
            raise attributes.refusal(
                f"the integer value of priority ({given}) must not be provided in pod group spec; "
                f"priority admission controller computed {value} from the given PriorityClass name"
            )
        group["priority"] = value


def validate_class(attributes: Attributes, stored: Stored) -> None:
    if not attributes.obj.get("globalDefault"):
        return
    default = _default_class(stored)
    if default is not None and name_of(default) != attributes.name:
        name = name_of(default)
        raise attributes.refusal(f"PriorityClass {name} is already marked as default. Only one default can exist")


def _class_of(attributes: Attributes, spec: dict[str, Any], stored: Stored) -> Object | None:
    name = spec.get("priorityClassName") or ""
    if not name:
        default = _default_class(stored)
        if default is not None:
            spec["priorityClassName"] = name_of(default)
        return default
    found = stored.get(CLASSES, name)
    if found is None and name in SYSTEM_PRIORITIES:
        return {"value": SYSTEM_PRIORITIES[name]}
    if found is None:
        raise attributes.refusal(f"no PriorityClass with name {name} was found")
    return found


def _default_class(stored: Stored) -> Object | None:
    """Of several (two servers may each have let one pass) the lowest, as Kubernetes takes it."""
    defaults = (found for found in stored.of(CLASSES) if found.get("globalDefault"))
    return min(defaults, key=lambda found: int(found.get("value") or 0), default=None)
