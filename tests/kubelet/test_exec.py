"""kubectl exec in the simulated world: through the kubelet to a scripted container, by the messages of the real one."""

from __future__ import annotations

import pytest

from protocols.errors import Answer, BadRequest, NotFound
from protocols.exec import AttachToPod, ExecInPod, ExecInput, ExecItem, ForwardPort
from tests.kubelet.node_world import KUBELET, NodeWorld, run

SCRIPT = {"exec-prints": "welcome", "exec-code": "3"}


async def session(node: NodeWorld, *typed: bytes, container: str = "main") -> list[ExecItem]:
    apiserver = node.world.system("apiserver")
    kubelet = apiserver.ref(f"{KUBELET}/kubelet")
    request = ExecInPod("default", "web", container, ("any",), stdin=bool(typed))
    async with apiserver.stream(kubelet, request) as items:
        found = [await anext(items)]
        for number, data in enumerate(typed, 1):
            await apiserver.ask(kubelet, ExecInput(found[0].session, data, last=number == len(typed)), timeout_s=60)
        return [*found[1:], *[item async for item in items]]


def test_a_scripted_command_prints_repeats_its_input_and_exits() -> None:
    async def scenario(node: NodeWorld) -> None:
        await node.create(sim=SCRIPT)
        await node.ready()

        items = await session(node, b"one", b"two")

        assert [item.data for item in items] == [b"welcome\n", b"one", b"two", b""]
        assert (items[-1].ended, items[-1].exit_code, items[-1].error) == (True, 3, "")
        assert len(node.shim._sessions) == 0

    run(scenario)


def test_a_command_ends_with_its_container() -> None:
    async def scenario(node: NodeWorld) -> None:
        await node.create(sim={**SCRIPT, "exit-after": "50"}, restartPolicy="Never")
        await node.ready()
        apiserver = node.world.system("apiserver")
        request = ExecInPod("default", "web", "main", ("any",), stdin=True)

        async with apiserver.stream(apiserver.ref(f"{KUBELET}/kubelet"), request) as items:
            seen = [item async for item in items]

        assert (seen[-1].ended, seen[-1].exit_code) == (True, 137)

    run(scenario)


def test_containers_that_do_not_run_are_refused() -> None:
    async def scenario(node: NodeWorld) -> None:
        await node.create(sim={"exit-after": "5"}, restartPolicy="Never")
        await node.reaches("web", lambda pod: pod["status"].get("phase") == "Succeeded")

        refusals: list[Answer] = []
        for container in ("main", "other"):
            with pytest.raises(Answer) as caught:
                await session(node, container=container)
            refusals.append(caught.value)

        assert [type(refusal) for refusal in refusals] == [NotFound, BadRequest]
        assert refusals[0].message == 'container not found ("main")'

    run(scenario)


def test_a_simulated_port_repeats_what_it_is_sent() -> None:
    async def scenario(node: NodeWorld) -> None:
        await node.create()
        await node.ready()
        apiserver = node.world.system("apiserver")
        kubelet = apiserver.ref(f"{KUBELET}/kubelet")

        async with apiserver.stream(kubelet, ForwardPort("default", "web", 80)) as items:
            name = (await anext(items)).session
            await apiserver.ask(kubelet, ExecInput(name, b"ping", last=True), timeout_s=60)
            seen = [item async for item in items]

        assert [item.data for item in seen] == [b"ping", b""] and seen[-1].ended

    run(scenario)


def test_who_is_attached_shares_the_container_until_it_ends_and_that_is_no_failure() -> None:
    async def scenario(node: NodeWorld) -> None:
        await node.create(sim={"exit-after": "50", "exit-code": "9"}, restartPolicy="Never")
        await node.ready()
        apiserver = node.world.system("apiserver")
        kubelet = apiserver.ref(f"{KUBELET}/kubelet")

        async with apiserver.stream(kubelet, AttachToPod("default", "web", "main", stdin=True)) as items:
            name = (await anext(items)).session
            await apiserver.ask(kubelet, ExecInput(name, b"ping"), timeout_s=60)
            seen = [item async for item in items]

        assert [item.data for item in seen] == [b"ping", b""]
        assert (seen[-1].ended, seen[-1].exit_code, seen[-1].error) == (True, 0, "")

    run(scenario)
