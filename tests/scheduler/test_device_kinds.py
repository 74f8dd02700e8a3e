"""What is kept of many nodes at once, while devices come, go and change hands, is what each of them would say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.scheduler.attempts import reserve
from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.counts import Counts
from actors.scheduler.cycle import Decision, SchedulingCycle
from actors.scheduler.demand import PodDemand
from actors.scheduler.device_claims import DeviceClaim
from actors.scheduler.devices.allocator import STEPS_MAX, CannotAllocate, allocate
from actors.scheduler.devices.choice import choose_anywhere
from actors.scheduler.devices.looks import looks_at
from actors.scheduler.devices.results import allocation
from actors.scheduler.diagnosis import Unschedulable
from actors.scheduler.framework import Attempt
from actors.scheduler.profile import DEFAULT_PROFILE
from actors.scheduler.waiting_pods import WaitingPods
from protocols.objects import Object, key_of
from protocols.rules.device_claims import CLAIMS, CLASSES, SLICES
from tests.effort import examples
from tests.scheduler.devices import DRIVER, claim_spec, device, device_class, device_slice, exactly
from tests.scheduler.worlds import cluster, make_node, make_pod

NODES = ("a", "b", "c")
ATTRIBUTES = f'device.attributes["{DRIVER}"]'


def says(state: ClusterState, claims: Sequence[DeviceClaim]) -> dict[str, str]:
    answers = choose_anywhere(claims, state)
    numbers = {name: int(answers.numbers[row]) for name, row in state.objects.row_of.items()}
    return {name: str(answers.why(number)) if number else "" for name, number in numbers.items()}


def would_say(state: ClusterState, claims: Sequence[DeviceClaim], node: str) -> str:
    """Without anything that is remembered."""
    devices, obj = state.devices, state.nodes[node].node
    assert obj is not None
    pools = devices.pools.reached_from(obj)
    try:
        found = allocate([each.asked for each in claims], pools, devices.class_of, devices.holdings, STEPS_MAX)
    except CannotAllocate as error:
        return str(error)
    return "" if found is not None else "None"


def test_nodes_that_have_alike_devices_are_asked_about_once() -> None:
    state = cluster(make_node(f"n{n}") for n in range(50))
    state.devices.set(CLASSES, "gpu", device_class("gpu"))
    for n in range(50):
        its = [device(f"d{n}-{i}", attributes={"serial": n, "size": i}) for i in range(2)]
        state.devices.set(SLICES, f"n{n}", device_slice(f"n{n}", *its, node=f"n{n}"))
    wants = DeviceClaim({"metadata": {"name": "c"}, "spec": claim_spec(exactly("gpu", 2, f"{ATTRIBUTES}.size < 5"))})

    assert set(says(state, [wants]).values()) == {""}
    assert len(state.devices.answers.get((wants.form,)).of_node) == 1  # type: ignore[union-attr]

    state.devices.holdings.add(taken_of("n7", "d7-0").held)
    state.devices.pools.touch(taken_of("n7", "d7-0").held.devices[0])
    assert {name for name, why in says(state, [wants]).items() if why} == {"n7"}


def taken_of(pool: str, *names: str, name: str = "taken", **result: Any) -> DeviceClaim:
    results = [{"request": "gpu", "driver": DRIVER, "pool": pool, "device": each, **result} for each in names]
    return DeviceClaim({"metadata": {"name": name}, "status": {"allocation": {"devices": {"results": results}}}})


def test_a_slice_that_says_what_it_said_before_is_no_news() -> None:
    state = cluster([make_node("a")])
    assert state.devices.set(SLICES, "a", device_slice("a", device("d0"), node="a"))
    assert not state.devices.set(SLICES, "a", device_slice("a", device("d0"), node="a"))
    assert state.devices.set(SLICES, "a", device_slice("a", device("d0"), node="a", slices=2))


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ('device.attributes["d"].model == "a" && device.driver == "d"', {"model"}),
        ("device.attributes['d']['x'] == 1 || has(device.attributes[\"d\"].y)", {"x", "y"}),
        ('device.attributes["d"].v.isGreaterThan(semver("1.0.0"))', {"v"}),
        ('device.capacity["d"].memory > quantity("1Gi")', set()),
        ('device.attributes["d"].exists(k, k == "serial")', None),
        ('"d" in device.attributes', None),
        ('device.attributes["d"] == {}', None),
        ('device.attributes["d"].?serial.hasValue()', None),
        ('cel.bind(d, device, d.attributes["d"].serial == 1)', None),
        ('device["attributes"]["d"].serial == 1', None),
    ],
)
def test_which_attributes_an_expression_looks_at(expression: str, names: set[str] | None) -> None:
    assert looks_at(expression) == names


def test_pods_whose_claims_ask_alike_hear_of_their_own_claims() -> None:
    state = cluster([make_node("a")])
    state.devices.set(CLASSES, "gpu", device_class("gpu"))
    state.devices.set(SLICES, "a", device_slice("a", device("d0"), node="a"))
    cycle, said = SchedulingCycle(state, DEFAULT_PROFILE), []
    for name in ("x", "y"):
        spec = claim_spec(exactly("gpu", 1, f"{ATTRIBUTES}.nothing > 5"))
        state.devices.set(CLAIMS, f"default/{name}", {"metadata": {"name": name, "namespace": "default"}, "spec": spec})
        found = cycle.decide(PodDemand(pod_with(name)))
        assert isinstance(found, Unschedulable)
        said.append(found.message)

    assert "1 claim default/x: selector #0 on device" in said[0]
    assert "1 claim default/y: selector #0 on device" in said[1]


def test_a_pod_hears_what_is_wrong_with_its_claim_now() -> None:
    state = cluster([make_node("a")])
    cycle, said = SchedulingCycle(state, DEFAULT_PROFILE), []
    going = {"metadata": {"name": "x", "namespace": "default", "deletionTimestamp": "t"}, "spec": ASKED[0]}
    for claim in (None, going):
        state.devices.set(CLAIMS, "default/x", claim)
        found = cycle.decide(PodDemand(pod_with("x")))
        assert isinstance(found, Unschedulable)
        said.append(found.message)

    assert 'could not find ResourceClaim "default/x"' in said[0]
    assert 'resourceclaim "x" is being deleted' in said[1]


def pod_with(claim: str) -> Object:
    return make_pod(f"p-{claim}", resourceClaims=[{"name": "gpu", "resourceClaimName": claim}])


# -- against asking every node anew -----------------------------------------------------------------------------------

offers = st.lists(
    st.builds(
        lambda size, serial, needs, shared: {
            "attributes": {"size": size, "serial": serial},
            **({"allowMultipleAllocations": True, "capacity": {"memory": "2Gi"}} if shared else {}),
            **({"consumesCounters": [{"counterSet": "c", "counters": {"m": {"value": str(needs)}}}]} if needs else {}),
        },
        st.integers(0, 2),
        st.integers(8, 9),
        st.sampled_from([0, 0, 1]),
        st.sampled_from([False, False, True]),
    ),
    min_size=1,
    max_size=3,
)
nodes = st.sampled_from(NODES)
in_zone = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["z"]}]}]}
places = st.sampled_from([*NODES, "", "zone", "each"])
slices = st.tuples(
    st.just("slices"),
    st.sets(places, min_size=1, max_size=3),
    st.sampled_from(["", "", "shared"]),
    st.sampled_from([1, 1, 1, 2]),
    offers,
)
steps = st.lists(
    st.one_of(
        slices,
        slices,
        st.tuples(st.just("no slice"), places),
        st.tuples(st.just("give"), st.integers(0, 3), nodes),
        st.tuples(st.just("give"), st.integers(0, 3), nodes),
        st.tuples(st.just("give back")),
        st.tuples(st.just("node"), nodes, st.booleans()),
        st.tuples(st.just("no node"), nodes),
    ),
    min_size=3,
    max_size=12,
)
ASKED = [
    claim_spec(exactly("gpu", 1)),
    claim_spec(exactly("gpu", 2, f"{ATTRIBUTES}.size >= 1")),
    claim_spec(exactly("gpu", 0)),
    claim_spec(exactly("gpu", 1, f"{ATTRIBUTES}.exists(k, {ATTRIBUTES}[k] == 9)")),
    claim_spec(exactly("gpu", 1, f"{ATTRIBUTES}.nothing > 5")),
]


def the_slice(place: str, pool: str, count: int, offered: list[Any]) -> Object:
    devices = [device(f"d{n}", **{**each, "attributes": dict(each["attributes"])}) for n, each in enumerate(offered)]
    where: Object = {"node": place} if place in NODES else {}
    if place == "zone":
        where = {"nodeSelector": in_zone}
    elif place == "each":
        where = {"perDeviceNodeSelection": True}
        spots: list[Object] = [{"nodeName": "a"}, {"allNodes": True}, {"nodeName": "b"}]
        devices = [{**each, **spot} for each, spot in zip(devices, spots, strict=False)]
    counters = [{"name": "c", "counters": {"m": {"value": "2"}}}]
    name = f"slice-{place}"
    return device_slice(name, *devices, pool=pool or f"pool-{place}", slices=count, sharedCounters=counters, **where)


class Story:
    def __init__(self, asked: Iterable[int]) -> None:
        self.state = cluster(make_node(name, labels={"zone": "z"}) for name in NODES[:2])
        self.state.devices.set(CLASSES, "gpu", device_class("gpu"))
        self.claims = [DeviceClaim({"metadata": {"name": f"c{n}"}, "spec": ASKED[n]}) for n in asked]
        self.given: list[str] = []
        self.times = 0

    def step(self, what: str, *how: Any) -> None:
        state = self.state
        match what:
            case "slices":
                for place in sorted(how[0]):
                    state.devices.set(SLICES, place, the_slice(place, *how[1:]))
            case "no slice":
                state.devices.set(SLICES, how[0], None)
            case "node":
                state.set_node(make_node(how[0], labels={"zone": "z"} if how[1] else {}))
            case "no node":
                state.remove_node(how[0])
            case "give":
                self.give(*how)
            case "give back":
                if self.given:
                    state.devices.release(self.given[0], self.given.pop(0))

    def give(self, number: int, node: str) -> None:
        number %= len(self.claims)
        devices, known = self.state.devices, self.state.nodes.get(node)
        if known is None or known.node is None:
            return
        self.times += 1
        claim, name = self.claims[number], f"given-{self.times}"
        try:
            pools = devices.pools.reached_from(known.node)
            found = allocate([claim.asked], pools, devices.class_of, devices.holdings)
        except CannotAllocate:
            return
        if found is not None:
            devices.assume(name, name, allocation(claim.obj, found[0], devices.class_of))
            self.given.append(name)

    def check(self) -> None:
        asked = [*([claim] for claim in self.claims), self.claims[:2]]
        for claims in asked:
            expected = {name: would_say(self.state, claims, name) for name in self.state.objects.row_of}
            assert says(self.state, claims) == expected


PLAIN: list[Object] = [{"attributes": {"size": 1, "serial": 8}}]


@settings(max_examples=examples(150), deadline=None)
@example([0], [("slices", {""}, "", 1, PLAIN), ("give", 0, "a")])
@example([4], [("slices", {"a", "b"}, "", 1, PLAIN)])
@given(st.lists(st.integers(0, len(ASKED) - 1), min_size=1, max_size=2), steps)
def test_what_is_kept_of_all_nodes_is_what_each_would_say(asked: list[int], steps: list[Any]) -> None:
    story = Story(asked)

    story.check()
    for step in steps:
        story.step(*step)
        story.check()


def test_each_pod_of_a_series_gets_devices_of_its_own_until_there_are_none() -> None:
    state = cluster(make_node(name) for name in NODES)
    state.devices.set(CLASSES, "gpu", device_class("gpu"))
    for name in NODES:
        state.devices.set(SLICES, name, device_slice(name, device("d0"), device("d1"), node=name))
    cycle, waiting, chosen = SchedulingCycle(state, DEFAULT_PROFILE), WaitingPods(), []
    for index in range(8):
        claim = {"metadata": {"name": f"c{index}", "namespace": "default"}, "spec": ASKED[0]}
        state.devices.set(CLAIMS, key_of(claim), claim)
        demand = PodDemand(pod_with(f"c{index}"))
        found = cycle.decide(demand)
        if isinstance(found, Decision):
            state.assume(demand, found.node)
            assert reserve(DEFAULT_PROFILE, Attempt(demand, found.node, state, waiting), Counts()) is None
            chosen.append(found.node)

    assert sorted(chosen) == ["a", "a", "b", "b", "c", "c"]
    assert len(state.devices.holdings.devices) == 6
    assert cycle.template(PodDemand(pod_with("c6"))) is cycle.template(PodDemand(pod_with("c7")))
    state.devices.check()
