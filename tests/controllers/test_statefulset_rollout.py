"""In which order the pods of a stateful set come, go and are replaced: the steps, and what holds after each of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.controllers.statefulset_pods import Replica, State, split_name
from actors.controllers.statefulset_rollout import Rules, Step, rules_of, steps
from tests.effort import examples

LETTERS: dict[str, State] = {
    ".": "absent",
    "x": "held up",
    "o": "over",
    "g": "going",
    "u": "unready",
    "r": "ready",
    "A": "available",
}
ORDERED = Rules(ordered=True, on_delete=False, partition=0, unavailable_max=None)
PARALLEL = ORDERED._replace(ordered=False)


def places(text: str, old: str = "", first: int = 0) -> list[Replica]:
    """A letter for each place; those whose number is in `old` are of the old revision."""
    return [Replica(n, LETTERS[letter], "old" if str(n) in old else "new") for n, letter in enumerate(text, first)]


def told(taken: list[Step]) -> str:
    """`create 1, delete 2`: without what only looks after pods that are there."""
    return ", ".join(f"{step.verb} {step.ordinal}" for step in taken if step.verb in ("create", "wait", "delete"))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("...", "create 0"),
        ("u..", ""),
        ("r..", ""),
        ("A..", "create 1"),
        ("AAA", ""),
        ("A.A", "create 1"),
        ("Ag.", ""),
        ("Ao.", "delete 1"),
        ("uo.", ""),
        ("x..", "wait 0"),
    ],
)
def test_in_order_each_pod_waits_for_those_before_it(now: str, expected: str) -> None:
    assert told(steps(places(now), [], "new", ORDERED)) == expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("...", "create 0, create 1, create 2"),
        ("u.g.", "create 1, create 3"),
        ("o.", "delete 0, create 1"),
        ("x.", "wait 0, create 1"),
    ],
)
def test_in_parallel_nobody_waits(now: str, expected: str) -> None:
    assert told(steps(places(now), [], "new", PARALLEL)) == expected


@pytest.mark.parametrize(
    ("now", "surplus", "rules", "expected"),
    [
        ("AA", "AAA", ORDERED, "delete 4"),
        ("AA", "AAg", ORDERED, ""),
        ("Au", "AAA", ORDERED, ""),
        ("AA", "AAu", ORDERED, "delete 4"),
        ("AA", "uAA", ORDERED, "delete 4"),
        ("AA", "uAu", ORDERED, ""),
        ("AA", "AAA", PARALLEL, "delete 4, delete 3, delete 2"),
        ("Au", "Agu", PARALLEL, "delete 4, delete 2"),
    ],
)
def test_too_many_go_from_the_highest_down(now: str, surplus: str, rules: Rules, expected: str) -> None:
    assert told(steps(places(now), places(surplus, first=len(now)), "new", rules)) == expected


@pytest.mark.parametrize(
    ("now", "old", "rules", "expected"),
    [
        ("AAA", "012", ORDERED, "delete 2"),
        ("AAA", "01", ORDERED, "delete 1"),
        ("AAu", "01", PARALLEL, ""),
        ("AAg", "012", PARALLEL, ""),
        ("AAu", "012", PARALLEL, "delete 2"),
        ("AA.", "01", PARALLEL, "create 2"),
        ("AAA", "012", ORDERED._replace(partition=2), "delete 2"),
        ("AAA", "01", ORDERED._replace(partition=2), ""),
        ("AAA", "012", ORDERED._replace(partition=9), ""),
        ("AAA", "012", ORDERED._replace(on_delete=True), ""),
        ("AAA", "012", ORDERED._replace(unavailable_max=2), "delete 2, delete 1"),
        ("AAA", "01", ORDERED._replace(unavailable_max=2, partition=1), "delete 1"),
        ("AAA", "012", PARALLEL._replace(unavailable_max=2), "delete 2, delete 1"),
        ("AAu", "01", PARALLEL._replace(unavailable_max=2), "delete 1"),
        ("AAg", "01", PARALLEL._replace(unavailable_max=1), ""),
        ("uAA", "012", PARALLEL._replace(unavailable_max=1), "delete 0"),
        ("uuA", "012", PARALLEL._replace(unavailable_max=3), "delete 1, delete 0, delete 2"),
    ],
)
def test_those_of_an_old_revision_are_replaced_from_the_highest_down(
    now: str, old: str, rules: Rules, expected: str
) -> None:
    assert told(steps(places(now, old), [], "new", rules)) == expected


@pytest.mark.parametrize(
    ("most", "replicas", "expected"), [(None, 9, None), (3, 9, 3), ("50%", 9, 4), ("10%", 9, 1), ("100%", 9, 9)]
)
def test_a_share_that_may_be_unavailable_rounds_down_but_is_never_nobody(
    most: Any, replicas: int, expected: int | None
) -> None:
    spec = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": most}}}

    assert rules_of({"spec": spec}, replicas).unavailable_max == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("web-0", ("web", 0)),
        ("my-web-12", ("my-web", 12)),
        ("web", ("web", -1)),
        ("web-", ("web-", -1)),
        ("web-01", ("web-01", -1)),
        ("web-x1", ("web-x1", -1)),
        ("web-٣", ("web-٣", -1)),
        ("web-99999999999", ("web-99999999999", -1)),
    ],
)
def test_only_a_name_that_a_set_gives_has_a_number(name: str, expected: tuple[str, int]) -> None:
    assert split_name(name) == expected


# -- a set in a world of its own, step by step ------------------------------------------------------------------------


class Model:
    """Pods of one set, and what happens to them; slow and obvious."""

    def __init__(self, rules: Rules) -> None:
        self.rules, self.replicas, self.newest = rules, 0, 0
        self.pods: dict[int, tuple[State, int]] = {}  # number -> state, revision

    def look(self) -> tuple[list[Replica], list[Replica]]:
        places = [self.place(n) for n in range(self.replicas)]
        return places, [self.place(n) for n in self.pods if n >= self.replicas]

    def place(self, ordinal: int) -> Replica:
        if ordinal not in self.pods:
            kept = ordinal < self.rules.partition
            return Replica(ordinal, "absent", str(0 if kept else self.newest))
        state, revision = self.pods[ordinal]
        return Replica(ordinal, state, str(revision))

    def take(self, step: Step, revision: str) -> None:
        match step.verb:
            case "create":
                self.check_creation(step.ordinal)
                self.pods[step.ordinal] = "unready", int(revision)
            case "delete":
                self.check_deletion(step.ordinal)
                self.pods[step.ordinal] = "going", self.pods[step.ordinal][1]

    def check_creation(self, ordinal: int) -> None:
        assert ordinal not in self.pods, "two pods of one number"
        assert ordinal < self.replicas
        if self.rules.ordered:
            assert all(self.place(n).state == "available" for n in range(ordinal))

    def check_deletion(self, ordinal: int) -> None:
        state, revision = self.pods[ordinal]
        assert state != "going"
        if ordinal >= self.replicas:
            if self.rules.ordered:
                assert ordinal == max(self.pods), "not the highest"
                assert all(self.place(n).state == "available" for n in range(self.replicas))
            return
        if state == "over":
            return
        assert revision != self.newest, "nothing is wrong with it"
        assert not self.rules.on_delete
        assert ordinal >= self.rules.partition, "below the partition"
        most = self.rules.unavailable_max
        if most is None:
            assert all(self.place(n) == (n, "available", str(self.newest)) for n in range(ordinal + 1, self.replicas))
        elif state == "available":
            assert sum(self.place(n).state != "available" for n in range(self.replicas)) < most

    def advance(self, ordinal: int) -> None:
        """What a kubelet does next with that pod."""
        state, revision = self.pods[ordinal]
        if state == "going":
            del self.pods[ordinal]
        elif state in ("unready", "ready"):
            self.pods[ordinal] = "ready" if state == "unready" else "available", revision

    def controller(self) -> bool:
        """One pass; whether it did anything."""
        replicas, surplus = self.look()
        revisions = {each.ordinal: each.revision for each in replicas}
        taken = [s for s in steps(replicas, surplus, str(self.newest), self.rules) if s.verb in ("create", "delete")]
        for step in taken:
            self.take(step, revisions.get(step.ordinal, ""))
        return bool(taken)

    def settle(self) -> None:
        """Kubelets and controller go on until there is nothing to do, which must come."""
        for _ in range(500):
            busy = [n for n, (state, _) in self.pods.items() if state in ("going", "unready", "ready")]
            for ordinal in busy:
                self.advance(ordinal)
            if not self.controller() and not busy:
                return
        raise AssertionError(f"never done: {self.pods}")


RULES = st.builds(
    Rules,
    ordered=st.booleans(),
    on_delete=st.booleans(),
    partition=st.integers(0, 4),
    unavailable_max=st.none() | st.integers(1, 4),
)
DEEDS = st.lists(
    st.tuples(
        st.sampled_from(("look", "advance", "advance", "fail", "ill", "delete", "scale", "change")), st.integers(0, 6)
    ),
    max_size=40,
)


@settings(max_examples=examples(300), deadline=None)
@given(RULES, st.integers(0, 6), DEEDS)
def test_whatever_happens_the_order_is_kept_and_the_end_is_reached(
    rules: Rules, replicas: int, deeds: list[tuple[str, int]]
) -> None:
    model = Model(rules)
    model.replicas = replicas
    for deed, number in deeds:
        match deed:
            case "look":
                model.controller()
            case "scale":
                model.replicas = number
            case "change":
                model.newest += 1
            case "advance" if number in model.pods:
                model.advance(number)
            case "fail" | "ill" | "delete" if number in model.pods:
                _, revision = model.pods[number]
                if model.pods[number][0] != "going":
                    became: dict[str, State] = {"fail": "over", "ill": "unready", "delete": "going"}
                    model.pods[number] = became[deed], revision
    model.settle()

    assert sorted(model.pods) == list(range(model.replicas))
    assert all(state == "available" for state, _ in model.pods.values())
    if not rules.on_delete:
        due = [revision for n, (_, revision) in model.pods.items() if n >= rules.partition]
        assert set(due) <= {model.newest}
