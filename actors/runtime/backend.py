"""What a runtime backend does; the shim (actor.py) keeps the books and talks to the kubelet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from typing import ClassVar

from actorkube.runtime import Context
from actors.runtime.addresses import Addresses
from actors.runtime.ledger import Container, Sandbox
from actors.runtime.sessions import Command
from protocols.api import LogChunk
from protocols.cri import (
    ContainerStatsSample,
    ExecSyncResult,
    LinuxContainerResources,
    NetworkProbeResult,
    ProbeNetwork,
    PublishVolume,
    PullImage,
    ReadContainerLog,
)
from protocols.exec import AttachToContainer, ExecInContainer
from protocols.message import Message

Exited = Callable[[Container, int, int, str], None]


class BackendTick(Message):
    """To the shim itself: a time has come that the backend asked for with `ctx.after`."""


class Backend(ABC):
    """Methods raise `ImageUnusable` or `ContainerRefused`; the container then stays as it was.

    `exited(container, exit_code, signal, message)` must be called exactly once for every container that was started,
    from the event loop and never from inside a method of the backend.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    network_note: str = ""

    @abstractmethod
    async def open(self, ctx: Context, exited: Exited) -> list[Sandbox]:
        """Begin; what is left of an earlier life, all of it ended by now."""

    @abstractmethod
    async def close(self) -> None:
        """End every container, and whatever they started."""

    def addresses(self, pod_cidr: str) -> Addresses:
        return Addresses(pod_cidr)

    def sandbox_changed(self, sandbox: Sandbox) -> None:
        """It was run or stopped."""

    def pod_removed(self, sandbox: Sandbox, last: bool) -> None:
        """A sandbox was removed; with the last one go the pod's volumes."""

    def container_changed(self, container: Container) -> None:
        """Its state is another one now."""

    def container_removed(self, container: Container) -> None:
        """Forget it with its log."""

    @abstractmethod
    async def pull(self, request: PullImage) -> str:
        """The image's id."""

    @abstractmethod
    def create(self, container: Container) -> None: ...

    @abstractmethod
    def start(self, container: Container) -> None: ...

    @abstractmethod
    def update(self, container: Container, resources: LinuxContainerResources) -> None:
        """It runs, or is going to, and has these from now on."""

    @abstractmethod
    def terminate(self, container: Container) -> None:
        """Ask it to end (TERM)."""

    @abstractmethod
    def kill(self, container: Container) -> None:
        """End it whatever it does (KILL)."""

    @abstractmethod
    async def exec(self, container: Container, cmd: tuple[str, ...], timeout_s: float) -> ExecSyncResult: ...

    @abstractmethod
    def run(self, container: Container, request: ExecInContainer) -> Command:
        """Start a command that somebody watches. Raises ContainerRefused."""

    @abstractmethod
    def attach(self, container: Container, request: AttachToContainer) -> Command:
        """What a running container prints from now on, and its input; its end is the container's own."""

    @abstractmethod
    def connect(self, sandbox: Sandbox, port: int) -> Command:
        """A connection to a port of the pod; that nobody listens there is how it ends."""

    @abstractmethod
    async def probe(self, container: Container, probe: ProbeNetwork) -> NetworkProbeResult: ...

    @abstractmethod
    def log(self, container: Container, request: ReadContainerLog) -> AsyncIterator[LogChunk]: ...

    @abstractmethod
    def stats(self, container: Container) -> ContainerStatsSample: ...

    @abstractmethod
    def publish(self, volume: PublishVolume) -> str:
        """The volume's path, which containers see."""

    @abstractmethod
    def publish_persistent(self, volume_id: str) -> str:
        """The path of a volume that outlives pods; it is made if it is not there."""

    @abstractmethod
    def delete_persistent(self, volume_id: str) -> None:
        """Such a volume is wanted no more."""

    def tick(self) -> None:
        """A BackendTick has come."""
