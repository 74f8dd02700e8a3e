"""Claims of devices: one, where nothing is said of how many."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from actors.apiserver.rules.defaults.fill import section
from protocols.objects import Object


def resource_claim(obj: Object) -> None:
    _claim(obj.get("spec") or {})
    devices = ((obj.get("status") or {}).get("allocation") or {}).get("devices") or {}
    for result in devices.get("results") or ():
        _tolerations(result)


def resource_claim_template(obj: Object) -> None:
    spec = section(obj, "spec")
    section(spec, "metadata")
    _claim(section(spec, "spec"))


def _claim(spec: dict[str, Any]) -> None:
    for request in (spec.get("devices") or {}).get("requests") or ():
        for wanted in _wanted(request):
            wanted["allocationMode"] = wanted.get("allocationMode") or "ExactCount"
            if wanted["allocationMode"] == "ExactCount" and not wanted.get("count"):
                wanted["count"] = 1
            _tolerations(wanted)


def _wanted(request: dict[str, Any]) -> Iterable[dict[str, Any]]:
    exactly = request.get("exactly")
    return [*([] if exactly is None else [exactly]), *(request.get("firstAvailable") or ())]


def _tolerations(wanted: dict[str, Any]) -> None:
    for toleration in wanted.get("tolerations") or ():
        toleration["operator"] = toleration.get("operator") or "Equal"
