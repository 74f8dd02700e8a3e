"""Pods, and the pod spec that every workload's template shares."""

from __future__ import annotations

from typing import Any

from actors.apiserver.alike import is_sound
from actors.apiserver.rules import names
from actors.apiserver.rules.field import (
    FieldErrors,
    duplicate,
    forbidden,
    invalid_value,
    matches,
    not_supported,
    one_of,
    required,
    too_long,
)
from actors.apiserver.rules.go_values import difference
from actors.apiserver.rules.validate import scheduling
from actors.apiserver.rules.validate.containers import containers, ephemeral_containers, init_containers
from actors.apiserver.rules.validate.metadata import annotation_map, label_map
from actors.apiserver.rules.validate.pod_annotations import pod_annotations
from actors.apiserver.rules.validate.pod_claims import generated_claims, resource_claims
from actors.apiserver.rules.validate.pod_groups import scheduling_group
from actors.apiserver.rules.validate.pod_resources import pod_resources
from actors.apiserver.rules.validate.pod_update import pod_update
from actors.apiserver.rules.validate.security_context import host_processes, host_users, pod_context
from actors.apiserver.rules.validate.volumes import volumes
from protocols.objects import Object

_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_PREEMPTION_POLICIES = ("PreemptLowerPriority", "Never")
_INT32_MAX = 2**31 - 1
_NAMESERVERS_MAX = 3
_SEARCHES_MAX = 32
_SYSTEMS = ("linux", "windows")
_OVERRIDE_BYTES_MAX = 64


def pod(obj: Object, old: Object | None) -> FieldErrors:
    """A spec that both have has been found sound (settled.py)."""
    spec = obj.get("spec") or {}
    annotations = (obj.get("metadata") or {}).get("annotations")
    if old is None and annotations:
        yield from pod_annotations("metadata.annotations", annotations, spec)
    if (old is None or spec is not old.get("spec")) and not is_sound_spec(spec):
        yield from _own_spec("spec", spec)
    yield from generated_claims("spec", spec, (obj.get("metadata") or {}).get("name") or "")
    if old is not None:
        yield from pod_update(spec, old.get("spec") or {})
    elif spec.get("ephemeralContainers"):
        yield forbidden("spec.ephemeralContainers", "cannot be set on create")


def is_sound_spec(spec: dict[str, Any]) -> bool:
    return is_sound(_own_spec, spec)


def _own_spec(field: str, spec: dict[str, Any]) -> FieldErrors:
    return pod_spec(field, spec, is_pod=True)


def pod_ephemeral(obj: Object, old: Object | None) -> FieldErrors:
    """Ephemeral containers are added to a pod that is there; they are neither changed nor taken away."""
    spec, field = obj.get("spec") or {}, "spec.ephemeralContainers"
    volume_names = {volume.get("name") for volume in spec.get("volumes") or ()}
    yield from ephemeral_containers(field, spec, volume_names)
    new = {container.get("name"): container for container in spec.get("ephemeralContainers") or ()}
    for container in ((old or {}).get("spec") or {}).get("ephemeralContainers") or ():
        name = container.get("name")
        if name not in new:
            yield forbidden(field, f'existing ephemeral containers "{name}" may not be removed\n')
        elif new[name] != container:
            how = difference("core.v1.EphemeralContainer", container, new[name])
            yield forbidden(field, f'existing ephemeral containers "{name}" may not be changed\n{how}')


def pod_template(field: str, template: dict[str, Any]) -> FieldErrors:
    meta = template.get("metadata") or {}
    yield from label_map(f"{field}.labels", meta.get("labels"))
    yield from annotation_map(f"{field}.annotations", meta.get("annotations"))
    yield from pod_annotations(f"{field}.annotations", meta.get("annotations") or {}, template.get("spec") or {})
    yield from pod_spec(f"{field}.spec", template.get("spec") or {}, is_pod=False)
    if (template.get("spec") or {}).get("ephemeralContainers"):
        yield forbidden(f"{field}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")


def pod_spec(field: str, spec: dict[str, Any], *, is_pod: bool) -> FieldErrors:
    volume_names: set[str] = set()
    yield from volumes(f"{field}.volumes", spec.get("volumes") or (), volume_names, is_pod=is_pod)
    yield from containers(f"{field}.containers", spec, volume_names, is_pod=is_pod)
    yield from init_containers(f"{field}.initContainers", spec, volume_names)
    yield from ephemeral_containers(f"{field}.ephemeralContainers", spec, volume_names)
    yield from resource_claims(field, spec)
    yield from _host_network(field, spec, is_pod=is_pod)
    yield from one_of(f"{field}.restartPolicy", spec.get("restartPolicy"), _RESTART_POLICIES)
    yield from one_of(f"{field}.dnsPolicy", spec.get("dnsPolicy"), _DNS_POLICIES)
    yield from label_map(f"{field}.nodeSelector", spec.get("nodeSelector"))
    yield from scheduling.affinity(f"{field}.affinity", spec.get("affinity") or {})
    tolerations = spec.get("tolerations") or ()
    if not is_sound(scheduling.tolerations, tolerations):
        yield from scheduling.tolerations(f"{field}.tolerations", tolerations)
    yield from scheduling.spread_constraints(
        f"{field}.topologySpreadConstraints", spec.get("topologySpreadConstraints") or ()
    )
    yield from pod_resources(f"{field}.resources", spec)
    yield from pod_context(f"{field}.securityContext", spec)
    yield from host_processes(field, spec)
    yield from host_users(field, spec)
    yield from _dns(f"{field}.dnsConfig", spec)
    yield from _gates(field, spec)
    yield from scheduling_group(field, spec)
    yield from _names(field, spec)
    yield from _hostname_override(f"{field}.hostnameOverride", spec)
    yield from _system(field, spec)
    yield from _durations(field, spec)
    if spec.get("preemptionPolicy") is not None:
        yield from one_of(f"{field}.preemptionPolicy", spec["preemptionPolicy"], _PREEMPTION_POLICIES)


