"""PodDisruptionBudgets, as preemption sees them: which victims one budget too few is left for.

Preemption may violate a budget; it prefers not to (policy/v1: `status.disruptionsAllowed`, `status.disruptedPods`).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any, NamedTuple

from actors.scheduler.demand import Sort
from protocols.objects import Object, name_of, namespace_of, split_key
from protocols.rules.selectors import selector_matches

RESOURCE = "poddisruptionbudgets.policy"


class _Budget(NamedTuple):
    selector: dict[str, Any]
    allowed: int
    disrupted: frozenset[str]


class Budgets:
    """`version` changes with anything here."""

    def __init__(self) -> None:
        self.version = 0
        self._spent: list[tuple[str, Sort]] = []
        self._in: dict[str, dict[str, _Budget]] = {}  # namespace -> name

    def set(self, budget: Object) -> None:
        status = budget.get("status") or {}
        new = _Budget(
            (budget.get("spec") or {}).get("selector") or {},
            status.get("disruptionsAllowed") or 0,
            frozenset(status.get("disruptedPods") or ()),
        )
        known = self._in.setdefault(namespace_of(budget), {})
        if known.get(name_of(budget)) != new:
            known[name_of(budget)] = new
            self.version += 1

    def remove(self, namespace: str, name: str) -> None:
        known = self._in.get(namespace, {})
        if known.pop(name, None) is not None:
            self.version += 1
        if not known:
            self._in.pop(namespace, None)

    def spend(self, pods: Iterable[tuple[str, Sort]]) -> None:
        """These are to end, too, and what budgets allow goes to them first; until it is said that nobody is."""
        pods = list(pods)
        if self._in and (pods or self._spent):
            self._spent = [*self._spent, *pods] if pods else []
            self.version += 1

    def violated_by(self, pods: Iterable[tuple[str, Sort]]) -> frozenset[str]:
        """The keys of those pods whose end, after that of all before them, a budget does not allow."""
        if not self._in:
            return frozenset()
        left: dict[tuple[str, str], int] = {}
        violating: list[str] = []
        spent = len(self._spent)
        for number, (key, sort) in enumerate(chain(self._spent, pods)):
            namespace, pod_name = split_key(key)
            for name, budget in self._in.get(namespace, {}).items():
                if not _counts_against(budget, pod_name, sort):
                    continue
                left[namespace, name] = left.get((namespace, name), budget.allowed) - 1
                if left[namespace, name] < 0 and number >= spent:
                    violating.append(key)
        return frozenset(violating)


def _counts_against(budget: _Budget, pod_name: str, sort: Sort) -> bool:
    """A pod that is on its way out by this budget is counted already. A selector without terms selects nothing here."""
    if pod_name in budget.disrupted or not any(budget.selector.values()):
        return False
    return bool(sort.labels) and selector_matches(budget.selector, sort.labels)
