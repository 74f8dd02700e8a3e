"""Pods that were given a node and wait at Permit until every plugin that holds them lets them go, or one refuses.

Plugins decide here, also about pods other than the one they are asked about; the scheduler asks afterwards who has
been decided (`decided`) and goes on with those. Time is an argument.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from actors.scheduler.framework import Attempt, Refusal
from actors.scheduler.queue import QueuedPod

TIMEOUT_MAX_S = 15 * 60.0


class Refused(NamedTuple):
    """A plugin does not want the pod on that node, or not now."""

    plugin: str
    refusal: Refusal


class WaitingPod:
    """`deadlines`: of the plugins that hold it, by their names; `since`: when it began to wait."""

    __slots__ = ("attempt", "deadlines", "queued", "since")

    def __init__(self, queued: QueuedPod, attempt: Attempt, deadlines: dict[str, float], since: float) -> None:
        self.queued = queued
        self.attempt = attempt
        self.deadlines = deadlines
        self.since = since


class Decided(NamedTuple):
    """It waits no more; `refused`: why it is not to be bound."""

    queued: QueuedPod
    attempt: Attempt
    refused: Refused | None
    since: float


class WaitingPods:
    def __init__(self) -> None:
        self._pods: dict[str, WaitingPod] = {}
        self._decided: list[Decided] = []
        self._deadlines: list[tuple[float, int, str, WaitingPod]] = []  # a heap; who waits no more is dropped lazily
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._pods)

    def __iter__(self) -> Iterator[Attempt]:
        return (waiting.attempt for waiting in list(self._pods.values()))

    def get(self, key: str) -> Attempt | None:
        waiting = self._pods.get(key)
        return waiting.attempt if waiting else None

    def add(self, queued: QueuedPod, attempt: Attempt, timeouts_s: Mapping[str, float], now: float) -> None:
        """`timeouts_s`: how long each plugin wants it to wait, 15 minutes at most."""
        deadlines = {plugin: now + min(max(0.0, wait_s), TIMEOUT_MAX_S) for plugin, wait_s in timeouts_s.items()}
        waiting = self._pods[attempt.pod.key] = WaitingPod(queued, attempt, deadlines, now)
        for plugin, deadline in deadlines.items():
            self._sequence += 1
            heapq.heappush(self._deadlines, (deadline, self._sequence, plugin, waiting))

    def allow(self, key: str, plugin: str) -> None:
        """This plugin holds the pod no more. Who does not wait is not concerned."""
        waiting = self._pods.get(key)
        if waiting is not None:
            waiting.deadlines.pop(plugin, None)
            if not waiting.deadlines:
                self._decide(key, None)

    def reject(self, key: str, plugin: str, *reasons: str) -> None:
        if key in self._pods:
            self._decide(key, Refused(plugin, Refusal(reasons)))

    def remove(self, key: str) -> Attempt | None:
        """The pod is gone: it waits no more, and nobody is to go on with it."""
        waiting = self._pods.pop(key, None)
        return waiting.attempt if waiting else None

    def expire(self, now: float) -> None:
        """Refuse whom some plugin has held for too long."""
        while (due := self.next_due()) is not None and due <= now:
            _, _, plugin, waiting = self._deadlines[0]
            self.reject(waiting.attempt.pod.key, plugin, f'timed out waiting for plugin "{plugin}"')

    def next_due(self) -> float | None:
        while self._deadlines and not self._holds(*self._deadlines[0][2:]):
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def decided(self) -> list[Decided]:
        """Who was let go or refused since the last time."""
        found, self._decided = self._decided, []
        return found

    def _holds(self, plugin: str, waiting: WaitingPod) -> bool:
        return plugin in waiting.deadlines and self._pods.get(waiting.attempt.pod.key) is waiting

    def _decide(self, key: str, refused: Refused | None) -> None:
        waiting = self._pods.pop(key)
        self._decided.append(Decided(waiting.queued, waiting.attempt, refused, waiting.since))
