"""Which devices claims get: tables of cases, and against a way that is slow and obviously right."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.scheduler.devices.allocator import CannotAllocate, Class, allocate
from actors.scheduler.devices.holdings import Held, Holdings
from actors.scheduler.devices.requests import asked
from actors.scheduler.devices.results import allocation
from protocols.objects import Object
from protocols.rules.device_claims import Device, Share
from tests.effort import examples
from tests.scheduler.devices import (
    DRIVER,
    allocated,
    alternative,
    claim_spec,
    device,
    device_slice,
    exactly,
    first_by_brute_force,
    pools_of,
    the_class,
)
from tests.scheduler.worlds import make_node

SHARED = "allowMultipleAllocations"
BIG = f'device.attributes["{DRIVER}"].size >= 2'
TWO = device_slice("s", device("d0", attributes={"size": 1}), device("d1", attributes={"size": 2}), node="a")


IN_ZONE = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "z", "operator": "In", "values": ["1"]}]}]}


def match(attribute: str, *requests: str, distinct: bool = False) -> Object:
    key = "distinctAttribute" if distinct else "matchAttribute"
    return {key: f"{DRIVER}/{attribute}", **({"requests": list(requests)} if requests else {})}


@pytest.mark.parametrize(
    ("specs", "taken", "expected"),
    [
        ([claim_spec(exactly())], [], [[("gpu", "d0")]]),
        ([claim_spec(exactly())], ["d0"], [[("gpu", "d1")]]),
        ([claim_spec(exactly())], ["d0", "d1"], None),
        ([claim_spec(exactly("gpu", 1, BIG))], [], [[("gpu", "d1")]]),
        ([claim_spec(exactly("gpu", 2))], [], [[("gpu", "d0"), ("gpu", "d1")]]),
        ([claim_spec(exactly("gpu", 0))], [], [[("gpu", "d0"), ("gpu", "d1")]]),
        ([claim_spec(exactly("gpu", 0))], ["d1"], None),
        ([claim_spec(exactly("gpu", 0, 'device.driver == "x"'))], [], None),
        ([claim_spec(exactly("any"), exactly("big", 1, BIG))], [], [[("any", "d0"), ("big", "d1")]]),
        ([claim_spec(exactly("big", 1, BIG), exactly("any"))], [], [[("big", "d1"), ("any", "d0")]]),
        ([claim_spec(exactly()), claim_spec(exactly())], [], [[("gpu", "d0")], [("gpu", "d1")]]),
        ([claim_spec(exactly()), claim_spec(exactly("gpu", 2))], [], None),
        ([claim_spec(exactly("gpu", 1, adminAccess=True))], ["d0"], [[("gpu", "d0")]]),
        (
            [claim_spec({"name": "gpu", "firstAvailable": [alternative("two", 2), alternative("one", 1)]})],
            ["d0"],
            [[("gpu/one", "d1")]],
        ),
        (
            [
                claim_spec({"name": "gpu", "firstAvailable": [alternative("two", 2), alternative("one", 1)]}),
                claim_spec(exactly()),
            ],
            [],
            [[("gpu/one", "d0")], [("gpu", "d1")]],
        ),
        ([claim_spec(exactly("gpu", 1, capacity={"requests": {"memory": "1Gi"}}))], [], None),
    ],
)
def test_the_first_devices_that_will_do(specs: list[Object], taken: list[str], expected: Any) -> None:
    assert allocated(specs, pools_of(TWO), taken=taken) == expected


def test_what_does_not_lead_anywhere_is_taken_back() -> None:
    colours = ["red", "red", "blue", "blue", "blue"]
    devices = [device(f"d{n}", attributes={"colour": colour}) for n, colour in enumerate(colours)]
    spec = claim_spec(exactly("gpu", 3), constraints=[match("colour")])

    assert allocated([spec], pools_of(device_slice("s", *devices, node="a"))) == [
        [("gpu", "d2"), ("gpu", "d3"), ("gpu", "d4")]
    ]


def test_constraints_are_about_the_requests_that_they_name() -> None:
    devices = [device(f"d{n}", attributes={"colour": colour}) for n, colour in enumerate(["red", "blue", "blue"])]
    pools = pools_of(device_slice("s", *devices, device("d3"), node="a"))

    apart = claim_spec(exactly("a"), exactly("b"), constraints=[match("colour", distinct=True)])
    assert allocated([apart], pools) == [[("a", "d0"), ("b", "d1")]]
    some = claim_spec(exactly("a"), exactly("b", 2), constraints=[match("colour", "b")])
    assert allocated([some], pools) == [[("a", "d0"), ("b", "d1"), ("b", "d2")]]
    lacking = claim_spec(exactly("a", 4), constraints=[match("colour")])
    assert allocated([lacking], pools) is None


def test_of_devices_that_are_to_differ_no_two_are_alike() -> None:
    colours = ["red", "blue", "red", "green"]
    devices = [device(f"d{n}", attributes={"colour": colour}) for n, colour in enumerate(colours)]
    spec = claim_spec(exactly("a", 3), constraints=[match("colour", distinct=True)])

    assert allocated([spec], pools_of(device_slice("s", *devices, node="a"))) == [
        [("a", "d0"), ("a", "d1"), ("a", "d3")]
    ]


def test_tainted_devices_are_for_those_who_tolerate_it() -> None:
    broken = device("d0", taints=[{"key": "broken", "effect": "NoSchedule"}])
    noted = device("d1", taints=[{"key": "noted", "effect": "None"}])
    pools = pools_of(device_slice("s", broken, noted, node="a"))

    assert allocated([claim_spec(exactly())], pools) == [[("gpu", "d1")]]
    tolerant = exactly("gpu", 1, tolerations=[{"key": "broken", "operator": "Exists"}])
    assert allocated([claim_spec(tolerant)], pools) == [[("gpu", "d0")]]


def test_what_devices_share_is_given_away_once() -> None:
    def part(name: str, memory: str) -> Object:
        return device(name, consumesCounters=[{"counterSet": "whole", "counters": {"memory": {"value": memory}}}])

    counters = {"sharedCounters": [{"name": "whole", "counters": {"memory": {"value": "4Gi"}}}]}
    shared = device_slice("counters", node="a", slices=2, **counters)
    pools = pools_of(
        shared, device_slice("s", part("d0", "3Gi"), part("d1", "2Gi"), part("d2", "2Gi"), node="a", slices=2)
    )

    assert allocated([claim_spec(exactly("gpu", 2))], pools) == [[("gpu", "d1"), ("gpu", "d2")]]
    assert allocated([claim_spec(exactly())], pools, taken=["d1"]) == [[("gpu", "d2")]]
    assert allocated([claim_spec(exactly("gpu", 2))], pools, taken=["d1"]) is None


@pytest.mark.parametrize(
    ("where", "nodes"),
    [
        ({"node": "a"}, "a"),
        ({}, "ab"),
        (
            {
                "nodeSelector": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "z", "operator": "In", "values": ["1"]}]}]
                }
            },
            "b",
        ),
    ],
)
def test_a_node_reaches_the_devices_that_are_said_to_be_there(where: Any, nodes: str) -> None:
    pools = pools_of(device_slice("s", device("d0"), **where))
    found = [name for name in "ab" if allocated([claim_spec(exactly())], pools, node(name))]

    assert "".join(found) == nodes


def node(name: str) -> Object:
    return make_node(name, labels={"z": "1"} if name == "b" else {})


def test_each_device_may_say_for_itself_where_it_is() -> None:
    devices = [device("d0", nodeName="a"), device("d1", nodeName="b"), device("d2", allNodes=True)]
    pools = pools_of(device_slice("s", *devices, perDeviceNodeSelection=True))

    assert allocated([claim_spec(exactly("gpu", 0))], pools, node("b")) == [[("gpu", "d1"), ("gpu", "d2")]]


def test_of_a_pool_only_the_newest_generation_counts_and_only_when_all_of_it_is_there() -> None:
    old = device_slice("old", device("d0"), node="a")
    pools = pools_of(old, device_slice("new-1", device("d1"), node="a", generation=2, slices=2))
    assert allocated([claim_spec(exactly())], pools) is None
    with pytest.raises(CannotAllocate, match=r"asks for all devices, but resource pool .*/a is currently"):
        allocated([claim_spec(exactly("gpu", 0))], pools)

    new = device_slice("new-2", device("d2"), node="a", generation=2, slices=2)
    pools.set("new-2", new)
    assert allocated([claim_spec(exactly("gpu", 0))], pools) == [[("gpu", "d1"), ("gpu", "d2")]]

    pools.set("new-2", None)
    pools.set("new-1", None)
    assert allocated([claim_spec(exactly())], pools) == [[("gpu", "d0")]]


def test_a_pool_that_names_a_device_twice_gives_none() -> None:
    pools = pools_of(
        device_slice("s", device("d0"), node="a", slices=2), device_slice("t", device("d0"), node="a", slices=2)
    )

    with pytest.raises(CannotAllocate, match=r"^invalid resource pools were encountered$"):
        allocated([claim_spec(exactly())], pools)


@pytest.mark.parametrize(
    ("wants", "why"),
    [
        (
            exactly("gpu", 1, "device.nonsense == 1"),
            ": selector #0 on device .*/a/d0: CEL runtime error: no such key: nonsense",
        ),
        (
            exactly("gpu", 1, "true", f'device.attributes["{DRIVER}"].colour == "red"'),
            ": selector #1 on device .*/a/d0: CEL runtime error: no such key: colour",
        ),
        (exactly("gpu", 1, "device."), ": selector #0: CEL compile error: compilation failed: "),
        (exactly("gpu", 1, deviceClassName="no"), ", request gpu: could not retrieve device class no: "),
        (exactly("gpu", 33), ": number of requested devices 33 exceeds the claim limit of 32"),
    ],
)
def test_what_is_wrong_is_said_in_kubernetes_words(wants: Object, why: str) -> None:
    with pytest.raises(CannotAllocate, match=rf"^{why}"):
        allocated([claim_spec(wants)], pools_of(TWO))


def test_an_attribute_of_a_domain_that_the_device_has_nothing_of_can_be_asked_for() -> None:
    maybe = 'device.attributes["other.example.com"].?colour.orValue("none") == "none"'

    assert allocated([claim_spec(exactly("gpu", 1, maybe))], pools_of(TWO)) == [[("gpu", "d0")]]


def test_quantities_and_versions_are_compared_as_such() -> None:
    newer = device("d1", capacity={"memory": "40Gi"})
    newer["attributes"] = {"driverVersion": {"version": "10.0.0"}}
    older = device("d0", capacity={"memory": "8Gi"})
    older["attributes"] = {"driverVersion": {"version": "9.1.0"}}
    pools = pools_of(device_slice("s", older, newer, node="a"))

    memory = f'device.capacity["{DRIVER}"].memory.compareTo(quantity("20Gi")) >= 0'
    version = f'device.attributes["{DRIVER}"].driverVersion.isGreaterThan(semver("9.9.0"))'
    for expression in (memory, version):
        assert allocated([claim_spec(exactly("gpu", 1, expression))], pools) == [[("gpu", "d1")]]


@pytest.mark.parametrize(
    ("policy", "asked_for", "takes"),
    [
        ({}, None, "10Gi"),
        ({}, "3Gi", "3Gi"),
        ({}, "11Gi", None),
        ({"default": "1Gi"}, None, "1Gi"),
        ({"default": "1Gi", "validValues": ["1Gi", "4Gi"]}, "2Gi", "4Gi"),
        ({"default": "1Gi", "validValues": ["1Gi", "4Gi"]}, "5Gi", None),
        ({"default": "1Gi", "validRange": {"min": "1Gi", "step": "2Gi"}}, "512Mi", "1Gi"),
        ({"default": "1Gi", "validRange": {"min": "1Gi", "step": "2Gi"}}, "4Gi", "5Gi"),
        ({"default": "1Gi", "validRange": {"min": "1Gi", "max": "4Gi"}}, "5Gi", None),
    ],
)
def test_a_share_is_what_the_capacitys_policy_makes_of_what_is_asked(policy: Any, asked_for: str, takes: str) -> None:
    shared = device("d0", **{SHARED: True})
    shared["capacity"] = {"memory": {"value": "10Gi", **({"requestPolicy": policy} if policy else {})}}
    wants = exactly("gpu", 1, **({"capacity": {"requests": {"memory": asked_for}}} if asked_for else {}))
    pools = pools_of(device_slice("s", shared, node="b"))

    if takes is None:
        assert allocated([claim_spec(wants)], pools, node("b")) is None
    else:
        [result] = status(claim_spec(wants), device_slice("s", shared, node="b"))["devices"]["results"]
        assert result["consumedCapacity"] == {"memory": takes}
        assert uuid.UUID(result["shareID"])


def test_several_claims_have_a_shared_device_as_long_as_there_is_some_of_it() -> None:
    shared = device_slice("s", device("d0", capacity={"memory": "4Gi"}, **{SHARED: True}), node="a")
    some = claim_spec(exactly("gpu", 1, capacity={"requests": {"memory": "2Gi"}}))
    pools = pools_of(shared)

    assert allocated([some, some], pools) == [[("gpu", "d0")], [("gpu", "d0")]]
    assert allocated([some, some, some], pools) is None
    other = claim_spec(exactly("gpu", 1, capacity={"requests": {"bandwidth": "1"}}))
    assert allocated([other], pools) is None

    share = Share(Device(DRIVER, "a", "d0"), (("memory", 3 * 2**30 * 10**9),))
    reached = pools.reached_from(make_node("a"))
    assert allocate([asked({"spec": some})], reached, the_class, Holdings(Held((), (share,)))) is None
    two = Holdings(Held((), (share,)), Held((), (share._replace(amounts=()),)))
    two.remove(Held((), (share,)))
    assert allocate([asked({"spec": some})], reached, the_class, two) is not None


def test_an_administrator_looks_at_no_device_of_which_the_same_claim_has_a_share() -> None:
    pools = pools_of(device_slice("s", device("d0", **{SHARED: True}), node="a"))
    some, look = exactly("some"), exactly("look", adminAccess=True)

    assert allocated([claim_spec(some, look)], pools) is None
    assert allocated([claim_spec(look, some)], pools) == [[("look", "d0"), ("some", "d0")]]
    assert allocated([claim_spec(some), claim_spec(look)], pools) == [[("some", "d0")], [("look", "d0")]]


def test_a_search_without_hope_ends() -> None:
    devices = [device(f"d{n}", attributes={"colour": n}) for n in range(40)]
    pools = pools_of(device_slice("s", *devices, node="a"))
    hopeless = claim_spec(exactly("a", 10), exactly("b", 2), constraints=[match("colour", "b")])

    with pytest.raises(CannotAllocate, match=r"^timed out trying to allocate devices$"):
        allocated([hopeless], pools)


# -- what the claim's status tells ------------------------------------------------------------------------------------


def status(spec: Object, *slices: Object, cls: Class | None = None) -> Object:
    found = allocate(
        [asked({"spec": spec})],
        pools_of(*slices).reached_from(node("b")),
        lambda name: cls or the_class(name),
        Holdings(),
    )
    assert found is not None
    return allocation({"spec": spec}, found[0], lambda name: cls or the_class(name))


def test_the_configuration_is_that_of_the_classes_then_that_of_the_claim() -> None:
    opaque = [{"opaque": {"driver": DRIVER, "parameters": {"n": n}}} for n in range(4)]
    cls = Class("gpu", (), (opaque[0],))
    config = [{**opaque[1]}, {**opaque[2], "requests": ["b"]}, {**opaque[3], "requests": ["c/large"]}]
    choice = {"name": "c", "firstAvailable": [alternative("large", 9), alternative("small", 1)]}
    spec = claim_spec(exactly("a"), exactly("b"), choice, config=config)

    devices = [device(f"d{n}") for n in range(3)]
    assert status(spec, device_slice("s", *devices), cls=cls)["devices"]["config"] == [
        {"source": "FromClass", **opaque[0]},
        {"source": "FromClaim", **opaque[1]},
        {"source": "FromClaim", **opaque[2], "requests": ["b"]},
    ]


def test_results_tell_the_request_and_what_it_tolerates() -> None:
    toleration = {"key": "broken", "operator": "Exists"}
    found = status(
        claim_spec(exactly("gpu", 1, adminAccess=True, tolerations=[toleration])), device_slice("s", device("d0"))
    )

    assert found == {
        "devices": {
            "results": [
                {
                    "request": "gpu",
                    "driver": DRIVER,
                    "pool": "s",
                    "device": "d0",
                    "adminAccess": True,
                    "tolerations": [toleration],
                }
            ]
        }
    }


def test_the_claim_can_be_used_where_all_its_devices_can() -> None:
    anywhere, here = device_slice("any", device("d0")), device_slice("here", device("d1"), node="b")
    some = device_slice("some", device("d2"), nodeSelector=IN_ZONE)

    assert "nodeSelector" not in status(claim_spec(exactly()), anywhere)
    assert status(claim_spec(exactly("gpu", 2)), anywhere, some)["nodeSelector"] == IN_ZONE
    name = {"key": "metadata.name", "operator": "In", "values": ["b"]}
    all_three = status(claim_spec(exactly("gpu", 3)), anywhere, some, here)
    assert all_three["nodeSelector"] == {"nodeSelectorTerms": [{"matchFields": [name]}]}


# -- against the slow way ---------------------------------------------------------------------------------------------

sizes = st.integers(0, 3)
devices = st.lists(
    st.builds(
        lambda size, colour, broken, needs, shared: {
            **({SHARED: True, "capacity": {"memory": "2Gi"}} if shared else {}),
            "attributes": {"size": size, **({"colour": colour} if colour else {})},
            **({"taints": [{"key": "broken", "effect": "NoSchedule"}]} if broken else {}),
            **({"consumesCounters": [{"counterSet": "c", "counters": {"m": {"value": str(needs)}}}]} if needs else {}),
        },
        sizes,
        st.sampled_from(["", "red", "blue"]),
        st.booleans(),
        sizes,
        st.booleans(),
    ),
    max_size=5,
)
number = st.sampled_from([1, 1, 2, 0])
more = st.fixed_dictionaries(
    {},
    optional={
        "adminAccess": st.just(True),
        "capacity": st.just({"requests": {"memory": "1Gi"}}),
        "tolerations": st.just([{"key": "broken", "operator": "Exists"}]),
    },
)
selector = st.one_of(st.just(()), st.builds(lambda size: (f'device.attributes["{DRIVER}"].size >= {size}',), sizes))


@st.composite
def claims(draw: Any) -> Object:
    requests = []
    for index in range(draw(st.integers(1, 2))):
        if draw(st.booleans()):
            requests.append(exactly(f"r{index}", draw(number), *draw(selector), **draw(more)))
        else:
            choices = [alternative(f"s{n}", draw(number), *draw(selector)) for n in range(2)]
            requests.append({"name": f"r{index}", "firstAvailable": choices})
    constraints = draw(
        st.lists(
            st.builds(
                lambda distinct, names: match("colour", *names, distinct=distinct),
                st.booleans(),
                st.sampled_from([(), ("r0",)]),
            ),
            max_size=1,
        )
    )
    return claim_spec(*requests, constraints=constraints)


@settings(max_examples=examples(300), deadline=None)
@given(devices, st.lists(claims(), min_size=1, max_size=2), st.sets(st.integers(0, 4), max_size=2), st.integers(0, 5))
def test_it_finds_what_the_slow_way_finds_first(
    offers: list[Any], specs: list[Object], held: set[int], most: int
) -> None:
    named = [device(f"d{n}", **each) for n, each in enumerate(offers)]
    counters = [{"name": "c", "counters": {"m": {"value": str(most)}}}]
    pools = pools_of(
        device_slice("c", node="a", slices=2, sharedCounters=counters), device_slice("d", *named, node="a", slices=2)
    )
    taken = {Device(DRIVER, "a", f"d{n}") for n in held if n < len(offers) and not named[n].get(SHARED)}
    wants = [asked({"spec": spec}) for spec in specs]
    reached = pools.reached_from(make_node("a"))
    usable = reached[0].devices if reached else ()

    try:
        found = allocate(wants, reached, the_class, Holdings(Held(tuple(taken), ())))
    except CannotAllocate as error:  # a claim for all devices that contradicts itself
        assert "because a claim constraint would not be satisfied" in str(error)
        found = None
    expected = first_by_brute_force(wants, usable, {"c": {"m": most * 10**9}}, taken)

    if found is None:
        contradicts = any(wanted.takes_all for want in wants for r in want.requests for wanted in r.alternatives)
        assert expected is None or contradicts
    else:
        assert [[(p.wanted, p.offered) for p in picks.devices] for picks in found] == expected
