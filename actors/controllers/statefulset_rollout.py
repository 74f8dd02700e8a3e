"""What a stateful set does next: in which order its pods come, go, and are replaced.

OrderedReady takes one step at a time: from the lowest number up, each pod is available before the next one comes; too
many go from the highest number down, one by one; then those of an old revision are replaced, from the highest down.
Parallel does not wait for pods to come or go, but replaces as carefully. Pure: places in, steps out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from actors.controllers.statefulset_pods import Replica, State
from protocols.objects import Object

# create: with its claims. wait: it cannot be made yet. complete: make the claims that a pending pod lacks. keep: see to
# its identity and claims. hand over: its claims, before it goes for good. delete: the pod, whatever comes after it.
Verb = Literal["create", "wait", "complete", "keep", "hand over", "delete"]


class Step(NamedTuple):
    verb: Verb
    ordinal: int


class Rules(NamedTuple):
    """How its spec wants it. `partition`: so many places from the first on keep the revision that they have."""

    ordered: bool
    on_delete: bool
    partition: int
    unavailable_max: int | None  # None: one after the other, strictly


def rules_of(stateful_set: Object, replicas: int) -> Rules:
    spec = stateful_set["spec"]
    strategy = spec.get("updateStrategy") or {}
    rolling = strategy.get("rollingUpdate") or {}
    return Rules(
        spec.get("podManagementPolicy") != "Parallel",
        strategy.get("type") == "OnDelete",
        int(rolling.get("partition") or 0),
        _at_least_one(rolling.get("maxUnavailable"), replicas),
    )


def _at_least_one(most: int | str | None, replicas: int) -> int | None:
    if most is None:
        return None
    return max(1, int(most[:-1]) * replicas // 100 if isinstance(most, str) else most)


def steps(replicas: Sequence[Replica], surplus: Sequence[Replica], updated: str, rules: Rules) -> list[Step]:
    """`replicas`: all places from the lowest up; `surplus`: pods outside of them; `updated`: the newest revision."""
    taken, is_filled = fill(replicas, rules.ordered)
    if not is_filled:
        return taken
    surplus = sorted(surplus, reverse=True)
    taken += [Step("hand over", each.ordinal) for each in surplus]
    if not _shrink(surplus, rules.ordered, taken) or rules.on_delete:
        return taken
    return taken + [Step("delete", each.ordinal) for each in _outdated(replicas, updated, rules)]


def fill(replicas: Sequence[Replica], ordered: bool) -> tuple[list[Step], bool]:
    """Whether everybody is there, as far as one has to wait for that, is the second of what is returned."""
    taken: list[Step] = []
    for each in replicas:
        if each.state in _ENTERED:
            taken.append(Step(_ENTERED[each.state], each.ordinal))
        if ordered and each.state != "available":
            return taken, False
        if is_alive(each):
            taken.append(Step("keep", each.ordinal))
    return taken, True


_ENTERED: dict[State, Verb] = {"absent": "create", "held up": "wait", "over": "delete", "unready": "complete"}


def is_alive(each: Replica) -> bool:
    return each.state in ("unready", "ready", "available")


def _shrink(surplus: Sequence[Replica], ordered: bool, taken: list[Step]) -> bool:
    """From the highest down. In order, one that is ill is not deleted before an ill one below it is well."""
    lowest_ill = next((each for each in reversed(surplus) if each.state != "available"), None)
    for each in surplus:
        if each.state != "going" and (not ordered or each.state == "available" or each is lowest_ill):
            taken.append(Step("delete", each.ordinal))
        if ordered:
            return False
    return True


def _outdated(replicas: Sequence[Replica], updated: str, rules: Rules) -> Iterator[Replica]:
    """Those to replace now, from the highest down."""
    due = replicas[rules.partition :][::-1]
    if rules.unavailable_max is None:
        return _next_outdated(due, updated)
    unavailable = sum(each.state != "available" for each in replicas)
    return _some_outdated(due, updated, rules, rules.unavailable_max - unavailable)


def _next_outdated(due: Sequence[Replica], updated: str) -> Iterator[Replica]:
    """The highest, where all above it are available."""
    for each in due:
        if _is_old(each, updated):
            yield each
            return
        if each.state != "available":
            return


def _some_outdated(due: Sequence[Replica], updated: str, rules: Rules, budget: int) -> Iterator[Replica]:
    """As many as may be unavailable more than are. In parallel those that are so already cost nothing (KEP-961)."""
    old = [each for each in due if _is_old(each, updated)]
    if not rules.ordered:
        yield from (each for each in old if each.state != "available")
        old = [each for each in old if each.state == "available"]
    yield from old[: max(budget, 0)]


def _is_old(each: Replica, updated: str) -> bool:
    return is_alive(each) and each.revision != updated
