"""What a running pod may still ask for through its `resize` subresource: other amounts of CPU and memory. (KEP-1287)"""

from __future__ import annotations

from typing import Any

from actors.apiserver.rules.field import FieldErrors, forbidden, invalid_value
from actors.apiserver.rules.validate.pods import pod_spec
from protocols.objects import Object
from protocols.rules.resources import qos_class

_RESIZABLE = ("cpu", "memory")
_FIELDS = ("containers", "initContainers")
_ONLY = "only cpu and memory resources are mutable"


def pod_resize(obj: Object, old: Object | None) -> FieldErrors:
    spec, before = obj["spec"], (old or {})["spec"]
    problems = list(pod_spec("spec", spec, is_pod=True))
    yield from problems
    for field in _FIELDS:
        if len(spec.get(field) or ()) != len(before.get(field) or ()):
            yield forbidden(f"spec.{field}", f"{field} may not be added or removed on resize")
            return
        for index, (container, was) in enumerate(zip(spec.get(field) or (), before.get(field) or (), strict=True)):
            if container.get("name") != was["name"]:
                detail = f"{field} may not be renamed or reordered on resize"
                yield forbidden(f"spec.{field}[{index}].name", detail)
                return
    for field in _FIELDS:
        pairs = zip(spec.get(field) or (), before.get(field) or (), strict=True)
        for index, (container, was) in enumerate(pairs):
            if container.get("resizePolicy") != was.get("resizePolicy"):
                yield forbidden("spec", _ONLY)
            if container.get("resources") != was.get("resources"):
                yield from _container(f"spec.{field}[{index}]", container, was, is_init=field == "initContainers")
    if not problems and old is not None:
        yield from _same_class(obj, old)


def _container(field: str, new: dict[str, Any], old: dict[str, Any], *, is_init: bool) -> FieldErrors:
    if is_init and new.get("restartPolicy") != "Always":
        yield forbidden(field, "only cpu and memory resources for sidecar containers are mutable")
        return
    resources, before = new.get("resources") or {}, old.get("resources") or {}
    if _others(resources) != _others(before):
        yield forbidden("spec", _ONLY)
    for kind in ("requests", "limits"):
        for name in _RESIZABLE:
            if name in (before.get(kind) or {}) and name not in (resources.get(kind) or {}):
                yield forbidden(f"{field}.resources.{kind}", f"resource {kind} cannot be removed")


def _others(resources: dict[str, Any]) -> dict[str, Any]:
    """What is there beside amounts of CPU and memory."""
    found = {key: value for key, value in resources.items() if key not in ("requests", "limits")}
    for kind in ("requests", "limits"):
        found[kind] = {name: each for name, each in (resources.get(kind) or {}).items() if name not in _RESIZABLE}
    return found


def _same_class(new: Object, old: Object) -> FieldErrors:
    wanted, before = qos_class(new), qos_class(old)
    if wanted != before:
        yield invalid_value("spec", before, "Pod QOS Class may not change as a result of resizing")
