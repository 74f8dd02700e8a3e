"""Scheduling by volumes is the slow reference's, on random clusters; what is decided is carried out, or given back."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.scheduler import volume_state
from actors.scheduler.cycle import Decision, SchedulingCycle
from actors.scheduler.demand import PodDemand, trim_pod
from actors.scheduler.diagnosis import Unschedulable
from actors.scheduler.framework import Attempt
from actors.scheduler.plugins.volume_binding import VolumeBinding
from actors.scheduler.profile import DEFAULT_PROFILE
from actors.scheduler.storage_capacity import CAPACITIES, DRIVERS
from actors.scheduler.waiting_pods import WaitingPods
from protocols.objects import Object
from tests.effort import examples
from tests.scheduler.reference_volumes import SELECTED, Storage, choice_of, refusal, refusal_altogether
from tests.scheduler.worlds import cluster, make_node, make_pod

HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
NODES = ("n0", "n1", "n2", "n3")
SIZES = ("1Gi", "2Gi", "3Gi")
CLASSES = ("late", "static", "zoned", "now")


class World:
    """The scheduler's state and the reference's, kept alike."""

    def __init__(self, nodes: list[Object]) -> None:
        self.nodes = {node["metadata"]["name"]: node for node in nodes}
        self.state = cluster(nodes)
        self.storage = Storage()
        self.cycle = SchedulingCycle(self.state, DEFAULT_PROFILE)
        self.add_class("late", "example.com/disks", "WaitForFirstConsumer")
        self.add_class("static", "kubernetes.io/no-provisioner", "WaitForFirstConsumer")
        allowed = [{"matchLabelExpressions": [{"key": ZONE, "values": ["a", "b"]}]}]
        self.add_class("zoned", "example.com/disks", "WaitForFirstConsumer", allowedTopologies=allowed)
        self.add_class("now", "example.com/disks", "Immediate")

    def add_class(self, name: str, provisioner: str, mode: str, **more: Any) -> None:
        made = {"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": mode, **more}
        self.storage.classes[name] = made
        self.state.volumes.set(volume_state.CLASSES, name, made)

    def add_claim(self, name: str, size: str = "1Gi", storage_class: str = "late", **more: Any) -> Object:
        made = claim(name, size, storage_class, **more)
        self.storage.claims[name] = made
        self.state.volumes.set(volume_state.CLAIMS, f"default/{name}", made)
        return made

    def remove_claim(self, name: str) -> None:
        del self.storage.claims[name]
        self.state.volumes.set(volume_state.CLAIMS, f"default/{name}", None)

    def add_volume(self, name: str, size: str = "1Gi", storage_class: str = "static", **more: Any) -> None:
        made = self.storage.volumes[name] = volume(name, size, storage_class, **more)
        self.state.volumes.set(volume_state.VOLUMES, name, made)

    def remove_volume(self, name: str) -> None:
        self.storage.volumes.pop(name, None)
        self.state.volumes.set(volume_state.VOLUMES, name, None)

    def count(self, counts: bool = True) -> None:
        """The driver says, or does not say, how much room there is."""
        self.storage.counting = {"example.com/disks"} if counts else set()
        made = {"metadata": {"name": "example.com/disks"}, "spec": {"storageCapacity": counts}}
        self.state.volumes.set(DRIVERS, "example.com/disks", made)

    def room(self, name: str, storage_class: str, **said: Any) -> None:
        made = {"metadata": {"name": name, "namespace": "disks"}, "storageClassName": storage_class, **said}
        self.storage.capacities[name] = made
        self.state.volumes.set(CAPACITIES, f"disks/{name}", made)

    def limit(self, node: str, most: int) -> None:
        self.storage.limits[node] = {"example.com/disks": most}
        drivers = [{"name": "example.com/disks", "allocatable": {"count": most}}]
        made = {"metadata": {"name": node}, "spec": {"drivers": drivers}}
        self.state.volumes.set(volume_state.NODES, node, made)

    def own(self, name: str, uid: str, storage_class: str = "late") -> None:
        """The claim of the new pod's own volume; as one of that name, of an earlier pod's or of nobody's."""
        made = self.add_claim(f"new-{name}", storage_class=storage_class)
        if uid:
            made["metadata"]["ownerReferences"] = [{"kind": "Pod", "name": "new", "uid": uid, "controller": True}]
        self.state.volumes.set(volume_state.CLAIMS, f"default/new-{name}", made)

    def place(self, name: str, node: str, *claims: str) -> None:
        self.state.set_pod(trim_pod(pod(name, *claims, node=node)))
        self.storage.used += [(node, each) for each in claims]

    def check(self, *claims: str, own: Sequence[str] = ()) -> None:
        """Ask both about a new pod with those claims, some of them for volumes of its own."""
        wanting = pod("new", *claims)
        wanting["spec"]["volumes"] += [{"name": each, "ephemeral": {}} for each in own]
        claims = (*claims, *(f"new-{each}" for each in own))
        demand = PodDemand(wanting)
        expected = refusal_altogether(list(claims), self.storage, wanting)
        found = self.cycle.examine(demand).refusals
        if expected:
            assert {refused.reasons for _, refused in found.values()} == {(expected,)}
            decided = self.cycle.decide(demand)
            assert isinstance(decided, Unschedulable)
            assert decided.message.startswith(f"0/{len(self.nodes)} nodes are available: {expected}.")
            return
        reasons = {name: refusal(list(claims), node, self.storage) for name, node in self.nodes.items()}
        assert {name: list(found[name][1].reasons) if name in found else [] for name in self.nodes} == reasons
        decided = self.cycle.decide(demand)
        assert isinstance(decided, Decision) == (not all(reasons.values()))
        if isinstance(decided, Decision):
            self.check_promises(demand, decided.node, list(claims))

    def check_promises(self, demand: PodDemand, node: str, claims: list[str]) -> None:
        """What Reserve takes is what the reference chooses for the node; Unreserve gives all of it back."""
        attempt = Attempt(demand, node, self.state, WaitingPods())
        VolumeBinding().reserve(attempt)
        expected = choice_of(claims, self.nodes[node], self.storage)
        assert {key.partition("/")[2]: name for name, key in self.state.volumes.promised.items()} == expected
        VolumeBinding().unreserve(attempt)
        VolumeBinding().unreserve(attempt)
        assert not self.state.volumes.promised


