"""How much room nodes have: what each offers and what its pods take, a column for each resource.

Amounts are whole numbers (milli-CPUs, bytes, devices); `changes` names the rows whose numbers, or whose pods, changed.
"""

from __future__ import annotations

from typing import NamedTuple

from actors.scheduler.columns import Column, Journal
from actors.scheduler.demand import Footprint
from protocols.rules.resources import ASSUMED_REQUESTS, Amounts


class Resource(NamedTuple):
    """`scoring`: requested, but a container that asks for nothing counts as a small one; mostly `requested` itself."""

    allocatable: Column
    requested: Column
    scoring: Column


class Room:
    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.resources: dict[str, Resource] = {}
        self.pods = Column(rows)
        self.pods_max = Column(rows)
        self.lowest_priority = Column(rows, float("inf"))
        self.changes = Journal()
        for name in ASSUMED_REQUESTS:
            self.resource(name)

    def grow(self, rows: int) -> None:
        self.rows = rows
        for name, resource in self.resources.items():
            for column in {id(column): column for column in resource}.values():
                column.grow(rows)
            self.resources[name] = resource
        self.pods.grow(rows)
        self.pods_max.grow(rows)
        self.lowest_priority.grow(rows, float("inf"))

    def resource(self, name: str) -> Resource:
        known = self.resources.get(name)
        if known is None:
            requested = Column(self.rows)
            scoring = Column(self.rows) if name in ASSUMED_REQUESTS else requested
            known = self.resources[name] = Resource(Column(self.rows), requested, scoring)
        return known

    def offer(self, row: int, allocatable: Amounts) -> bool:
        """What a node offers; says whether that is something else than before."""
        changed = self.pods_max.at[row] != allocatable.get("pods", 0)
        self.pods_max.at[row] = allocatable.get("pods", 0)
        for name in {*self.resources, *allocatable} - {"pods"}:
            column, amount = self.resource(name).allocatable.at, allocatable.get(name, 0)
            changed = changed or column[row] != amount
            column[row] = amount
        if changed:
            self.changes.note(row)
        return bool(changed)

    def add(self, row: int, footprint: Footprint, times: int) -> None:
        """A pod comes (1) or goes (-1)."""
        for name, amount in footprint.requests.items():
            column = (self.resources.get(name) or self.resource(name)).requested.at
            column[row] += times * amount
        for name in ASSUMED_REQUESTS:
            column = self.resources[name].scoring.at
            column[row] += times * footprint.scoring.get(name, 0)
        self.pods.at[row] += times
        self.changes.note(row)
