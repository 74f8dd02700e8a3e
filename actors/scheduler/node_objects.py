"""Node objects in columns: labels and taints interned, so that a rule is worked out once per distinct value.

A rule over labels looks at each distinct value of one label, not at each node; the nodes then look up their value's
answer. `version` changes with anything here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from actors.scheduler.columns import Bools, Floats, Ints, Places
from protocols.objects import Object, labels_of, name_of
from protocols.rules.affinity import expression_matches
from protocols.rules.taints import Taint

_SPARE_VALUES_MAX = 1024


class LabelColumn:
    """The id of each row's value of one label; 0 where it has none."""

    __slots__ = ("ids", "known")

    def __init__(self, rows: int) -> None:
        self.ids: Places = np.zeros(rows, np.intp)
        self.known: dict[str, int] = {}

    def set(self, row: int, value: str | None) -> None:
        self.ids[row] = 0 if value is None else self.known.setdefault(value, len(self.known) + 1)


class NodeObjects:
    def __init__(self, rows: int) -> None:
        self.version = 0
        self.objects: list[Object | None] = [None] * rows
        self.row_of: dict[str, int] = {}
        self.present: Bools = np.zeros(rows, np.bool_)
        self.unschedulable: Bools = np.zeros(rows, np.bool_)
        self.taint_sets: list[tuple[Taint, ...]] = [()]
        self.taint_ids: Ints = np.zeros(rows, np.int32)
        self._taint_ids: dict[tuple[tuple[str, str, str], ...], int] = {(): 0}
        self._labels: dict[str, LabelColumn] = {}

    def grow(self, rows: int) -> None:
        more = rows - len(self.objects)
        self.objects += [None] * more
        self.present = np.pad(self.present, (0, more))
        self.unschedulable = np.pad(self.unschedulable, (0, more))
        self.taint_ids = np.pad(self.taint_ids, (0, more))
        self._labels.clear()
        self.version += 1

    def set(self, row: int, node: Object | None, name: str) -> None:
        """`node` is None: the row is nobody's, or that of a node which is gone."""
        before, self.objects[row] = self.objects[row], node
        spec = (node or {}).get("spec") or {}
        if node is not None and before is not None and _decides(before) == _decides(node):
            return
        self.version += 1
        self.present[row] = node is not None
        self.unschedulable[row] = bool(spec.get("unschedulable"))
        self.taint_ids[row] = self._taints(spec.get("taints") or ())
        if node is not None:
            self.row_of[name] = row
        else:
            self.row_of.pop(name, None)
        labels = labels_of(node or {})
        for key, column in list(self._labels.items()):
            column.set(row, labels.get(key))
            if len(column.known) > 2 * len(self.row_of) + _SPARE_VALUES_MAX:
                del self._labels[key]  # mostly values of nodes that are gone: begin anew when it is asked for

    # -- looking --------------------------------------------------------------------------------------------------

    def label(self, key: str) -> LabelColumn:
        column = self._labels.get(key)
        if column is None:
            column = self._labels[key] = LabelColumn(len(self.objects))
            for row, node in enumerate(self.objects):
                if node is not None and (value := labels_of(node).get(key)) is not None:
                    column.set(row, value)
        return column

    def by_taints(self, judge: Callable[[Sequence[Taint]], float]) -> Floats:
        """What `judge` says of each row's taints."""
        return np.array([judge(taints) for taints in self.taint_sets])[self.taint_ids]

    def matching(self, expressions: Sequence[Mapping[str, Any]]) -> Bools:
        """Rows whose labels meet every expression (of a node selector)."""
        result = self.present
        for expression in expressions:
            key = expression.get("key", "")
            column = self.label(key)
            verdicts = [expression_matches(expression, {})]
            verdicts += [expression_matches(expression, {key: value}) for value in column.known]
            result = result & np.array(verdicts, np.bool_).take(column.ids)
        return result

    def matching_selector(self, selector: Mapping[str, Any]) -> Bools:
        """Rows that a NodeSelector selects: one of its terms; a term without any expression selects none."""
        result = np.zeros(len(self.present), np.bool_)
        for term in selector.get("nodeSelectorTerms") or ():
            result |= self.matching_term(term)
        return result

    def matching_term(self, term: Mapping[str, Any]) -> Bools:
        expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
        if not expressions and not fields:
            return np.zeros(len(self.present), np.bool_)
        result = self.matching(expressions).copy()
        if fields:
            result &= self._named(fields)
        return result

    def _named(self, fields: Sequence[Mapping[str, Any]]) -> Bools:
        """Mostly some are named, of many."""
        listed = [f.get("values") or () for f in fields if (f.get("key"), f.get("operator")) == ("metadata.name", "In")]
        if len(listed) == len(fields):
            named = np.zeros(len(self.present), np.bool_)
            named[[self.row_of[name] for name in set(listed[0]).intersection(*listed) if name in self.row_of]] = True
            return named
        names = [name_of(node) if node is not None else "" for node in self.objects]
        return np.array(
            [all(expression_matches(field, {"metadata.name": name}) for field in fields) for name in names], np.bool_
        )

    def _taints(self, taints: Sequence[Taint]) -> int:
        key = tuple((t.get("key") or "", t.get("value") or "", t.get("effect") or "") for t in taints)
        known = self._taint_ids.get(key)
        if known is None:
            if len(self.taint_sets) > 2 * len(self.row_of) + _SPARE_VALUES_MAX:
                self._renew_taints()
            known = self._taint_ids[key] = len(self.taint_sets)
            self.taint_sets.append(tuple(taints))
        return known

    def _renew_taints(self) -> None:
        """Most sets are those of nodes that have others by now."""
        used = sorted(set(self.taint_ids.tolist()) | {0})
        place = {old: new for new, old in enumerate(used)}
        self.taint_sets = [self.taint_sets[old] for old in used]
        self.taint_ids = np.array([place[old] for old in self.taint_ids.tolist()], np.int32)
        self._taint_ids = {key: place[old] for key, old in self._taint_ids.items() if old in place}


def _decides(node: Object) -> tuple[object, ...]:
    spec, images = node.get("spec") or {}, (node.get("status") or {}).get("images") or ()
    cordoned = bool(spec.get("unschedulable"))
    return labels_of(node), spec.get("taints") or (), cordoned, images, declared_features(node)


def declared_features(node: Object) -> tuple[str, ...]:
    """What its kubelet can do that not every kubelet can, as it says (KEP-5328)."""
    return tuple((node.get("status") or {}).get("declaredFeatures") or ())
