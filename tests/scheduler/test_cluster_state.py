"""The scheduler's picture of the cluster: sums kept as events come, assumptions made, confirmed, corrected, undone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.demand import PodDemand, trim_pod
from actors.scheduler.framework import ClusterEvent
from protocols.objects import Object
from tests.effort import examples
from tests.scheduler import worlds
from tests.scheduler.worlds import cluster, make_node, make_pod

NAMES = ("n0", "n1", "n2")


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(st.data())
def test_every_sum_stays_what_adding_up_gives(data: st.DataObject) -> None:
    """A model: which pod is on which node, with which assumption. Steps at random, in any order."""
    state, placed, assumed = ClusterState(), dict[str, str](), dict[str, str]()
    for _ in range(data.draw(st.integers(1, 25))):
        key, node = data.draw(st.sampled_from(["p", "q", "r"])), data.draw(st.sampled_from(NAMES))
        pod = data.draw(worlds.pods(key, uid=f"{key}-{data.draw(st.integers(0, 1))}"))
        step = data.draw(st.sampled_from(["node", "no node", "bound", "unbound", "over", "gone", "assume", "forget"]))
        demand = PodDemand(pod)
        match step:
            case "node":
                state.set_node(make_node(node))
            case "no node":
                state.remove_node(node)
            case "bound":
                state.set_pod(with_spec(pod, nodeName=node))
                placed[key], _ = node, assumed.pop(key, None)
            case "unbound" if assumed.get(key) != demand.uid:
                state.set_pod(pod)
                placed.pop(key, None), assumed.pop(key, None)
            case "unbound":
                state.set_pod(pod)
            case "over":
                state.set_pod({**with_spec(pod, nodeName=node), "status": {"phase": "Failed"}})
                placed.pop(key, None), assumed.pop(key, None)
            case "gone":
                state.remove_pod(demand.key)
                placed.pop(key, None), assumed.pop(key, None)
            case "assume":
                state.assume(demand, node)
                placed[key], assumed[key] = node, demand.uid
            case "forget":
                if assumed.get(key) == demand.uid:
                    placed.pop(key), assumed.pop(key)
                state.forget(demand)
        state.check()
        assert {key: state.node_of(f"default/{key}") for key in ("p", "q", "r")} == {
            key: placed.get(key, "") for key in ("p", "q", "r")
        }


def with_spec(pod: Object, **spec: Any) -> Object:
    return {**pod, "spec": {**pod["spec"], **spec}}


def test_an_assumed_pod_counts_before_the_api_server_knows() -> None:
    state = cluster([make_node("n0")])

    state.assume(PodDemand(make_pod("p", "3")), "n0")

    assert state.nodes["n0"].requested["cpu"] == 3000


def test_a_late_event_without_a_node_does_not_undo_an_assumption() -> None:
    state, pod = cluster([make_node("n0")]), make_pod("p", "3")
    state.assume(PodDemand(pod), "n0")

    state.set_pod(pod)

    assert state.node_of("default/p") == "n0"


def test_a_confirmed_assumption_cannot_be_forgotten() -> None:
    state, pod = cluster([make_node("n0")]), make_pod("p", "3")
    state.assume(PodDemand(pod), "n0")
    state.set_pod(with_spec(pod, nodeName="n0"))

    assert state.forget(PodDemand(pod)) == ""
    assert state.node_of("default/p") == "n0"


def test_the_api_servers_word_corrects_an_assumption() -> None:
    state, pod = cluster([make_node("n0"), make_node("n1")]), make_pod("p", "3")
    state.assume(PodDemand(pod), "n0")

    freed = state.set_pod(with_spec(pod, nodeName="n1"))

    assert (freed, state.node_of("default/p"), state.nodes["n0"].requested["cpu"]) == ("n0", "n1", 0)


def test_a_pod_that_takes_something_else_than_was_assumed_is_counted_with_that() -> None:
    state, pod = cluster([make_node("n0")]), make_pod("p", "3")
    state.assume(PodDemand(pod), "n0")
    bound = with_spec(make_pod("p", "1"), nodeName="n0")

    state.set_pod({**bound, "metadata": {**pod["metadata"], "labels": {"app": "other"}}})

    state.check()
    assert state.nodes["n0"].requested["cpu"] == 1000


def test_room_is_kept_for_a_pod_that_grows_and_given_away_when_it_has_shrunk() -> None:
    """What is kept of a pod (`trim_pod`) says what it has, while that is something else than it asks for."""

    def pod(asks: str, has: str) -> Object:
        running = make_pod("p", asks, node="n0")
        status = {"name": "main", "resources": {"requests": {"cpu": has}}, "allocatedResources": {"cpu": has}}
        return trim_pod({**running, "status": {"phase": "Running", "containerStatuses": [status]}})

    state = cluster([make_node("n0")], [pod(asks="1", has="1")])
    assert "containerStatuses" not in pod(asks="1", has="1")["status"]

    state.set_pod(pod(asks="3", has="1"))
    assert state.nodes["n0"].requested["cpu"] == 3000
    state.set_pod(pod(asks="3", has="3"))
    state.set_pod(pod(asks="1", has="3"))
    assert state.nodes["n0"].requested["cpu"] == 3000

    assert state.set_pod(pod(asks="1", has="1")) == "n0"  # it frees something there
    assert state.nodes["n0"].requested["cpu"] == 1000
    state.check()


def test_another_pod_of_that_name_ends_the_assumption() -> None:
    state = cluster([make_node("n0")])
    state.assume(PodDemand(make_pod("p", uid="old")), "n0")

    freed = state.set_pod(make_pod("p", uid="new"))

    assert (freed, state.node_of("default/p")) == ("n0", "")


def test_pods_of_a_node_that_comes_back_are_still_counted() -> None:
    state = cluster([make_node("n0")], [make_pod("p", "3", node="n0")])

    state.remove_node("n0")
    state.set_node(make_node("n0"))

    assert state.nodes["n0"].requested["cpu"] == 3000


def test_says_what_changed_about_a_node() -> None:
    state = ClusterState()

    assert state.set_node(make_node("n0")) == ClusterEvent.NODE_ADDED
    assert state.set_node(make_node("n0")) == ClusterEvent.NONE
    assert state.set_node(make_node("n0", cpu="8")) == ClusterEvent.NODE_ALLOCATABLE
    assert state.set_node(make_node("n0", cpu="8", labels={"a": "b"})) == ClusterEvent.NODE_LABEL
    assert state.set_node(make_node("n0", labels={"a": "b"}, unschedulable=True)) == (
        ClusterEvent.NODE_ALLOCATABLE | ClusterEvent.NODE_TAINT
    )


def test_an_images_size_is_what_the_first_node_said() -> None:
    nodes = [make_node(f"n{i}", images=[{"names": ["app:1"], "sizeBytes": 100 + i}]) for i in range(3)]
    state = cluster(nodes)

    assert state.image_spread("app:1") == (100, 3)
    state.remove_node("n0")
    assert state.image_spread("app:1") == (101, 2)
    state.set_node(make_node("n1"))
    state.set_node(make_node("n2"))
    assert state.image_spread("app:1") == (0, 0)
