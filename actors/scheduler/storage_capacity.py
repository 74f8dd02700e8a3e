"""How much storage a class has left to make volumes from, and where (CSIStorageCapacity, KEP-1472).

A driver opts in by its CSIDriver (`storageCapacity: true`); then a volume is made only where one of its objects says so
much: `maximumVolumeSize` where it says that, else `capacity`. It is what the driver last said, not a sum that is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from actors.scheduler.columns import Bools
from actors.scheduler.node_objects import NodeObjects
from protocols.objects import Object
from protocols.rules.quantity import InvalidQuantity, parse_quantity
from protocols.rules.volumes import Claim

CAPACITIES = "csistoragecapacities.storage.k8s.io"
DRIVERS = "csidrivers.storage.k8s.io"


class Capacity(NamedTuple):
    """`largest`: of one volume, in nano-bytes. `expressions`: of the labels of nodes, all of which must match; None:
    it is to be had nowhere."""

    storage_class: str
    largest: int
    expressions: tuple[Mapping[str, Any], ...] | None


class StorageCapacity:
    def __init__(self) -> None:
        self._known: dict[str, Capacity] = {}
        self._of_class: dict[str, dict[str, Capacity]] = {}
        self._drivers: set[str] = set()  # that have opted in

    def set_driver(self, name: str, driver: Object | None) -> None:
        if ((driver or {}).get("spec") or {}).get("storageCapacity"):
            self._drivers.add(name)
        else:
            self._drivers.discard(name)

    def set(self, key: str, obj: Object | None) -> None:
        if (before := self._known.pop(key, None)) is not None:
            of_class = self._of_class[before.storage_class]
            del of_class[key]
            if not of_class:
                del self._of_class[before.storage_class]
        if obj is not None and (capacity := _capacity(obj)) is not None:
            self._known[key] = capacity
            self._of_class.setdefault(capacity.storage_class, {})[key] = capacity

    def known(self, key: str) -> Capacity | None:
        return self._known.get(key)

    def counts(self, provisioner: str) -> bool:
        return provisioner in self._drivers

    def enough(self, claim: Claim, provisioner: str, nodes: NodeObjects) -> Bools:
        """The rows where a volume for the claim could be made, as far as room is concerned."""
        if not self.counts(provisioner) or not claim.size:
            return nodes.present
        rows = np.zeros(len(nodes.present), np.bool_)
        one_value: dict[str, list[str]] = {}  # most of them are of one host or zone: those of one label together
        for capacity in self._of_class.get(claim.storage_class, {}).values():
            match capacity.expressions if capacity.largest >= claim.size else None:
                case None:
                    pass
                case ():
                    return nodes.present
                case ({"key": key, "operator": "In", "values": [value]},):
                    one_value.setdefault(key, []).append(value)
                case expressions:
                    rows |= nodes.matching(expressions)
        for key, values in one_value.items():
            column = nodes.label(key)
            rows |= np.isin(column.ids, [column.known[value] for value in values if value in column.known])
        return rows & nodes.present

    def largest(self, storage_class: str) -> int:
        """What any of its objects says."""
        return max((each.largest for each in self._of_class.get(storage_class, {}).values()), default=0)


def _capacity(obj: Object) -> Capacity | None:
    """None where nothing is said."""
    said = obj.get("maximumVolumeSize") or obj.get("capacity")
    if said is None:
        return None
    try:
        largest = parse_quantity(said)
    except InvalidQuantity:
        return None  # the API server stores no such amount
    return Capacity(obj.get("storageClassName") or "", largest, _expressions(obj.get("nodeTopology")))


def _expressions(selector: Mapping[str, Any] | None) -> tuple[Mapping[str, Any], ...] | None:
    """A label selector as expressions; one without any selects every node."""
    if selector is None:
        return None
    labels = selector.get("matchLabels") or {}
    exact = [{"key": key, "operator": "In", "values": [value]} for key, value in labels.items()]
    return (*exact, *(selector.get("matchExpressions") or ()))
