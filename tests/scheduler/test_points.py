"""Reserve, Permit, PreBind, Bind and PostBind: in which order plugins are asked, and what is undone when one fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from actorkube.sim import World
from actors.scheduler.actor import UNDER_WAY_MAX
from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import (
    SKIP,
    Attempt,
    Bind,
    ClusterEvent,
    Handle,
    Permit,
    Plugin,
    PostBind,
    PreBind,
    Profile,
    QueueSort,
    Refusal,
    Reserve,
    Skip,
    Wait,
)
from actors.scheduler.profile import DEFAULT_PROFILE
from protocols.errors import InternalError
from protocols.message import Message
from protocols.objects import Object
from tests.scheduler.binding_api import is_binding, once
from tests.scheduler.sim_cluster import Cluster
from tests.scheduler.worlds import make_node, make_pod

DEFAULT = tuple((plugin, 1) for plugin in DEFAULT_PROFILE.plugins)


class Diary(Reserve, Permit, PreBind, Bind, PostBind):
    """Writes down where it was asked, and does at a point what a pod's label says: refuse, raise, wait."""

    events = ClusterEvent.NODE_ADDED

    def __init__(self, name: str, said: list[str]) -> None:
        self.name = name  # type: ignore[misc]
        self.said = said
        self.is_bad = True

    def reserve(self, attempt: Attempt) -> Refusal | None:
        attempt.memo[self.name] = "reserved"
        return self._answer("reserve", attempt)

    def unreserve(self, attempt: Attempt) -> None:
        attempt.memo.pop(self.name, None)
        self._answer("unreserve", attempt)

    def permit(self, attempt: Attempt) -> Refusal | Wait | None:
        assert attempt.memo[self.name] == "reserved"
        wants_wait = self._deed(attempt) == f"wait@{self.name}"
        return Wait(5) if wants_wait else self._answer("permit", attempt)

    async def pre_bind(self, attempt: Attempt, handle: Handle) -> Refusal | None:
        return self._answer("pre_bind", attempt)

    async def bind(self, attempt: Attempt, handle: Handle) -> Skip:
        self._answer("bind", attempt)
        return SKIP

    def post_bind(self, attempt: Attempt) -> None:
        self._answer("post_bind", attempt)

    def _answer(self, point: str, attempt: Attempt) -> Refusal | None:
        self.said.append(f"{point} {self.name}")
        deed = self._deed(attempt)
        if deed == f"raise@{self.name}.{point}":
            raise ZeroDivisionError("planted")
        return Refusal((f"{self.name} does not want it",)) if deed == f"refuse@{self.name}.{point}" else None

    def _deed(self, attempt: Attempt) -> str:
        return str(attempt.pod.shape.labels.get("deed", "")) if self.is_bad else ""


def scheduled(story: Callable[[Cluster], Awaitable[None]], *plugins: Plugin) -> None:
    """Two nodes with room for one pod each, and these plugins beside the default ones."""

    async def run(world: World) -> None:
        cluster = Cluster(world, profiles=[Profile(*((plugin, 1) for plugin in plugins), *DEFAULT)])
        await cluster.start()
        await story(cluster)

    World.run_sync(run)


def pod_that(deed: str, name: str = "p") -> Object:
    pod = make_pod(name, "1")
    pod["metadata"]["labels"] = {"deed": deed}
    return pod


def diaries() -> tuple[list[str], Diary, Diary]:
    said: list[str] = []
    return said, Diary("A", said), Diary("B", said)


def test_every_point_is_asked_in_the_order_of_the_framework() -> None:
    said, a, b = diaries()

    async def story(cluster: Cluster) -> None:
        cluster.add("pods", make_pod("p"))
        await cluster.check_rests()

        points = ["reserve", "permit", "pre_bind", "bind", "post_bind"]
        assert said == [f"{point} {name}" for point in points for name in "AB"]
        assert cluster.node_of("p")

    scheduled(story, a, b)


