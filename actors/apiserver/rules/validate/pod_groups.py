"""Gangs: Workloads, the PodGroups made of their templates, and what a pod says of its group (KEP-4671, KEP-5710)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import (
    FieldErrors,
    duplicate,
    invalid_value,
    matches,
    not_supported,
    required,
    too_many,
    unchanged,
)
from protocols.objects import Object

DISRUPTION_MODES = ("Pod", "PodGroup")
_TEMPLATES_MAX = 8
_POLICIES = ("basic", "gang")
_GROUP_FIELDS = ("podGroupTemplateRef", "schedulingPolicy", "disruptionMode", "priorityClassName", "priority")
_Fields = Mapping[str, Any]


def workload(obj: Object, old: Object | None) -> FieldErrors:
    """Of 1.35 (`podGroups`, each with a `policy`) or of 1.36 (`podGroupTemplates`, each with a `schedulingPolicy`)."""
    spec = obj.get("spec") or {}
    listed, policy = ("podGroups", "policy") if "podGroups" in spec else ("podGroupTemplates", "schedulingPolicy")
    before = ((old or {}).get("spec") or {}).get("controllerRef")
    if before is not None:
        yield from unchanged("spec.controllerRef", spec.get("controllerRef"), before)
    elif spec.get("controllerRef") is not None:
        yield from _controller("spec.controllerRef", spec["controllerRef"])
    if old is not None:
        yield from unchanged(f"spec.{listed}", spec.get(listed), (old.get("spec") or {}).get(listed))
        return
    groups = spec.get(listed) or ()
    if not groups:
        yield required(f"spec.{listed}", "must have at least one item")
    elif len(groups) > _TEMPLATES_MAX:
        yield too_many(f"spec.{listed}", len(groups), _TEMPLATES_MAX)
    else:
        yield from _groups(f"spec.{listed}", groups, policy)


def pod_group(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    if old is not None:
        before = old.get("spec") or {}
        for field in _GROUP_FIELDS:
            yield from unchanged(f"spec.{field}", spec.get(field), before.get(field))
        return
    if spec.get("podGroupTemplateRef") is not None:
        yield from _template_reference("spec.podGroupTemplateRef", spec["podGroupTemplateRef"])
    yield from _policy("spec.schedulingPolicy", spec.get("schedulingPolicy") or {})
    yield from _disruption("spec", spec)


def scheduling_group(field: str, spec: _Fields) -> FieldErrors:
    """What the spec of a pod says of its group."""
    if (group := spec.get("schedulingGroup")) is not None:
        if group.get("podGroupName") is None:
            yield invalid_value(f"{field}.schedulingGroup", "", "must specify one of: `podGroupName`")
        else:
            yield from _named(f"{field}.schedulingGroup.podGroupName", group["podGroupName"], names.dns_subdomain)
    if (reference := spec.get("workloadRef")) is not None:
        yield from _named(f"{field}.workloadRef.name", reference.get("name"), names.dns_subdomain)
        yield from _named(f"{field}.workloadRef.podGroup", reference.get("podGroup"), names.dns_label)
        replica = reference.get("podGroupReplicaKey") or ""
        if replica:
            yield from _named(f"{field}.workloadRef.podGroupReplicaKey", replica, names.dns_label)


def _groups(field: str, groups: Iterable[_Fields], policy: str) -> FieldErrors:
    seen: set[str] = set()
    for index, group in enumerate(groups):
        where, name = f"{field}[{index}]", group.get("name") or ""
        yield from _named(f"{where}.name", name, names.dns_label)
        if name in seen:
            yield duplicate(where, name)
        seen.add(name)
        yield from _policy(f"{where}.{policy}", group.get(policy) or {})
        yield from _disruption(where, group)


def _controller(field: str, reference: _Fields) -> FieldErrors:
    if group := reference.get("apiGroup"):
        yield from matches(f"{field}.apiGroup", group, names.dns_subdomain(group))
    for part in ("kind", "name"):
        yield from _named(f"{field}.{part}", reference.get(part), names.path_segment)


def _template_reference(field: str, reference: _Fields) -> FieldErrors:
    if (template := reference.get("workload")) is None:
        yield invalid_value(field, "", "must specify one of: `workload`")
        return
    yield from _named(f"{field}.workload.workloadName", template.get("workloadName"), names.dns_subdomain)
    yield from _named(f"{field}.workload.podGroupTemplateName", template.get("podGroupTemplateName"), names.dns_label)


def _policy(field: str, policy: _Fields) -> FieldErrors:
    chosen = [f"`{name}`" for name in _POLICIES if policy.get(name) is not None]
    if not chosen:
        yield invalid_value(field, "", "must specify one of: `basic`, `gang`")
    elif len(chosen) > 1:
        detail = "exactly one of `basic`, `gang` is required, but multiple fields are set"
        yield invalid_value(field, f"{{{', '.join(chosen)}}}", detail)
    elif policy.get("gang") is not None:
        least = policy["gang"].get("minCount") or 0
        if least == 0:
            yield required(f"{field}.gang.minCount")
        elif least < 0:
            yield invalid_value(f"{field}.gang.minCount", least, "must be greater than or equal to 1")


def _disruption(field: str, group: _Fields) -> FieldErrors:
    mode, class_name = group.get("disruptionMode"), group.get("priorityClassName")
    if mode is not None and mode not in DISRUPTION_MODES:
        yield not_supported(f"{field}.disruptionMode", mode, DISRUPTION_MODES)
    if class_name:
        yield from matches(f"{field}.priorityClassName", class_name, names.dns_subdomain(class_name))


def _named(field: str, value: str | None, form: Any) -> FieldErrors:
    if not value:
        yield required(field)
    else:
        yield from matches(field, value, form(value))
