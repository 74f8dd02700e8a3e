"""The view: an up-to-date copy under lagging watches, own writes, relists; and its indexes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorkube.kube import View
from protocols.api import Stored, WatchEvent
from protocols.objects import Object, encode_object, key_of, labels_of, revision_of
from tests.kube.memory_store import MemoryStore


def pod(name: str, app: str = "web", uid: str = "u1") -> Object:
    return {"metadata": {"name": name, "namespace": "default", "uid": uid, "labels": {"app": app}}}


def event(type: str, obj: Object, revision: int) -> WatchEvent:
    return WatchEvent(type, encode_object(obj) if obj else b"", revision)


def by_app(obj: Object) -> Iterator[str]:
    return iter([labels_of(obj)["app"]])


def view_of(*events: WatchEvent) -> View:
    view = View("pods", indexes={"app": by_app}, summaries={"app": lambda obj: labels_of(obj)["app"]})
    view.begin_list()
    for each in events:
        view.apply(each, 0.0)
    return view


def test_shows_what_the_list_and_the_watch_said() -> None:
    view = view_of(
        event("ADDED", pod("a"), 3), event("ADDED", pod("b", uid="u2"), 2), event("BOOKMARK", {}, 5),
        event("MODIFIED", pod("a", "db"), 6), event("DELETED", pod("b", uid="u2"), 7),
    )  # fmt: skip

    assert view.synced
    assert view.revision == 7
    assert list(view) == ["default/a"]
    assert view.get("default/a") == {"metadata": {**pod("a", "db")["metadata"], "resourceVersion": "6"}}


def test_files_objects_under_their_index_values_and_nowhere_else() -> None:
    view = view_of(event("ADDED", pod("a"), 3), event("BOOKMARK", {}, 5), event("MODIFIED", pod("a", "db"), 6))

    assert list(view.keys("app", "db")) == ["default/a"]
    assert list(view.keys("app", "web")) == []
    assert view.summaries("app", "namespace", "default") == ["db"]
    assert list(view.values("app")) == ["db"]


def test_an_own_write_is_seen_at_once_and_not_undone_by_older_news() -> None:
    view = view_of(event("ADDED", pod("a"), 3), event("BOOKMARK", {}, 5))

    view.wrote(Stored(encode_object(pod("a", "db")), 9), 0.0)
    view.apply(event("MODIFIED", pod("a", "stale"), 7), 0.0)

    assert view.summary("app", "default/a") == "db"


def test_an_own_deletion_is_seen_at_once_and_not_undone_by_older_news() -> None:
    view = view_of(event("ADDED", pod("a"), 3), event("BOOKMARK", {}, 5))

    view.deleted("default/a", "u1", 0.0)
    view.apply(event("MODIFIED", pod("a", "stale"), 7), 0.0)

    assert "default/a" not in view
    assert view.is_gone("u1")


def test_a_deletion_does_not_take_the_successor_of_the_same_name_along() -> None:
    view = view_of(event("ADDED", pod("a"), 3), event("BOOKMARK", {}, 5))

    view.wrote(Stored(encode_object(pod("a", uid="u2")), 9), 0.0)
    view.apply(event("DELETED", pod("a"), 8), 0.0)

    assert view.entry("default/a").uid == "u2"  # type: ignore[union-attr]
    assert view.is_gone("u1")


def test_a_relist_removes_what_vanished_but_not_what_was_written_since() -> None:
    view = view_of(event("ADDED", pod("a"), 3), event("ADDED", pod("b", uid="u2"), 4), event("BOOKMARK", {}, 5))
    gone: list[str] = []
    view.on_change(lambda key, old, new: gone.append(key) if new is None else None)

    view.wrote(Stored(encode_object(pod("c", uid="u3")), 12), 0.0)
    view.begin_list()
    view.apply(event("ADDED", pod("a"), 3), 0.0)
    view.apply(event("BOOKMARK", {}, 10), 0.0)

    assert list(view) == ["default/a", "default/c"]
    assert gone == ["default/b"]


def test_a_list_that_was_cut_short_removes_nothing() -> None:
    view = view_of(event("ADDED", pod("a"), 3), event("ADDED", pod("b", uid="u2"), 4), event("BOOKMARK", {}, 5))

    view.begin_list()
    view.apply(event("ADDED", pod("b", uid="u2"), 4), 0.0)
    view.begin_list()
    view.apply(event("ADDED", pod("a"), 3), 0.0)
    view.apply(event("ADDED", pod("b", uid="u2"), 4), 0.0)
    view.apply(event("BOOKMARK", {}, 9), 0.0)

    assert len(view) == 2


def test_what_ceased_to_match_a_selector_may_come_back() -> None:
    view = view_of(event("ADDED", pod("a"), 3), event("BOOKMARK", {}, 5))

    view.apply(event("DELETED", pod("a"), 6), 0.0)
    view.apply(event("ADDED", pod("a"), 8), 0.0)

    assert "default/a" in view
    assert not view.is_gone("u1")


def test_remembers_names_that_were_used_within_bounds() -> None:
    view = View("pods", gone_max=2)
    for number in range(4):
        view.apply(event("ADDED", pod(f"p{number}", uid=f"u{number}"), 2 * number + 1), 0.0)
        view.apply(event("DELETED", pod(f"p{number}", uid=f"u{number}"), 2 * number + 2), 0.0)

    assert [view.was_used(f"default/p{number}") for number in range(4)] == [False, False, True, True]


def test_knows_since_when_a_summary_is_what_it_is() -> None:
    view = View("pods", summaries={"app": lambda obj: labels_of(obj)["app"]})
    view.apply(event("ADDED", pod("a"), 1), 10.0)
    touched = pod("a")
    touched["metadata"]["labels"]["other"] = "x"
    view.apply(event("MODIFIED", touched, 2), 20.0)

    assert view.since("app", "default/a") == 10.0
    view.apply(event("MODIFIED", pod("a", "db"), 3), 30.0)
    assert view.since("app", "default/a") == 30.0


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["create", "touch", "delete", "see", "see", "see", "cut", "relist"]),
        st.sampled_from(["a", "b", "c"]),
        st.booleans(),
    ),
    max_size=40,
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(ACTIONS)
def test_whatever_happens_the_view_never_goes_back_and_catches_up(actions: list[tuple[str, str, bool]]) -> None:
    store = MemoryStore()
    view = View("pods", indexes={"app": by_app})
    newest: dict[str, int] = {}

    def never_back(key: str, old: object, new: object) -> None:
        entry = view.entry(key)
        if entry is not None:
            assert entry.revision > newest.get(key, 0)
            newest[key] = entry.revision

    view.on_change(never_back)
    watch = Watcher(store, view)
    for action, name, is_own in actions:
        act(store, watch, view, action, name, is_own)
        view.check()
    watch.see_all()

    assert {key_of(o): revision_of(o) for o in view.list()} == {key_of(o): revision_of(o) for o in store.list("pods")}
    view.check()


class Watcher:
    """Delivers the store's log to a view, as slowly as it is told to."""

    def __init__(self, store: MemoryStore, view: View) -> None:
        self.store, self.view = store, view
        self.queue: list[WatchEvent] = []
        self.position = 0
        self.relist()

    def relist(self) -> None:
        self.view.begin_list()
        listed = [event("ADDED", obj, revision_of(obj)) for obj in self.store.list("pods")]
        self.queue = [*listed, event("BOOKMARK", {}, self.store.revision)]
        self.position = len(self.store.log)

    def see(self) -> None:
        self.queue += [each for _, each in self.store.log[self.position :]]
        self.position = len(self.store.log)
        if self.queue:
            self.view.apply(self.queue.pop(0), 0.0)

    def cut(self) -> None:
        """The stream ends; it is resumed after the last revision that the view has seen, or begun anew."""
        if not self.view.revision:
            self.relist()
            return
        self.queue = [each for _, each in self.store.log if each.revision > self.view.revision]
        self.position = len(self.store.log)

    def see_all(self) -> None:
        self.see()
        while self.queue:
            self.see()


def act(store: MemoryStore, watch: Watcher, view: View, action: str, name: str, is_own: bool) -> None:
    exists = store.find("pods", "default", name) is not None
    match action:
        case "see":
            watch.see()
        case "cut":
            watch.cut()
        case "relist":
            watch.relist()
        case "create" if not exists:
            stored = store.create("pods", pod(name))
            if is_own:
                view.wrote(stored, 0.0)
        case "touch" if exists:
            stored = store.patch("pods", "default", name, {"metadata": {"labels": {"app": f"app-{store.revision}"}}})
            if is_own:
                view.wrote(stored, 0.0)
        case "delete" if exists:
            uid = store.read("pods", "default", name)["metadata"]["uid"]
            store.delete("pods", "default", name)
            if is_own:
                view.deleted(f"default/{name}", uid, 0.0)
