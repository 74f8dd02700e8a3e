"""The runtime shim: keeps the books on sandboxes and containers, lets a backend do the work, tells who listens."""

from __future__ import annotations

from collections.abc import Callable

from actorkube.runtime import LATER, Actor, Mailbox, Timer
from actorkube.runtime.reply import ReplyHandle
from actors.runtime.backend import Backend, BackendTick
from actors.runtime.ledger import Container, Ledger, Sandbox
from actors.runtime.listeners import Listeners
from actors.runtime.sessions import Sessions
from protocols.cri import (
    ContainerList,
    ContainerRefused,
    ContainerStatsList,
    CreateContainer,
    ExecSync,
    GetContainerEvents,
    GetContainerStats,
    GetContainerStatus,
    GetRuntimeStatus,
    GetVersion,
    LinuxContainerResources,
    ListContainers,
    ListContainerStats,
    ListPodSandbox,
    PodSandboxList,
    ProbeNetwork,
    PublishedVolume,
    PublishVolume,
    PulledImage,
    PullImage,
    ReadContainerLog,
    RemoveContainer,
    RemovePodSandbox,
    RunPodSandbox,
    RuntimeCondition,
    RuntimeStatus,
    RuntimeVersion,
    StartContainer,
    StopContainer,
    StopPodSandbox,
    UpdateContainerResources,
    UpdateRuntimeConfig,
)
from protocols.csi import DeleteVolume, NodePublishVolume
from protocols.errors import Answer
from protocols.exec import AttachToContainer, ConnectPort, ExecInContainer, ExecInput, ResizeTerminal
from protocols.message import Message


class KillIfRunning(Message):
    """To itself: a container's grace period is over."""

    container_id: str


class Stopping:
    """A container that was asked to end: when it will be killed, and who waits for it."""

    __slots__ = ("kill_at", "timer", "waiting")

    def __init__(self, kill_at: float, timer: Timer) -> None:
        self.kill_at = kill_at
        self.timer = timer
        self.waiting: list[ReplyHandle] = []