@pytest.mark.parametrize("point", ["reserve", "permit", "pre_bind", "bind"])
def test_what_raises_is_named_and_rolled_back_in_reverse_order_and_tried_again(point: str) -> None:
    said, a, b = diaries()

    async def story(cluster: Cluster) -> None:
        cluster.add("pods", pod_that(f"raise@A.{point}"))
        await cluster.world.until(lambda: bool(cluster.events("p")))

        assert said[-2:] == ["unreserve B", "unreserve A"]
        assert cluster.events("p")[0] == ("FailedScheduling", 'running plugin "A": ZeroDivisionError: planted')
        assert not cluster.scheduler._state._placed

        a.is_bad = False
        await cluster.world.until(lambda: bool(cluster.node_of("p")))

    scheduled(story, a, b)


@pytest.mark.parametrize("point", ["reserve", "permit", "pre_bind"])
def test_a_refusal_is_rolled_back_and_waits_for_an_event_that_concerns_the_plugin(point: str) -> None:
    said, a, b = diaries()

    async def story(cluster: Cluster) -> None:
        cluster.add("pods", pod_that(f"refuse@B.{point}"))
        await cluster.check_rests()

        assert said.count("reserve A") == 1
        assert said[-2:] == ["unreserve B", "unreserve A"]
        assert cluster.events("p") == [("FailedScheduling", "0/1 nodes are available: 1 B does not want it.")]
        assert not cluster.scheduler._state._placed

        b.is_bad = False
        cluster.add("nodes", make_node("n2"))
        await cluster.world.until(lambda: bool(cluster.node_of("p")))

    scheduled(story, a, b)


def test_one_that_fails_to_give_back_keeps_no_other_from_it() -> None:
    said, a, b = diaries()

    async def story(cluster: Cluster) -> None:
        cluster.add("pods", pod_that("raise@B.unreserve"))
        await cluster.check_rests()

        assert said[-2:] == ["unreserve B", "unreserve A"]
        assert not cluster.scheduler._state._placed

    scheduled(story, a, b, Refuses())


class Refuses(Permit):
    name = "Refuses"

    def permit(self, attempt: Attempt) -> Refusal:
        return Refusal(("never",))


def test_a_binding_that_the_api_server_refuses_is_rolled_back_too() -> None:
    said, a, b = diaries()

    async def story(cluster: Cluster) -> None:
        refuse = once(is_binding)

        def out_for_lunch(message: Message) -> None:
            if refuse(message):
                raise InternalError("etcd is out for lunch")

        cluster.api.fail = out_for_lunch
        cluster.add("pods", make_pod("p"))
        await cluster.world.until(lambda: bool(cluster.node_of("p")))
        await cluster.check_rests()

        attempt = ["reserve", "permit", "pre_bind", "bind"]
        first = [f"{point} {name}" for point in attempt for name in "AB"]
        assert said == [*first, "unreserve B", "unreserve A", *first, "post_bind A", "post_bind B"]

    scheduled(story, a, b)


class Holds(Permit):
    """Every pod waits for another to come by, or for three seconds."""

    name = "Holds"

    def permit(self, attempt: Attempt) -> Wait | None:
        others = [other.pod.key for other in attempt.waiting]
        for key in others:
            attempt.waiting.allow(key, self.name)
        return None if others else Wait(3)


def test_a_pod_waits_at_permit_with_its_node_until_it_is_let_go() -> None:
    async def story(cluster: Cluster) -> None:
        cluster.add("pods", make_pod("first", "1"))
        await cluster.world.sleep(2)
        assert not cluster.bound
        assert list(cluster.scheduler._state._placed) == ["default/first"]

        cluster.add("pods", make_pod("second", "1"))
        await cluster.check_rests()
        assert {cluster.node_of("first"), cluster.node_of("second")} == {"n0", "n1"}

    scheduled(story, Holds())


def test_who_waits_at_permit_for_too_long_is_refused_and_leaves_the_node() -> None:
    said, a, b = diaries()

    async def story(cluster: Cluster) -> None:
        cluster.add("pods", make_pod("p", "1"))
        await cluster.check_rests()

        why = '0/1 nodes are available: 1 timed out waiting for plugin "Holds".'
        assert cluster.events("p") == [("FailedScheduling", why)]
        assert said[-2:] == ["unreserve B", "unreserve A"]
        assert not cluster.scheduler._state._placed

    scheduled(story, a, b, Holds())


