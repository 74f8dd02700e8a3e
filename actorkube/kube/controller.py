"""A controller is a value: what it watches, which keys a change concerns, and a pure function from state to writes.

    reconcile(key, views, now) -> writes

It looks at what is, never at what happened, and returns nothing when there is nothing to do. `ControllerActor`
(actorkube/kube/actor.py) runs any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from actorkube.kube.view import Entry, IndexFunction, SummaryFunction, View
from actorkube.kube.writes import Write
from protocols.errors import Answer
from protocols.objects import Object, key_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """The refusal that ended the last pass over a key."""

    write: Write
    error: Answer


class Views(Mapping[str, View]):
    """A controller's views by resource. During a pass, `failure` is what ended the last pass over the same key."""

    def __init__(self, views: Mapping[str, View]) -> None:
        self._views = dict(views)
        self.failure: Failure | None = None

    def __getitem__(self, resource: str) -> View:
        return self._views[resource]

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def add(self, view: View) -> None:
        self._views[view.resource] = view

    def remove(self, resource: str) -> None:
        self._views.pop(resource, None)


Keys = Callable[[Object, Views], Iterable[str]]
Reconcile = Callable[[str, Views, float], Sequence[Write]]


def own_key(obj: Object, views: Views) -> tuple[str, ...]:
    return (key_of(obj),)


def no_keys(obj: Object, views: Views) -> tuple[str, ...]:
    """Watched only to be looked at: its changes concern no key."""
    return ()


@dataclass(frozen=True, slots=True)
class Watches:
    """One watched resource.

    keys: what to reconcile when such an object changes; it is asked with the object before and after the change.
    when: the name of a summary; only changes of that summary concern anybody ("": every change does).
    trim: what to keep of each object, where the whole is not needed (used when every sharer of the view trims).
    """

    resource: str
    keys: Keys = own_key
    indexes: Mapping[str, IndexFunction] = field(default_factory=dict)
    summaries: Mapping[str, SummaryFunction] = field(default_factory=dict)
    when: str = ""
    trim: Callable[[Object], Object] | None = None

    def concerned(self, old: Entry | None, new: Entry | None, views: Views) -> list[str]:
        """The keys that a change concerns."""
        if self.when and old is not None and new is not None and old.uid == new.uid:
            if old.summaries[self.when] == new.summaries[self.when]:
                return []
        keys: dict[str, None] = {}
        for entry in (old, new):
            if entry is not None:
                keys.update(dict.fromkeys(self.keys(entry.peek(), views)))
        return list(keys)


@dataclass(frozen=True, slots=True)
class Grows:
    """What is watched beside, while one view says so: kinds that come and go as the controller runs.

    watches: asked at each change of the view of `resource`, which the controller also watches itself.
    """

    resource: str
    watches: Callable[[View], Sequence[Watches]]


@dataclass(frozen=True, slots=True)
class Controller:
    """`spacing_s`: two passes over one key start at least that far apart, so a burst of changes costs one pass."""

    name: str
    watches: tuple[Watches, ...]
    reconcile: Reconcile
    workers: int = 8
    spacing_s: float = 0.0
    grows: Grows | None = None


def views_for(controllers: Iterable[Controller]) -> dict[str, View]:
    """One view for each resource that the controllers watch, with the indexes and summaries of all of them."""
    shared: dict[str, list[Watches]] = {}
    for controller in controllers:
        for watches in controller.watches:
            shared.setdefault(watches.resource, []).append(watches)
    return {resource: view_for(resource, sharers) for resource, sharers in shared.items()}


def view_for(resource: str, sharers: list[Watches]) -> View:
    """The view that several watches of one resource share."""
    trims = [watches.trim for watches in sharers]
    return View(
        resource,
        indexes=_merged([watches.indexes for watches in sharers], resource),
        summaries=_merged([watches.summaries for watches in sharers], resource),
        trim=trims[0] if all(trim is trims[0] for trim in trims) else None,
    )


def _merged(tables: list[Mapping[str, T]], resource: str) -> dict[str, T]:
    """Sharers of a view may use one name only for one function."""
    merged: dict[str, T] = {}
    for table in tables:
        for name, function in table.items():
            assert merged.setdefault(name, function) is function, f"{resource}: two functions are called {name!r}"
    return merged
