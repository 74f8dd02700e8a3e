"""Endpoints and endpoint slices: exactly the pods that answer for a service, and no needless writes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.controllers import endpoints, endpointslice
from actors.controllers.endpointslice import packed
from actors.controllers.targets import TargetPort
from actors.controllers.trigger_time import ANNOTATION
from protocols.objects import Object, labels_of, meta, name_of
from protocols.rules.conditions import with_condition
from protocols.rules.pods import is_ready, ready_condition
from tests.controllers.virtual_time import run
from tests.controllers.world import World
from tests.effort import examples

SLICES = "endpointslices.discovery.k8s.io"


def service(name: str = "web", **spec: Any) -> Object:
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    base = {"selector": {"app": "web"}, "ports": ports, "clusterIP": "10.96.0.9", "ipFamilies": ["IPv4"]}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": base | spec,
    }


def pod(name: str, app: str = "web", **spec: Any) -> Object:
    return {"metadata": {"name": name, "namespace": "default", "labels": {"app": app}}, "spec": spec}


def in_world(scenario: Any, **options: Any) -> None:
    async def play() -> None:
        async with World(endpoints.controller(), endpointslice.controller(), **options) as world:
            await scenario(world)

    run(play())


def slice_endpoints(world: World, name: str = "web") -> dict[str, Any]:
    slices = [s for s in world.list(SLICES) if labels_of(s)["kubernetes.io/service-name"] == name]
    return {e["targetRef"]["name"]: e for s in slices for e in s["endpoints"]}


def subsets(world: World, name: str = "web") -> Any:
    return world.get("endpoints", name).get("subsets", [])


def test_publishes_the_ready_pods_of_a_service() -> None:
    async def scenario(world: World) -> None:
        world.create("services", service())
        world.create("pods", pod("a"))
        world.create("pods", pod("other", "db"))
        await world.settled()
        ready = world.get("pods", "a")

        (slice_,) = world.list(SLICES)
        reference = {"kind": "Pod", "namespace": "default", "name": "a", "uid": meta(ready)["uid"]}
        assert slice_["endpoints"] == [
            {
                "addresses": [ready["status"]["podIP"]],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "nodeName": ready["spec"]["nodeName"],
                "targetRef": reference,
            }
        ]
        assert slice_["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
        assert slice_["addressType"] == "IPv4"
        assert meta(slice_)["labels"] == {
            "kubernetes.io/service-name": "web",
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        }
        assert meta(slice_)["ownerReferences"][0]["name"] == "web"
        node = ready["spec"]["nodeName"]
        address = {"ip": ready["status"]["podIP"], "nodeName": node, "targetRef": reference}
        assert subsets(world) == [
            {"addresses": [address], "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]}
        ]

    in_world(scenario)


def test_a_write_tells_when_that_had_happened_which_it_publishes() -> None:
    async def scenario(world: World) -> None:
        def told() -> tuple[str, str]:
            (slice_,) = world.list(SLICES)
            found = [(meta(each).get("annotations") or {}) for each in (world.get("endpoints", "web"), slice_)]
            first, second = (annotations.get(ANNOTATION, "none") for annotations in found)
            return first, second

        def changed(name: str) -> str:
            return str(ready_condition(world.get("pods", name))["lastTransitionTime"])

        created = world.create("services", service())
        await world.settled()
        assert told() == (meta(created)["creationTimestamp"],) * 2

        await asyncio.sleep(100)
        world.create("pods", pod("a"))
        await world.settled()
        assert told() == (changed("a"),) * 2 and changed("a") > meta(created)["creationTimestamp"]

        await asyncio.sleep(100)
        world.create("pods", pod("b"))
        await world.settled()
        assert told() == (changed("b"),) * 2

        await asyncio.sleep(100)
        status = world.get("pods", "a")["status"]
        conditions = with_condition(status["conditions"], "Ready", "False", "", "", world.store.clock())
        world.patch("pods", "a", {"status": {"conditions": conditions}}, "default", "status")
        await world.settled()
        assert told() == (changed("a"),) * 2 and changed("a") > changed("b")

        world.delete("pods", "b")
        await asyncio.sleep(100)
        await world.settled()
        assert told() == ("none", "none")

    in_world(scenario)


def test_a_pod_that_is_not_ready_is_there_but_not_ready() -> None:
    async def scenario(world: World) -> None:
        world.create("services", service())
        world.create("pods", pod("a"))
        await world.settled()
        status = world.get("pods", "a")["status"]
        not_ready = [{"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
        world.patch("pods", "a", {"status": {**status, "conditions": not_ready}}, subresource="status")
        await world.settled()

        assert slice_endpoints(world)["a"]["conditions"] == {"ready": False, "serving": False, "terminating": False}
        assert [list(subset) for subset in subsets(world)] == [["notReadyAddresses", "ports"]]

    in_world(scenario)


@pytest.mark.parametrize("publish", [False, True])
def test_a_pod_that_is_going_serves_but_is_not_ready_unless_asked_for(publish: bool) -> None:
    async def scenario(world: World) -> None:
        world.gone_after_s = 1000
        world.create("services", service(publishNotReadyAddresses=publish))
        world.create("pods", pod("a"))
        await world.settled()
        world.delete("pods", "a")
        await world.settled()

        assert slice_endpoints(world)["a"]["conditions"] == {"ready": publish, "serving": True, "terminating": True}
        assert bool(subsets(world)) == publish

    in_world(scenario, pod_grace_s=30)


def test_named_ports_lead_where_each_pod_says() -> None:
    def container(number: int) -> list[Object]:
        return [{"name": "c", "ports": [{"name": "web", "containerPort": number}]}]

    async def scenario(world: World) -> None:
        world.create("services", service(ports=[{"port": 80, "targetPort": "web", "protocol": "TCP"}]))
        world.create("pods", pod("old", containers=container(8080)))
        world.create("pods", pod("new", containers=container(9090)))
        world.create("pods", pod("none"))
        await world.settled()

        assert sorted(s["ports"][0]["port"] for s in world.list(SLICES)) == [8080, 9090]
        assert sorted(slice_endpoints(world)) == ["new", "old"]
        assert sorted(subset["ports"][0]["port"] for subset in subsets(world)) == [8080, 9090]

    in_world(scenario)


def test_headless_services_without_ports_publish_addresses_and_host_names() -> None:
    async def scenario(world: World) -> None:
        world.create("services", service(ports=None, clusterIP="None"))
        world.create("pods", pod("a", hostname="zero", subdomain="web"))
        await world.settled()

        assert slice_endpoints(world)["a"]["hostname"] == "zero"
        (slice_,) = world.list(SLICES)
        assert slice_["ports"] == []
        assert labels_of(slice_)["service.kubernetes.io/headless"] == ""
        assert subsets(world)[0]["addresses"][0]["hostname"] == "zero"

    in_world(scenario)


def test_a_service_without_pods_has_an_empty_slice_and_empty_endpoints() -> None:
    async def scenario(world: World) -> None:
        world.create("services", service())
        await world.settled()
        (slice_,) = world.list(SLICES)
        assert (slice_["endpoints"], slice_["ports"]) == ([], [])
        assert subsets(world) == []

        world.create("pods", pod("a"))
        await world.settled()
        (slice_,) = world.list(SLICES)
        assert len(slice_["endpoints"]) == 1

    in_world(scenario)


def test_services_without_a_selector_are_left_alone() -> None:
    async def scenario(world: World) -> None:
        world.create("services", service(selector=None))
        world.create("services", service("outside", type="ExternalName"))
        world.create("endpoints", {"metadata": {"name": "own", "namespace": "default"}, "subsets": []})
        world.create("pods", pod("a"))
        await world.settled()

        assert world.list(SLICES) == []
        assert [name_of(e) for e in world.list("endpoints")] == ["own"]

    in_world(scenario)


def test_endpoints_go_with_their_service() -> None:
    async def scenario(world: World) -> None:
        world.create("services", service())
        await world.settled()
        world.delete("services", "web")
        await world.settled()

        assert world.list("endpoints") == []

    in_world(scenario)


def test_changed_selectors_change_the_endpoints() -> None:
    async def scenario(world: World) -> None:
        world.create("services", service())
        world.create("pods", pod("a"))
        world.create("pods", pod("b", "db"))
        await world.settled()
        world.patch("services", "web", {"spec": {"selector": {"app": "db"}}})
        await world.settled()
        assert list(slice_endpoints(world)) == ["b"]

        world.patch("pods", "b", {"metadata": {"labels": {"app": "web"}}})
        world.patch("pods", "a", {"metadata": {"labels": {"app": "db"}}})
        await world.settled()
        assert list(slice_endpoints(world)) == ["a"]

    in_world(scenario)


def test_slices_hold_a_hundred_and_one_change_writes_one_slice() -> None:
    async def scenario(world: World) -> None:
        world.create("services", service())
        for number in range(250):
            world.create("pods", pod(f"p{number}"))
        await world.settled()
        assert sorted(len(s["endpoints"]) for s in world.list(SLICES)) == [50, 100, 100]
        before = {name_of(s): meta(s)["resourceVersion"] for s in world.list(SLICES)}

        world.delete("pods", "p7")
        await world.settled()

        after = {name_of(s): meta(s)["resourceVersion"] for s in world.list(SLICES)}
        assert sum(before[name] != after.get(name) for name in before) == 1

    in_world(scenario)


def test_ports_with_the_same_addresses_share_a_subset() -> None:
    a, b = {"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}
    x, y, z = (TargetPort(name, "TCP", number) for name, number in (("x", 1), ("y", 2), ("z", 3)))

    assert endpoints.subsets({x: ([a, b], []), y: ([a, b], []), z: ([a], [b])}) == [
        {"addresses": [a, b], "ports": [{"name": n, "port": p, "protocol": "TCP"} for n, p in (("x", 1), ("y", 2))]},
        {"addresses": [a], "notReadyAddresses": [b], "ports": [{"name": "z", "port": 3, "protocol": "TCP"}]},
    ]


def test_an_endpoint_that_is_in_two_slices_stays_in_one() -> None:
    assert packed({"a": {"at": 1}}, [{"a": {"at": 1}}, {"a": {"at": 1}}]) == [[{"at": 1}], []]


def test_a_slice_that_runs_empty_goes() -> None:
    async def scenario(world: World) -> None:
        world.create("services", service())
        for number in range(120):
            world.create("pods", pod(f"p{number}"))
        await world.settled()
        smaller = min(world.list(SLICES), key=lambda s: len(s["endpoints"]))
        for endpoint in smaller["endpoints"]:
            world.delete("pods", endpoint["targetRef"]["name"])
        await world.settled()

        assert name_of(smaller) not in {name_of(s) for s in world.list(SLICES)}
        assert len(slice_endpoints(world)) == 120 - len(smaller["endpoints"])

    in_world(scenario)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 120), max_size=4), st.sets(st.integers(0, 400), max_size=250), st.sets(st.integers(0, 400))
)
def test_packing_places_each_endpoint_once_and_moves_none(sizes: list[int], gone: set[int], new: set[int]) -> None:
    sizes = [min(size, 100) for size in sizes]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    slices = [{str(n): {"at": n} for n in range(a, a + s)} for a, s in zip(starts, sizes, strict=True)]
    wanted = {str(n): {"at": n} for n in sorted((set(range(sum(sizes))) - gone) | new)}

    contents = packed(wanted, slices)  # type: ignore[arg-type]

    placed = [endpoint["at"] for content in contents for endpoint in content]
    assert sorted(placed) == sorted(int(uid) for uid in wanted)
    assert all(len(content) <= 100 for content in contents)
    for old, content in zip(slices, contents, strict=False):
        assert [e for e in content if str(e["at"]) in old] == [e for uid, e in old.items() if uid in wanted]
    assert len(contents) - len(slices) <= -(-len(wanted) // 100)


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["create", "delete", "relabel", "select", "unready", "service"]), st.integers(0, 4)),
    max_size=8,
)


@settings(max_examples=examples(30), deadline=None)
@given(st.integers(0, 2**32), OPERATIONS)
def test_settles_on_the_pods_that_match(seed: int, operations: list[tuple[str, int]]) -> None:
    async def scenario(world: World) -> None:
        world.create("services", service())
        world.create("pods", pod("p0"))
        await world.unrest(40, [lambda o=o: operate(world, *o) for o in operations])  # type: ignore[misc]
        await world.settled()

        found = world.find("services", "web")
        selector = found["spec"]["selector"] if found else {"app": "nobody"}
        expected = {name_of(p): is_ready(p) for p in world.active_pods() if labels_of(p) == selector}
        assert {n: e["conditions"]["ready"] for n, e in slice_endpoints(world).items()} == expected or not found
        if found:
            sets = subsets(world)
            assert sorted(a["targetRef"]["name"] for s in sets for a in s.get("addresses", [])) == sorted(
                name for name, ready in expected.items() if ready
            )
        before = world.revision()
        await asyncio.sleep(600)
        assert world.revision() == before

    in_world(scenario, seed=seed)


def operate(world: World, operation: str, number: int) -> None:
    name = f"p{number}"
    there = world.find("pods", name)
    match operation:
        case "create" if not there:
            world.create("pods", pod(name))
        case "delete" if there:
            world.delete("pods", name)
        case "relabel" if there:
            world.patch("pods", name, {"metadata": {"labels": {"app": ("web", "db")[number % 2]}}})
        case "select" if world.find("services", "web"):
            world.patch("services", "web", {"spec": {"selector": {"app": ("web", "db")[number % 2]}}})
        case "unready" if there:
            status = {
                "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
            }
            world.patch("pods", name, {"status": status}, subresource="status")
        case "service" if number == 0 and world.find("services", "web"):
            world.delete("services", "web")
