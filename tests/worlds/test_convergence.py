"""User operations and faults drawn by hypothesis against a simulated cluster.

Healed, the cluster reaches what the user asked for, and stops writing.
"""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from actorkube.sim import Fault, Skew, Swarm, World, nemesis, play
from actorkube.sim.strategies import schedules
from actorkube.testing.operations import Act, acts
from actors.cluster import ClusterSpec, cluster_hosts
from actors.etcd.actor import Etcd
from tests.effort import examples, seeds
from tests.worlds.goals import Goal, Wanted, check_history, history, writes_since
from tests.worlds.user import User

SPEC = ClusterSpec(runtime="sim", nodes=2, node_monitor_grace_s=10.0, eviction_timeout_s=5.0)
HOSTS = [host.name for host in cluster_hosts(SPEC)]
CONVERGES_WITHIN_S = 400.0  # a pod that failed a few times waits for its back-off
QUIET_S = 40.0
AHEAD_S_MAX = 30.0  # as far as a fault sets a clock ahead


class Story:
    """Carries out acts and keeps the goal in step with them."""

    def __init__(self, world: World, user: User) -> None:
        self.goal = Goal()
        self._world = world
        self._user = user
        self._notes = 0

    async def play(self, acts: list[Act]) -> None:
        for act in acts:
            await self._world.sleep(act.after_s)
            await self._do(act)

    async def _do(self, act: Act) -> None:
        deployments = self.goal.deployments
        if act.kind == "note":
            self._notes += 1
            await self._user.note(f"note-{self._notes}")
        elif act.kind == "deploy":
            if act.name not in deployments:
                await self._user.deploy(act.name, act.number)
                deployments[act.name] = Wanted(act.number)
        elif act.name in deployments:
            await self._change(act, deployments[act.name])

    async def _change(self, act: Act, wanted: Wanted) -> None:
        if act.kind == "scale":
            await self._user.scale(act.name, act.number)
            wanted.replicas = act.number
        elif act.kind == "version":
            await self._user.set_version(act.name, f"v{act.number}")
            wanted.version = f"v{act.number}"
        else:
            await self._user.delete(act.name)
            del self.goal.deployments[act.name]


class OneLeaderATerm:
    def __init__(self, world: World) -> None:
        self._world = world
        self._leaders: dict[int, str] = {}

    def __call__(self) -> None:
        for member in SPEC.etcd_members:
            if self._world.is_up(member) and (etcd := self._replica(member)) is not None:
                term = etcd._raft.leading_term
                if term:
                    assert self._leaders.setdefault(term, member) == member, f"two leaders in term {term}"

    def _replica(self, member: str) -> Etcd | None:
        try:
            etcd = self._world.system(member).actor("etcd")
        except KeyError:
            return None
        assert isinstance(etcd, Etcd)
        return etcd if hasattr(etcd, "_raft") else None


async def settle(world: World, acts: list[Act], faults: list[Fault] | Swarm) -> None:
    """Acts and faults side by side, then a healed world: the goal is reached, and then nothing is written any more."""
    await world.boot_all(cluster_hosts(SPEC))
    world.always("one leader a term", OneLeaderATerm(world))
    system = await world.boot("user")
    user = User(system)
    story = Story(world, user)
    playing = world.loop.create_task(story.play(acts))
    if isinstance(faults, Swarm):
        await nemesis(world, HOSTS, 40.0, faults)
    else:
        await play(world, faults)
    await world.recover()
    await playing

    try:
        await world.until(lambda: story.goal.reached(user), CONVERGES_WITHIN_S)
    except AssertionError as error:
        error.add_note("; ".join(await story.goal.missing(user)))
        raise
    await world.sleep(QUIET_S)  # what follows from reaching it: last status writes, released taints
    await world.sleep(AHEAD_S_MAX)  # until then a node whose clock was ahead is not heard: its lease seems to be older
    before = (await history(system))[-1].kv.mod_revision
    await world.sleep(QUIET_S)
    events = await history(system)

    assert await story.goal.missing(user) == []
    assert writes_since(events, before) == []
    check_history(events)
    assert user.acknowledged.keys() - await user.names("configmaps") == set()


@settings(max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(acts(), schedules(HOSTS, for_s=20.0, lasting_s=8.0, faults_max=5), st.integers(0, 999))
@example([Act("deploy", "web", 3, 0.0), Act("version", "web", 2, 0.5), Act("scale", "web", 1, 5.0)], [], 0)
def test_the_cluster_settles_after_any_faults(acts: list[Act], faults: list[Fault], seed: int) -> None:
    World.run_sync(partial(settle, acts=acts, faults=faults), seed=seed)


def test_a_node_whose_clock_was_ahead_is_heard_again_when_it_has_caught_up() -> None:
    faults: list[Fault] = [Skew(0.1, 8.0, "node-1-kubelet", AHEAD_S_MAX)]

    World.run_sync(partial(settle, acts=[], faults=faults), seed=0)


@pytest.mark.parametrize("seed", seeds(4))
def test_the_cluster_settles_after_a_nemesis(seed: int) -> None:
    acts = [Act("deploy", "web", 3, 0.0), Act("note", "", 0, 5.0), Act("version", "web", 2, 5.0)]
    acts += [Act("deploy", "db", 2, 5.0), Act("scale", "web", 4, 5.0), Act("note", "", 0, 0.0)]
    acts += [Act("delete", "db", 0, 5.0), Act("note", "", 0, 0.5)]

    async def scenario(world: World) -> None:
        await settle(world, acts, Swarm.draw(world.chance("swarm")))

    World.run_sync(scenario, seed=seed)