def claim(name: str, size: str, storage_class: str, **more: Any) -> Object:
    annotations = {SELECTED: more.pop("selected")} if "selected" in more else {}
    bound = more.pop("bound", "")
    if bound:
        annotations["pv.kubernetes.io/bind-completed"] = "yes"
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": storage_class, **more}
    spec["resources"] = {"requests": {"storage": size}}
    if bound:
        spec["volumeName"] = bound
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "annotations": annotations}
    return {"metadata": metadata, "spec": spec, "status": {"phase": "Bound" if bound else "Pending"}}


def volume(name: str, size: str, storage_class: str, **more: Any) -> Object:
    labels = {ZONE: more.pop("zone")} if "zone" in more else {}
    phase = more.pop("phase", "Available")
    if on := more.pop("on", None):
        term = {"matchExpressions": [{"key": HOST, "operator": "In", "values": on}]}
        more["nodeAffinity"] = {"required": {"nodeSelectorTerms": [term]}}
    spec = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": storage_class, **more}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec, "status": {"phase": phase}}


def pod(name: str, *claims: str, node: str = "") -> Object:
    volumes = [{"name": f"v{i}", "persistentVolumeClaim": {"claimName": each}} for i, each in enumerate(claims)]
    return make_pod(name, volumes=volumes, **({"node": node} if node else {}))


def node(name: str, zone: str = "") -> Object:
    return make_node(name, labels={HOST: name, **({ZONE: zone} if zone else {})})


def random_world(chance: random.Random) -> World:
    world = World([node(name, chance.choice(["a", "b", "c", ""])) for name in NODES[: chance.randint(1, 4)]])
    names = list(world.nodes)
    for i in range(chance.randint(0, 6)):
        more: dict[str, Any] = {}
        if chance.random() < 0.6:
            more["on"] = chance.sample(names, chance.randint(1, min(2, len(names))))
        if chance.random() < 0.3:
            more["claimRef"] = {"namespace": "default", "name": f"c{chance.randrange(4)}"}
        if chance.random() < 0.3:
            more["zone"] = chance.choice(["a", "b", "a__b"])
        if chance.random() < 0.5:
            more["csi"] = {"driver": "example.com/disks", "volumeHandle": f"h{chance.randrange(4)}"}
        if chance.random() < 0.1:
            more["phase"] = "Released"
        world.add_volume(f"pv{i}", chance.choice(SIZES), chance.choice(CLASSES[:3]), **more)
    for i in range(4):
        more = {}
        if chance.random() < 0.4:
            more["bound"] = f"pv{chance.randrange(7)}"
        elif chance.random() < 0.2:
            more["selected"] = chance.choice(names)
        if chance.random() < 0.2:
            more["accessModes"] = ["ReadWriteOncePod"]
        chosen = chance.choice(CLASSES) if chance.random() < 0.3 else chance.choice(CLASSES[:3])
        world.add_claim(f"c{i}", chance.choice(SIZES), chosen, **more)
    for name in names:
        if chance.random() < 0.4:
            world.limit(name, chance.randint(0, 2))
    for i in range(chance.randint(0, 3)):
        world.place(f"placed{i}", chance.choice(names), f"c{chance.randrange(4)}")
    return world