def test_two_plugins_that_hold_a_pod_must_both_let_it_go() -> None:
    _, a, b = diaries()

    async def story(cluster: Cluster) -> None:
        cluster.add("pods", pod_that("wait@A", "first"))
        await cluster.world.sleep(1)
        cluster.add("pods", make_pod("second", "1"))
        await cluster.world.until(lambda: bool(cluster.node_of("second")))

        assert not cluster.node_of("first")
        cluster.scheduler._waiting.allow("default/first", "A")
        cluster.scheduler._wake()
        await cluster.world.until(lambda: bool(cluster.node_of("first")))

    scheduled(story, a, b, Holds())


def test_a_pod_that_is_deleted_while_it_waits_gives_everything_back() -> None:
    said, a, b = diaries()

    async def story(cluster: Cluster) -> None:
        cluster.add("pods", make_pod("p", "1"))
        await cluster.world.sleep(1)
        cluster.delete("p")
        await cluster.check_rests()

        assert said[-2:] == ["unreserve B", "unreserve A"]
        assert len(cluster.scheduler._waiting) == 0
        cluster.check_believes_the_truth()

    scheduled(story, a, b, Holds())


def test_a_pod_whose_node_vanishes_while_it_waits_goes_to_another() -> None:
    _, a, b = diaries()

    async def story(cluster: Cluster) -> None:
        cluster.add("pods", pod_that("wait@A"))
        await cluster.world.sleep(1)
        node = cluster.scheduler._state._placed["default/p"]
        a.is_bad = False
        cluster.store.delete("nodes", "", node, grace=0)
        cluster.deliver()
        await cluster.check_rests()
        cluster.add("nodes", make_node("n2"))
        await cluster.world.until(lambda: bool(cluster.node_of("p")))
        await cluster.check_rests()

        assert cluster.node_of("p") not in ("", node)
        cluster.check_believes_the_truth()

    scheduled(story, a, b)


def test_any_number_of_pods_may_wait_at_permit_and_hold_nobody_up() -> None:
    class HoldsSome(Permit):
        name = "HoldsSome"

        def permit(self, attempt: Attempt) -> Wait | None:
            return Wait(600) if attempt.pod.shape.labels else None

    async def story(cluster: Cluster) -> None:
        cluster.add("nodes", make_node("big", cpu="1000", pods="1000"))
        cluster.add("pods", *(pod_that("", f"p{number}") for number in range(UNDER_WAY_MAX + 10)))
        await cluster.world.sleep(5)
        cluster.add("pods", make_pod("free"))
        await cluster.world.sleep(5)

        assert cluster.node_of("free")
        assert len(cluster.scheduler._waiting) == UNDER_WAY_MAX + 10

    scheduled(story, HoldsSome())


class Prepares(Reserve, PreBind):
    """Asks for a config map before a pod runs, and waits until somebody has filled it."""

    name = "Prepares"

    def __init__(self) -> None:
        self.reserved: list[str] = []
        self.heard: list[bool] = []

    def reserve(self, attempt: Attempt) -> None:
        self.reserved.append(attempt.pod.key)

    def unreserve(self, attempt: Attempt) -> None:
        self.reserved.remove(attempt.pod.key)

    async def pre_bind(self, attempt: Attempt, handle: Handle) -> Refusal | None:
        until = handle.now + 30
        while not attempt.state.namespace_labels("default").get("ready"):
            self.heard.append(await handle.changed("namespaces", "default", until - handle.now))
            if not self.heard[-1]:
                return Refusal(("the namespace is not ready",))
        return None


def test_a_plugin_waits_before_the_binding_for_news_of_an_object_and_holds_nobody_up() -> None:
    plugin = Prepares()

    async def story(cluster: Cluster) -> None:
        cluster.add("nodes", make_node("big", cpu="1000", pods="1000"))
        cluster.add("namespaces", {"metadata": {"name": "default", "labels": {"a": "b"}}})
        cluster.add("pods", *(make_pod(f"p{number}") for number in range(UNDER_WAY_MAX + 10)))
        await cluster.world.sleep(5)
        assert len(plugin.reserved) == UNDER_WAY_MAX + 10
        assert not cluster.bound

        cluster.store.update("namespaces", {"metadata": {"name": "default", "labels": {"ready": "yes"}}})
        cluster.deliver()
        await cluster.world.until(lambda: len(cluster.bound) == UNDER_WAY_MAX + 10)

    scheduled(story, plugin)


