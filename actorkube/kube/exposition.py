"""What Prometheus reads of controllers: their work queues, under client-go's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from actorkube.runtime.exposition import written


class Told(NamedTuple):
    """`ready`: keys that wait now; `adds`, `retries`: how many there were so far."""

    controller: str
    ready: int
    adds: int
    retries: int


def render(queues: Sequence[Told]) -> bytes:
    depth = GaugeMetricFamily("workqueue_depth", "Keys that wait to be looked at.", labels=["name"])
    adds = CounterMetricFamily("workqueue_adds", "Keys that came to be looked at.", labels=["name"])
    retries = CounterMetricFamily("workqueue_retries", "Keys that failed and come again.", labels=["name"])
    for queue in queues:
        depth.add_metric([queue.controller], queue.ready)
        adds.add_metric([queue.controller], queue.adds)
        retries.add_metric([queue.controller], queue.retries)
    return written([depth, adds, retries])
