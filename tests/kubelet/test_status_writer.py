"""How often a pod's status is written: as often as somebody wants to know, not at every step."""

from __future__ import annotations

from protocols.api import Watch
from protocols.objects import Object, decode_object
from tests.kubelet.node_world import NodeWorld, run


class Watched:
    """The statuses that a watcher of pods gets to see."""

    def __init__(self, node: NodeWorld) -> None:
        self.statuses: list[Object] = []
        self.times: list[float] = []
        node.user.ctx.background(self._follow(node), "watch")

    async def _follow(self, node: NodeWorld) -> None:
        ctx = node.user.ctx
        async with ctx.stream(ctx.ref("apiserver/api"), Watch("pods")) as events:
            async for event in events:
                if event.type == "MODIFIED":
                    self.statuses.append(decode_object(event.body)["status"])
                    self.times.append(ctx.now)


def test_a_pod_that_starts_at_once_is_written_once() -> None:
    async def scenario(node: NodeWorld) -> None:
        watched = Watched(node)

        await node.create()
        await node.ready()
        await node.world.sleep(2)

        assert [status["phase"] for status in watched.statuses] == ["Running"]

    run(scenario)


def test_what_a_pod_goes_through_while_it_starts_is_not_written_step_by_step() -> None:
    async def scenario(node: NodeWorld) -> None:
        watched = Watched(node)
        steps = [{"name": f"init-{n}", "image": "label", "command": ["run"]} for n in range(10)]
        ends = {f"exit-after.init-{n}": "0.1" for n in range(10)}

        await node.create(initContainers=steps, sim=ends)
        await node.ready()

        phases = [status["phase"] for status in watched.statuses]
        assert phases == ["Pending", "Pending", "Running"]

    run(scenario)


def test_that_a_pod_is_ready_is_written_at_once() -> None:
    async def scenario(node: NodeWorld) -> None:
        watched = Watched(node)

        await node.create(sim={"pull-seconds": "0.1"})
        await node.ready()

        assert [status["phase"] for status in watched.statuses] == ["Pending", "Running"]
        assert watched.times[1] - watched.times[0] < 0.1

    run(scenario)