@pytest.mark.slow
@settings(max_examples=examples(200), deadline=None)
@given(st.integers(0, 2**32))
@example(4)  # what a bound claim's volume is changes
@example(80)  # a volume comes, or goes, between two looks at the same pod
@example(33)  # a pod's smaller claim gets a volume that its larger one might have had
@example(175)  # a volume is in several zones
def test_every_decision_is_that_of_the_reference(seed: int) -> None:
    chance = random.Random(seed)
    world = random_world(chance)
    for _ in range(4):
        world.check(*chance.sample([f"c{i}" for i in range(5)], chance.randint(1, 3)))
        match chance.randrange(4):
            case 0:
                world.remove_volume(f"pv{chance.randrange(6)}")
            case 1:
                world.add_volume(f"pv{chance.randrange(6)}", chance.choice(SIZES), "static")
            case 2:
                world.limit(chance.choice(list(world.nodes)), chance.randint(0, 2))
            case 3:
                world.add_claim(f"c{chance.randrange(4)}", chance.choice(SIZES), chance.choice(CLASSES))


def some_room(chance: random.Random) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if chance.random() < 0.9:
        said["capacity"] = chance.choice(SIZES)
    if chance.random() < 0.3:
        said["maximumVolumeSize"] = chance.choice(SIZES)
    match chance.randrange(5):
        case 0:
            said["nodeTopology"] = {"matchLabels": {HOST: chance.choice(NODES)}}
        case 1:
            said["nodeTopology"] = {"matchLabels": {ZONE: chance.choice("abc")}}
        case 2:
            places = {"key": ZONE, "operator": chance.choice(["In", "NotIn"]), "values": chance.sample("abc", 2)}
            said["nodeTopology"] = {"matchExpressions": [places]}
        case 3:
            said["nodeTopology"] = {}
    return said


@pytest.mark.slow
@settings(max_examples=examples(200), deadline=None)
@given(st.integers(0, 2**32))
def test_a_volume_is_made_only_where_there_is_room_as_the_reference_says(seed: int) -> None:
    chance = random.Random(seed)
    world = random_world(chance)
    world.count()
    for _ in range(4):
        world.check(*chance.sample([f"c{i}" for i in range(4)], chance.randint(1, 3)))
        for number in range(chance.randint(0, 3)):
            world.room(f"r{number}", chance.choice(["late", "zoned", "static"]), **some_room(chance))
        if chance.random() < 0.2:
            world.count(chance.random() < 0.5)
        if chance.random() < 0.3:
            world.add_claim(f"c{chance.randrange(4)}", chance.choice(SIZES), chance.choice(CLASSES))


FULL = "node(s) did not have enough free storage"
HERE = {"matchLabels": {HOST: "n0"}}


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        (None, FULL),
        ({"capacity": "1Gi", "nodeTopology": HERE}, FULL),
        ({"capacity": "2Gi", "nodeTopology": HERE}, ""),
        ({"capacity": "9Gi", "maximumVolumeSize": "1Gi", "nodeTopology": HERE}, FULL),
        ({"capacity": "9Gi", "maximumVolumeSize": "2Gi", "nodeTopology": HERE}, ""),
        ({"maximumVolumeSize": "2Gi", "nodeTopology": HERE}, ""),
        ({"nodeTopology": HERE}, FULL),
        ({"capacity": "2Gi", "nodeTopology": {"matchLabels": {HOST: "n1"}}}, FULL),
        ({"capacity": "2Gi", "nodeTopology": {}}, ""),
        ({"capacity": "2Gi"}, FULL),
        ({"capacity": "2Gi", "nodeTopology": HERE, "storageClassName": "zoned"}, FULL),
    ],
)
def test_how_much_room_there_is_decides_where_a_volume_is_made(said: dict[str, Any] | None, refused: str) -> None:
    world = World([node("n0", "a")])
    world.add_claim("data", "2Gi")
    demand = PodDemand(pod("new", "data"))
    before = world.cycle.decide(demand)
    world.count()
    if said is not None:
        world.room("r", **{"storage_class": "late", **said})
    world.check("data")
    after = world.cycle.decide(demand)

    assert isinstance(before, Decision)  # the driver does not count
    assert (after.message if isinstance(after, Unschedulable) else "").startswith(
        f"0/1 nodes are available: 1 {refused}." if refused else ""
    )
    assert isinstance(after, Decision) == (not refused)


