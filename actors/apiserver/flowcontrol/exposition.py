"""What Prometheus reads of priority levels and flow schemas, under Kubernetes' names."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from actorkube.runtime.exposition import written
from actorkube.runtime.histogram import Bounded
from actors.apiserver.flowcontrol.counts import Counts
from actors.apiserver.flowcontrol.levels import Level, Levels

_PREFIX = "apiserver_flowcontrol_"
_OF_LEVELS: dict[str, tuple[str, Callable[[Level], float]]] = {
    "nominal_limit_seats": ("Seats that the level has by its shares.", lambda level: level.bounds.nominal),
    "lower_limit_seats": ("Seats that nobody can borrow.", lambda level: level.bounds.low),
    "upper_limit_seats": ("Seats that it can have at most.", lambda level: level.bounds.high),
    "current_limit_seats": ("Seats that it has now.", lambda level: level.queues.seats_max),
    "demand_seats_high_watermark": (
        "The most that were wanted in the last period.",
        lambda level: level.demand.last.high,
    ),
    "demand_seats_average": ("Seats wanted over the last period.", lambda level: level.demand.last.average),
    "demand_seats_stdev": ("Deviation of the seats wanted.", lambda level: level.demand.last.deviation),
    "demand_seats_smoothed": ("Seats wanted, smoothed.", lambda level: level.demand.smoothed),
}
_OF_SCHEMAS: dict[str, tuple[str, Callable[[Counts], float]]] = {
    "current_inqueue_requests": ("Requests that wait.", lambda counts: counts.waiting),
    "current_executing_requests": ("Requests that are served.", lambda counts: counts.executing),
    "current_executing_seats": ("Seats of those that are served.", lambda counts: counts.seats),
}
_DURATIONS: dict[str, tuple[str, Callable[[Counts], Bounded]]] = {
    "request_wait_duration_seconds": ("How long requests waited.", lambda counts: counts.waited),
    "request_execution_seconds": ("How long requests were served.", lambda counts: counts.lasted),
}


class _Collector:
    def __init__(self, levels: Levels) -> None:
        self._levels = levels

    def collect(self) -> Iterator[Metric]:
        for name, (help, of_level) in _OF_LEVELS.items():
            gauge = GaugeMetricFamily(_PREFIX + name, help, labels=["priority_level"])
            for level in self._levels.levels.values():
                gauge.add_metric([level.name], of_level(level))
            yield gauge
        yield from self._of_schemas()

    def _of_schemas(self) -> Iterator[Metric]:
        labels = ["flow_schema", "priority_level"]
        counted = [([schema.name, schema.level.name], schema.counts) for schema in self._levels.schemas]
        for name, (help, of_schema) in _OF_SCHEMAS.items():
            gauge = GaugeMetricFamily(_PREFIX + name, help, labels=labels)
            for values, counts in counted:
                gauge.add_metric(values, of_schema(counts))
            yield gauge
        dispatched = CounterMetricFamily(_PREFIX + "dispatched_requests", "Requests that were served.", labels=labels)
        rejected = CounterMetricFamily(_PREFIX + "rejected_requests", "Requests sent away.", labels=[*labels, "reason"])
        for values, counts in counted:
            dispatched.add_metric(values, counts.dispatched)
            for reason, number in sorted(counts.rejected.items()):
                rejected.add_metric([*values, reason], number)
        yield from (dispatched, rejected)
        for name, (help, durations) in _DURATIONS.items():
            histogram = HistogramMetricFamily(_PREFIX + name, help, labels=labels)
            for values, counts in counted:
                histogram.add_metric(values, durations(counts).buckets(), durations(counts).total)
            yield histogram


def render(levels: Levels) -> bytes:
    return written(list(_Collector(levels).collect()))
