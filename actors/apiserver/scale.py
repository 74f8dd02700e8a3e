"""The scale subresource: one small object (autoscaling/v1 Scale) that reads and sets the number of replicas."""

from __future__ import annotations

from typing import Any

from actors.apiserver.answers import details
from actors.apiserver.rules.field import FieldError, invalid_value
from actors.apiserver.schema.resources import Resource
from protocols.errors import BadRequest, Invalid
from protocols.objects import Object, meta
from protocols.rules.selectors import format_label_selector

API_VERSION = "autoscaling/v1"
KIND = "Scale"
_UNSET = -(2**31)
_NAMING = ("name", "namespace", "uid", "resourceVersion")
_COPIED = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(resource: Resource, obj: Object) -> Object:
    """The Scale of a workload, or of a custom resource whose definition says where its numbers are."""
    if resource.custom is not None:
        return _custom_scale(resource.custom.scale, obj)
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    selector = spec.get("selector") or {}
    text = (
        format_label_selector(selector)
        if "matchLabels" in selector or "matchExpressions" in selector
        else ",".join(f"{key}={selector[key]}" for key in sorted(selector))
    )
    scale_status = {"replicas": status.get("replicas", 0), **({"selector": text} if text else {})}
    replicas = spec.get("replicas", 1)
    return {
        "kind": KIND,
        "apiVersion": API_VERSION,
        "metadata": {key: meta(obj)[key] for key in _COPIED if key in meta(obj)},
        "spec": {"replicas": replicas} if replicas else {},
        "status": scale_status,
    }


def scaled(resource: Resource, obj: Object, scale: Object) -> Object:
    """The object with the Scale's number of replicas. Raises BadRequest where a patch left it without one."""
    replicas = (scale.get("spec") or {}).get("replicas") or 0
    if resource.custom is not None:
        path = resource.custom.scale["specReplicasPath"]
        if replicas == _UNSET:
            raise BadRequest(f'the spec replicas field "{path}" cannot be empty')
        return _with(obj, _steps(path), replicas)
    return {**obj, "spec": {**(obj.get("spec") or {}), "replicas": replicas}}


def to_patch(resource: Resource, obj: Object) -> Object:
    """The Scale as patches see it: a custom object that says nothing of replicas has no number that may stay."""
    scale = scale_of(resource, obj)
    if resource.custom is not None and _at(obj, resource.custom.scale["specReplicasPath"]) is None:
        scale["spec"] = {"replicas": _UNSET}
    return scale


def applied_scale(resource: Resource, scale: Object) -> Object:
    """What is applied to an object by whoever applies this to its Scale: the number of replicas, if it says one."""
    metadata = {key: meta(scale)[key] for key in _NAMING if key in meta(scale)}
    wanted: Object = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
    replicas = (scale.get("spec") or {}).get("replicas")
    if replicas is None:
        return wanted
    path = resource.custom.scale["specReplicasPath"] if resource.custom is not None else "spec.replicas"
    return _with(wanted, _steps(path), replicas)


def _custom_scale(paths: dict[str, str], obj: Object) -> Object:
    """`paths`: the scale subresource of a definition's version."""
    replicas = _at(obj, paths["specReplicasPath"]) or 0
    selector = _at(obj, paths["labelSelectorPath"]) if paths.get("labelSelectorPath") else None
    status = {"replicas": _at(obj, paths["statusReplicasPath"]) or 0, **({"selector": selector} if selector else {})}
    return {
        "kind": KIND,
        "apiVersion": API_VERSION,
        "metadata": {key: meta(obj)[key] for key in _COPIED if key in meta(obj)},
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def _at(obj: Object, path: str) -> Any:
    value: Any = obj
    for step in _steps(path):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _with(obj: Object, steps: list[str], value: Any) -> Object:
    first, *rest = steps
    return {**obj, first: _with(obj.get(first) or {}, rest, value) if rest else value}


def _steps(path: str) -> list[str]:
    return path.strip(".").split(".")


def check_scale(resource: Resource, name: str, scale: Object) -> None:
    """Raises BadRequest for another kind, Invalid for a number that is none."""
    if scale.get("kind", KIND) != KIND:
        raise BadRequest(f"wrong object passed to Scale update: {scale.get('kind')}")
    replicas = (scale.get("spec") or {}).get("replicas") or 0
    if replicas < 0 and resource.custom is None:  # a definition has words of its own for that
        error: FieldError = invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")
        message = f'Scale.autoscaling "{name}" is invalid: {error}'
        cause = {"reason": error.type, "message": error.body, "field": error.field}
        raise Invalid(message, {**details(resource, name), "kind": KIND, "group": "autoscaling", "causes": [cause]})
