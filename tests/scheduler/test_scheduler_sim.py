"""The scheduler in the simulated world: packets lost and late, hosts that crash and pause, and then a healed network.

Always: no pod has two nodes. While the scheduler itself lives: no node has more than it can carry. In the end: every
pod that can be placed is, the scheduler believes what the API server knows, and it stops writing.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from actorkube.runtime import System
from actorkube.sim import Fault, World, play
from actorkube.sim.strategies import schedules
from actors.scheduler.actor import Scheduler
from protocols.api import Get
from protocols.controller import AskActivity
from protocols.errors import InternalError
from protocols.message import Message
from tests.kube.memory_store import MemoryStore
from tests.scheduler.binding_api import BindingApi, is_binding, once
from tests.scheduler.worlds import make_node, make_pod

HOSTS = ("apiserver", "scheduler")
NODES = ("n0", "n1")
PODS_PER_NODE = 1


class Cluster:
    """The store outlives the API server; what users do happens in it at once."""

    def __init__(self, world: World, lag_s: float = 0.0) -> None:
        self.world = world
        self.lag_s = lag_s
        self.store = MemoryStore()
        self.bound: list[tuple[str, str]] = []

    async def start(self) -> None:
        for name in NODES:
            self.store.create("nodes", make_node(name, cpu=str(PODS_PER_NODE)))
        await self.world.boot("apiserver", self.boot_api)
        await self.world.boot("scheduler", self.boot_scheduler)
        self.world.always("each pod is bound once", self.check_bound_once)

    def boot_scheduler(self, system: System) -> None:
        system.spawn(Scheduler, "scheduler")

    def boot_api(self, system: System) -> None:
        system.spawn(lambda: BindingApi(self.store, self.bound, lag_s=self.lag_s), "api")

    @property
    def api(self) -> BindingApi:
        api = self.world.system("apiserver").actor("api")
        assert isinstance(api, BindingApi)
        return api

    def deliver(self) -> None:
        if self.world.is_up("apiserver"):
            self.api.deliver()

    def create(self, name: str) -> None:
        if self.store.find("pods", "default", name) is None:
            self.store.create("pods", make_pod(name, "1"))
            self.deliver()

    def delete(self, name: str) -> None:
        if self.store.find("pods", "default", name) is not None:
            self.store.delete("pods", "default", name, grace=0)
            self.deliver()

    def placed(self) -> dict[str, str]:
        return {pod["metadata"]["name"]: pod["spec"].get("nodeName", "") for pod in self.store.list("pods")}

    def check_bound_once(self) -> None:
        twice = [uid for uid, count in Counter(uid for uid, _ in self.bound).items() if count > 1]
        assert not twice, f"bound twice: {twice}"

    def check_not_overcommitted(self) -> None:
        load = Counter(node for node in self.placed().values() if node)
        assert all(count <= PODS_PER_NODE for count in load.values()), f"too much: {dict(load)}"

    def is_done(self) -> bool:
        nodes = Counter(self.placed().values())
        return not nodes[""] or all(nodes[name] >= PODS_PER_NODE for name in NODES)

    async def check_rests(self) -> None:
        """It is settled, and asks for nothing more."""
        ref = self.world.system("scheduler").ref("scheduler/scheduler")
        await self.world.until(lambda: self.world.is_up("scheduler"))

        async def settled() -> bool:
            return (await self.world.system("scheduler").ask(ref, AskActivity())).settled

        await self.world.until(settled)
        asked = len(self.api.asked)
        await self.world.sleep(60)
        assert len(self.api.asked) == asked, self.api.asked[asked:]

    def check_believes_the_truth(self) -> None:
        scheduler = self.world.system("scheduler").actor("scheduler")
        assert isinstance(scheduler, Scheduler)
        scheduler._state.check()
        scheduler._queue.check()
        placed = {f"default/{name}": node for name, node in self.placed().items()}
        assert {key: node for key, node in placed.items() if node} == scheduler._state._placed
        assert sorted(key for key, _ in scheduler._queue.places()) == sorted(key for key in placed if not placed[key])


steps = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 1.0, 1.1, 5.0, 12.0]),
        st.sampled_from(["create", "delete"]),
        st.integers(0, 3).map(lambda n: f"p{n}"),
    ),
    min_size=5,
    max_size=25,
)
lags_s = st.sampled_from([0.0, 0.5])


@settings(max_examples=40, deadline=None)
@given(steps, schedules(HOSTS, for_s=15, disks=False, messages=["Create", "Stored"]), lags_s, st.integers(0, 99))
def test_places_what_fits_once_and_rests_whatever_happens(
    users: list[tuple[float, str, str]], faults: list[Fault], lag_s: float, seed: int
) -> None:
    World.run_sync(lambda world: scenario(world, users, faults, lag_s), seed)


async def scenario(world: World, users: list[tuple[float, str, str]], faults: list[Fault], lag_s: float) -> None:
    cluster = Cluster(world, lag_s)
    await cluster.start()
    for at_s, deed, name in users:
        world.loop.call_later(at_s, cluster.create if deed == "create" else cluster.delete, name)
    await play(world, faults)
    await world.sleep(20)
    await world.recover()
    cluster.deliver()

    await world.converges(cluster.is_done, within_s=100)

    await cluster.check_rests()
    cluster.check_believes_the_truth()
    cluster.check_not_overcommitted()


@settings(max_examples=25, deadline=None)
@given(steps, st.integers(0, 99), st.integers(1, 4), st.integers(0, 5))
def test_lost_answers_overcommit_no_node(users: list[tuple[float, str, str]], seed: int, times: int, skip: int) -> None:
    async def answers_get_lost(world: World) -> None:
        cluster = Cluster(world, lag_s=0.5)
        await cluster.start()
        world.always("no node is overcommitted", cluster.check_not_overcommitted)
        world.drop("Stored", src="apiserver", times=times, skip=skip)
        for at_s, deed, name in users:
            world.loop.call_later(at_s, cluster.create if deed == "create" else cluster.delete, name)
        await world.sleep(30)
        await world.converges(cluster.is_done, within_s=100)
        cluster.check_believes_the_truth()

    World.run_sync(answers_get_lost, seed)


def test_a_refused_binding_is_forgotten_and_tried_again() -> None:
    async def the_store_is_out_for_lunch(world: World) -> None:
        cluster = Cluster(world)
        await cluster.start()
        refuse = once(is_binding)

        def fail(message: Message) -> None:
            if refuse(message):
                raise InternalError("etcd is out for lunch")

        cluster.api.fail = fail
        cluster.create("p")
        await world.until(lambda: cluster.bound)
        await world.until(lambda: len(cluster.store.list("events")) == 2)

        told = [(event["reason"], event["message"]) for event in cluster.store.list("events")]
        assert ("FailedScheduling", "binding rejected: etcd is out for lunch") in told
        assert ("Scheduled", f"Successfully assigned default/p to {cluster.bound[0][1]}") in told

    World.run_sync(the_store_is_out_for_lunch)


def test_a_binding_that_never_arrived_is_made_after_looking() -> None:
    async def it_is_swallowed(world: World) -> None:
        cluster = Cluster(world)
        await cluster.start()
        cluster.api.swallow = once(is_binding)
        cluster.create("p")
        await world.until(lambda: cluster.bound)

        asked = [type(m).__name__ for m in cluster.api.asked if is_binding(m) or isinstance(m, Get)]
        assert asked == ["Create", "Get", "Create"]

    World.run_sync(it_is_swallowed)


def test_the_same_seed_gives_the_same_run() -> None:
    users = [(number / 10, "create", f"p{number % 9}") for number in range(9)]

    World.check(lambda world: scenario(world, users, [], 0.5), 7)
