"""Devices: claims with their state, slices with their node, driver and pool."""

from __future__ import annotations

from typing import Any

from actors.apiserver.tables.cells import UNSET, Columns, Printer, age, name_of_row
from protocols.objects import Object, meta


def _resource_claim(obj: Object) -> list[Any]:
    status, ending = obj.get("status") or {}, bool(meta(obj).get("deletionTimestamp"))
    states = ["deleted"] if ending else []
    if status.get("allocation") is not None:
        states += ["allocated", "reserved"] if status.get("reservedFor") else ["allocated"]
    elif not ending:
        states.append("pending")
    return [name_of_row(obj), ",".join(states), age(obj)]


def _resource_slice(obj: Object) -> list[Any]:
    spec = obj.get("spec") or {}
    node, pool = spec.get("nodeName"), spec.get("pool") or {}
    return [
        name_of_row(obj),
        UNSET if node is None else node,
        spec.get("driver") or "",
        pool.get("name") or "",
        age(obj),
    ]


RESOURCE_CLAIM = Printer(Columns("Name", "State", "Age"), _resource_claim)
RESOURCE_SLICE = Printer(Columns("Name", "Node", "Driver", "Pool", "Age"), _resource_slice)
