"""Kept lists against the same model as the watch cache (test_watch_cache.py): whatever was asked for before, what is
found and what is made of it is of now.
"""

from __future__ import annotations

import gzip
import random

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.apiserver.cache import Cache
from actors.apiserver.item import Item
from actors.apiserver.keys import store_key
from actors.apiserver.lists import RUN_KEYS_MAX, Asked, KeptList, KeptLists
from actors.apiserver.rest import gzip as packing
from actors.apiserver.rest.negotiate import Output
from actors.apiserver.rest.parts import PIECE_BYTES, Parts
from actors.apiserver.rest.render import Renderer, items_json
from actors.apiserver.schema.resources import find
from actors.apiserver.selectors import select
from actors.apiserver.tables import Include, table
from actors.apiserver.values import value_of
from protocols import etcd
from protocols.objects import Object, decode_object, encode_object
from tests.apiserver.test_watch_cache import SELECTORS, Model, revision_of_events

PODS = find("pods")
assert PODS is not None
Asking = tuple[int, tuple[str, str, str]]
ALL, OF_WEB = SELECTORS[0], SELECTORS[2]
WEB, DB = ("a/x", "web", "n1", "Running"), ("a/x", "db", "n1", "Running")
OBJECTS, TABLE = Output(), Output(as_kind="Table")
NOW = 1767225600.0
needs_isal = pytest.mark.skipif(not packing.JOINS, reason="isal is not installed")


def found(lists: KeptLists, cache: Cache, selector: tuple[str, str, str], form: str = "") -> KeptList:
    assert PODS is not None
    return lists.find(
        Asked("pods", "v1", form, *selector), cache.of("pods"), select("pods", *selector), PODS, cache.revision
    )


def shown(kept: KeptList) -> dict[str, tuple[bytes, int]]:
    return {item.key: (item.body, item.revision) for item in kept.items()}


def answer(
    kept: KeptList,
    cache: Cache,
    *,
    reads_gzip: bool,
    output: Output = OBJECTS,
    now: float = 0.0,
    include: Include = "None",
) -> bytes:
    reply = Renderer(output, lambda: now, include, reads_gzip=reads_gzip).kept_list(kept, cache.revision)
    assert reply.zipped == reads_gzip
    assert isinstance(reply.body, Parts)
    return gzip.decompress(reply.body.whole()) if reply.zipped else reply.body.whole()


def snapshot(model: Model) -> list[etcd.KeyValue]:
    there = model.states[-1].items()
    return [
        etcd.KeyValue(store_key("pods", key), value_of(body, b"m" * 8), 1, revision, 1)
        for key, (body, revision) in there
    ]


def named(numbers: range | list[int], app: str) -> list[tuple[str, str, str, str]]:
    """Pods that are large enough for a few hundred to be worth compressing."""
    return [(f"a/x{number:04}", app * 200, "n1", "Running") for number in numbers]


@pytest.mark.slow
@settings(max_examples=60)
@given(
    history=st.lists(revision_of_events, min_size=1, max_size=10),
    askings=st.lists(st.tuples(st.integers(0, 9), st.sampled_from(SELECTORS)), min_size=1, max_size=12),
    reloaded_at=st.integers(0, 20),
    events_max=st.sampled_from([2, 8192]),
)
@example([[WEB], ["a/x"]], [(0, ALL), (1, ALL)], 20, 8192)
@example([[WEB], [DB]], [(0, OF_WEB), (1, OF_WEB)], 20, 8192)
@example([[WEB], ["a/x"], [("a/y", "web", "n1", "Running")]], [(0, ALL), (2, ALL)], 1, 8192)
@example([[WEB], ["a/x"], ["a/y"], ["b/x"], [DB]], [(0, ALL), (4, ALL)], 20, 2)
def test_a_kept_list_is_what_is_selected_now(
    history: list, askings: list[Asking], reloaded_at: int, events_max: int
) -> None:
    model, cache, lists = Model(), Cache(log_events_max=events_max), KeptLists()

    for step, changes in enumerate(history):
        events = model.step(changes)
        if step == reloaded_at:
            cache.load(snapshot(model), model.revision)
        else:
            cache.apply(events, model.revision)
        for at, selector in askings:
            if at == step:
                kept = found(lists, cache, selector)
                assert list(shown(kept).items()) == list(model.selected(selector, model.revision).items())
                lists.check()
    cache.check()


