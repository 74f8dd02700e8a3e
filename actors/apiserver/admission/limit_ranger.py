"""LimitRanger: what the limit ranges of a namespace say where containers say nothing, and what they refuse.

Amounts are nanos (protocols/rules/quantity.py); the texts show quantities as they were written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from actors.apiserver.admission.attributes import Attributes
from actors.apiserver.admission.limits import Amount, Usage, check, of_container, of_pod
from actors.apiserver.admission.stored import Stored
from protocols.rules.quantity import canonical_quantity

_RANGES = "limitranges"
_ANNOTATION = "kubernetes.io/limit-ranger"


class Limit(NamedTuple):
    """One item of a limit range."""

    type: str
    min: Mapping[str, Any]
    max: Mapping[str, Any]
    ratio: Mapping[str, Any]
    default: Mapping[str, Any]
    default_request: Mapping[str, Any]


def default_pod(attributes: Attributes, stored: Stored) -> None:
    said: list[str] = []
    for limit in _limits(attributes, stored, "Container"):
        spec = attributes.obj.get("spec") or {}
        for field, word in (("containers", "container"), ("initContainers", "init container")):
            for container in spec.get(field) or ():
                said += _default_container(container, word, limit)
    if said:
        metadata = attributes.obj.setdefault("metadata", {})
        text = f"LimitRanger plugin set: {'; '.join(said)}"
        metadata["annotations"] = {**(metadata.get("annotations") or {}), _ANNOTATION: text}


def validate_pod(attributes: Attributes, stored: Stored) -> None:
    spec = attributes.obj["spec"]
    problems: list[str] = []
    for limit in _limits(attributes, stored, "Container", "Pod"):
        problems += _pod_problems(limit, spec)
    _refuse(attributes, problems)


def validate_claim(attributes: Attributes, stored: Stored) -> None:
    problems: list[str] = []
    for limit in _limits(attributes, stored, "PersistentVolumeClaim"):
        asked = (attributes.obj["spec"].get("resources") or {}).get("requests") or {}
        for name, value in limit.min.items():
            problems += check("min", name, limit.type, value, asked.get(name), None, limited=False)
        for name, value in limit.max.items():
            problems += check("max", name, limit.type, value, asked.get(name), None, limited=False)
    _refuse(attributes, problems)


def _limits(attributes: Attributes, stored: Stored, *types: str) -> Iterator[Limit]:
    for found in stored.of(_RANGES, attributes.namespace):
        for item in (found.get("spec") or {}).get("limits") or ():
            if item.get("type") in types:
                yield Limit(
                    item["type"],
                    item.get("min") or {},
                    item.get("max") or {},
                    item.get("maxLimitRequestRatio") or {},
                    item.get("default") or {},
                    item.get("defaultRequest") or {},
                )


def _default_container(container: dict[str, Any], word: str, limit: Limit) -> Iterator[str]:
    resources = {**(container.get("resources") or {})}
    for field, defaults in (("requests", limit.default_request), ("limits", limit.default)):
        own = resources.get(field) or {}
        missing = sorted(name for name in defaults if name not in own)
        if missing:
            resources[field] = {**own, **{name: canonical_quantity(defaults[name]) for name in missing}}
            yield f"{', '.join(missing)} {field[:-1]} for {word} {container['name']}"
    container["resources"] = resources


def _pod_problems(limit: Limit, spec: Mapping[str, Any]) -> Iterator[str]:
    if limit.type == "Pod":
        yield from _problems(limit, of_pod(spec))
        return
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        yield from _problems(limit, of_container(container))


def _problems(limit: Limit, usage: Usage) -> Iterator[str]:
    kinds: tuple[tuple[str, Mapping[str, Any]], ...] = (("min", limit.min), ("max", limit.max), ("ratio", limit.ratio))
    for kind, bounds in kinds:
        for name in sorted(bounds):
            request: Amount = usage.requests.get(name)
            yield from check(kind, name, limit.type, bounds[name], request, usage.limits.get(name))


def _refuse(attributes: Attributes, problems: Iterable[str]) -> None:
    found = list(dict.fromkeys(problems))
    if found:
        raise attributes.refusal(found[0] if len(found) == 1 else f"[{', '.join(found)}]")