def test_a_wait_before_the_binding_ends_with_its_time_or_with_the_pod() -> None:
    plugin = Prepares()

    async def story(cluster: Cluster) -> None:
        cluster.add("namespaces", {"metadata": {"name": "default", "labels": {}}})
        cluster.add("pods", make_pod("late"), make_pod("gone"))
        await cluster.world.sleep(5)
        cluster.delete("gone")
        await cluster.world.sleep(5)
        assert plugin.reserved == ["default/late"]

        await cluster.check_rests()
        assert plugin.reserved == [] and plugin.heard == [False]
        assert cluster.events("late") == [
            ("FailedScheduling", "0/1 nodes are available: 1 the namespace is not ready.")
        ]
        assert cluster.scheduler._binding.changes.is_empty

    scheduled(story, plugin)


class Twofaced(Bind):
    """Binds, and then fails, or not."""

    name = "Twofaced"

    def __init__(self, binds: bool) -> None:
        self.binds = binds
        self.is_bad = True

    async def bind(self, attempt: Attempt, handle: Handle) -> None:
        if self.binds or not self.is_bad:
            await handle.client.bind("default", attempt.pod.key.partition("/")[2], attempt.node)
        if self.is_bad:
            self.is_bad = False
            raise ZeroDivisionError("planted")


@pytest.mark.parametrize("binds", [True, False])
def test_after_a_plugin_of_ones_own_failed_to_bind_the_pod_is_looked_at(binds: bool) -> None:
    async def story(cluster: Cluster) -> None:
        cluster.add("pods", make_pod("p"))
        await cluster.world.until(lambda: bool(cluster.node_of("p")))
        await cluster.check_rests()

        assert len(cluster.bound) == 1
        assert ("FailedScheduling", 'running plugin "Twofaced": ZeroDivisionError: planted') in cluster.events(
            "p"
        ) or binds
        assert [reason for reason, _ in cluster.events("p")][-1] == "Scheduled"

    scheduled(story, Twofaced(binds))


class Shortest(QueueSort):
    """Short names first; does what a pod's label says while `is_bad`."""

    name = "Shortest"
    is_bad = True

    def order(self, pod: PodDemand, since: float) -> tuple[float, ...]:
        deed = pod.shape.labels.get("deed") if self.is_bad else ""
        if deed == "raise":
            raise ZeroDivisionError("planted")
        return (float("nan"),) if deed == "nan" else (len(pod.key), since)


def test_the_queue_is_sorted_by_the_profiles_plugin() -> None:
    profile = Profile((Shortest(), 0), *(pair for pair in DEFAULT if pair[0].name != "PrioritySort"))

    async def run(world: World) -> None:
        cluster = Cluster(world, profiles=[profile])
        names = ["pppp", "pp", "ppp", "p"]
        for name in names:
            cluster.store.create("pods", make_pod(name, "1"))
        await cluster.start()
        await cluster.world.until(lambda: len(cluster.bound) == 2)

        assert sorted(name for name in names if cluster.node_of(name)) == ["p", "pp"]

    World.run_sync(run)


@pytest.mark.parametrize(("deed", "error"), [("raise", "ZeroDivisionError: planted"), ("nan", "TypeError: a tuple of")])
def test_whom_the_queue_cannot_be_sorted_for_backs_off_and_is_told(deed: str, error: str) -> None:
    shortest = Shortest()
    profile = Profile((shortest, 0), *(pair for pair in DEFAULT if pair[0].name != "PrioritySort"))

    async def run(world: World) -> None:
        cluster = Cluster(world, profiles=[profile])
        await cluster.start()
        cluster.add("pods", pod_that(deed, "bad"), make_pod("good"))
        await world.until(lambda: bool(cluster.node_of("good")) and bool(cluster.events("bad")))

        assert not cluster.node_of("bad")
        assert f'running plugin "Shortest": {error}' in cluster.events("bad")[0][1]
        shortest.is_bad = False
        await world.until(lambda: bool(cluster.node_of("bad")))

    World.run_sync(run)
