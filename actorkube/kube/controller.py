"""A controller is a value: what it watches, which keys a change concerns, and a pure function from state to writes.

    reconcile(key, views, now) -> writes

It looks at what is, never at what happened, and returns nothing when there is nothing to do. `ControllerActor`
(actorkube/kube/actor.py) runs any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, ValuesView
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from actorkube.kube.alike import Facet
from actorkube.kube.view import Entry, IndexFunction, SummaryFunction, View
from actorkube.kube.writes import Write
from protocols.errors import Answer, AskError
from protocols.message import Message
from protocols.objects import Object, key_of

T = TypeVar("T")
_KEPT_MAX = 64  # summaries whose keys are remembered: pods of that many templates at a time


@dataclass(frozen=True, slots=True)
class Failure:
    """The refusal that ended the last pass over a key."""

    write: Write
    error: Answer


class Views(Mapping[str, View]):
    """A controller's views by resource. During a pass, `failure` is what ended the last pass over the same key, and
    `answer` what that pass inquired (Inquire); None: it did not.

    `generation`: how often there were others.
    """

    def __init__(self, views: Mapping[str, View]) -> None:
        self._views = dict(views)
        self.failure: Failure | None = None
        self.answer: Message | Answer | AskError | None = None
        self.generation = 0
        self._indexed: tuple[int, dict[str, list[Collection[str]]]] = (0, {})

    def __getitem__(self, resource: str) -> View:
        return self._views[resource]

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def values(self) -> ValuesView[View]:
        """The dict's own: a mapping's would look each of them up by its name."""
        return self._views.values()

    def indexes(self, name: str) -> list[Collection[str]]:
        """What the index files something under, in each view; for whoever asks all of them, and often."""
        if self._indexed[0] != self.generation:
            self._indexed = self.generation, {}
        indexes = self._indexed[1]
        if name not in indexes:
            indexes[name] = [view.values(name) for view in self._views.values()]
        return indexes[name]

    def add(self, view: View) -> None:
        self._views[view.resource] = view
        self.generation += 1

    def remove(self, resource: str) -> None:
        self._views.pop(resource, None)
        self.generation += 1


Keys = Callable[[Any, Views], Iterable[str]]
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
    told_by: the name of the summary that `keys` is asked with instead of the object. Where it stays what it was, the
        keys before are those after, so they are looked for once, and an object that was replaced is not decoded.
        Where objects share the summary (`Facet`) their keys are looked for once, too: so `keys` must go by the
        summary and what the other views hold, and by nothing else.
    trim: what to keep of each object, where the whole is not needed (used when every sharer of the view trims).
    may_be_absent: some versions of the API lack the resource; there is nothing of it then, and nothing to wait for.
    awaited: nothing is reconciled before all of it has been seen. Where somebody else's server tells, which may never
        do so, a controller must do with what it sees.
    """

    resource: str
    keys: Keys = own_key
    indexes: Mapping[str, IndexFunction] = field(default_factory=dict)
    summaries: Mapping[str, SummaryFunction] = field(default_factory=dict)
    when: str = ""
    told_by: str = ""
    trim: Callable[[Object], Object] | None = None
    may_be_absent: bool = False
    awaited: bool = True


class Concern:
    """Which keys of a controller the changes of one resource concern."""

    def __init__(self, watches: Watches, views: Views) -> None:
        self._watches = watches
        self._views = views
        self._told_by = watches.told_by
        self._is_shared = isinstance(watches.summaries.get(watches.told_by), Facet)
        self._kept: dict[int, Told] = {}  # by the summary's id

    def keys(self, old: Entry | None, new: Entry | None) -> list[str]:
        """Those that a change of an object concerns, where `when` lets it concern any."""
        if self._told_by:
            keys = self._told(old, new)
        else:
            keys = [key for entry in (old, new) if entry for key in self._watches.keys(entry.peek(), self._views)]
        return list(dict.fromkeys(keys)) if len(keys) > 1 else keys

    def _told(self, old: Entry | None, new: Entry | None) -> list[str]:
        before = old.summaries[self._told_by] if old is not None else None
        after = new.summaries[self._told_by] if new is not None else None
        if new is None or (old is not None and before is after):
            return self._keys_of(before)
        return self._keys_of(after) if old is None else [*self._keys_of(before), *self._keys_of(after)]

    def _keys_of(self, summary: Any) -> list[str]:
        if not self._is_shared:
            return list(self._watches.keys(summary, self._views))
        stamp = self._views.generation << 64
        for view in self._views.values():
            stamp += view.changes if view.resource != self._watches.resource else 0
        kept = self._kept.get(id(summary))
        if kept is None or kept.stamp != stamp:
            if len(self._kept) >= _KEPT_MAX:
                self._kept.clear()
            kept = self._kept[id(summary)] = Told(stamp, summary, list(self._watches.keys(summary, self._views)))
        return kept.keys


class Told(NamedTuple):
    """The keys of all who share a summary, as long as the other views stay what they are (`stamp`)."""

    stamp: int
    summary: Any  # kept, so that no other gets its id
    keys: list[str]


@dataclass(frozen=True, slots=True)
class Grows:
    """What is watched beside, while some views say so: kinds that come and go as the controller runs.

    watches: asked at each change of the views of `resources`, which the controller also watches itself.
    """

    resources: tuple[str, ...]
    watches: Callable[[Views], Sequence[Watches]]


@dataclass(frozen=True, slots=True)
class Controller:
    """`spacing_s`: two passes over one key start at least that far apart, so a burst of changes costs one pass.
    `told_by`: whose events its are, where Kubernetes calls it otherwise there."""

    name: str
    watches: tuple[Watches, ...]
    reconcile: Reconcile
    workers: int = 8
    spacing_s: float = 0.0
    grows: Grows | None = None
    told_by: str = ""


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
        may_be_absent=all(watches.may_be_absent for watches in sharers),
        awaited=any(watches.awaited for watches in sharers),
    )


def _merged(tables: list[Mapping[str, T]], resource: str) -> dict[str, T]:
    """Sharers of a view may use one name only for one function."""
    merged: dict[str, T] = {}
    for table in tables:
        for name, function in table.items():
            assert merged.setdefault(name, function) is function, f"{resource}: two functions are called {name!r}"
    return merged
