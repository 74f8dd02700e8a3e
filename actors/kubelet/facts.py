"""What the runtime has said about one pod. News may come twice, late and out of order: a state never goes back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from protocols.cri import ContainerStatus, PodSandboxStatus

_AGE = {"CONTAINER_CREATED": 0, "CONTAINER_RUNNING": 1, "CONTAINER_UNKNOWN": 1, "CONTAINER_EXITED": 2}
LOST = "The container could not be located in the runtime"


@dataclass(slots=True)
class PodFacts:
    sandboxes: dict[str, PodSandboxStatus] = field(default_factory=dict)
    containers: dict[str, ContainerStatus] = field(default_factory=dict)
    sandbox_attempt: int = -1  # the highest there ever was

    def sandbox_seen(self, status: PodSandboxStatus) -> None:
        self.sandbox_attempt = max(self.sandbox_attempt, status.metadata.attempt)
        known = self.sandboxes.get(status.id)
        if known is None or known.state == "SANDBOX_READY":
            self.sandboxes[status.id] = status

    def container_seen(self, status: ContainerStatus) -> None:
        """What an instance may use changes while it runs; old news of that are found out when they are acted upon."""
        known = self.containers.get(status.id)
        ahead = known is None or _AGE[known.state] < _AGE[status.state]
        if known is None or ahead or (known.state == status.state and known.resources != status.resources):
            self.containers[status.id] = status

    def sandbox_gone(self, id: str) -> None:
        self.sandboxes.pop(id, None)

    def container_lost(self, id: str, now: float) -> None:
        """The runtime does not know it any more. One that was not over ended in a way nobody saw."""
        status = self.containers.get(id)
        if status is not None and status.state != "CONTAINER_EXITED":
            self.containers[id] = msgspec.structs.replace(
                status,
                state="CONTAINER_EXITED",
                finished_at=now,
                exit_code=137,
                reason="ContainerStatusUnknown",
                message=LOST,
            )

    def forget_container(self, id: str) -> None:
        self.containers.pop(id, None)

    def relisted(
        self, sandboxes: Iterable[PodSandboxStatus], containers: Iterable[ContainerStatus], asked: PodFacts, now: float
    ) -> None:
        """A complete list, with what was known when it was asked for: what came later cannot be missing from it."""
        seen_sandboxes = {status.id: status for status in sandboxes}
        seen_containers = {status.id: status for status in containers}
        for sandbox in seen_sandboxes.values():
            self.sandbox_seen(sandbox)
        for container in seen_containers.values():
            self.container_seen(container)
        for id in asked.sandboxes:
            if id not in seen_sandboxes:
                self.sandbox_gone(id)
        for id in asked.containers:
            if id not in seen_containers:
                self.container_lost(id, now)

    def copy(self) -> PodFacts:
        return PodFacts(dict(self.sandboxes), dict(self.containers))

    # -- reading --------------------------------------------------------------------------------------------------

    @property
    def sandbox(self) -> PodSandboxStatus | None:
        """The newest one."""
        return max(self.sandboxes.values(), key=lambda sandbox: sandbox.metadata.attempt, default=None)

    def attempts(self, name: str) -> list[ContainerStatus]:
        """The instances of a container, newest first."""
        found = [status for status in self.containers.values() if status.metadata.name == name]
        return sorted(found, key=lambda status: -status.metadata.attempt)

    def newest(self, name: str) -> ContainerStatus | None:
        newest = None
        for status in self.containers.values():
            if status.metadata.name == name and (newest is None or status.metadata.attempt > newest.metadata.attempt):
                newest = status
        return newest

    def live(self) -> list[ContainerStatus]:
        return [status for status in self.containers.values() if status.state != "CONTAINER_EXITED"]

    def running(self) -> list[ContainerStatus]:
        return [status for status in self.containers.values() if status.state == "CONTAINER_RUNNING"]

    def check(self) -> None:
        """Never two live instances of one container."""
        names = [status.metadata.name for status in self.live()]
        assert len(names) == len(set(names)), names
