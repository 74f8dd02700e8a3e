"""DefaultTolerationSeconds: a pod stays for a while on a node that is not ready or not reachable."""

from __future__ import annotations

from typing import Any

from actors.apiserver.admission.attributes import Attributes
from actors.apiserver.admission.stored import Stored
from protocols.rules.taints import NO_EXECUTE, NOT_READY, UNREACHABLE


class DefaultTolerationSeconds:
    def __init__(self, seconds: int) -> None:
        self._seconds = seconds

    def __call__(self, attributes: Attributes, stored: Stored) -> None:
        spec = attributes.obj["spec"]
        tolerations = list(spec.get("tolerations") or ())
        for taint in (NOT_READY, UNREACHABLE):
            if not any(_covers(toleration, taint) for toleration in tolerations):
                tolerations.append(
                    {"key": taint, "operator": "Exists", "effect": NO_EXECUTE, "tolerationSeconds": self._seconds}
                )
        spec["tolerations"] = tolerations


def _covers(toleration: dict[str, Any], taint: str) -> bool:
    return (toleration.get("key") or taint) == taint and (toleration.get("effect") or NO_EXECUTE) == NO_EXECUTE
