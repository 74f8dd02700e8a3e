"""How many pods of which sort are on each node: what spread and affinity ask, kept as pods come and go.

A question ("pods of namespace x with app=y", "pods with this anti-affinity term") has a `Counts`: row -> number. A new
question is answered once from the sorts of pods on each node, never from the pods; afterwards each pod that comes or
goes changes the counts of those questions that concern its sort. `Domains` sums a count within each value of a
topology label, and follows its log of changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from actors.scheduler.columns import ALL, Bools, Floats, Places, Rows
from actors.scheduler.demand import Sort
from actors.scheduler.node_objects import NodeObjects
from actors.scheduler.pod_terms import PodSelector, Term

_LOG_MAX = 2048
_SPARE_TERMS_MAX = 256
_SPARE_SORTS_MAX = 1024
_QUESTIONS_MAX = 1024

T = TypeVar("T", bound=np.generic)
Rule = Literal["required", "required anti", "preferred"]


class Counts:
    """`on`: row -> number; `log`: what changed, for those who have followed it up to `head`."""

    __slots__ = ("_forgotten", "_log", "on")

    def __init__(self) -> None:
        self.on: dict[int, int] = {}
        self._log: list[tuple[int, int]] = []
        self._forgotten = 0

    @property
    def head(self) -> int:
        return self._forgotten + len(self._log)

    def add(self, row: int, number: int) -> None:
        self.on[row] = self.on.get(row, 0) + number
        if not self.on[row]:
            del self.on[row]
        self._log.append((row, number))
        if len(self._log) > _LOG_MAX:
            del self._log[: _LOG_MAX // 2]
            self._forgotten += _LOG_MAX // 2

    def since(self, head: int) -> list[tuple[int, int]] | None:
        return self._log[head - self._forgotten :] if head >= self._forgotten else None


class Question(NamedTuple):
    """Pods that all of the selectors select."""

    selectors: tuple[PodSelector, ...]
    terminating_too: bool = True


class Owned(NamedTuple):
    """A term of pods that are there already; its counts are pods, or for a preferred term the sum of weights."""

    rule: Rule
    term: Term
    counts: Counts


class _Kind:
    """One sort of pods: on which rows, and whose counts change with them."""

    __slots__ = ("counts", "on", "sort")

    def __init__(self, sort: Sort) -> None:
        self.sort = sort
        self.on: dict[int, int] = {}
        self.counts: list[tuple[Counts, int]] = []


class PodCounts:
    """`epoch` changes when counts that somebody may hold are no longer kept: ask all questions again."""

    def __init__(self, namespaces: Mapping[str, Mapping[str, str]]) -> None:
        self.epoch = 0
        self._namespaces = namespaces
        self._kinds: dict[Sort, _Kind] = {}
        self._questions: dict[Question, Counts] = {}
        self._owned: dict[tuple[Rule, Term], Owned] = {}
        self._owned_about: dict[str, list[Owned]] = {}  # namespace -> terms that may select its pods; "" is any

    def add(self, sort: Sort, row: int, number: int) -> None:
        kind = self._kinds.get(sort) or self._new_kind(sort)
        left = kind.on.get(row, 0) + number
        if left:
            kind.on[row] = left
        else:
            kind.on.pop(row, None)
        for counts, weight in kind.counts:
            counts.add(row, weight * number)

    def ask(self, question: Question) -> Counts:
        """The counts of a question, kept from now on until `epoch` changes."""
        counts = self._questions.get(question)
        if counts is None:
            if len(self._questions) >= _QUESTIONS_MAX:
                self.renew()
            counts = self._questions[question] = Counts()
            for kind in self._kinds.values():
                if self._concerns(question, kind.sort):
                    kind.counts.append((counts, 1))
                    for row, number in kind.on.items():
                        counts.add(row, number)
        return counts

    def owned_about(self, namespace: str) -> tuple[list[Owned], list[Owned]]:
        """Terms of placed pods that may select pods of this namespace: by name, and by a namespace selector.

        The lists only grow, until `epoch` changes."""
        return self._owned_about.setdefault(namespace, []), self._owned_about.setdefault("", [])

    def renew(self) -> None:
        """Forget every question and every sort that no pod has: namespaces have changed, or much is not used."""
        self.epoch += 1
        kinds = [kind for kind in self._kinds.values() if kind.on]
        self._kinds.clear()
        self._questions.clear()
        self._owned.clear()
        self._owned_about.clear()
        for old in kinds:
            kind = self._new_kind(old.sort)
            kind.on = old.on
            for counts, weight in kind.counts:
                for row, number in kind.on.items():
                    counts.add(row, weight * number)

    # -- private --------------------------------------------------------------------------------------------------

    def _new_kind(self, sort: Sort) -> _Kind:
        if len(self._kinds) > _SPARE_SORTS_MAX and 2 * sum(bool(kind.on) for kind in self._kinds.values()) < len(
            self._kinds
        ):
            self.renew()
        kind = self._kinds[sort] = _Kind(sort)
        for question, counts in self._questions.items():
            if self._concerns(question, sort):
                kind.counts.append((counts, 1))
        for rule, term, weight in _rules(sort):
            kind.counts.append((self._own(rule, term).counts, weight))
        return kind

    def _own(self, rule: Rule, term: Term) -> Owned:
        owned = self._owned.get((rule, term))
        if owned is None:
            owned = self._owned[rule, term] = Owned(rule, term, Counts())
            anywhere = term.pods.namespace_selector is not None
            for namespace in [""] if anywhere else term.pods.namespaces:
                self._owned_about.setdefault(namespace, []).append(owned)
        return owned

    def _concerns(self, question: Question, sort: Sort) -> bool:
        if sort.terminating and not question.terminating_too:
            return False
        labels = self._namespaces.get(sort.namespace) or {}
        return all(pods.selects(sort.namespace, labels, sort.labels) for pods in question.selectors)


def _rules(sort: Sort) -> list[tuple[Rule, Term, int]]:
    rules: list[tuple[Rule, Term, int]] = [("required", term, 1) for term in sort.terms.required]
    rules += [("required anti", term, 1) for term in sort.terms.required_anti]
    return rules + [("preferred", wish.term, wish.weight) for wish in sort.terms.wishes]


class Domains:
    """Counts summed within each domain: nodes with the same value of a label. Call `follow` before looking.

    `ids`: each row's domain, 0 where it has none; `sums` by domain, of eligible rows only, sums[0] is 0;
    `inhabited`: domains in which an eligible node is.
    """

    def __init__(self, nodes: NodeObjects, counts: Counts, key: str) -> None:
        self._nodes = nodes
        self.counts = counts
        self._key = key
        self._version = -1
        self._head = 0
        self.ids: Places = np.zeros(0, np.intp)
        self._counted: Places = self.ids
        self.sums: Floats = np.zeros(1)
        self.inhabited: Bools = np.zeros(1, np.bool_)

    def spread(self, values: NDArray[T], rows: Rows = ALL) -> NDArray[T]:
        """Each row's, of values by domain."""
        return values.take(self.ids[rows])

    def eligible(self) -> Bools | None:
        """Which rows take part; None: all."""
        return None

    def follow(self) -> None:
        changes = self.counts.since(self._head) if self._version == self._nodes.version else None
        if changes is None:
            self._add_up()
        else:
            ids, sums = self._counted, self.sums
            for row, number in changes:
                if domain := ids[row]:
                    sums[domain] += number
        self._head = self.counts.head

    def _add_up(self) -> None:
        self._version = self._nodes.version
        column = self._nodes.label(self._key)
        eligible = self.eligible()
        self.ids = column.ids
        self._counted = column.ids if eligible is None else np.where(eligible, column.ids, 0)
        size, on = len(column.known) + 1, self.counts.on
        rows = np.fromiter(on.keys(), np.intp, len(on))
        numbers = np.fromiter(on.values(), np.float64, len(on))
        self.sums = np.bincount(self._counted[rows], numbers, size).astype(np.float64, copy=False)
        self.inhabited = np.bincount(self._counted, minlength=size) > 0
        self.sums[0], self.inhabited[0] = 0.0, False
