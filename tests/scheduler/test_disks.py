"""Disks that pods name in their specs: as the slow reference says, who may be beside whom, whoever comes and goes."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.scheduler.cycle import Decision, SchedulingCycle
from actors.scheduler.demand import PodDemand, trim_pod
from actors.scheduler.diagnosis import Unschedulable
from actors.scheduler.explain.why import explain
from actors.scheduler.profile import DEFAULT_PROFILE
from protocols.objects import Object
from tests.effort import examples
from tests.scheduler.reference_volumes import disk_is_taken
from tests.scheduler.test_volumes import World, node
from tests.scheduler.worlds import cluster, make_node, make_pod

NODES = ("n0", "n1", "n2")
REASON = "node(s) had no available disk"


def drawn(chance: random.Random) -> dict[str, Any]:
    read = {"readOnly": True} if chance.random() < 0.5 else {}
    match chance.randrange(4):
        case 0:
            return {"gcePersistentDisk": {"pdName": chance.choice("ab"), **read}}
        case 1:
            return {"awsElasticBlockStore": {"volumeID": chance.choice("ab"), **read}}
        case 2:
            return {"iscsi": {"iqn": chance.choice("ab"), "targetPortal": chance.choice("xy"), "lun": 0, **read}}
    monitors = chance.sample(["m1", "m2", "m3"], chance.randint(1, 2))
    pool = {"pool": chance.choice(["rbd", "other"])} if chance.random() < 0.5 else {}
    return {"rbd": {"monitors": monitors, "image": chance.choice("ab"), **pool, **read}}


def pod(name: str, *sources: dict[str, Any], **more: Any) -> Object:
    return make_pod(name, volumes=[{"name": f"v{n}", **source} for n, source in enumerate(sources)], **more)


@pytest.mark.slow
@settings(max_examples=examples(200), deadline=None)
@given(st.integers(0, 2**32))
def test_who_may_be_beside_whom_is_as_the_reference_says(seed: int) -> None:
    chance = random.Random(seed)
    state = cluster(make_node(name) for name in NODES)
    cycle = SchedulingCycle(state, DEFAULT_PROFILE)
    there: dict[str, Object] = {}
    for number in range(8):
        new = pod(f"p{number}", *(drawn(chance) for _ in range(chance.randint(1, 2))))
        refusals = cycle.examine(PodDemand(new, state.shapes)).refusals
        for name in NODES:
            others = [each for each in there.values() if each["spec"]["nodeName"] == name]
            said = list(refusals[name][1].reasons) if name in refusals else []
            assert said == ([REASON] if disk_is_taken(new, others) else []), (new, name, others)
        if there and chance.random() < 0.3:
            gone = chance.choice(sorted(there))
            state.remove_pod(f"default/{gone}")
            del there[gone]
        placed = {**new, "spec": {**new["spec"], "nodeName": chance.choice(NODES)}}
        state.set_pod(trim_pod(placed))
        there[f"p{number}"] = placed
    for name in there:
        state.remove_pod(f"default/{name}")
    assert not state.disks._on


def test_a_pod_that_has_the_disk_ends_for_a_more_important_one() -> None:
    """And so does the one that has a claim which is ReadWriteOncePod, wherever it is."""
    disk = {"gcePersistentDisk": {"pdName": "a"}}
    state = cluster([make_node("n0")], [pod("has-it", disk, node="n0")])
    found = SchedulingCycle(state, DEFAULT_PROFILE).decide(PodDemand(pod("new", disk, priority=10), state.shapes))

    world = World([node("n0"), node("n1")])
    world.add_claim("data", accessModes=["ReadWriteOncePod"], bound="pv")
    world.add_volume("pv")
    world.place("has-it", "n1", "data")
    wanting = make_pod("new", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}], priority=10)
    also = world.cycle.decide(PodDemand(wanting))

    for decided, on in ((found, "n0"), (also, "n1")):
        assert isinstance(decided, Unschedulable) and decided.nomination is not None
        assert decided.nomination.node == on
        assert [victim.key for victim in decided.nomination.victims] == ["default/has-it"]


@pytest.mark.parametrize("read_only", [True, False])
def test_what_is_only_read_may_be_shared_and_why_names_who_has_it(read_only: bool) -> None:
    disk = {"iscsi": {"iqn": "a", "targetPortal": "x", "lun": 0, "readOnly": read_only}}
    nodes, other, new = [make_node("n0")], pod("other", disk, node="n0"), pod("new", disk)

    decided = SchedulingCycle(cluster(nodes, [other]), DEFAULT_PROFILE).decide(PodDemand(new))
    found = explain({"nodes": nodes, "pods": [other, new]}, new, {"default-scheduler": DEFAULT_PROFILE})

    assert isinstance(decided, Decision) == read_only
    if not read_only:
        (near,) = found.nearest
        assert [r.text for o in near.obstacles for r in o.remedies] == [
            "pod default/other elsewhere, which has the same disk"
        ]
        assert near.tried