@pytest.mark.parametrize("uid", ["uid-new", "uid-of-an-earlier-one", "", None])
def test_a_volume_of_the_pods_own_is_waited_for_and_never_anothers(uid: str | None) -> None:
    world = World([node("n0", "a"), node("n1", "c")])
    world.add_claim("data")
    world.check("data", own=["tmp"])
    if uid is not None:
        world.own("tmp", uid, "zoned")
    world.check("data", own=["tmp"])
    world.remove_claim("data")
    world.check("data", own=["tmp"])


@pytest.mark.parametrize(
    ("change", "refused", "fits"),
    [
        ("claim", 'persistentvolumeclaim "data" not found', True),
        ("volume", "node(s) didn't find available persistent volumes to bind", True),
        ("limit", "node(s) exceed max volume count", True),
        ("room", "node(s) did not have enough free storage", True),
    ],
)
def test_a_pod_that_waits_is_tried_again_when_what_it_waits_for_comes(change: str, refused: str, fits: bool) -> None:
    world = World([node("n0", "a")])
    demand = PodDemand(pod("new", "data"))
    if change == "volume":
        world.add_claim("data", storage_class="static")
    if change == "room":
        world.add_claim("data")
        world.count()
    if change == "limit":
        world.add_claim("data")
        world.limit("n0", 0)
    before = world.cycle.decide(demand)
    assert isinstance(before, Unschedulable) and refused in before.message
    assert not world.cycle.may_fit_on(demand, [""])

    match change:
        case "claim":
            world.add_claim("data")
        case "volume":
            world.add_volume("pv")
        case "limit":
            world.limit("n0", 1)
        case "room":
            world.room("r", "late", capacity="1Gi", nodeTopology=HERE)

    assert world.cycle.may_fit_on(demand, [""]) == fits
    plugins = {plugin.name: plugin.events for plugin in DEFAULT_PROFILE.plugins}
    assert all(world.cycle.profile and plugins[name] for name in before.refused_by)


def test_two_pods_of_one_turn_do_not_get_the_same_volume() -> None:
    world = World([node("n0"), node("n1")])
    world.add_volume("one", on=["n0"])
    for name in ("a", "b"):
        world.add_claim(name, storage_class="static")
    first = PodDemand(pod("first", "a"))
    decided = world.cycle.decide(first)
    assert isinstance(decided, Decision)
    world.state.assume(first, decided.node)
    VolumeBinding().reserve(Attempt(first, decided.node, world.state, WaitingPods()))

    assert isinstance(world.cycle.decide(PodDemand(pod("second", "b"))), Unschedulable)
    world.add_volume("one", on=["n0"], claimRef={"namespace": "default", "name": "a", "uid": "uid-a"})
    assert not world.state.volumes.promised


def test_a_volume_of_a_host_is_free_there_and_nowhere_else() -> None:
    """Also not on a node without that label, and not where the host of a volume is gone."""
    world = World([node("n0"), node("n1"), {"metadata": {"name": "n2"}, "status": node("n2")["status"]}])
    world.add_claim("a", storage_class="static")
    waits = PodDemand(pod("p", "a"))

    found = []
    for name, host in (("gone", "nowhere"), ("small", "n1"), ("other", "n0")):
        world.add_volume(name, on=[host])
        decided = world.cycle.decide(waits)
        fits = [each for each in ("n0", "n1", "n2") if world.cycle.fits(waits, each)]
        found.append((type(decided), fits))

    assert found == [(Unschedulable, []), (Decision, ["n1"]), (Decision, ["n0", "n1"])]


def test_of_many_volumes_the_node_gets_the_smallest_of_its_own() -> None:
    world = World([node("n0"), node("n1")])
    world.add_claim("a", storage_class="static")
    for name, size, host in (("a0", "3Gi", "n0"), ("b0", "2Gi", "n0"), ("c0", "2Gi", "n0"), ("d1", "1Gi", "n1")):
        world.add_volume(name, size, on=[host])
    attempt = Attempt(PodDemand(pod("p", "a")), "n0", world.state, WaitingPods())

    VolumeBinding().reserve(attempt)

    assert world.state.volumes.promised == {"b0": "default/a"}


def test_pods_with_claims_do_not_push_out_what_is_known_of_others() -> None:
    world = World([node("n0")])
    plain = PodDemand(make_pod("plain"))
    template = world.cycle.template(plain)
    for i in range(300):
        world.add_claim(f"c{i}")
        world.cycle.decide(PodDemand(pod(f"p{i}", f"c{i}")))

    assert world.cycle.template(plain) is template
