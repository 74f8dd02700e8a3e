"""The watch cache against a slow, obviously right model: the whole state after every revision, kept for ever."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.apiserver.cache import Cache, Watcher
from actors.apiserver.item import Item
from actors.apiserver.keys import store_key
from actors.apiserver.selectors import select
from actors.apiserver.values import value_of
from protocols import etcd
from protocols.errors import Expired
from protocols.objects import decode_object, encode_object

KEYS = ["a/x", "a/y", "a-b/x", "b/x", "b/y"]
NODES = ["", "n1", "n2"]
APPS = ["web", "db"]
SELECTORS = [
    ("", "", ""),
    ("a", "", ""),
    ("", "app=web", ""),
    ("", "", "spec.nodeName=n1"),
    ("", "", "spec.nodeName="),
    ("", "app!=web", "spec.nodeName=n2"),
    ("a", "", "metadata.name=x"),
    ("", "", "metadata.namespace!=a,status.phase=Running"),
]

State = dict[str, tuple[bytes, int]]

put = st.tuples(
    st.sampled_from(KEYS), st.sampled_from(APPS), st.sampled_from(NODES), st.sampled_from(["Running", "Pending"])
)
# One revision: a key changes at most once in it, as in a transaction of the store. A bare key is a deletion.
revision_of_events = st.lists(
    st.one_of(put, st.sampled_from(KEYS)),
    min_size=1,
    max_size=3,
    unique_by=lambda change: change if isinstance(change, str) else change[0],
)


def test_an_item_shows_what_it_was_encoded_from_as_it_would_show_itself() -> None:
    written = {"kind": "Pod", "metadata": {"name": "x", "resourceVersion": "6", "labels": {"app": "web"}}, "spec": {}}
    told, asked = (Item("x", encode_object(written), 7) for _ in range(2))

    told.show(written)

    assert told.json() == asked.json()
    assert written["metadata"]["resourceVersion"] == "6"


def pod(key: str, app: str, node: str, phase: str) -> bytes:
    namespace, name = key.split("/")
    metadata = {
        "namespace": namespace,
        "name": name,
        "labels": {"app": app},
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    return encode_object({"metadata": metadata, "spec": {"nodeName": node}, "status": {"phase": phase}})


def chosen(selector: tuple[str, str, str], key: str, body: bytes) -> bool:
    """The selectors above, spelt out on whole objects."""
    namespace, labels, fields = selector
    obj, (in_namespace, name) = decode_object(body), key.split("/")
    app, node, phase = obj["metadata"]["labels"]["app"], obj["spec"]["nodeName"], obj["status"]["phase"]
    return (
        namespace in ("", in_namespace)
        and {"": True, "app=web": app == "web", "app!=web": app != "web"}[labels]
        and {
            "": True,
            "spec.nodeName=n1": node == "n1",
            "spec.nodeName=n2": node == "n2",
            "spec.nodeName=": node == "",
            "metadata.name=x": name == "x",
            "metadata.namespace!=a,status.phase=Running": in_namespace != "a" and phase == "Running",
        }[fields]
    )


@dataclass
class Model:
    """`states[r]` is everything that exists after revision r."""

    states: list[State] = field(default_factory=lambda: [{}])

    @property
    def revision(self) -> int:
        return len(self.states) - 1

    def step(self, changes: list[tuple[str, str, str, str] | str]) -> list[etcd.Event]:
        state, events = {**self.states[-1]}, []
        revision = len(self.states)
        for change in changes:
            key = change if isinstance(change, str) else change[0]
            path = store_key("pods", key)
            if isinstance(change, str):
                state.pop(key, None)
                events.append(etcd.Event("delete", etcd.KeyValue(path, b"", 0, revision, 0)))
            else:
                state[key] = (pod(*change), revision)
                events.append(etcd.Event("put", etcd.KeyValue(path, value_of(state[key][0], b"m" * 8), 1, revision, 1)))
        self.states.append(state)
        return events

    def selected(self, selector: tuple[str, str, str], revision: int) -> dict[str, tuple[bytes, int]]:
        state = self.states[revision]
        return {key: state[key] for key in sorted(state) if chosen(selector, key, state[key][0])}

    def changes(self, selector: tuple[str, str, str], since: int) -> list[tuple[str, str, bytes, int]]:
        """What a watcher from `since` must see, from the difference of each two states that follow each other."""
        seen = []
        for revision in range(since + 1, len(self.states)):
            before, after = self.selected(selector, revision - 1), self.selected(selector, revision)
            for key in sorted(before | after):
                if key not in after:
                    seen.append(("DELETED", key, before[key][0], revision))
                elif key not in before:
                    seen.append(("ADDED", key, *after[key]))
                elif after[key] != before[key]:
                    seen.append(("MODIFIED", key, *after[key]))
        return seen


def drained(watcher: Watcher, limit: int) -> list[tuple[str, str, bytes, int]]:
    seen = []
    while changes := watcher.take(limit):
        assert len(changes) <= limit
        seen += [(change.type, change.item.key, change.item.body, change.item.revision) for change in changes]
    return sorted(seen, key=lambda change: (change[3], change[1]))


@pytest.mark.slow
@settings(max_examples=60)
@given(
    history=st.lists(revision_of_events, min_size=1, max_size=14),
    selector=st.sampled_from(SELECTORS),
    opened_at=st.integers(0, 14),
    drained_at=st.sets(st.integers(0, 14)),
    limit=st.integers(1, 4),
)
def test_a_watcher_sees_every_change_of_what_it_selects_in_order(
    history: list, selector: tuple[str, str, str], opened_at: int, drained_at: set[int], limit: int
) -> None:
    model, cache, seen, woken = Model(), Cache(), [], []
    watcher: Watcher | None = None

    for step, changes in enumerate(history):
        if step == opened_at:
            watcher = cache.of("pods").watch(select("pods", *selector), model.revision, lambda: woken.append(1))
        cache.apply(model.step(changes), model.revision)
        if watcher is not None and step in drained_at:
            seen += drained(watcher, limit)
        cache.check()

    if watcher is not None:
        seen += drained(watcher, limit)
        assert seen == model.changes(selector, opened_at)
        watcher.close()
        cache.check()


@pytest.mark.slow
@settings(max_examples=60)
@given(
    history=st.lists(revision_of_events, min_size=1, max_size=12),
    selector=st.sampled_from(SELECTORS),
    limit=st.integers(1, 3),
    interleaved=st.booleans(),
)
def test_pages_of_a_list_are_of_one_revision_however_much_changes_between_them(
    history: list, selector: tuple[str, str, str], limit: int, interleaved: bool
) -> None:
    model, cache = Model(), Cache()
    half = len(history) // 2 if interleaved else len(history)
    for changes in history[:half]:
        cache.apply(model.step(changes), model.revision)
    revision, found, after = cache.revision, {}, ""
    rest = iter(history[half:])

    while True:
        page = cache.of("pods").page(select("pods", *selector), limit, after, revision)
        assert len(page.items) <= limit
        if selector in SELECTORS[:2]:
            there = model.selected(selector, revision)
            assert page.remaining == (sum(key > page.items[-1].key for key in there) if page.items else 0)
        found |= {item.key: (item.body, item.revision) for item in page.items}
        if not page.last:
            break
        after = page.last
        if (changes := next(rest, None)) is not None:
            cache.apply(model.step(changes), model.revision)

    assert found == model.selected(selector, revision)
    assert list(found) == sorted(found)


@settings(max_examples=40)
@given(history=st.lists(revision_of_events, min_size=3, max_size=14), events_max=st.integers(1, 6))
def test_a_bounded_log_answers_from_its_floor_on_and_says_expired_before_it(history: list, events_max: int) -> None:
    model, cache = Model(), Cache(log_events_max=events_max)
    for changes in history:
        cache.apply(model.step(changes), model.revision)
        cache.check()
    floor = cache.of("pods").log.floor

    for revision in range(1, model.revision + 1):
        for selector in (SELECTORS[0], SELECTORS[3]):
            selection = select("pods", *selector)
            if revision < floor:
                with pytest.raises(Expired):
                    cache.of("pods").watch(selection, revision, lambda: None)
                with pytest.raises(Expired):
                    cache.of("pods").page(selection, revision=revision)
            else:
                watcher = cache.of("pods").watch(selection, revision, lambda: None)
                assert drained(watcher, 100) == model.changes(selector, revision)
                page = cache.of("pods").page(selection, revision=revision)
                assert {i.key: (i.body, i.revision) for i in page.items} == model.selected(selector, revision)


def test_watchers_share_what_they_are_told_with_those_who_are_told_the_same() -> None:
    model, cache = Model(), Cache()
    chosen_by = [("", "", ""), ("", "", ""), ("a", "", ""), ("b", "", ""), ("", "app=web", "")]
    watchers = [cache.of("pods").watch(select("pods", *selector), 0, lambda: None) for selector in chosen_by]
    late = cache.of("pods").watch(select("pods"), 0, lambda: None)

    for number in range(20):
        key, app = ("a/x", "web") if number % 3 else ("b/y", "db")
        cache.apply(model.step([(key, app, "n1", "Running")]), model.revision)
        batches = [watcher.take(10) for watcher in watchers]
        for selector, batch in zip(chosen_by, batches, strict=True):
            told = [(change.type, change.item.key, change.item.body, change.item.revision) for change in batch]
            assert told == model.changes(selector, model.revision - 1)
        assert batches[0] is batches[1]
    assert drained(late, 3) == model.changes(("", "", ""), 0)


def test_a_watcher_that_falls_off_the_log_is_told_and_the_others_go_on() -> None:
    model, cache = Model(), Cache(log_events_max=4)
    slow = cache.of("pods").watch(select("pods"), 0, lambda: None)
    quick = cache.of("pods").watch(select("pods"), 0, lambda: None)

    for _ in range(10):
        cache.apply(model.step([("a/x", "web", "n1", "Running")]), model.revision)
        assert len(quick.take(10)) == 1

    with pytest.raises(Expired):
        slow.take(10)


def test_a_log_is_bounded_by_the_bytes_it_holds_too() -> None:
    model, cache = Model(), Cache(log_bytes_max=1000)

    for _ in range(100):
        cache.apply(model.step([("a/x", "web", "n1", "Running")]), model.revision)

    kept = cache.of("pods").log.main.newest_first()
    assert 0 < sum(len(event.item.body) for event in kept) <= 1000


def test_a_watcher_is_woken_once_for_what_came_while_it_was_idle() -> None:
    model, cache, woken = Model(), Cache(), []
    watcher = cache.of("pods").watch(select("pods", "", "", "spec.nodeName=n1"), 0, lambda: woken.append(1))
    assert watcher.take(1) == []

    cache.apply(model.step([("a/x", "web", "n2", "Running")]), model.revision)
    assert woken == []  # another node's pod
    cache.apply(model.step([("a/x", "web", "n1", "Running"), ("a/y", "web", "n1", "Running")]), model.revision)
    cache.apply(model.step([("b/x", "web", "n1", "Running")]), model.revision)

    assert woken == [1]
    assert len(watcher.take(10)) == 3


def test_a_closed_watcher_is_not_woken_and_leaves_nothing_behind() -> None:
    model, cache, woken = Model(), Cache(), []
    for _ in range(100):
        watcher = cache.of("pods").watch(select("pods", "", "", "spec.nodeName=n9"), 0, lambda: woken.append(1))
        assert watcher.take(1) == []
        watcher.close()

    cache.apply(model.step([("a/x", "web", "n9", "Running")]), model.revision)

    assert woken == []
    topic, _ = cache.of("pods").log.open("n9", cache.revision)
    assert topic.watchers == 1
    cache.check()


def test_a_new_snapshot_ends_the_watches_that_cannot_know_what_happened_in_between() -> None:
    model, cache, woken = Model(), Cache(), []
    cache.apply(model.step([("a/x", "web", "n1", "Running")]), model.revision)
    watcher = cache.of("pods").watch(select("pods"), 1, lambda: woken.append(1))
    assert watcher.take(10) == []

    value = value_of(pod("b/y", "db", "n2", "Pending"), b"m" * 8)
    cache.load([etcd.KeyValue(store_key("pods", "b/y"), value, 5, 7, 1)], 9)

    assert woken == [1]
    with pytest.raises(Expired):
        watcher.take(10)
    assert [item.key for item in cache.of("pods").page(select("pods")).items] == ["b/y"]
    with pytest.raises(Expired):
        cache.of("configmaps").watch(select("configmaps"), 8, lambda: None)
    cache.check()


def test_what_a_resumed_stream_repeats_is_known_already() -> None:
    model, cache = Model(), Cache()
    events = model.step([("a/x", "web", "n1", "Running")])
    cache.apply(events, 1)
    watcher = cache.of("pods").watch(select("pods"), 0, lambda: None)

    cache.apply(events, 1)

    assert len(watcher.take(10)) == 1 and watcher.take(10) == []


def test_claims_are_no_objects_but_who_holds_what() -> None:
    cache = Cache()
    claim = etcd.KeyValue(b"/registry/claims/clusterip/127.66.0.9", b"services/default/web/uid", 1, 1, 1)

    cache.apply([etcd.Event("put", claim)], 1)
    assert cache.claims == {"clusterip": {"127.66.0.9": "services/default/web/uid"}}
    cache.apply([etcd.Event("delete", etcd.KeyValue(claim.key, b"", 0, 2, 0))], 2)

    assert cache.claims == {"clusterip": {}}
    cache.check()
