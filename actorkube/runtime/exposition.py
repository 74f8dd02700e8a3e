"""What systems report, as Prometheus reads it. The text is prometheus-client's; what is in it is said here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, cast

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import CollectorRegistry

from protocols.observe import ActorReport, Histogram, SystemReport

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_MICRO = 1e-6


def render(own: SystemReport, others: Iterable[SystemReport] = (), silent: Iterable[str] = ()) -> bytes:
    """`own` is who is scraped; of others, too, where it has asked them; `silent` did not answer."""
    reports = [own, *others]
    return written([*_process(own), *_processes(reports), _answering(reports, silent), *_of_each(reports)])


def written(families: Sequence[Metric]) -> bytes:
    """As text for Prometheus."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(cast(Any, _Families(families)))  # all that is asked of a collector is `collect`
    text: bytes = generate_latest(registry)
    return text


class _Families:
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _of_each(reports: Iterable[SystemReport]) -> Iterable[Metric]:
    """All samples of one family stand together."""
    families: dict[str, Metric] = {}
    for report in reports:
        for family in (*_system(report), *_actors(report), *_links(report)):
            known = families.setdefault(family.name, family)
            if known is not family:
                known.samples.extend(family.samples)
    return families.values()


def _process(report: SystemReport) -> Iterator[Metric]:
    cpu = CounterMetricFamily("process_cpu_seconds", "Processor time of the process.")
    cpu.add_metric([], report.cpu_s)
    memory = GaugeMetricFamily("process_resident_memory_bytes", "Memory of the process.")
    memory.add_metric([], report.memory_bytes)
    yield from (cpu, memory)


def _processes(reports: Iterable[SystemReport]) -> Iterator[Metric]:
    """A process has the name of its first system: so its series goes on when it is started again."""
    cpu = CounterMetricFamily("actorkube_process_cpu_seconds", "Processor time of a process.", labels=["process"])
    memory = GaugeMetricFamily("actorkube_process_memory_bytes", "Memory of a process.", labels=["process"])
    first = {report.pid: report for report in sorted(reports, key=lambda report: report.system, reverse=True)}
    for report in first.values():
        cpu.add_metric([report.system], report.cpu_s)
        memory.add_metric([report.system], report.memory_bytes)
    yield from (cpu, memory)


def _answering(reports: Iterable[SystemReport], silent: Iterable[str]) -> Metric:
    up = GaugeMetricFamily("actorkube_system_answers", "Whether the system has told its metrics.", labels=["system"])
    for report in reports:
        up.add_metric([report.system], 1)
    for name in silent:
        up.add_metric([name], 0)
    return up


def _system(report: SystemReport) -> Iterator[Metric]:
    name = [report.system]
    up = GaugeMetricFamily("actorkube_system_up_seconds", "Time since the system started.", labels=["system"])
    up.add_metric(name, report.up_s)
    yield up
    counts = {
        "dead_letters": ("Messages to actors that do not exist.", report.dead_letters),
        "unsent": ("Tells that no link took.", report.unsent),
        "expired": ("Requests dropped because their time was over.", report.expired),
    }
    for what, (help, count) in counts.items():
        family = CounterMetricFamily(f"actorkube_{what}", help, labels=["system"])
        family.add_metric(name, count)
        yield family
    spans = GaugeMetricFamily("actorkube_spans", "Spans that are kept.", labels=["system"])
    spans.add_metric(name, report.spans)
    yield spans


def _actors(report: SystemReport) -> Iterator[Metric]:
    labels = ["system", "actor"]
    depth = GaugeMetricFamily("actorkube_mailbox_messages", "Messages that wait.", labels=labels)
    running = GaugeMetricFamily("actorkube_running_handlers", "Handlers that run as tasks.", labels=labels)
    restarts = CounterMetricFamily("actorkube_actor_restarts", "Restarts by supervision.", labels=labels)
    crashes = CounterMetricFamily("actorkube_actor_crashes", "Crashes.", labels=labels)
    handled = CounterMetricFamily(
        "actorkube_messages_handled", "Messages taken from the mailbox.", labels=[*labels, "message"]
    )
    lost = CounterMetricFamily("actorkube_messages_lost", "Messages not handled.", labels=[*labels, "reason"])
    for actor in report.actors:
        name = [report.system, actor.actor]
        depth.add_metric(name, actor.mailbox)
        running.add_metric(name, actor.running)
        restarts.add_metric(name, actor.restarts)
        crashes.add_metric(name, actor.crashes)
        for message, count in sorted(actor.handled.items()):
            handled.add_metric([*name, message], count)
        for reason, count in sorted(actor.lost.items()):
            lost.add_metric([*name, reason], count)
    yield from (depth, running, restarts, crashes, handled, lost)
    if report.metered:
        yield from _histograms(report.system, report.actors)


def _histograms(system: str, actors: Iterable[ActorReport]) -> Iterator[Metric]:
    labels = ["system", "actor"]
    waiting = HistogramMetricFamily("actorkube_message_waiting_seconds", "Time in the mailbox, sampled.", labels=labels)
    handling = HistogramMetricFamily(
        "actorkube_message_handling_seconds", "Time in the handler, sampled.", labels=labels
    )
    depth = HistogramMetricFamily(
        "actorkube_mailbox_depth", "Messages that a turn finds waiting, sampled.", labels=labels
    )
    for actor in actors:
        name = [system, actor.actor]
        _add(waiting, name, actor.waiting, _MICRO)
        _add(handling, name, actor.handling, _MICRO)
        _add(depth, name, actor.depth, 1.0)
    yield from (waiting, handling, depth)


def _add(family: HistogramMetricFamily, labels: list[str], histogram: Histogram, unit: float) -> None:
    """Whole numbers are counted, so what is below 2**k is at most 2**k - 1."""
    sums = list(accumulate(histogram.counts)) or [0]
    bounds = [2**k * unit if unit != 1.0 else float(2**k - 1) for k in range(len(histogram.counts))]
    buckets = [(f"{bound:.6g}", float(count)) for bound, count in zip(bounds, sums, strict=False)]
    family.add_metric(labels, [*buckets, ("+Inf", float(sums[-1]))], histogram.total)


def _links(report: SystemReport) -> Iterator[Metric]:
    labels = ["system", "peer", "lane"]
    frames = CounterMetricFamily("actorkube_link_frames", "Frames.", labels=[*labels, "direction"])
    size = CounterMetricFamily("actorkube_link_bytes", "Bytes.", labels=[*labels, "direction"])
    outbox = GaugeMetricFamily("actorkube_link_outbox_bytes", "Bytes that wait to be written.", labels=labels)
    for link in report.links:
        name = [report.system, link.peer, link.lane]
        frames.add_metric([*name, "sent"], link.frames_sent)
        frames.add_metric([*name, "received"], link.frames_received)
        size.add_metric([*name, "sent"], link.bytes_sent)
        size.add_metric([*name, "received"], link.bytes_received)
        outbox.add_metric(name, link.outbox_bytes)
    opened = CounterMetricFamily("actorkube_links_opened", "Links opened.", labels=["system", "peer"])
    for peer, count in sorted(report.opened.items()):
        opened.add_metric([report.system, peer], count)
    refused = CounterMetricFamily(
        "actorkube_connections_refused", "Refused on connections.", labels=["system", "reason"]
    )
    for reason, count in sorted(report.refused.items()):
        refused.add_metric([report.system, reason], count)
    yield from (frames, size, outbox, opened, refused)