@pytest.mark.slow
@needs_isal
def test_what_is_made_of_a_long_list_is_of_now_whatever_was_made_before() -> None:
    model, cache, lists, chance = Model(), Cache(), KeptLists(), random.Random(5)
    cache.apply(model.step(named(range(0, 2000, 2), "w")), model.revision)

    for _ in range(30):
        number = chance.randrange(2000)
        changes: list = named([number], chance.choice("xyz"))
        if chance.random() < 0.5:
            changes = [f"a/x{key:04}" for key in range(number, min(2000, number + chance.choice([1, 90])))]
        cache.apply(model.step(changes), model.revision)
        kept = found(lists, cache, ALL)
        packed = answer(kept, cache, reads_gzip=True)
        assert packed == answer(kept, cache, reads_gzip=False)
        items = orjson.loads(packed)["items"]
        there = model.selected(ALL, model.revision)
        assert [f"a/{item['metadata']['name']}" for item in items] == list(there)
        assert [int(item["metadata"]["resourceVersion"]) for item in items] == [at for _, at in there.values()]
        lists.check()


@pytest.mark.slow
@needs_isal
@pytest.mark.parametrize("include", ["Metadata", "Object"])
def test_a_kept_table_is_of_now_whatever_was_made_before(include: Include) -> None:
    model, cache, lists, chance, now = Model(), Cache(), KeptLists(), random.Random(7), NOW
    cache.apply(model.step(named(range(300), "w")), model.revision)

    for _ in range(15):
        number = chance.randrange(300)
        changes: list = [*named([number], chance.choice("xyz")), *[f"a/x{number + 1:04}"] * chance.randrange(2)]
        cache.apply(model.step(changes), model.revision)
        now += chance.choice([0, 0, 1, 100, 100_000])
        kept = found(lists, cache, ALL, f"Table {include}")
        for reads_gzip in (True, False):
            body = answer(kept, cache, reads_gzip=reads_gzip, output=TABLE, now=now, include=include)
            assert orjson.loads(body) == fresh(model, now, include)
        lists.check()


def fresh(model: Model, now: float, include: Include) -> Object:
    assert PODS is not None
    objects = [decode_object(*there) for there in model.selected(ALL, model.revision).values()]
    return table(PODS, objects, now=now, include=include, revision=str(model.revision))


@needs_isal
def test_of_a_kept_table_nothing_is_made_again_before_an_age_changes() -> None:
    model, cache, lists = Model(), Cache(), KeptLists()
    cache.apply(model.step(named(range(300), "w")), model.revision)

    def packed(now: float) -> list[bool]:
        kept = found(lists, cache, ALL, "Table Metadata")
        before = [run.packed for run in kept.runs]
        answer(kept, cache, reads_gzip=True, output=TABLE, now=now, include="Metadata")
        return [run.packed is was for run, was in zip(kept.runs, before, strict=True)]

    made = packed(NOW)
    again, later = packed(NOW), packed(NOW + 60)

    assert not any(made) and all(again) and not any(later)


@needs_isal
def test_a_change_costs_its_own_run_and_no_other() -> None:
    model, cache, lists = Model(), Cache(), KeptLists()
    cache.apply(model.step(named(range(1000), "w")), model.revision)
    answer(found(lists, cache, ALL), cache, reads_gzip=True)

    cache.apply(model.step(named([500], "x")), model.revision)
    kept = found(lists, cache, ALL)

    assert [500 in range(int(run.keys[0][-4:]), int(run.keys[-1][-4:]) + 1) for run in kept.runs] == [
        run.packed is None for run in kept.runs
    ]
    assert len(kept.runs) == 16


