"""The `process` backend: a pod's containers are processes of this host. No root, no packages, no images.

How a container becomes a process is in launch.py. What it does not give: no isolation from the host or other pods, no
read-only mounts, no OOM kill (a memory limit is RLIMIT_DATA of each process: allocations fail), no CPU limit (requests
become `nice`). Both can be changed while it runs; only root can make a process less nice again. A restarted shim ends
what its predecessor left behind; it does not adopt it, because nobody can take over the other end of a pipe.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

from actorkube.runtime import Context
from actors.runtime.addresses import Addresses
from actors.runtime.backend import Backend, Exited
from actors.runtime.child import LINUX, Output
from actors.runtime.cri_log import LogSelection, LogWriter
from actors.runtime.kubeconfig import PATH, kubeconfig
from actors.runtime.launch import Launch, local_image, needs_command, plan_launch
from actors.runtime.ledger import Container, Sandbox
from actors.runtime.log_file import LogFile
from actors.runtime.net_probe import probe_network
from actors.runtime.node_directory import NodeDirectory
from actors.runtime.orphans import adopt_orphans
from actors.runtime.port_connection import PortConnection
from actors.runtime.processes import Processes
from actors.runtime.records import Leftover
from actors.runtime.sessions import Command
from actors.runtime.volume_files import publish
from protocols.api import LogChunk
from protocols.cri import (
    ContainerRefused,
    ContainerStatsSample,
    ExecSyncResult,
    ImageUnusable,
    LinuxContainerResources,
    LinuxContainerUser,
    NetworkProbeResult,
    ProbeNetwork,
    PublishVolume,
    PullImage,
    ReadContainerLog,
)
from protocols.exec import AttachToContainer, ExecInContainer

SHARED_ADDRESS = "pods share 127.0.0.1: a loopback address for each takes Linux and a podCIDR below 127.0.0.0/8"


class ProcessBackend(Backend):
    name: ClassVar[str] = "process"

    def __init__(self, directory: Path) -> None:
        self._directory = NodeDirectory(directory)
        self._search_path = os.environ.get("PATH", os.defpath)
        self._processes = Processes()
        self._launches: dict[str, Launch] = {}
        self._logs: dict[str, LogFile] = {}

    # -- life -----------------------------------------------------------------------------------------------------

    async def open(self, ctx: Context, exited: Exited) -> list[Sandbox]:
        self._ctx, self._exited = ctx, exited
        adopt_orphans()
        self._directory.open()
        sandboxes = list(self._directory.restore(ctx.now))
        ids = [id for sandbox in sandboxes for id in sandbox.containers]
        await self._processes.end_leftovers(ids, self._directory.leftovers)
        for sandbox in sandboxes:
            self._directory.save_sandbox(sandbox)
            for container in sandbox.containers.values():
                self._directory.save_container(container, None)
        self._empty_trash()
        return sandboxes

    async def close(self) -> None:
        await self._processes.close()
        for log in self._logs.values():
            log.finish()

    # -- pods -----------------------------------------------------------------------------------------------------

    def addresses(self, pod_cidr: str) -> Addresses:
        if LINUX and pod_cidr.startswith("127."):
            return Addresses(pod_cidr)
        self.network_note = SHARED_ADDRESS
        return Addresses(pod_cidr, shared="127.0.0.1")

    def sandbox_changed(self, sandbox: Sandbox) -> None:
        self._directory.save_sandbox(sandbox)

    def pod_removed(self, sandbox: Sandbox, last: bool) -> None:
        if last:
            self._directory.throw_away(self._directory.pod(sandbox.uid))
            self._empty_trash()
        else:
            self._directory.remove_sandbox(sandbox)

    def publish(self, volume: PublishVolume) -> str:
        path = self._directory.volume(volume.pod_uid, volume.volume)
        if volume.files is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            publish(path, volume.files, volume.modes, volume.default_mode)
        return str(path)

    def publish_persistent(self, volume_id: str) -> str:
        path = self._directory.persistent(volume_id)
        path.mkdir(parents=True, exist_ok=True)
        return str(path)

    def delete_persistent(self, volume_id: str) -> None:
        self._directory.throw_away(self._directory.persistent(volume_id))
        self._empty_trash()

    async def pull(self, request: PullImage) -> str:
        return _check_image(request.image, request.has_command)

    # -- containers -----------------------------------------------------------------------------------------------

    def create(self, container: Container) -> None:
        config, root = container.config, self._directory.root(container)
        launch = plan_launch(container, str(root), self._search_path)
        container.image_ref = _check_image(config.image, bool(config.command))
        container.user = LinuxContainerUser(os.getuid(), os.getgid(), tuple(sorted({os.getgid(), *os.getgroups()})))
        try:
            self._directory.make_root(container, launch.links)
            if (config_file := kubeconfig(container)) is not None:
                self._directory.write(container, PATH, config_file)
            if local_image(config.image) is None:
                Path(launch.cwd).mkdir(parents=True, exist_ok=True)
            self._directory.save_container(container, None)
        except OSError as error:
            text = f"{error.strerror}: {error.filename}"
            raise ContainerRefused(text, {"reason": "CreateContainerError"}) from error
        self._launches[container.id] = launch

    def start(self, container: Container) -> None:
        log = self._log_file(container)
        stdout, stderr = LogWriter("stdout"), LogWriter("stderr")

        def ended(exit_code: int, signal_number: int) -> None:
            for writer in (stdout, stderr):
                log.append(writer.finish(self._ctx.now))
            log.finish()
            self._exited(container, exit_code, signal_number, "")

        launch, config = self._launches[container.id], container.config
        outputs = self._output(log, stdout), self._output(log, stderr)
        self._processes.start(container.id, launch, *outputs, ended, stdin=config.stdin, tty=config.tty)

    def update(self, container: Container, resources: LinuxContainerResources) -> None:
        """As kubelets do it, no limit is set below what is used: everything that it tries would fail from then on."""
        launch, limit = self._launches.get(container.id), resources.memory_limit_in_bytes
        used = self._processes.usage(container.id).resident_bytes
        if limit and used > limit:
            text = f"attempting to set container memory limit ({limit}) below current usage ({used})"
            raise ContainerRefused(text, {"reason": "UpdateContainerError"})
        if launch is not None:
            resized = launch.resized(resources)
            self._launches[container.id] = resized
            self._processes.limit(container.id, resized)

    def terminate(self, container: Container) -> None:
        self._processes.signal(container.id, signal.SIGTERM)

    def kill(self, container: Container) -> None:
        self._processes.kill(container.id)

    def container_changed(self, container: Container) -> None:
        child = self._processes.first(container.id)
        self._directory.save_container(container, Leftover(child.pid, child.start_ticks) if child else None)

    def container_removed(self, container: Container) -> None:
        self._launches.pop(container.id, None)
        self._logs.pop(container.id, None)
        self._directory.throw_away(self._directory.container(container))
        self._empty_trash()

    async def exec(self, container: Container, cmd: tuple[str, ...], timeout_s: float) -> ExecSyncResult:
        return await self._processes.exec(container.id, cmd, timeout_s)

    def run(self, container: Container, request: ExecInContainer) -> Command:
        return self._processes.run(container.id, request.cmd, request.stdin, request.tty)

    def attach(self, container: Container, request: AttachToContainer) -> Command:
        return self._processes.attach(container.id, request.stdin, container.config.stdin_once)

    def connect(self, sandbox: Sandbox, port: int) -> Command:
        return PortConnection(sandbox.ip, port)

    async def probe(self, container: Container, probe: ProbeNetwork) -> NetworkProbeResult:
        return await probe_network(probe, container.sandbox.ip)

    def stats(self, container: Container) -> ContainerStatsSample:
        return ContainerStatsSample(container.id, *self._processes.usage(container.id))

    # -- logs -----------------------------------------------------------------------------------------------------

    async def log(self, container: Container, request: ReadContainerLog) -> AsyncIterator[LogChunk]:
        log = self._log_file(container)
        position = log.tail(request.tail_lines) if request.tail_lines >= 0 else 0
        selection = LogSelection(request.since, request.timestamps, request.limit_bytes)
        while not selection.exhausted:
            data, position = log.read(position)
            if data:
                if chunk := selection.feed(data):
                    yield LogChunk(chunk)
            elif request.follow and not log.ended:
                await log.changed()
            else:
                return

    def _log_file(self, container: Container) -> LogFile:
        log = self._logs.get(container.id)
        if log is None:
            log = self._logs[container.id] = LogFile(self._directory.log(container))
            log.ended = container.state == "CONTAINER_EXITED"
        return log

    def _output(self, log: LogFile, writer: LogWriter) -> Output:
        return lambda data: log.append(writer.feed(data, self._ctx.now))

    def _empty_trash(self) -> None:
        self._ctx.background(self._directory.empty_trash(), "empty trash")


def _check_image(image: str, has_command: bool) -> str:
    """The image's id, when something can be run with it."""
    directory = local_image(image)
    if directory is not None:
        if not Path(directory).is_dir():
            raise ImageUnusable(f'image "{image}": there is no directory {directory} on this host')
        return f"file://{directory}"
    if not has_command:
        raise ImageUnusable(needs_command(image))
    return image
