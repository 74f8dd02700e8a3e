"""When a container is probed, and what the answers mean. One `Probes` for each instance of a container.

As Kubernetes: a startup probe comes alone until it has succeeded once; liveness decides whether the container lives,
readiness whether it gets traffic. One thing is better here: before its first success a startup or readiness probe is
repeated after 50 ms, 100 ms, 200 ms and so on up to its period, so that a server which needs 60 ms to listen is not
unready for the 10 s of a default period. Such early failures are not counted and not told.

gRPC probes are not carried out: they never succeed and never fail, and the user is told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from actors.kubelet.actions import Failed, Ok, Outcome, ProbeKind

_EARLY_FIRST_S = 0.05
_KINDS: dict[ProbeKind, str] = {
    "startup": "startupProbe",
    "liveness": "livenessProbe",
    "readiness": "readinessProbe",
}


@dataclass(slots=True)
class ProbeState:
    kind: ProbeKind
    probe: Mapping[str, Any]
    due_at: float
    counted_at: float  # a failure from then on counts
    result: bool | None = None
    successes: int = 0
    failures: int = 0
    early_s: float = _EARLY_FIRST_S
    in_flight: bool = False

    @property
    def period_s(self) -> float:
        return float(self.probe.get("periodSeconds") or 10)

    def judge(self, outcome: Outcome, asked_at: float, now: float) -> str:
        """Take an answer into account; returns what to tell the user, "" for nothing."""
        if isinstance(outcome, Ok):
            return self._succeeded(asked_at)
        if not isinstance(outcome, Failed):
            self.due_at = now + self.period_s
            return ""
        counts = asked_at >= self.counted_at
        self._schedule(asked_at, counts)
        if not counts:
            return ""
        self.successes, self.failures = 0, self.failures + 1
        if self.failures >= int(self.probe.get("failureThreshold") or 3):
            self.result = False
        return f"{self.kind.capitalize()} probe failed: {outcome.message}"

    def _succeeded(self, asked_at: float) -> str:
        self.failures, self.successes = 0, self.successes + 1
        if self.successes >= int(self.probe.get("successThreshold") or 1):
            self.result, self.early_s = True, math.inf
        self._schedule(asked_at, True)
        return ""

    def _schedule(self, asked_at: float, counts: bool) -> None:
        if counts:
            self.counted_at = asked_at + self.period_s
        self.due_at = self.counted_at
        if self.kind != "liveness":
            self.due_at = min(self.counted_at, asked_at + self.early_s)
            self.early_s *= 2


def _state(kind: ProbeKind, probe: Mapping[str, Any], started_at: float) -> ProbeState:
    first_at = started_at + float(probe.get("initialDelaySeconds") or 0)
    if not is_supported(probe):
        return ProbeState(kind, probe, math.inf, math.inf)
    state = ProbeState(kind, probe, first_at, first_at)
    if kind == "readiness":
        state.counted_at += state.period_s  # it is not ready yet in any case: nothing to count, nothing to tell
    return state


def is_supported(probe: Mapping[str, Any]) -> bool:
    return any(probe.get(handler) for handler in ("exec", "httpGet", "tcpSocket"))


@dataclass(slots=True)
class Probes:
    """`due` says what to ask now, `judge` takes the answers."""

    container: Mapping[str, Any]
    id: str
    started_at: float
    states: dict[ProbeKind, ProbeState] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, key in _KINDS.items():
            if probe := self.container.get(key):
                self.states[kind] = _state(kind, probe, self.started_at)

    @property
    def started(self) -> bool:
        startup = self.states.get("startup")
        return startup is None or startup.result is True

    @property
    def ready(self) -> bool:
        readiness = self.states.get("readiness")
        return self.started and (readiness is None or readiness.result is True)

    @property
    def failed(self) -> ProbeState | None:
        """The probe because of which the container must be restarted."""
        kinds: tuple[ProbeKind, ...] = ("startup", "liveness")
        return next((state for kind in kinds if (state := self.states.get(kind)) and state.result is False), None)

    def due(self, now: float) -> list[ProbeState]:
        return [state for state in self._active() if not state.in_flight and state.due_at <= now]

    @property
    def next_at(self) -> float:
        return min((state.due_at for state in self._active() if not state.in_flight), default=math.inf)

    def judge(self, kind: ProbeKind, outcome: Outcome, asked_at: float, now: float) -> str:
        state = self.states[kind]
        state.in_flight = False
        told = state.judge(outcome, asked_at, now)
        if kind == "startup" and state.result:
            for other in self.states.values():  # they begin now, their initial delay has passed or not
                other.due_at = other.counted_at = max(now, other.due_at)
        return told

    def _active(self) -> list[ProbeState]:
        if not self.started:
            return [self.states["startup"]]
        return [state for kind, state in self.states.items() if kind != "startup"]