def _host_network(field: str, spec: dict[str, Any], *, is_pod: bool) -> FieldErrors:
    if not spec.get("hostNetwork"):
        return
    for index, container in enumerate(spec.get("containers") or ()):
        for port_index, port in enumerate(container.get("ports") or ()):
            host_port = port.get("hostPort") or 0
            if (is_pod or host_port) and host_port != port.get("containerPort"):
                where = f"{field}.containers[{index}].ports[{port_index}].hostPort"
                yield invalid_value(where, host_port, "must match `containerPort` when `hostNetwork` is true")


def _dns(field: str, spec: dict[str, Any]) -> FieldErrors:
    config: dict[str, Any] | None = spec.get("dnsConfig")
    nameservers = (config or {}).get("nameservers") or []
    if spec.get("dnsPolicy") == "None" and config is None:
        yield required(field, "must provide `dnsConfig` when `dnsPolicy` is None")
    elif spec.get("dnsPolicy") == "None" and not nameservers:
        yield required(f"{field}.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None")
    if len(nameservers) > _NAMESERVERS_MAX:
        detail = f"must not have more than {_NAMESERVERS_MAX} nameservers"
        yield invalid_value(f"{field}.nameservers", nameservers, detail)
    for index, nameserver in enumerate(nameservers):
        yield from matches(f"{field}.nameservers[{index}]", nameserver, names.ip_address(nameserver))
    searches = (config or {}).get("searches") or []
    if len(searches) > _SEARCHES_MAX:
        yield invalid_value(f"{field}.searches", searches, f"must not have more than {_SEARCHES_MAX} search paths")
    for index, search in enumerate(searches):
        yield from matches(f"{field}.searches[{index}]", search, names.search_path(search))
    for index, option in enumerate((config or {}).get("options") or ()):
        if not option.get("name"):
            yield required(f"{field}.options[{index}]", "must not be empty")


def _gates(field: str, spec: dict[str, Any]) -> FieldErrors:
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        condition = gate.get("conditionType") or ""
        yield from matches(f"{field}.readinessGates[{index}].conditionType", condition, names.label_key(condition))
    seen: set[str] = set()
    for index, gate in enumerate(spec.get("schedulingGates") or ()):
        name = gate.get("name") or ""
        yield from matches(f"{field}.schedulingGates[{index}]", name, names.label_key(name))
        if name in seen:
            yield duplicate(f"{field}.schedulingGates[{index}]", name)
        seen.add(name)


def _names(field: str, spec: dict[str, Any]) -> FieldErrors:
    if spec.get("runtimeClassName") is not None:
        yield from matches(
            f"{field}.runtimeClassName", spec["runtimeClassName"], names.dns_subdomain(spec["runtimeClassName"])
        )
    for key in ("serviceAccountName", "nodeName", "priorityClassName"):
        if spec.get(key):
            yield from matches(f"{field}.{key}", spec[key], names.dns_subdomain(spec[key]))
    for key in ("hostname", "subdomain"):
        if spec.get(key):
            yield from matches(f"{field}.{key}", spec[key], names.dns_label(spec[key]))
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        address = alias.get("ip") or ""
        yield from matches(f"{field}.hostAliases[{index}].ip", address, names.ip_address(address))
        for host_index, host in enumerate(alias.get("hostnames") or ()):
            where = f"{field}.hostAliases[{index}].hostnames[{host_index}]"
            yield from matches(where, host, names.dns_subdomain(host))


def _hostname_override(field: str, spec: dict[str, Any]) -> FieldErrors:
    name = spec.get("hostnameOverride")
    if name is None:
        return
    if len(name.encode()) > _OVERRIDE_BYTES_MAX:
        yield too_long(field, _OVERRIDE_BYTES_MAX)
    yield from matches(field, name, names.dns_subdomain(name))
    for other in ("setHostnameAsFQDN", "hostNetwork"):
        if spec.get(other):
            yield forbidden(field, f"may not be specified when {other} is true")


def _system(field: str, spec: dict[str, Any]) -> FieldErrors:
    if spec.get("os") is None:
        return
    name = spec["os"].get("name") or ""
    if not name:
        yield required(f"{field}.os.name")
    elif name not in _SYSTEMS:
        yield not_supported(f"{field}.os", name, _SYSTEMS)


def _durations(field: str, spec: dict[str, Any]) -> FieldErrors:
    if spec.get("terminationGracePeriodSeconds") is None:
        yield required(f"{field}.terminationGracePeriodSeconds")
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= _INT32_MAX:
        yield invalid_value(f"{field}.activeDeadlineSeconds", deadline, names.in_range(1, _INT32_MAX))
