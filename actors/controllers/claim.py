"""Claiming: which objects a controller manages, by selector and owner reference (ControllerRefManager).

What it controls and no longer matches is released; what matches and nobody controls is adopted, after making sure that
the adopter itself is not being deleted: an orphan adopted by a dying owner would die with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

from actorkube.kube.view import View
from actorkube.kube.writes import Confirm, Update, Write
from actors.controllers.indexes import BY_CONTROLLER, ORPHAN_BY_LABEL, labelled, requirements_of
from protocols.objects import Object, name_of, namespace_of, uid_of
from protocols.rules.owners import controller_reference, is_deleting, owner_references
from protocols.rules.selectors import Requirement, labels_match

Reference = dict[str, Any]


class Claimable(Protocol):
    """What the summary of a claimed object says."""

    @property
    def uid(self) -> str: ...
    @property
    def labels(self) -> dict[str, str]: ...
    @property
    def deleting(self) -> bool: ...
    @property
    def claimable(self) -> bool: ...


class Owner(NamedTuple):
    """Who claims, and what it looks like in an owner reference."""

    obj: Object
    resource: str
    api_version: str
    kind: str


class Claimed(NamedTuple):
    keys: list[str]
    writes: list[Write]


def is_claimable(summary: Claimable) -> bool:
    return summary.claimable


def any_name(key: str) -> bool:
    return True


def claim(
    owner: Owner,
    view: View,
    summary: str,
    *,
    named: Callable[[str], bool] = any_name,
    adoptable: Callable[[Any], bool] = is_claimable,
) -> Claimed:
    """The keys of the objects that belong to `owner` now, and what releases and adopts the others.

    `named`: whether the key of what matches is one that the owner gives. `adoptable`: asked with an orphan's summary.
    """
    requirements = requirements_of(owner.obj)
    if not requirements:
        return Claimed([], [])
    keys: list[str] = []
    releases: list[Write] = []
    for key in view.keys(BY_CONTROLLER, uid_of(owner.obj)):
        if named(key) and labels_match(requirements, view.summary(summary, key).labels):
            keys.append(key)
        elif not is_deleting(owner.obj):
            releases.append(_release(owner, view, key))
    if is_deleting(owner.obj):
        return Claimed(keys, [])
    orphans = _orphans(owner.obj, requirements, view, summary)
    taken = [key for key in orphans if named(key) and adoptable(view.summary(summary, key))]
    return Claimed(keys, [*releases, *_adoptions(owner, view, taken)])


def _adoptions(owner: Owner, view: View, keys: list[str]) -> list[Write]:
    adoptions: list[Write] = [_adopt(owner, view, key) for key in keys]
    if not adoptions:
        return []
    return [Confirm(owner.resource, namespace_of(owner.obj), name_of(owner.obj), uid_of(owner.obj)), *adoptions]


def _orphans(owner: Object, requirements: list[Requirement], view: View, summary: str) -> Iterator[str]:
    pairs = {r.key: r.values[0] for r in requirements if r.operator == "in" and len(r.values) == 1}
    for key in labelled(namespace_of(owner), pairs, view, ORPHAN_BY_LABEL):
        if labels_match(requirements, view.summary(summary, key).labels):
            yield key


def _adopt(owner: Owner, view: View, key: str) -> Update:
    reference = controller_reference(owner.obj, owner.api_version, owner.kind)
    return _with_owners(view, key, lambda references: [*references, reference])


def _release(owner: Owner, view: View, key: str) -> Update:
    uid = uid_of(owner.obj)
    return _with_owners(view, key, lambda references: [r for r in references if r["uid"] != uid])


def _with_owners(view: View, key: str, change: Callable[[list[Reference]], list[Reference]]) -> Update:
    obj = view.get(key)
    assert obj is not None
    obj["metadata"]["ownerReferences"] = change(owner_references(obj))
    return Update(view.resource, obj)
