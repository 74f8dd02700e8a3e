"""Flow schemas and priority levels."""

from __future__ import annotations

from actors.apiserver.rules.defaults.fill import fill, section
from protocols.objects import Object

_SHARES = 30
_PRECEDENCE = 1000
_QUEUING = {"queues": 64, "handSize": 8, "queueLengthLimit": 50}


def flow_schema(obj: Object) -> None:
    spec = section(obj, "spec")
    spec["matchingPrecedence"] = spec.get("matchingPrecedence") or _PRECEDENCE


def priority_level(obj: Object) -> None:
    spec = obj.get("spec") or {}
    if spec.get("exempt") is not None:
        fill(spec["exempt"], nominalConcurrencyShares=0, lendablePercent=0)
    limited = spec.get("limited")
    if limited is None:
        return
    fill(limited, nominalConcurrencyShares=_SHARES, lendablePercent=0)
    queuing = (limited.get("limitResponse") or {}).get("queuing")
    if queuing is not None:
        for key, default in _QUEUING.items():
            queuing[key] = queuing.get(key) or default
