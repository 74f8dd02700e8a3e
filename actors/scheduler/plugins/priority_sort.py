"""PrioritySort: the more important pod is tried first; of equally important ones, who was ready first."""

from __future__ import annotations

from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import QueueSort


class PrioritySort(QueueSort):
    name = "PrioritySort"

    def order(self, pod: PodDemand, since: float) -> tuple[float, ...]:
        return (-pod.priority, since)
