"""Who waits is asked about once for each shape, a few shapes in a turn, and nobody is forgotten."""

from __future__ import annotations

from collections.abc import Collection

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.scheduler import waiting as module
from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import ClusterEvent
from actors.scheduler.queue import Place, QueuedPod
from actors.scheduler.waiting import ANYWHERE, QUESTIONS_PER_TURN_MAX, Waiting
from tests.effort import examples
from tests.scheduler.worlds import make_pod

FIT, SPREAD = ClusterEvent.POD_DELETED | ClusterEvent.NODE_ADDED, ClusterEvent.POD_DELETED | ClusterEvent.GROUP
EVENTS_OF = {"Fit": FIT, "Spread": SPREAD}


def queued(name: str, cpu: int, *refused_by: str) -> QueuedPod:
    pod = QueuedPod(PodDemand(make_pod(name, f"{cpu}m")), Place.UNSCHEDULABLE, 0.0)
    pod.refused_by = refused_by
    return pod


def test_pods_of_one_shape_are_one_question() -> None:
    waiting, asked = Waiting(EVENTS_OF), []
    for index in range(100):
        waiting.add(queued(f"p{index}", 1, "Fit"))
    for index in range(10):
        waiting.happened(ClusterEvent.POD_DELETED, f"n{index}")

    def hint(pod: PodDemand, nodes: Collection[str]) -> bool:
        asked.append(set(nodes))
        return True

    assert len(waiting.ask(hint)) == 100
    assert asked == [{f"n{index}" for index in range(10)}]


def test_each_hears_of_all_nodes_on_which_something_happened_that_concerns_it() -> None:
    waiting, asked = Waiting(EVENTS_OF), {}
    waiting.add(queued("fit", 1, "Fit"))
    waiting.add(queued("spread", 2, "Spread"))
    waiting.happened(ClusterEvent.GROUP, "n1")
    waiting.happened(ClusterEvent.NODE_ADDED, "n1")
    waiting.happened(ClusterEvent.GROUP, "n2")

    def hint(pod: PodDemand, nodes: Collection[str]) -> bool:
        asked[pod.key] = set(nodes)
        return False

    waiting.ask(hint)

    assert asked == {"default/fit": {"n1"}, "default/spread": {"n1", "n2"}}


def test_many_kinds_of_pods_are_asked_about_in_several_turns() -> None:
    waiting, asked = Waiting(EVENTS_OF), []
    for index in range(150):
        waiting.add(queued(f"p{index}", index + 1, "Fit"))
    for index in range(1000):
        waiting.happened(ClusterEvent.POD_DELETED, f"n{index}")

    def hint(pod: PodDemand, nodes: Collection[str]) -> bool:
        asked.append((pod.key, set(nodes)))
        return False

    turns = 0
    while waiting.has_news:
        before, turns = len(asked), turns + 1
        assert waiting.ask(hint) == []
        assert len(asked) - before <= QUESTIONS_PER_TURN_MAX

    assert turns == -(-150 // QUESTIONS_PER_TURN_MAX) and len({key for key, _ in asked}) == 150
    assert all(nodes == {ANYWHERE} for _, nodes in asked)  # too much to say where


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 5), st.sampled_from([("Fit",), ("Spread",), ("Fit", "Spread")])),
        st.tuples(st.just("remove"), st.integers(0, 5), st.just(())),
        st.tuples(st.sampled_from(list(ClusterEvent)), st.integers(0, 3), st.just(())),
        st.tuples(st.just("ask"), st.just(0), st.just(())),
    ),
    max_size=40,
)


@settings(max_examples=examples(200), deadline=None)
@given(steps)
def test_who_waits_is_found_as_if_each_were_asked_at_once(steps: list[tuple[object, int, tuple[str, ...]]]) -> None:
    """Against a model that asks about each pod at each event: a pod fits the node of its number.

    Who comes before everything has been asked may be asked about what happened earlier, too."""
    waiting, model, due = Waiting(EVENTS_OF), dict[str, QueuedPod](), set[str]()
    recent: list[tuple[ClusterEvent, int]] = []
    early: set[str] = set()

    def concerns(pod: QueuedPod, event: ClusterEvent, number: int) -> bool:
        return any(event & EVENTS_OF[name] for name in pod.refused_by) and hint(pod.demand, {f"n{number}"})

    def hint(pod: PodDemand, nodes: Collection[str]) -> bool:
        return ANYWHERE in nodes or f"n{int(pod.key[-1]) % 4}" in nodes

    def ask() -> None:
        found = {pod.demand.key for pod in waiting.ask(hint)}
        assert found <= due | early
        if not waiting.has_news:
            recent.clear()
        due.difference_update(found)
        for key in found:
            waiting.remove(key)
            del model[key]

    limit, module.QUESTIONS_PER_TURN_MAX = module.QUESTIONS_PER_TURN_MAX, 2
    try:
        for what, number, refused_by in steps:
            key = f"default/p{number}"
            match what:
                case "add" if key not in model:
                    model[key] = queued(f"p{number}", number + 1, *refused_by)
                    waiting.add(model[key])
                    early.discard(key)
                    if any(concerns(model[key], *event) for event in recent):
                        early.add(key)
                case "remove":
                    waiting.remove(key)
                    model.pop(key, None)
                    due.discard(key)
                case ClusterEvent():
                    waiting.happened(what, f"n{number}")
                    recent.append((what, number))
                    due |= {pod.demand.key for pod in model.values() if concerns(pod, what, number)}
                case "ask":
                    ask()
            waiting.check()
        while waiting.has_news:
            ask()
        assert due == set()
    finally:
        module.QUESTIONS_PER_TURN_MAX = limit
