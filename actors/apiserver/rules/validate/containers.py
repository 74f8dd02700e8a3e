"""Containers of a pod: what each must say, and what differs for init and ephemeral ones.

One rule is ActorKube's own: a container needs an image or a command. Pods here may be plain processes, and a process
that is named by its command needs no image.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import (
    FieldErrors,
    duplicate,
    forbidden,
    invalid_value,
    matches,
    not_found,
    not_supported,
    one_of,
    required,
)
from actors.apiserver.rules.validate.environment import env, env_from
from actors.apiserver.rules.validate.probes import lifecycle, probes
from actors.apiserver.rules.validate.resources import resource_requirements
from actors.apiserver.rules.validate.restart_rules import RESTART_POLICIES, restart_rules
from actors.apiserver.rules.validate.security_context import container_context
from actors.apiserver.rules.validate.volumes import volume_devices, volume_mounts

Container = dict[str, Any]

PROTOCOLS = ("SCTP", "TCP", "UDP")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_RESIZED = ("cpu", "memory")
_ON_RESIZE = ("NotRequired", "RestartContainer")
_MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
_SIDECAR_ONLY = ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")
_NOT_EPHEMERAL = (
    *("ports", "livenessProbe", "readinessProbe", "startupProbe", "resources", "resizePolicy", "restartPolicy"),
    *("restartPolicyRules", "lifecycle"),
)
_SIGNAL = {"stopSignal"}  # of which nobody hears here, nor where the feature is off
_NO_IMAGE = "name an image, or give a command: a command runs without one"


def containers(field: str, spec: dict[str, Any], volume_names: Set[str], *, is_pod: bool) -> FieldErrors:
    listed: Sequence[Container] = spec.get("containers") or ()
    if not listed:
        yield required(field)
    seen: set[str] = set()
    for index, container in enumerate(listed):
        where, name = f"{field}[{index}]", container.get("name") or ""
        yield from _container(where, container, volume_names)
        yield from container_context(f"{where}.securityContext", container, spec)
        yield from _unique(where, name, seen)
        yield from _running(where, container, spec)
        yield from restart_rules(where, container)
        if container.get("restartPolicy") in RESTART_POLICIES:
            yield forbidden(f"{where}.restartPolicy", "may not be set for non-init containers")
        yield from _resize_policy(f"{where}.resizePolicy", container.get("resizePolicy") or (), spec)
        if is_pod and container.get("image") and container["image"] != container["image"].strip():
            detail = "must not have leading or trailing whitespace"
            yield invalid_value(f"{where}.image", container["image"], detail)
    yield from _host_ports(field, listed)


def init_containers(field: str, spec: dict[str, Any], volume_names: Set[str]) -> FieldErrors:
    seen = {container.get("name") for container in spec.get("containers") or ()}
    for index, container in enumerate(spec.get("initContainers") or ()):
        where = f"{field}[{index}]"
        yield from _container(where, container, volume_names)
        yield from container_context(f"{where}.securityContext", container, spec)
        yield from _unique(where, container.get("name") or "", seen)
        yield from _resize_policy(f"{where}.resizePolicy", container.get("resizePolicy") or (), spec)
        yield from restart_rules(where, container)
        if container.get("restartPolicy") == "Always":
            yield from _running(where, container, spec)
            continue
        if container.get("restartPolicy") in RESTART_POLICIES:
            yield not_supported(f"{where}.restartPolicy", container["restartPolicy"], ("Always",))
        for key in _SIDECAR_ONLY:
            if container.get(key) is not None and container[key].keys() != _SIGNAL:
                detail = "may not be set for init containers without restartPolicy=Always"
                yield forbidden(f"{where}.{key}", detail)


def ephemeral_containers(field: str, spec: dict[str, Any], volume_names: Set[str]) -> FieldErrors:
    others = {c.get("name") for key in ("containers", "initContainers") for c in spec.get(key) or ()}
    seen = set(others)
    for index, container in enumerate(spec.get("ephemeralContainers") or ()):
        where = f"{field}[{index}]"
        yield from _container(where, container, volume_names)
        yield from container_context(f"{where}.securityContext", container, spec)
        yield from _unique(where, container.get("name") or "", seen)
        target = container.get("targetContainerName")
        if target and target not in others:
            yield not_found(f"{where}.targetContainerName", target)
        yield from _not_ephemeral(where, container)


def _not_ephemeral(field: str, container: Container) -> FieldErrors:
    for key in _NOT_EPHEMERAL:
        value = container.get(key)
        if value is not None and (value or key != "resources") and not (key == "lifecycle" and value.keys() == _SIGNAL):
            yield forbidden(f"{field}.{key}", "cannot be set for an Ephemeral Container")
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        for key in ("subPath", "subPathExpr"):
            if mount.get(key):
                yield forbidden(f"{field}.volumeMounts[{index}].{key}", "cannot be set for an Ephemeral Container")


def _container(field: str, container: Container, volume_names: Set[str]) -> FieldErrors:
    """What is common to all three kinds."""
    name = container.get("name")
    if name:
        yield from matches(f"{field}.name", name, names.dns_label(name))
    else:
        yield required(f"{field}.name")
    if not container.get("image") and not container.get("command"):
        yield required(f"{field}.image", _NO_IMAGE)
    yield from one_of(f"{field}.terminationMessagePolicy", container.get("terminationMessagePolicy"), _MESSAGE_POLICIES)
    yield from _ports(f"{field}.ports", container.get("ports") or ())
    yield from env(f"{field}.env", container.get("env") or ())
    yield from env_from(f"{field}.envFrom", container.get("envFrom") or ())
    yield from volume_mounts(f"{field}.volumeMounts", container, volume_names)
    yield from volume_devices(f"{field}.volumeDevices", container, volume_names)
    yield from one_of(f"{field}.imagePullPolicy", container.get("imagePullPolicy"), _PULL_POLICIES)
    yield from resource_requirements(f"{field}.resources", container.get("resources") or {})


def _resize_policy(field: str, policies: Sequence[dict[str, Any]], spec: dict[str, Any]) -> FieldErrors:
    seen: set[str] = set()
    for index, policy in enumerate(policies):
        resource, restart = policy.get("resourceName") or "", policy.get("restartPolicy") or ""
        if resource in seen:
            yield duplicate(f"{field}[{index}]", resource)
        seen.add(resource)
        yield from one_of(field, resource, _RESIZED)
        yield from one_of(field, restart, _ON_RESIZE)
        if spec.get("restartPolicy") == "Never" and restart != "NotRequired":
            yield invalid_value(field, restart, "must be 'NotRequired' when pod `restartPolicy` is 'Never'")


def _unique(field: str, name: str, seen: set[Any]) -> FieldErrors:
    if name and name in seen:
        yield duplicate(f"{field}.name", name)
    seen.add(name)


def _running(field: str, container: Container, spec: dict[str, Any]) -> FieldErrors:
    """What only containers that keep running may have."""
    yield from lifecycle(f"{field}.lifecycle", container.get("lifecycle"), spec)
    yield from probes(field, container, spec)


def _ports(field: str, ports: Sequence[dict[str, Any]]) -> FieldErrors:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        where, name = f"{field}[{index}]", port.get("name") or ""
        problems = list(names.port_name(name)) if name else []
        yield from matches(f"{where}.name", name, problems)
        if name and not problems and name in seen:
            yield duplicate(f"{where}.name", name)
        seen.add(name)
        if not port.get("containerPort"):
            yield required(f"{where}.containerPort")
        else:
            number = port["containerPort"]
            yield from matches(f"{where}.containerPort", number, names.port_number(number))
        if port.get("hostPort"):
            yield from matches(f"{where}.hostPort", port["hostPort"], names.port_number(port["hostPort"]))
        yield from one_of(f"{where}.protocol", port.get("protocol"), PROTOCOLS)


def _host_ports(field: str, listed: Sequence[Container]) -> FieldErrors:
    """Two containers cannot listen on one port of the node."""
    seen: set[str] = set()
    for index, container in enumerate(listed):
        for port_index, port in enumerate(container.get("ports") or ()):
            if not port.get("hostPort"):
                continue
            claim = f"{port.get('protocol')}/{port.get('hostIP') or ''}/{port['hostPort']}"
            if claim in seen:
                yield duplicate(f"{field}[{index}].ports[{port_index}].hostPort", claim)
            seen.add(claim)