class RuntimeShim(Actor):
    """The container runtime of one node."""

    mailbox = Mailbox(capacity=16_384)
    concurrency = 256

    def __init__(self, backend: Callable[[], Backend]) -> None:
        self._backend = backend()
        self._ledger = Ledger()
        self._stopping: dict[str, Stopping] = {}
        self._listeners = Listeners()
        self._sessions = Sessions()

    async def on_start(self) -> None:
        for sandbox in await self._backend.open(self.ctx, self._exited):
            self._ledger.restore(sandbox)

    async def on_stop(self) -> None:
        await self._backend.close()

    def receive(self, message: Message) -> object:
        part = _PARTS.get(type(message), Actor.receive)
        return part(self, message)

    # -- what it is asked, by what that is about ------------------------------------------------------------------

    def _of_sandboxes(self, message: Message) -> object:
        match message:
            case RunPodSandbox():
                return self._run_sandbox(message)
            case StopPodSandbox():
                return self._stop_sandbox(message.pod_sandbox_id)
            case RemovePodSandbox():
                self._remove_sandbox(message.pod_sandbox_id)
            case ListPodSandbox():
                return PodSandboxList(tuple(sandbox.status() for sandbox in self._ledger.sandboxes.values()))
            case ConnectPort():
                sandbox = self._ready(message.pod_sandbox_id)
                return self._sessions.run(lambda: self._backend.connect(sandbox, message.port), self.ctx.random)
            case _:
                return super().receive(message)
        return None

    def _of_containers(self, message: Message) -> object:
        match message:
            case CreateContainer():
                return self._create(message)
            case StartContainer():
                return self._start(self._ledger.container(message.container_id))
            case StopContainer():
                return self._stop(self._ledger.container(message.container_id), message.timeout_s)
            case KillIfRunning():
                self._kill(message.container_id)
            case UpdateContainerResources():
                return self._update(self._ledger.container(message.container_id), message.linux)
            case RemoveContainer():
                self._remove(message.container_id)
            case ListContainers():
                return ContainerList(tuple(container.status() for container in self._ledger.containers.values()))
            case GetContainerStatus():
                return self._ledger.container(message.container_id).status()
            case GetContainerEvents():
                self._listeners.add(self.ctx.outlet())
                return LATER
            case _:
                return super().receive(message)
        return None

    def _of_what_runs(self, message: Message) -> object:
        match message:
            case ProbeNetwork():
                return self._backend.probe(self._running(message.container_id), message)
            case ExecSync():
                container = self._running(message.container_id)
                return self._backend.exec(container, message.cmd, message.timeout_s)
            case ExecInContainer():
                container = self._running(message.container_id)
                return self._sessions.run(lambda: self._backend.run(container, message), self.ctx.random)
            case AttachToContainer():
                container = self._running(message.container_id)
                return self._sessions.run(lambda: self._backend.attach(container, message), self.ctx.random)
            case ExecInput():
                return self._sessions.write(message)
            case ResizeTerminal():
                self._sessions.resize(message)
            case _:
                return super().receive(message)
        return None

    def _of_reports(self, message: Message) -> object:
        match message:
            case ReadContainerLog():
                return self._backend.log(self._ledger.container(message.container_id), message)
            case GetContainerStats():
                return self._backend.stats(self._ledger.container(message.container_id))
            case ListContainerStats():
                running = [each for each in self._ledger.containers.values() if each.state == "CONTAINER_RUNNING"]
                return ContainerStatsList(tuple(self._backend.stats(container) for container in running))
            case _:
                return super().receive(message)

    def _of_volumes(self, message: Message) -> object:
        match message:
            case PublishVolume():
                return PublishedVolume(self._backend.publish(message))
            case NodePublishVolume(volume_id):
                return PublishedVolume(self._backend.publish_persistent(volume_id))
            case DeleteVolume(volume_id):
                self._backend.delete_persistent(volume_id)
            case _:
                return super().receive(message)
        return None

    def _of_the_node(self, message: Message) -> object:
        match message:
            case BackendTick():
                self._backend.tick()
            case PullImage():
                return self._pull(message)
            case UpdateRuntimeConfig():
                self._configure(message.pod_cidr)
            case GetRuntimeStatus():
                return self._runtime_status()
            case GetVersion():
                return RuntimeVersion(self._backend.name, self._backend.version)
            case _:
                return super().receive(message)
        return None

    # -- the node -------------------------------------------------------------------------------------------------

    def _configure(self, pod_cidr: str) -> None:
        known = self._ledger.addresses
        if known is None or (known.cidr != pod_cidr and not known.in_use):
            self._ledger.addresses = self._backend.addresses(pod_cidr)
            if self._backend.network_note:
                self.ctx.log.warning("pod network", note=self._backend.network_note)

    def _runtime_status(self) -> RuntimeStatus:
        network = self._ledger.addresses is not None
        reason, message = ("", self._backend.network_note) if network else ("NoPodCIDR", "the node has no podCIDR yet")
        return RuntimeStatus(
            (RuntimeCondition("RuntimeReady", True), RuntimeCondition("NetworkReady", network, reason, message))
        )

    async def _pull(self, request: PullImage) -> Message:
        return PulledImage(await self._backend.pull(request))

    # -- sandboxes ------------------------------------------------------------------------------------------------

    def _run_sandbox(self, request: RunPodSandbox) -> Message:
        sandbox, new = self._ledger.run_sandbox(request.config, self.ctx.now)
        if new:
            self._backend.sandbox_changed(sandbox)
        return sandbox.status()

    def _stop_sandbox(self, id: str) -> Message:
        sandbox = self._ledger.sandbox(id)
        self._kill_all(sandbox)
        if sandbox.state == "SANDBOX_READY":
            self._ledger.stop_sandbox(sandbox)
            self._backend.sandbox_changed(sandbox)
        return sandbox.status()

    def _remove_sandbox(self, id: str) -> None:
        sandbox = self._ledger.sandboxes.get(id)
        if sandbox is None:
            return
        if self._kill_all(sandbox):
            raise ContainerRefused(f"pod sandbox {id} still has running containers", {"reason": "ContainerRunning"})
        for container in list(sandbox.containers.values()):
            self._forget(container)
        self._backend.pod_removed(sandbox, self._ledger.remove_sandbox(sandbox))

    def _kill_all(self, sandbox: Sandbox) -> bool:
        running = [c for c in sandbox.containers.values() if c.state == "CONTAINER_RUNNING"]
        for container in running:
            self._backend.kill(container)
        return bool(running)

    # -- containers -----------------------------------------------------------------------------------------------

    def _create(self, request: CreateContainer) -> Message:
        sandbox = self._ledger.sandbox(request.pod_sandbox_id)
        container, new = self._ledger.create(sandbox, request.config, self.ctx.now)
        if new:
            try:
                self._backend.create(container)
            except BaseException:
                self._ledger.remove(container)
                raise
            self._listeners.tell("CONTAINER_CREATED_EVENT", container.status())
        return container.status()

    def _start(self, container: Container) -> Message:
        if container.state == "CONTAINER_CREATED":
            try:
                self._backend.start(container)
            except Answer as refusal:
                self._never_started(container, refusal)
                raise
            self._ledger.started(container, self.ctx.now)
            self._backend.container_changed(container)
            self._listeners.tell("CONTAINER_STARTED_EVENT", container.status())
        return container.status()

    def _update(self, container: Container, resources: LinuxContainerResources) -> Message:
        if container.state in ("CONTAINER_CREATED", "CONTAINER_RUNNING") and container.config.resources != resources:
            self._backend.update(container, resources)
            self._ledger.resized(container, resources)
            self._backend.container_changed(container)
        return container.status()

    def _never_started(self, container: Container, refusal: Answer) -> None:
        """As containerd and runc report it: it ended with 128 before it began, so restart policy and back-off apply."""
        self._ledger.exited(container, 128, 0, self.ctx.now, refusal.message, "StartError")
        self._backend.container_changed(container)
        self._listeners.tell("CONTAINER_STOPPED_EVENT", container.status())

    def _stop(self, container: Container, timeout_s: float) -> object:
        if container.state != "CONTAINER_RUNNING":
            return container.status()
        stopping = self._stopping.get(container.id)
        kill_at = self.ctx.now + max(timeout_s, 0)
        if stopping is None:
            self._stopping[container.id] = stopping = self._end_by(container, kill_at)
            self._backend.terminate(container) if timeout_s > 0 else self._backend.kill(container)
        elif kill_at < stopping.kill_at:
            stopping.timer.cancel()
            stopping.kill_at, stopping.timer = kill_at, self._end_by(container, kill_at).timer
        stopping.waiting.append(self.ctx.reply_handle())
        return LATER

    def _end_by(self, container: Container, kill_at: float) -> Stopping:
        return Stopping(kill_at, self.ctx.after(max(kill_at - self.ctx.now, 0), KillIfRunning(container.id)))

    def _kill(self, container_id: str) -> None:
        container = self._ledger.containers.get(container_id)
        if container is not None and container.state == "CONTAINER_RUNNING":
            self._backend.kill(container)

    def _exited(self, container: Container, exit_code: int, signal: int, message: str) -> None:
        self._ledger.exited(container, exit_code, signal, self.ctx.now, message)
        self._backend.container_changed(container)
        stopping = self._stopping.pop(container.id, None)
        if stopping is not None:
            stopping.timer.cancel()
            for handle in stopping.waiting:
                handle.send(container.status())
        self._listeners.tell("CONTAINER_STOPPED_EVENT", container.status())

    def _remove(self, container_id: str) -> None:
        container = self._ledger.containers.get(container_id)
        if container is not None:
            self._forget(container)

    def _forget(self, container: Container) -> None:
        self._ledger.remove(container)
        self._backend.container_removed(container)
        self._listeners.tell("CONTAINER_DELETED_EVENT", container.status())

    def _ready(self, id: str) -> Sandbox:
        sandbox = self._ledger.sandbox(id)
        if sandbox.state != "SANDBOX_READY":
            raise ContainerRefused(f"pod sandbox {id} is stopped", {"reason": "SandboxNotReady"})
        return sandbox

    def _running(self, container_id: str) -> Container:
        container = self._ledger.container(container_id)
        if container.state != "CONTAINER_RUNNING":
            raise ContainerRefused(f"container {container.name} does not run", {"reason": "ContainerNotRunning"})
        return container


