"""How often a daemon set's template has changed: an annotation that the server counts, and no client sets back.

Kubernetes keeps it for the field of extensions/v1beta1 that it was; pods are still labelled with it.
"""

from __future__ import annotations

from typing import Any

from protocols.objects import Object

ANNOTATION = "deprecated.daemonset.template.generation"


def begin_template_generation(created: Object) -> None:
    _set(created, max(1, _number(created)))


def count_template_generation(updated: Object, old: Object) -> None:
    _set(updated, _number(old) + (_template(updated) != _template(old)))


def _number(obj: Object) -> int:
    try:
        return int(((obj.get("metadata") or {}).get("annotations") or {}).get(ANNOTATION) or 0)
    except ValueError:
        return 0


def _set(obj: Object, number: int) -> None:
    annotations = {**(obj["metadata"].get("annotations") or {}), ANNOTATION: str(number)}
    obj["metadata"]["annotations"] = annotations


def _template(obj: Object) -> Any:
    return (obj.get("spec") or {}).get("template")
