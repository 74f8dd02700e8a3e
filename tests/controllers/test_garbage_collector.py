"""The garbage collector: who goes with whom, who waits for whom, and who stays."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorkube.kube import Views
from actorkube.kube.controller import Concern, views_for
from actorkube.kube.writes import Confirm, Delete, Patch, Rest, Write
from actors.apiserver.schema import resources as served
from actors.controllers import garbage_collector
from actors.controllers.owner_graph import Identity, links_of
from actors.controllers.resources import RESOURCES
from protocols.api import WatchEvent
from protocols.objects import Object, decode_object, encode_object, meta, uid_of
from tests.controllers.owner_history import check_history
from tests.controllers.virtual_time import run
from tests.controllers.world import World
from tests.effort import examples

WATCHED = [r for r in RESOURCES if r.name in ("configmaps", "secrets", "pods", "replicasets.apps", "nodes")]


def config_map(name: str, *owners: Object, **metadata: Any) -> Object:
    references = [reference(owner) for owner in owners]
    owned = {"ownerReferences": references} if references else {}
    return {"kind": "ConfigMap", "metadata": {"name": name, "namespace": "default", **owned, **metadata}}


def reference(owner: Object, blocking: bool = True) -> dict[str, Any]:
    """To a config map, or to whatever `owner` says that it is."""
    block = {"blockOwnerDeletion": True} if blocking else {}
    kind = owner.get("kind", "ConfigMap")
    return {"apiVersion": "v1", "kind": kind, "name": meta(owner)["name"], "uid": uid_of(owner), **block}


# -- decisions, as tables ---------------------------------------------------------------------------------------------

CONTROLLER = garbage_collector.controller(WATCHED)


def seen(*objects: Object, resource: str = "configmaps") -> Views:
    """What the controller knows when it has seen these, at revisions 1, 2, ..."""
    views = views_for([CONTROLLER])
    for number, obj in enumerate(objects, 1):
        views[resource].apply(WatchEvent("ADDED", encode_object(obj), number), 0.0)
    return Views(views)


def decide(owner: Object, views: Views, now: float = 1000.0) -> list[Write]:
    node = Identity("configmaps", "default", meta(owner)["name"], uid_of(owner))
    return [write for write in CONTROLLER.reconcile(str(node), views, now) if not isinstance(write, Rest)]


SOLID = config_map("solid", uid="u-solid")
ENDING = config_map("ending", uid="u-ending", deletionTimestamp="t", finalizers=["x/y"])
GONE = config_map("gone", uid="u-gone")
LOST = config_map("lost", uid="u-lost")
WAITING = config_map("waiting", uid="u-waiting", deletionTimestamp="t", finalizers=["foregroundDeletion"])


@pytest.mark.parametrize(
    ("cause", "owners", "kept", "confirmed"),
    [
        (GONE, [GONE], None, [GONE]),
        (GONE, [GONE, LOST], None, [GONE, LOST]),
        (GONE, [GONE, WAITING], None, [GONE]),
        (GONE, [GONE, SOLID], [SOLID], [GONE]),
        (GONE, [SOLID, LOST, GONE], [SOLID], [LOST, GONE]),
        (GONE, [GONE, ENDING], [ENDING], [GONE]),
        (WAITING, [WAITING], None, []),
        (WAITING, [WAITING, LOST], None, [LOST]),
        (WAITING, [WAITING, SOLID], [SOLID], []),
    ],
)
def test_a_dependent_goes_only_when_nobody_is_left_to_live_for(
    cause: Object, owners: list[Object], kept: list[Object] | None, confirmed: list[Object]
) -> None:
    dependent = config_map("child", *owners, uid="u-child")

    writes = [w for w in decide(cause, seen(SOLID, ENDING, WAITING, dependent)) if not is_release(w)]

    names = [meta(owner)["name"] for owner in confirmed]
    assert writes[:-1] == [Confirm("configmaps", "default", n, f"u-{n}", gone=True) for n in names]
    if kept is None:
        assert writes[-1] == Delete("configmaps", "default", "child", "u-child", "Background", revision=4)
    else:
        exactly = {"uid": "u-child", "resourceVersion": "4", "ownerReferences": [reference(owner) for owner in kept]}
        assert writes[-1] == Patch("configmaps", "default", "child", {"metadata": exactly})


def is_release(write: Write) -> bool:
    return isinstance(write, Patch) and "finalizers" in write.patch["metadata"]


@pytest.mark.parametrize("owner", [SOLID, ENDING])
def test_nothing_happens_while_the_owner_lives(owner: Object) -> None:
    assert decide(owner, seen(owner, config_map("child", owner, uid="u-child"))) == []


def test_a_dependent_that_goes_already_is_not_asked_again() -> None:
    child = config_map("child", GONE, uid="u-child", deletionTimestamp="t", finalizers=["x/y"])

    assert decide(GONE, seen(child)) == []


@pytest.mark.parametrize(
    ("finalizers", "propagation"),
    [(["x/y"], "Background"), (["orphan"], "Orphan"), (["foregroundDeletion"], "Foreground")],
)
def test_a_dependent_goes_in_the_way_that_its_own_finalizers_ask_for(finalizers: list[str], propagation: str) -> None:
    *_, last = decide(GONE, seen(config_map("child", GONE, uid="u-child", finalizers=finalizers)))

    assert isinstance(last, Delete) and last.propagation == propagation


def test_a_waiting_owner_is_let_go_when_nobody_blocks_it_any_more() -> None:
    blocking = config_map("blocking", WAITING, uid="u-1", deletionTimestamp="t", finalizers=["x/y"])
    other = {**config_map("other", uid="u-2")}
    other["metadata"]["ownerReferences"] = [reference(WAITING, blocking=False)]

    assert not any(is_release(write) for write in decide(WAITING, seen(WAITING, blocking, other)))
    deletion, release = decide(WAITING, seen(WAITING, other))
    assert isinstance(deletion, Delete) and deletion.name == "other"
    exactly = {"uid": "u-waiting", "resourceVersion": "1", "finalizers": []}
    assert release == Patch("configmaps", "default", "waiting", {"metadata": exactly})


def test_dependents_with_dependents_wait_for_them_too() -> None:
    middle = config_map("middle", WAITING, uid="u-middle")

    (deletion,) = decide(WAITING, seen(WAITING, middle, config_map("leaf", middle, uid="u-leaf")))

    assert isinstance(deletion, Delete) and (deletion.name, deletion.propagation) == ("middle", "Foreground")


@pytest.mark.parametrize(
    "change",
    [{"kind": "Unheard"}, {"apiVersion": "example.com/v1"}, {"name": "a/b"}, {"kind": "Event"}],
)
def test_references_that_cannot_be_followed_are_left_alone(change: dict[str, str]) -> None:
    child = config_map("child", uid="u-child")
    child["metadata"]["ownerReferences"] = [{**reference(GONE), **change}]
    views = seen(child)

    (watches,) = [w for w in CONTROLLER.watches if w.resource == "configmaps"]
    assert Concern(watches, views).keys(None, views["configmaps"].entry("default/child")) == []
    assert decide(GONE, views) == []


def test_a_namespaced_owner_of_a_cluster_wide_object_is_left_alone() -> None:
    node = {"metadata": {"name": "n", "uid": "u-n", "ownerReferences": [reference(GONE)]}}
    views = seen(node, resource="nodes")

    (watches,) = [w for w in CONTROLLER.watches if w.resource == "nodes"]
    assert Concern(watches, views).keys(None, views["nodes"].entry("n")) == []
    assert decide(GONE, views) == []


def test_equal_links_are_kept_once() -> None:
    one, other = (config_map(name, SOLID, uid=name) for name in ("a", "b"))

    assert links_of(one) is links_of(other)


def test_only_the_metadata_that_matters_is_kept() -> None:
    views = seen({**config_map("big", SOLID, uid="u", annotations={"x": "y"}), "data": {"key": "value" * 1000}})

    entry = views["configmaps"].entry("default/big")
    assert entry is not None and len(entry.body) < 300


def test_every_watched_resource_is_served_as_it_is_listed() -> None:
    for resource in RESOURCES:
        found = served.find(resource.name)
        assert found is not None and found.stored and "watch" in found.verbs
        assert (found.group, found.kind, found.namespaced) == (resource.group, resource.kind, resource.namespaced)
    names = {resource.name for resource in RESOURCES} | {"events"}
    assert names == {r.group_resource for r in served.RESOURCES if r.stored and r.storage == r.group_resource}


# -- in a world -------------------------------------------------------------------------------------------------------


class Family(World):
    """Remembers whom users, and not the garbage collector, asked to go."""

    def __init__(self, seed: int) -> None:
        super().__init__(garbage_collector.controller(WATCHED), seed=seed)
        self.asked: set[str] = set()

    def delete(self, resource: str, name: str, namespace: str = "default", propagation: str = "") -> None:
        self.asked.add(uid_of(self.get(resource, name, namespace)))
        super().delete(resource, name, namespace, propagation)


def in_world(scenario: Any, seed: int = 0) -> None:
    async def play() -> None:
        world = Family(seed)
        async with world:
            await scenario(world)
            check_history(world.store.log, {"ConfigMap", "Secret"}, world.asked)

    run(play())


def create(world: World, name: str, *owners: Object, **metadata: Any) -> Object:
    return world.create("configmaps", config_map(name, *owners, **metadata))


def family(world: World) -> None:
    """A grandparent, a parent, and two children."""
    parent = create(world, "parent", create(world, "grandparent"))
    for name in ("child-1", "child-2"):
        create(world, name, parent)


def names(world: World) -> list[str]:
    return [meta(obj)["name"] for obj in world.list("configmaps")]


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
def test_descendants_go_with_their_ancestor(propagation: str) -> None:
    async def scenario(world: World) -> None:
        family(world)
        create(world, "stranger")
        world.delete("configmaps", "grandparent", propagation=propagation)
        await world.settled()

        assert names(world) == ["stranger"]

    in_world(scenario)


def test_in_the_foreground_the_youngest_go_first() -> None:
    async def scenario(world: World) -> None:
        family(world)
        world.delete("configmaps", "grandparent", propagation="Foreground")
        await world.settled()

        ends = [meta(decode_object(event.body))["name"] for _, event in world.store.log if event.type == "DELETED"]
        assert sorted(ends[:2]) == ["child-1", "child-2"]
        assert ends[2:] == ["parent", "grandparent"]

    in_world(scenario)


def test_orphans_stay_and_forget_their_parent() -> None:
    async def scenario(world: World) -> None:
        family(world)
        world.delete("configmaps", "parent", propagation="Orphan")
        await world.settled()

        assert names(world) == ["child-1", "child-2", "grandparent"]
        assert owners(world, "child-1") == owners(world, "child-2") == []

    in_world(scenario)


def owners(world: World, name: str) -> list[str]:
    return [each["name"] for each in meta(world.get("configmaps", name)).get("ownerReferences", [])]


def test_a_second_owner_keeps_a_dependent_which_loses_the_first() -> None:
    async def scenario(world: World) -> None:
        first, second = create(world, "first"), create(world, "second")
        create(world, "shared", first, second)
        world.delete("configmaps", "first")
        await world.settled()

        assert owners(world, "shared") == ["second"]

    in_world(scenario)


@pytest.mark.parametrize(
    "changes", [{"uid": "another"}, {"name": "renamed"}, {"kind": "Secret"}], ids=lambda c: next(iter(c))
)
def test_a_reference_that_does_not_fit_means_nobody(changes: dict[str, str]) -> None:
    async def scenario(world: World) -> None:
        owner = create(world, "owner")
        child = config_map("child")
        child["metadata"]["ownerReferences"] = [{**reference(owner), **changes}]
        world.create("configmaps", child)
        await world.settled()
        world.patch("configmaps", "owner", {"data": {"still": "watched"}})
        create(world, "late", owner)
        await world.settled()

        assert names(world) == ["late", "owner"]

    in_world(scenario)


def test_an_owner_whose_name_somebody_else_has_now_is_gone() -> None:
    async def scenario(world: World) -> None:
        create(world, "child", create(world, "owner"))
        await world.settled()
        world.api.muted = True
        world.delete("configmaps", "owner")
        create(world, "owner")
        world.api.muted = False
        world.api.deliver()
        await world.settled()

        assert names(world) == ["owner"]

    in_world(scenario)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_owners_in_a_circle_do_not_wait_for_each_other(size: int) -> None:
    async def scenario(world: World) -> None:
        circle = [create(world, f"n{number}") for number in range(size)]
        for number, owner in enumerate(circle):
            child = {"metadata": {"ownerReferences": [reference(owner)]}}
            world.patch("configmaps", f"n{(number + 1) % size}", child)
        await world.settled()
        world.delete("configmaps", "n0", propagation="Foreground")
        await world.settled()

        assert names(world) == []

    in_world(scenario)


@contextmanager
def late(world: World, resource: str) -> Iterator[None]:
    """Meanwhile the controller hears nothing of that resource."""
    (outlet,) = [outlet for outlet, (watch, _) in world.api.watches.items() if watch.resource == resource]
    watch = world.api.watches.pop(outlet)
    yield
    world.api.watches[outlet] = watch
    world.api.deliver()


def test_an_owner_that_the_view_has_not_seen_yet_is_asked_for() -> None:
    async def scenario(world: World) -> None:
        await world.settled()
        with late(world, "secrets"):
            owner = world.create("secrets", {**config_map("owner"), "kind": "Secret"})
            create(world, "child", owner)
            await world.settled()
            assert names(world) == ["child"]

        world.delete("secrets", "owner")
        await world.settled()
        assert names(world) == []

    in_world(scenario)


def test_an_orphan_that_the_view_sees_a_little_late_stays_too() -> None:
    async def scenario(world: World) -> None:
        await world.settled()
        with late(world, "secrets"):
            orphan = config_map("orphan", create(world, "owner"))
            world.create("secrets", {**orphan, "kind": "Secret"})
            await asyncio.sleep(1)
            world.delete("configmaps", "owner", propagation="Orphan")
            await asyncio.sleep(1)
        await world.settled()

        assert names(world) == []
        assert not meta(world.get("secrets", "orphan"))["ownerReferences"]

    in_world(scenario)


@pytest.mark.slow
def test_many_dependents_cost_few_passes_and_one_deletion_each() -> None:
    async def scenario(world: World) -> None:
        await world.settled()
        owner = create(world, "owner")
        for number in range(1200):
            create(world, f"child-{number}", owner)
        await world.settled()
        world.delete("configmaps", "owner")
        await world.settled()

        assert names(world) == []
        (activity,) = await world.activity()
        assert activity.passes < 60
        assert activity.writes < 1200 + 60

    in_world(scenario)


# -- settle -----------------------------------------------------------------------------------------------------------

NODES = 7
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("Background"), st.integers(0, NODES - 1)),
        st.tuples(st.just("Foreground"), st.integers(0, NODES - 1)),
        st.tuples(st.just("Orphan"), st.integers(0, NODES - 1)),
        st.tuples(st.just("again"), st.integers(0, NODES - 1)),
    ),
    min_size=1,
    max_size=6,
)
EDGES = st.lists(st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1), st.booleans()), max_size=12)


@settings(max_examples=examples(40), deadline=None)
@given(st.integers(0, 2**32), EDGES, OPERATIONS)
def test_settles_with_nobody_left_behind_and_nobody_taken_along_wrongly(
    seed: int, edges: list[tuple[int, int, bool]], operations: list[tuple[str, int]]
) -> None:
    async def scenario(world: World) -> None:
        for number in range(NODES):
            create(world, f"n{number}")
        for child, parent, blocking in edges:
            own(world, f"n{child}", f"n{parent}", blocking)
        await world.unrest(40, [lambda o=o: operate(world, *o) for o in operations])  # type: ignore[misc]
        await world.settled()

        left = {uid_of(obj): obj for obj in world.list("configmaps")}
        for obj in left.values():
            assert "deletionTimestamp" not in meta(obj), obj
            assert all(each["uid"] in left for each in meta(obj).get("ownerReferences", [])), obj
        revision = world.revision()
        await asyncio.sleep(600)
        assert world.revision() == revision

    in_world(scenario, seed)


def own(world: World, child: str, parent: str, blocking: bool) -> None:
    owner, old = world.get("configmaps", parent), meta(world.get("configmaps", child)).get("ownerReferences", [])
    others = [each for each in old if each["uid"] != uid_of(owner)]
    world.patch("configmaps", child, {"metadata": {"ownerReferences": [*others, reference(owner, blocking)]}})


def operate(world: World, operation: str, number: int) -> None:
    name, parent = f"n{number}", f"n{(number + 1) % NODES}"
    found, owner = world.find("configmaps", name), world.find("configmaps", parent)
    if operation != "again":
        if found and "deletionTimestamp" not in meta(found):
            world.delete("configmaps", name, propagation=operation)
    elif not found and owner:
        create(world, name, owner)