# By what a message is about. Looked up, and not matched one after the other: there are thirty of them.
_PARTS: dict[type[Message], Callable[[RuntimeShim, Message], object]] = {
    kind: part
    for part, kinds in (
        (RuntimeShim._of_sandboxes, (RunPodSandbox, StopPodSandbox, RemovePodSandbox, ListPodSandbox, ConnectPort)),
        (RuntimeShim._of_containers, (CreateContainer, StartContainer, StopContainer, RemoveContainer, KillIfRunning)),
        (RuntimeShim._of_containers, (UpdateContainerResources, ListContainers, GetContainerStatus)),
        (RuntimeShim._of_containers, (GetContainerEvents,)),
        (RuntimeShim._of_what_runs, (ProbeNetwork, ExecSync, ExecInContainer, AttachToContainer)),
        (RuntimeShim._of_what_runs, (ExecInput, ResizeTerminal)),
        (RuntimeShim._of_reports, (ReadContainerLog, GetContainerStats, ListContainerStats)),
        (RuntimeShim._of_volumes, (PublishVolume, NodePublishVolume, DeleteVolume)),
        (RuntimeShim._of_the_node, (PullImage, UpdateRuntimeConfig, GetRuntimeStatus, GetVersion, BackendTick)),
    )
    for kind in kinds
}