def test_runs_grow_and_shrink_with_the_list() -> None:
    model, cache, lists = Model(), Cache(), KeptLists()
    found(lists, cache, ALL)
    order = list(range(1000))
    random.Random(3).shuffle(order)

    for number in order:
        cache.apply(model.step(named([number], "w")), model.revision)
    grown = found(lists, cache, ALL)
    lists.check()
    assert 1000 // RUN_KEYS_MAX < len(grown.runs) <= 32
    for number in order[:-3]:
        cache.apply(model.step([f"a/x{number:04}"]), model.revision)
    shrunk = found(lists, cache, ALL)

    lists.check()
    assert len(shrunk) == 3 and len(shrunk.runs) <= 3


def test_lists_that_nobody_asks_for_make_room_and_watch_no_longer() -> None:
    model, cache, lists = Model(), Cache(), KeptLists(weight_max=500_000)
    cache.apply(model.step([("a/x", "web", "n1", "Running")]), model.revision)
    found(lists, cache, ALL)

    for number in range(100):
        found(lists, cache, ("", f"app=web{number}", ""))
        found(lists, cache, ALL)
        lists.check()
    watching = cache.of("pods").log.main.watchers

    assert 1 < len(lists) < 10 and watching == len(lists)
    assert list(shown(found(lists, cache, ALL))) == ["a/x"]


def test_a_list_that_is_too_large_to_be_kept_is_answered_all_the_same() -> None:
    model, cache, lists = Model(), Cache(), KeptLists(weight_max=70_000)
    cache.apply(model.step(named(range(100), "w")), model.revision)

    assert len(found(lists, cache, ALL)) == 100
    assert len(list(found(lists, cache, ALL).items())) == 100
    assert len(lists) == 0 and cache.of("pods").log.main.watchers == 0


class Written:
    """A writer that keeps what it is given."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    async def write(self, piece: bytes) -> None:
        self.pieces.append(bytes(piece))


@pytest.mark.parametrize("sizes", [[], [1], [10] * 30_000, [PIECE_BYTES, 1, PIECE_BYTES - 1], [5, 300_000, 7]])
async def test_a_body_is_the_same_in_pieces(sizes: list[int]) -> None:
    chance, written = random.Random(1), Written()
    parts = Parts([chance.randbytes(size) for size in sizes])

    await parts.write(written)  # type: ignore[arg-type]

    same = b"".join(written.pieces) == parts.whole()  # a bool: to show where 300,000 bytes differ takes minutes
    assert same and len(parts) == parts.size == sum(sizes)
    assert all(0 < len(piece) <= PIECE_BYTES for piece in written.pieces)
    assert len(written.pieces) <= 2 * sum(sizes) / PIECE_BYTES + 3


HEADS = ({"apiVersion": "v1", "kind": "Pod"}, {"kind": "Pod", "apiVersion": "v1"})  # in the order of kubectl, or of Go


def test_objects_of_a_list_are_what_is_kept_of_them_without_their_kind() -> None:
    metadata = {"metadata": {"name": "a", "namespace": "d"}}
    said = [*({**head, **metadata, "spec": {}} for head in HEADS), {**metadata, "spec": {}, **HEADS[0]}]
    items = [Item(f"d/{number}", encode_object(obj), 5) for number, obj in enumerate(said)]

    for some in ([], items[:1], items):
        pieces = items_json(PODS, some)
        shown = orjson.loads(b"[" + b"".join(pieces) + b"]")
        assert [[*obj] for obj in shown] == [["metadata", "spec"]] * len(some)
        assert [orjson.loads(item.json())["kind"] for item in some] == ["Pod"] * len(some)
    assert [isinstance(piece, memoryview) for piece in pieces[1::2]] == [True, True, False]  # a list copies nothing
