"""Scripted containers: they do what their annotations say, when they say, and cost nothing while they idle."""

from __future__ import annotations

from typing import Any

import pytest

from actorkube.runtime import System
from actorkube.sim import World
from actors.runtime.actor import RuntimeShim
from actors.runtime.sim import SimBackend
from protocols.cri import (
    ContainerConfig,
    ContainerMetadata,
    ContainerRefused,
    ContainerStatus,
    CreateContainer,
    ExecSync,
    GetContainerStats,
    GetContainerStatus,
    PodSandboxConfig,
    PodSandboxMetadata,
    ProbeNetwork,
    PullImage,
    ReadContainerLog,
    RunPodSandbox,
    StartContainer,
    StopContainer,
    UpdateRuntimeConfig,
)
from protocols.message import Request


class Runtime:
    def __init__(self, system: System) -> None:
        self.system = system
        self.ref = system.spawn(lambda: RuntimeShim(SimBackend), "runtime")

    async def ask(self, request: Request[Any], timeout_s: float = 1000) -> Any:
        return await self.system.ask(self.ref, request, timeout_s)

    async def start(self, name: str = "main", **script: str) -> ContainerStatus:
        annotations = {f"actorkube.dev/sim-{key.replace('_', '-')}": value for key, value in script.items()}
        await self.ask(UpdateRuntimeConfig("127.65.1.0/24"))
        metadata = PodSandboxMetadata("web", f"uid-{name}", "default")
        sandbox = await self.ask(RunPodSandbox(PodSandboxConfig(metadata, annotations=annotations)))
        created = await self.ask(CreateContainer(sandbox.id, ContainerConfig(ContainerMetadata(name), "label")))
        return await self.ask(StartContainer(created.id))

    async def status(self, id: str) -> ContainerStatus:
        return await self.ask(GetContainerStatus(id))

    async def log(self, id: str, follow: bool = False) -> str:
        async with self.system.stream(self.ref, ReadContainerLog(id, follow=follow)) as chunks:
            return b"".join([chunk.data async for chunk in chunks]).decode()


def in_world(scenario: Any) -> None:
    async def begin(world: World) -> None:
        system = await world.boot("node")
        await scenario(world, Runtime(system))

    World.run_sync(begin)


def test_a_container_exits_when_its_script_says() -> None:
    async def scenario(world: World, runtime: Runtime) -> None:
        started = await runtime.start(exit_after="10", exit_code="3")
        await world.sleep(9.9)
        assert (await runtime.status(started.id)).state == "CONTAINER_RUNNING"
        await world.sleep(0.2)

        status = await runtime.status(started.id)
        assert (status.state, status.exit_code, status.reason) == ("CONTAINER_EXITED", 3, "Error")
        assert status.finished_at - status.started_at == pytest.approx(10)

    in_world(scenario)


def test_a_container_ends_after_term_or_when_it_is_killed() -> None:
    async def scenario(world: World, runtime: Runtime) -> None:
        polite, deaf = (
            await runtime.start("polite", term_seconds="2"),
            await runtime.start("deaf", term_seconds="never"),
        )
        began = world.now

        assert (await runtime.ask(StopContainer(polite.id, 30))).exit_code == 143
        assert world.now - began == pytest.approx(2)
        assert (await runtime.ask(StopContainer(deaf.id, 30))).exit_code == 137
        assert world.now - began == pytest.approx(32)

    in_world(scenario)


def test_probes_and_execs_succeed_between_ready_and_hang() -> None:
    async def scenario(world: World, runtime: Runtime) -> None:
        started = await runtime.start(ready_after="5", hang_after="20")
        answers = []
        for _ in range(3):
            probe = await runtime.ask(ProbeNetwork(started.id, "http", 80, 1))
            result = await runtime.ask(ExecSync(started.id, ("check",), 1))
            answers.append((probe.success, result.exit_code))
            await world.sleep(10)

        assert answers == [(False, 1), (True, 0), (False, 1)]

    in_world(scenario)


def test_a_script_may_be_for_one_container_and_mistakes_in_it_are_named() -> None:
    async def scenario(world: World, runtime: Runtime) -> None:
        started = await runtime.start(**{"exit_after.other": "1"})
        await world.sleep(5)
        assert (await runtime.status(started.id)).state == "CONTAINER_RUNNING"

        with pytest.raises(ContainerRefused, match="sim-exit-after is not a number of seconds: 'soon'"):
            await runtime.start("second", exit_after="soon")
        with pytest.raises(ContainerRefused, match="no such file"):
            await runtime.start("third", start_error="no such file")

    in_world(scenario)


def test_a_container_uses_the_cpu_that_its_script_says() -> None:
    async def scenario(world: World, runtime: Runtime) -> None:
        started = await runtime.start(cpu="60=50m, 800m")
        await world.sleep(30)
        half = await runtime.ask(GetContainerStats(started.id))
        await world.sleep(50)
        whole = await runtime.ask(GetContainerStats(started.id))

        assert half.usage_core_nano_seconds == pytest.approx(30 * 800_000_000)
        assert whole.usage_core_nano_seconds == pytest.approx(60 * 800_000_000 + 20 * 50_000_000)
        with pytest.raises(ContainerRefused, match="sim-cpu is not a list of SECONDS=CPU: '1=much'"):
            await runtime.start("other", cpu="1=much")

    in_world(scenario)


def test_an_image_takes_the_time_to_pull_that_it_should() -> None:
    async def scenario(world: World, runtime: Runtime) -> None:
        began = world.now

        await runtime.ask(PullImage("nginx", False, {"actorkube.dev/sim-pull-seconds": "7"}))

        assert world.now - began == pytest.approx(7)

    in_world(scenario)


def test_a_log_can_be_followed_to_the_end() -> None:
    async def scenario(world: World, runtime: Runtime) -> None:
        started = await runtime.start(exit_after="3")

        assert await runtime.log(started.id, follow=True) == "main starts, attempt 0\n"
        assert (await runtime.status(started.id)).state == "CONTAINER_EXITED"

    in_world(scenario)


def test_idle_containers_cost_no_timer_and_no_task() -> None:
    async def scenario(world: World, runtime: Runtime) -> None:
        for number in range(200):
            await runtime.start(f"c{number}")
        steps = world.loop.steps

        await world.sleep(3000)

        assert world.loop.steps - steps < 100

    in_world(scenario)
