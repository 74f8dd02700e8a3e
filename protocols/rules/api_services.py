"""APIServices: which group versions other API servers answer for, and what they were last heard to serve.

What a server says of its resources is noted on its APIService, in an annotation: so whoever watches APIServices (the
garbage collector, the namespace controller) knows them without asking that server. Source of the rest: kube-aggregator.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from protocols.objects import Object, meta
from protocols.rules.conditions import condition_is

API_SERVICES = "apiservices.apiregistration.k8s.io"
AVAILABLE = "Available"
SERVED = "actorkube.dev/served"
_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


class FarResource(NamedTuple):
    """A resource of another API server, and its verbs of Kubernetes' API."""

    plural: str
    kind: str
    namespaced: bool
    verbs: tuple[str, ...]

    def can(self, *verbs: str) -> bool:
        return all(verb in self.verbs for verb in verbs)


def is_of_another_server(obj: Object) -> bool:
    return bool((obj.get("spec") or {}).get("service"))


def is_available(obj: Object) -> bool:
    return condition_is(obj, AVAILABLE)


def noted(resources: Iterable[Mapping[str, Any]]) -> str:
    """The annotation for the entries of an APIResourceList, subresources left out."""
    found = [
        [each["name"], str(each.get("kind") or ""), bool(each.get("namespaced")), " ".join(_known(each))]
        for each in resources
        if "/" not in each["name"]
    ]
    return json.dumps(sorted(found), separators=(",", ":"))


def served_by(obj: Object) -> tuple[FarResource, ...]:
    """What an APIService has noted; nothing where somebody has written something else there."""
    try:
        rows = json.loads((meta(obj).get("annotations") or {}).get(SERVED) or "[]")
        return tuple(FarResource(str(name), str(kind), bool(ns), tuple(v.split())) for name, kind, ns, v in rows)
    except (ValueError, TypeError, AttributeError):
        return ()


def _known(resource: Mapping[str, Any]) -> list[str]:
    return [verb for verb in _VERBS if verb in (resource.get("verbs") or ())]
