"""RuntimeClass: a pod carries the overhead of its runtime, and goes where the runtime is (KEP-688)."""

from __future__ import annotations

from typing import Any

from actors.apiserver.admission.attributes import Attributes
from actors.apiserver.admission.stored import Stored
from protocols.objects import Object
from protocols.rules.quantity import InvalidQuantity, parse_quantity

_CLASSES = "runtimeclasses.node.k8s.io"


def complete(attributes: Attributes, stored: Stored) -> None:
    spec = attributes.obj["spec"]
    found = _class_of(attributes, stored)
    if found is None:
        return
    overhead = (found.get("overhead") or {}).get("podFixed")
    if overhead:
        if spec.get("overhead") and not _equal(spec["overhead"], overhead):
            raise attributes.refusal("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
        spec["overhead"] = {**overhead}
    _schedule(attributes, spec, found.get("scheduling") or {})


def validate(attributes: Attributes, stored: Stored) -> None:
    spec = attributes.obj["spec"]
    if not spec.get("overhead"):
        return
    found = _class_of(attributes, stored)
    if found is None:
        raise attributes.refusal("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
    overhead = (found.get("overhead") or {}).get("podFixed")
    if not overhead:
        raise attributes.refusal("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")


def _class_of(attributes: Attributes, stored: Stored) -> Object | None:
    name = attributes.obj["spec"].get("runtimeClassName")
    if not name:
        return None
    found = stored.get(_CLASSES, name)
    if found is None:
        raise attributes.refusal(f'pod rejected: RuntimeClass "{name}" not found')
    return found


def _schedule(attributes: Attributes, spec: dict[str, Any], scheduling: dict[str, Any]) -> None:
    own, wanted = spec.get("nodeSelector") or {}, scheduling.get("nodeSelector") or {}
    for key, value in wanted.items():
        if own.get(key, value) != value:
            raise attributes.refusal(
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                f"pod.spec.nodeSelector[{key}] = {own[key]}"
            )
    if wanted:
        spec["nodeSelector"] = {**own, **wanted}
    tolerations = spec.get("tolerations") or []
    missing = [each for each in scheduling.get("tolerations") or () if each not in tolerations]
    if missing:
        spec["tolerations"] = [*tolerations, *missing]


def _equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    try:
        return {name: parse_quantity(value) for name, value in one.items()} == {
            name: parse_quantity(value) for name, value in other.items()
        }
    except InvalidQuantity:
        return False  # validation says what is wrong with it
