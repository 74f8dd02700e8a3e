"""What a pod needs before its first container: its volumes with their content, and a sandbox with an address."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from actors.kubelet.actions import Failed, Ok, Outcome, PublishVolumes, RunSandbox, Tell
from actors.kubelet.backoff import Backoff, Retry
from actors.kubelet.device_claims import NOT_PREPARED
from actors.kubelet.facts import PodFacts
from actors.kubelet.slots import Slots

REFRESH_S = 60.0
_CHANGING = ("configMap", "secret", "projected", "downwardAPI")


@dataclass(slots=True)
class Groundwork:
    facts: PodFacts
    slots: Slots
    volumes_ready: bool = False
    _volumes: Retry = field(default_factory=lambda: Retry(Backoff(0.5, 60)))
    _sandbox: Retry = field(default_factory=lambda: Retry(Backoff(0.5, 60)))

    def publish_volumes(self, volumes: list[dict[str, Any]], now: float) -> None:
        """At the start, and every minute those whose content may have changed."""
        if not volumes:
            self.volumes_ready = True
        elif now < self._volumes.due_at:
            self.slots.wake(self._volumes.due_at)
        else:
            self.slots.emit("volumes", PublishVolumes())

    def volumes_published(self, outcome: Outcome, volumes: list[dict[str, Any]], now: float) -> None:
        if isinstance(outcome, Ok):
            self.volumes_ready = True
            changing = any(volume.get(kind) is not None for volume in volumes for kind in _CHANGING)
            self._volumes.succeeded(now + REFRESH_S if changing else math.inf)
        elif isinstance(outcome, Failed):
            self.slots.tell(Tell("Warning", "FailedMount", outcome.message))
            self._volumes.failed(now)

    def run_sandbox(self, now: float) -> None:
        if now < self._sandbox.due_at:
            self.slots.wake(self._sandbox.due_at)
        else:
            self.slots.emit("sandbox", RunSandbox(self.facts.sandbox_attempt + 1))

    def sandbox_run(self, outcome: Outcome, now: float) -> None:
        if isinstance(outcome, Ok):
            self._sandbox.succeeded()
        elif isinstance(outcome, Failed):
            reason, what = "FailedCreatePodSandBox", "create pod sandbox"
            if outcome.reason == NOT_PREPARED:
                reason, what = NOT_PREPARED, "prepare dynamic resources"
            self.slots.tell(Tell("Warning", reason, f"Failed to {what}: {outcome.message}"))
            self._sandbox.failed(now)
