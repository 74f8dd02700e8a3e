"""What is told of the scheduler to Prometheus: gathered in its turn, written down elsewhere (`exposition.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.counts import Counts
from actors.scheduler.queue import Place, SchedulingQueue


class Told(NamedTuple):
    """`pending` by queue, `refused` by (plugin, profile), `incoming` by (queue, event), `cached` by type."""

    counts: Counts
    pending: Mapping[str, int]
    refused: Mapping[tuple[str, str], int]
    incoming: Mapping[tuple[str, str], int]
    cached: Mapping[str, int]


def gather(counts: Counts, queue: SchedulingQueue, state: ClusterState) -> Told:
    places, refused = queue.census()
    pending = {place.value: places[place.value] for place in Place if place is not Place.IN_FLIGHT}
    return Told(counts.copy(), pending, refused, queue.incoming.copy(), state.sizes())
