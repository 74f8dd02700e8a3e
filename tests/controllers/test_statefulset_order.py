"""What the store has seen of a stateful set, read again from the beginning: nothing in it was out of order."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.controllers.statefulset_pods import split_name
from protocols.objects import Object, decode_object, labels_of, meta, name_of, uid_of
from protocols.rules.owners import is_deleting
from protocols.rules.pods import is_ready, phase_of
from tests.controllers.stateful_world import CLAIMS, SETS, in_world, rolling, set_image, stateful_set
from tests.controllers.world import World
from tests.effort import examples


class Reading:
    """The log, event by event. `by_user`: uids of pods whose deletion somebody else asked for."""

    def __init__(self, by_user: set[str]) -> None:
        self.by_user = by_user
        self.spec: dict[str, Any] = {}
        self.updated = ""
        self.pods: dict[int, Object] = {}
        self.checked = 0

    def read(self, resource: str, type: str, obj: Object) -> None:
        if resource == SETS:
            self.spec = obj["spec"]
            self.updated = (obj.get("status") or {}).get("updateRevision") or self.updated
        if resource == CLAIMS:
            assert type != "DELETED", "a claim was deleted"
        if resource == "pods":
            self.read_pod(type, split_name(name_of(obj))[1], obj)

    def read_pod(self, type: str, ordinal: int, pod: Object) -> None:
        before = self.pods.get(ordinal)
        if type == "ADDED":
            self.check_creation(ordinal)
        elif before is not None and not is_deleting(before) and (is_deleting(pod) or type == "DELETED"):
            self.check_deletion(ordinal, before)
        self.pods[ordinal] = pod
        if type == "DELETED":
            del self.pods[ordinal]

    def check_creation(self, ordinal: int) -> None:
        assert ordinal not in self.pods, "two of one number"
        assert ordinal < self.spec["replicas"], "one too many"
        assert all(self.is_well(lower) for lower in range(ordinal)), f"{ordinal} came before its turn"
        self.checked += 1

    def check_deletion(self, ordinal: int, pod: Object) -> None:
        if uid_of(pod) in self.by_user or phase_of(pod) in ("Failed", "Succeeded"):
            return
        self.checked += 1
        if ordinal >= self.spec["replicas"]:
            assert ordinal == max(self.pods), f"{ordinal} went before {max(self.pods)}"
            return
        assert revision(pod) != self.updated, f"{ordinal} was what it should be"
        assert ordinal >= self.spec["updateStrategy"]["rollingUpdate"]["partition"], f"{ordinal} was to be kept"
        for higher in range(ordinal + 1, self.spec["replicas"]):
            assert self.is_well(higher), f"{ordinal} was replaced while {higher} was ill"
            assert revision(self.pods[higher]) == self.updated, f"{ordinal} was replaced before {higher}"

    def is_well(self, ordinal: int) -> bool:
        pod = self.pods.get(ordinal)
        return pod is not None and is_ready(pod) and phase_of(pod) == "Running" and not is_deleting(pod)


def revision(pod: Object) -> str:
    return labels_of(pod).get("controller-revision-hash", "")


def test_a_reading_finds_what_is_out_of_order() -> None:
    reading = Reading(set())
    reading.read(SETS, "ADDED", stateful_set())
    try:
        reading.read("pods", "ADDED", {"metadata": {"name": "web-1"}})
    except AssertionError as error:
        assert "before its turn" in str(error)
    else:
        raise AssertionError("not found")


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(("scale", "image", "partition", "kill", "fail", "ill")), st.integers(0, 4)), max_size=8
)


@settings(max_examples=examples(25), deadline=None)
@given(OPERATIONS, st.lists(st.sampled_from((0.3, 1.1, 4.0)), min_size=8, max_size=8))
def test_nothing_that_a_set_ever_did_was_out_of_order(operations: list[tuple[str, int]], pauses: list[float]) -> None:
    by_user: set[str] = set()

    async def scenario(world: World) -> None:
        world.create(SETS, stateful_set(replicas=2, claims=("data",)))
        for (operation, number), pause in zip(operations, pauses, strict=False):
            await asyncio.sleep(pause)
            operate(world, operation, number, by_user)
        await asyncio.sleep(120)

        reading = Reading(by_user)
        for resource, event in world.store.log:
            reading.read(resource, event.type, decode_object(event.body))
        assert reading.checked  # at least the first pod

    in_world(scenario)


def operate(world: World, operation: str, number: int, by_user: set[str]) -> None:
    pod = world.find("pods", f"web-{number}")
    match operation:
        case "scale":
            world.patch(SETS, "web", {"spec": {"replicas": number}})
        case "image":
            set_image(world, f"image-{number}")
        case "partition":
            world.patch(SETS, "web", {"spec": {"updateStrategy": rolling(partition=number)}})
        case "kill" if pod is not None:
            by_user.add(meta(pod)["uid"])
            world.delete("pods", name_of(pod))
        case "fail" if pod is not None:
            world.patch("pods", name_of(pod), {"status": {"phase": "Failed"}}, subresource="status")
        case "ill" if pod is not None and phase_of(pod) == "Running":
            ready = {"type": "Ready", "status": "False", "lastTransitionTime": "2023-11-14T22:13:20Z"}
            world.patch("pods", name_of(pod), {"status": {"conditions": [ready]}}, subresource="status")
