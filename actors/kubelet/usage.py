"""From counters to rates: what a node's pods have used since somebody looked last.

CPU is a mean over a window of at least ten seconds, as far as the container has lived so long: from the look before the
last one where the last is younger. So a question costs one look at the processes, and nothing is done between two.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from protocols.cri import ContainerStatsSample, ContainerStatus
from protocols.objects import Object, name_of, namespace_of, uid_of
from protocols.usage import ContainerUsage, NodeUsage, PodUsage

WINDOW_MIN_S = 10.0


class Look(NamedTuple):
    at: float
    cpu_ns: int


class UsageMeter:
    def __init__(self) -> None:
        self._looks: dict[str, tuple[Look, Look]] = {}  # by container: the last one and the one before

    def measure(
        self,
        pods: Iterable[tuple[Object, list[ContainerStatus]]],
        stats: Iterable[ContainerStatsSample],
        now: float,
    ) -> NodeUsage:
        """`pods` with their running containers; one that has no sample has just ended."""
        samples = {sample.container_id: sample for sample in stats}
        self._looks = {id: looks for id, looks in self._looks.items() if id in samples}
        return NodeUsage(now, tuple(usage for pod in pods if (usage := self._pod(*pod, samples, now)) is not None))

    def _pod(
        self, pod: Object, running: list[ContainerStatus], samples: dict[str, ContainerStatsSample], now: float
    ) -> PodUsage | None:
        windows, containers = [], []
        for status in running:
            sample = samples.get(status.id)
            if sample is not None:
                since = self._since(status, Look(now, sample.usage_core_nano_seconds))
                windows.append(window_s := max(now - since.at, 1e-3))
                rate = max(sample.usage_core_nano_seconds - since.cpu_ns, 0) / window_s
                name, cpu_ns = status.metadata.name, sample.usage_core_nano_seconds
                containers.append(ContainerUsage(name, int(rate), sample.working_set_bytes, cpu_ns, status.started_at))
        if not containers:
            return None
        return PodUsage(namespace_of(pod), name_of(pod), uid_of(pod), max(windows), tuple(containers))

    def _since(self, status: ContainerStatus, look: Look) -> Look:
        """What to measure from. A container that is new to us is measured from its start."""
        began = Look(min(status.started_at, look.at), 0)
        last, before = self._looks.get(status.id, (began, began))
        if look.at - last.at < WINDOW_MIN_S:
            return before
        self._looks[status.id] = look, last
        return last
