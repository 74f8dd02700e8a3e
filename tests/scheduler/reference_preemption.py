"""kube-scheduler's preemption, slowly: on each node take the less important away, bring them back one by one.

Written from the published algorithm, beside `reference`, with nothing of actors/scheduler in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from protocols.objects import Object, key_of, labels_of, name_of, namespace_of
from protocols.rules.selectors import selector_matches
from tests.scheduler.reference import Settings, refusal
from tests.scheduler.reference_cluster import Cluster

NOT_STARTED = "9999-12-31T00:00:00Z"


@dataclass(frozen=True)
class Harm:
    """What ending pods on a node would cost; the least is taken."""

    violations: int
    highest: int
    total: int
    number: int
    started: str  # of the most important victims, the first: the latest is taken
    victims: frozenset[str]

    def better_than(self, other: Harm) -> bool:
        mine = (self.violations, self.highest, self.total, self.number)
        theirs = (other.violations, other.highest, other.total, other.number)
        return mine < theirs or (mine == theirs and self.started > other.started)


def harms(
    pod: Object, cluster: Cluster, settings: Settings, budgets: list[Object], nominated: list[tuple[Object, str]]
) -> dict[str, Harm]:
    """Node -> its victims, for each node that the pod would fit without them."""
    found = {}
    for name, node in cluster.nodes.items():
        waiting = [
            other for other, where in nominated
            if where == name and priority(other) >= priority(pod) and key_of(other) != key_of(pod)
        ]  # fmt: skip
        lower = sorted((other for other in cluster.pods_on(name) if priority(other) < priority(pod)), key=importance)
        violating = violates(lower, budgets)
        gone = {key_of(other) for other in lower}
        if not lower or not fits(pod, node, cluster, gone, waiting, settings):
            continue
        victims = []
        for other in sorted(lower, key=lambda other: key_of(other) not in violating):
            gone.discard(key_of(other))
            if not fits(pod, node, cluster, gone, waiting, settings):
                gone.add(key_of(other))
                victims.append(other)
        if victims:
            highest = max(map(priority, victims))
            found[name] = Harm(
                len([v for v in victims if key_of(v) in violating]),
                highest,
                sum(priority(v) + 2**31 for v in victims),
                len(victims),
                min(started(v) for v in victims if priority(v) == highest),
                frozenset(key_of(v) for v in victims),
            )
    return found


def fits(
    pod: Object, node: Object, cluster: Cluster, gone: set[str], waiting: list[Object], settings: Settings
) -> bool:
    """Alone, and with those who wait for the node."""
    left = {key: other for key, other in cluster.pods.items() if key not in gone}
    alone = replace(cluster, pods=left)
    together = replace(cluster, pods=dict(left))
    for other in waiting:
        together.place(other, name_of(node))
    return not refusal(pod, node, alone, settings) and not refusal(pod, node, together, settings)


def violates(pods: list[Object], budgets: list[Object]) -> set[str]:
    """Whose end a budget does not allow, when those before have ended too."""
    left = {key_of(budget): budget["status"]["disruptionsAllowed"] for budget in budgets}
    found = set()
    for pod in pods:
        for budget in budgets:
            selector, disrupted = budget["spec"]["selector"], budget["status"].get("disruptedPods") or {}
            if namespace_of(budget) != namespace_of(pod) or not selector or not labels_of(pod):
                continue
            if name_of(pod) in disrupted or not selector_matches(selector, labels_of(pod)):
                continue
            left[key_of(budget)] -= 1
            if left[key_of(budget)] < 0:
                found.add(key_of(pod))
    return found


def priority(pod: Object) -> int:
    return int(pod["spec"].get("priority") or 0)


def started(pod: Object) -> str:
    return str((pod.get("status") or {}).get("startTime") or NOT_STARTED)


def importance(pod: Object) -> tuple[int, str, str]:
    return -priority(pod), started(pod), key_of(pod)
