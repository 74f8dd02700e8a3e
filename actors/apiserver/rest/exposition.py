"""What Prometheus reads of REST requests and of what is stored, under kube-apiserver's names."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from actorkube.runtime.exposition import written
from actors.apiserver.rest.counts import Counts, Subject, Told

_COMPONENT = "apiserver"
_LABELS = [*Subject._fields, "component"]


def render(told: Told) -> bytes:
    return written([*_of_requests(told.counts), *_of_stored(told)])


def _of_requests(counts: Counts) -> Iterator[Metric]:
    total = CounterMetricFamily("apiserver_request", "Requests answered.", labels=[*_LABELS, "dry_run", "code"])
    for (subject, code, dry_run), number in counts.answers.items():
        total.add_metric([*subject, _COMPONENT, dry_run, str(code)], number)
    yield total
    durations = HistogramMetricFamily(
        "apiserver_request_duration_seconds", "How long answers took.", labels=[*_LABELS, "dry_run"]
    )
    for (subject, dry_run), histogram in counts.durations.items():
        durations.add_metric([*subject, _COMPONENT, dry_run], histogram.buckets(), histogram.total)
    yield durations
    in_flight = GaugeMetricFamily(
        "apiserver_current_inflight_requests", "Requests being answered.", labels=["request_kind"]
    )
    for kind, number in counts.in_flight.items():
        in_flight.add_metric([kind], number)
    yield in_flight
    held = GaugeMetricFamily("apiserver_longrunning_requests", "Requests that are held open.", labels=_LABELS)
    for subject, number in counts.held.items():
        held.add_metric([*subject, _COMPONENT], number)
    yield held


def _of_stored(told: Told) -> Iterator[Metric]:
    """Under the name of 1.34 and the one before."""
    new = GaugeMetricFamily("apiserver_resource_objects", "Objects that are stored.", labels=["group", "resource"])
    old = GaugeMetricFamily("apiserver_storage_objects", "Objects that are stored.", labels=["resource"])
    for (group, resource), number in told.stored.items():
        new.add_metric([group, resource], number)
        old.add_metric([f"{resource}.{group}" if group else resource], number)
    yield from (new, old)
