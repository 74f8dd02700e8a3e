"""Sets of fields, in the form in which managedFields stores them (`fieldsV1`), and the algebra on them.

    {"f:spec": {"f:replicas": {}, "f:containers": {'k:{"name":"web"}': {".": {}, "f:image": {}}}}}

is the set {spec.replicas, spec.containers[name=web], spec.containers[name=web].image}: a path belongs to the set where
the tree has a leaf or a ".". A set is a set of paths and nothing more: to have an item does not mean to have what is
below it. No function changes its arguments, and results may share subtrees with them.

Steps: `f:` a field or map key, `k:` the keys of an item of a list that is a map, `v:` an item of a list that is a set.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

FieldSet = dict[str, Any]

MEMBER = "."
LEAF: FieldSet = {}  # shared, like every set: never changed


def is_member(node: FieldSet) -> bool:
    """Whether the path that leads to this node belongs to the set."""
    return not node or MEMBER in node


def make_node(member: bool, children: FieldSet) -> FieldSet | None:
    """A node; None where there is nothing to say. `children` has no "."."""
    if not children:
        return LEAF if member else None
    return {MEMBER: LEAF, **children} if member else children


def union(one: FieldSet, other: FieldSet) -> FieldSet:
    if not other or one is other:
        return one
    merged = dict(one)
    for step, node in other.items():
        mine = merged.get(step)
        if mine is None or step == MEMBER:
            merged[step] = node
        elif mine != node:
            merged[step] = _union_nodes(mine, node)
    return merged


def difference(one: FieldSet, other: FieldSet) -> FieldSet:
    """What is in `one` and not in `other`."""
    if not other:
        return one
    kept: FieldSet = {}
    for step, node in one.items():
        theirs = other.get(step)
        left = node if theirs is None else _difference_nodes(node, theirs)
        if left is not None:
            kept[step] = left
    return kept


def intersection(one: FieldSet, other: FieldSet) -> FieldSet:
    shared: FieldSet = {}
    for step, node in one.items():
        theirs = other.get(step)
        both = None if theirs is None else _intersection_nodes(node, theirs)
        if both is not None:
            shared[step] = both
    return shared


def paths(fields: FieldSet) -> Iterator[tuple[str, ...]]:
    """Every path of the set, as its steps."""
    for step, node in fields.items():
        if step == MEMBER:
            continue
        if is_member(node):
            yield (step,)
        for below in paths(node):
            yield (step, *below)


def in_order(fields: FieldSet) -> FieldSet:
    """The same set with its steps in order, as it is stored; it shares nothing with others."""
    return {step: in_order(fields[step]) for step in sorted(fields)} if fields else {}


def show_path(path: tuple[str, ...]) -> str:
    """`.spec.containers[name="web"].image`."""
    return "".join(_show_step(step) for step in path)


def key_step(keys: dict[str, Any]) -> str:
    """Most items are known by names: then the step is one of few."""
    pairs = tuple(sorted(keys.items()))
    if all(type(value) is str for _, value in pairs):
        return _named_step(pairs)
    return f"k:{_compact(dict(pairs))}"


@lru_cache(maxsize=1024)
def _named_step(pairs: tuple[tuple[str, str], ...]) -> str:
    return f"k:{_compact(dict(pairs))}"


def value_step(value: Any) -> str:
    return f"v:{_compact(value)}"


def normal(fields: Any) -> FieldSet:
    """A set that came from outside, in the one spelling used here. Raises ValueError for what is no set."""
    if not isinstance(fields, dict):
        raise ValueError(f"no set of fields: {fields!r}")
    return {_normal_step(step): normal(node) if node else LEAF for step, node in fields.items()}


@lru_cache(maxsize=4096)
def _normal_step(step: str) -> str:
    match step[:2]:
        case "f:" | "i:":
            return step
        case "k:" if isinstance(keys := json.loads(step[2:]), dict):
            return key_step(keys)
        case "v:":
            return value_step(json.loads(step[2:]))
        case _ if step == MEMBER:
            return step
        case _:
            raise ValueError(f"no step of a field path: {step!r}")


def _union_nodes(one: FieldSet, other: FieldSet) -> FieldSet:
    joined = make_node(is_member(one) or is_member(other), union(_children(one), _children(other)))
    assert joined is not None
    return joined


def _difference_nodes(one: FieldSet, other: FieldSet) -> FieldSet | None:
    return make_node(is_member(one) and not is_member(other), difference(_children(one), _children(other)))


def _intersection_nodes(one: FieldSet, other: FieldSet) -> FieldSet | None:
    return make_node(is_member(one) and is_member(other), intersection(_children(one), _children(other)))


def _children(node: FieldSet) -> FieldSet:
    return {step: below for step, below in node.items() if step != MEMBER} if MEMBER in node else node


def _show_step(step: str) -> str:
    match step[:2]:
        case "f:":
            return f".{step[2:]}"
        case "k:":
            keys = json.loads(step[2:]).items()
            return f"[{','.join(f'{key}={_compact(value)}' for key, value in keys)}]"
        case "v:":
            return f"[={step[2:]}]"
        case _:
            return f"[{step[2:]}]"


_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
