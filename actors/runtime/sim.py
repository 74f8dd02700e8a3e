"""The `sim` backend: scripted containers on virtual time, with neither processes nor files.

A container costs one small object, and a heap entry only when it is going to exit by itself: one timer serves them
all, so that thousands of idle pods cost nothing. Everything is forgotten when the shim crashes, as on a machine that
loses power.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import AsyncIterator
from typing import ClassVar

from actorkube.runtime import Context, Timer
from actors.runtime.backend import Backend, BackendTick, Exited
from actors.runtime.cri_log import LogSelection, LogWriter
from actors.runtime.ledger import Container, Sandbox
from actors.runtime.sessions import Command
from actors.runtime.sim_command import SimCommand
from actors.runtime.sim_script import SimScript, read_script, seconds_in
from protocols.api import LogChunk
from protocols.cri import (
    ContainerRefused,
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

_TERM, _KILL = 15, 9


class SimContainer:
    __slots__ = ("commands", "ended", "log", "script")

    def __init__(self, script: SimScript) -> None:
        self.script = script
        self.log = b""
        self.commands: dict[SimCommand, None] = {}
        self.ended: asyncio.Future[None] | None = None


class SimBackend(Backend):
    name: ClassVar[str] = "sim"

    def __init__(self) -> None:
        self._containers: dict[str, SimContainer] = {}
        self._exits: list[tuple[float, int, Container, int, int]] = []
        self._count = 0
        self._timer: Timer | None = None
        self._timer_at = math.inf

    async def open(self, ctx: Context, exited: Exited) -> list[Sandbox]:
        self._ctx, self._exited = ctx, exited
        return []

    async def close(self) -> None:
        self._exits.clear()

    # -- containers -----------------------------------------------------------------------------------------------

    async def pull(self, request: PullImage) -> str:
        delay_s = seconds_in(request.annotations, "pull-seconds", "", 0.0)
        if delay_s > 0:
            await self._ctx.sleep(min(delay_s, 1e9))
        return f"sim://{request.image}"

    def create(self, container: Container) -> None:
        container.image_ref, container.user = f"sim://{container.config.image}", container.config.user
        try:
            script = read_script(container.sandbox.config.annotations, container.name)
        except ValueError as error:
            raise ContainerRefused(str(error), {"reason": "CreateContainerError"}) from error
        self._containers[container.id] = SimContainer(script)

    def start(self, container: Container) -> None:
        sim = self._containers[container.id]
        if sim.script.start_error:
            raise ContainerRefused(sim.script.start_error, {"reason": "RunContainerError"})
        self._write(sim, f"{container.name} starts, attempt {container.config.metadata.attempt}")
        for line in sim.script.prints.splitlines():
            self._write(sim, line)
        if sim.script.exit_after_s < math.inf:
            self._exit_at(self._ctx.now + sim.script.exit_after_s, container, sim.script.exit_code, 0)

    def update(self, container: Container, resources: LinuxContainerResources) -> None:
        """Nothing that it is said to use depends on what it may use."""

    def terminate(self, container: Container) -> None:
        sim = self._containers[container.id]
        self._write(sim, f"{container.name} is asked to end")
        if sim.script.term_s < math.inf:
            self._exit_at(self._ctx.now + sim.script.term_s, container, 128 + _TERM, _TERM)

    def kill(self, container: Container) -> None:
        self._exit_at(self._ctx.now, container, 128 + _KILL, _KILL)

    def container_removed(self, container: Container) -> None:
        self._containers.pop(container.id, None)

    def publish(self, volume: PublishVolume) -> str:
        return f"/sim/{volume.pod_uid}/volumes/{volume.volume}"

    def publish_persistent(self, volume_id: str) -> str:
        return f"/sim/volumes/{volume_id}"

    def delete_persistent(self, volume_id: str) -> None:
        """There is nothing in it."""

    def stats(self, container: Container) -> ContainerStatsSample:
        if container.state != "CONTAINER_RUNNING":
            return ContainerStatsSample(container.id, 0, 0, 0)
        used_ns = self._containers[container.id].script.cpu_ns(self._ctx.now - container.started_at)
        return ContainerStatsSample(container.id, used_ns, 0, 1)

    # -- probes ---------------------------------------------------------------------------------------------------

    async def exec(self, container: Container, cmd: tuple[str, ...], timeout_s: float) -> ExecSyncResult:
        return ExecSyncResult(b"", b"", 0 if self._answers(container) else 1)

    def run(self, container: Container, request: ExecInContainer) -> Command:
        script = self._containers[container.id].script
        if not self._answers(container):
            raise ContainerRefused("the simulated container does not answer")
        commands = self._containers[container.id].commands
        command = SimCommand(script, request.stdin, lambda: commands.pop(command, None))
        commands[command] = None
        return command

    def attach(self, container: Container, request: AttachToContainer) -> Command:
        """Whatever is sent comes back, until the container ends."""
        commands = self._containers[container.id].commands
        command = SimCommand(SimScript(), True, lambda: commands.pop(command, None), killed_code=0)
        commands[command] = None
        return command

    def connect(self, sandbox: Sandbox, port: int) -> Command:
        """Whatever is sent comes back."""
        return SimCommand(SimScript(), True, lambda: None)

    async def probe(self, container: Container, probe: ProbeNetwork) -> NetworkProbeResult:
        answers = self._answers(container)
        return NetworkProbeResult(answers, "" if answers else "the simulated container does not answer")

    def _answers(self, container: Container) -> bool:
        sim = self._containers.get(container.id)
        return sim is not None and sim.script.answers(self._ctx.now - container.started_at)

    # -- exits ----------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        self._timer, self._timer_at = None, math.inf
        while self._exits and self._exits[0][0] <= self._ctx.now:
            _, _, container, exit_code, signal = heapq.heappop(self._exits)
            if container.state == "CONTAINER_RUNNING":
                self._exited(container, exit_code, signal, "")
                sim = self._containers[container.id]
                for command in list(sim.commands):
                    command.kill()
                if sim.ended is not None:
                    sim.ended.set_result(None)
        if self._exits:
            self._tick_at(self._exits[0][0])

    def _exit_at(self, at: float, container: Container, exit_code: int, signal: int) -> None:
        self._count += 1
        heapq.heappush(self._exits, (at, self._count, container, exit_code, signal))
        self._tick_at(at)

    def _tick_at(self, at: float) -> None:
        if at < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = at
            self._timer = self._ctx.after(max(at - self._ctx.now, 0), BackendTick())

    # -- logs -----------------------------------------------------------------------------------------------------

    async def log(self, container: Container, request: ReadContainerLog) -> AsyncIterator[LogChunk]:
        sim = self._containers[container.id]
        selection = LogSelection(request.since, request.timestamps, request.limit_bytes)
        lines = sim.log.splitlines(keepends=True)
        tail = lines if request.tail_lines < 0 else lines[max(len(lines) - request.tail_lines, 0) :]
        read = len(sim.log)
        yield LogChunk(selection.feed(b"".join(tail)))
        if request.follow and container.state == "CONTAINER_RUNNING":
            if sim.ended is None:
                sim.ended = asyncio.get_running_loop().create_future()
            await asyncio.shield(sim.ended)
            yield LogChunk(selection.feed(sim.log[read:]))

    def _write(self, sim: SimContainer, line: str) -> None:
        sim.log += LogWriter("stdout").feed(line.encode() + b"\n", self._ctx.now)
