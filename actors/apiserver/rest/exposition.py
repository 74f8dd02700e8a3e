"""What Prometheus reads of REST requests and of what is stored, under kube-apiserver's names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from actorkube.runtime.exposition import CONTENT_TYPE as CONTENT_TYPE
from actorkube.runtime.exposition import written
from actors.apiserver.rest.counts import Counts, Subject, Told

_COMPONENT = "apiserver"
_SLI_FROM_S = 0.05  # the least bucket that Kubernetes has of it
_HELD = ("WATCH", "CONNECT")
_TOLD_OF_ALL = ("process_cpu_seconds", "process_resident_memory_bytes")
_LABELS = [*Subject._fields, "component"]


def render(told: Told) -> bytes:
    return written([*_of_requests(told.counts), _deprecated(told.counts), *_of_stored(told), *_of_process()])


def health(told: Mapping[str, Mapping[str, bool]]) -> bytes:
    """Of checks, by their kind and name."""
    family = GaugeMetricFamily("kubernetes_healthcheck", "Whether a check is passed.", labels=["name", "type"])
    for kind, checks in told.items():
        for name, good in checks.items():
            family.add_metric([name, kind], int(good))
    return written([family])


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
    yield _sli(counts)
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


def _sli(counts: Counts) -> Metric:
    """Without what is held open, which takes as long as its client wants; by which objectives are set."""
    family = HistogramMetricFamily(
        "apiserver_request_sli_duration_seconds", "How long answers took that should not take long.", labels=_LABELS
    )
    summed: dict[Subject, tuple[list[tuple[str, float]], float]] = {}
    for (subject, _), histogram in counts.durations.items():
        if subject.verb not in _HELD:
            buckets = [(bound, n) for bound, n in histogram.buckets() if float(bound) >= _SLI_FROM_S]
            known, total = summed.get(subject, ([(bound, 0.0) for bound, _ in buckets], 0.0))
            added = [(bound, before + n) for (bound, n), (_, before) in zip(buckets, known, strict=True)]
            summed[subject] = added, total + histogram.total
    for subject, (buckets, total) in summed.items():
        family.add_metric([*subject, _COMPONENT], buckets, total)
    return family


def _deprecated(counts: Counts) -> Metric:
    labels = ["group", "version", "resource", "subresource", "removed_release"]
    family = GaugeMetricFamily(
        "apiserver_requested_deprecated_apis", "What was asked for that is to go.", labels=labels
    )
    for of, release in counts.deprecated.items():
        family.add_metric([*of, release], 1)
    return family


def _of_process() -> Iterator[Metric]:
    """What is not told of every process; nothing where the system keeps no such files."""
    yield from [family for family in ProcessCollector(registry=None).collect() if family.name not in _TOLD_OF_ALL]


def _of_stored(told: Told) -> Iterator[Metric]:
    """Under the name of 1.34 and the one before."""
    new = GaugeMetricFamily("apiserver_resource_objects", "Objects that are stored.", labels=["group", "resource"])
    old = GaugeMetricFamily("apiserver_storage_objects", "Objects that are stored.", labels=["resource"])
    for (group, resource), number in told.stored.items():
        new.add_metric([group, resource], number)
        old.add_metric([f"{resource}.{group}" if group else resource], number)
    yield from (new, old)
