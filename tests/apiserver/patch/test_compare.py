"""Which fields differ, against sets of paths that are written out and subtracted."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.apiserver.patch.compare import compare
from actors.apiserver.patch.fields import key_step, paths, value_step
from actors.apiserver.patch.structure import field_set
from tests.apiserver.patch.objects import DEPLOYMENTS, TYPES, containers_of, with_containers

TYPE = TYPES.of(DEPLOYMENTS)

words = st.sampled_from(["a", "b", "c"])
env_items = st.fixed_dictionaries({"name": words}, optional={"value": words})
containers = st.fixed_dictionaries(
    {"name": words},
    optional={
        "image": words,
        "args": st.lists(words, max_size=2),
        "env": st.lists(env_items, max_size=3, unique_by=lambda item: item["name"]),
    },
)
objects = st.builds(
    lambda items, labels, finalizers, replicas: {
        **with_containers(*items, nodeSelector=labels),
        "metadata": {"labels": labels, "finalizers": finalizers},
        **({} if replicas is None else {"status": {"replicas": replicas}}),
    },
    st.lists(containers, max_size=3, unique_by=lambda item: item["name"]),
    st.dictionaries(words, words, max_size=2),
    st.lists(words, max_size=2, unique=True),
    st.none() | st.integers(0, 2),
)

# How the objects above divide, said again for the test. Everything else is a leaf.
KEYED = {"containers": "name", "env": "name"}
SETS = {"finalizers"}
ATOMIC = {"args", "nodeSelector"}
NEVER_OWNED = {"metadata", "spec", "template", "status"}


def written_out(value: Any, path: tuple[str, ...] = (), name: str = "") -> dict[tuple[str, ...], Any]:
    """Every path of an object with its value; what divides has no value of its own."""
    found: dict[tuple[str, ...], Any] = {}
    divides = (isinstance(value, dict) and name not in ATOMIC) or name in KEYED or name in SETS
    if path and name not in NEVER_OWNED:
        found[path] = None if divides and value else value
    if isinstance(value, dict) and divides:
        for key, item in value.items():
            found |= written_out(item, (*path, f"f:{key}"), key)
    elif name in KEYED:
        for item in value:
            found |= written_out(item, (*path, key_step({KEYED[name]: item[KEYED[name]]})))
    elif name in SETS:
        found |= {(*path, value_step(item)): item for item in value}
    return found


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(objects, objects)
def test_a_comparison_is_the_difference_of_the_written_out_fields(old: Any, new: Any) -> None:
    before, after = written_out(old), written_out(new)

    found = compare(TYPE, old, new)

    assert set(paths(found.added)) == after.keys() - before.keys()
    assert set(paths(found.removed)) == before.keys() - after.keys()
    shared = before.keys() & after.keys()
    emptied = {path for path in shared if before[path] != after[path] and None in (before[path], after[path])}
    assert set(paths(found.modified)) == {path for path in shared if before[path] != after[path]} - emptied


@settings(deadline=None)
@given(objects)
def test_every_leaf_and_every_item_is_a_field_but_not_the_objects_around_them(obj: Any) -> None:
    fields = set(paths(field_set(TYPE, obj)))

    everything = written_out(obj)
    leaves = {path for path, value in everything.items() if value is not None and value != []}
    items = {path for path in everything if path[-1][0] in "kv"}
    empty_leaves = {path for path in everything if path[-1] == "f:args"}
    assert fields == leaves | items | empty_leaves


def test_two_items_with_one_key_are_one_thing() -> None:
    twice = with_containers({"name": "web", "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]})
    once = with_containers({"name": "web", "env": [{"name": "A", "value": "2"}]})

    changes = compare(TYPE, twice, once)

    item = ("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"web"}', "f:env", 'k:{"name":"A"}')
    assert item in set(paths(changes.removed))
    assert {item, (*item, "f:value")} <= set(paths(changes.added))
    assert not compare(TYPE, twice, twice)


def test_a_list_whose_items_lack_their_keys_is_compared_as_a_whole() -> None:
    old, new = with_containers({"image": "a"}), with_containers({"image": "b"})

    changes = compare(TYPE, old, new)

    assert [path[-1] for path in paths(changes.modified)] == ["f:containers"]
    assert containers_of(new) == [{"image": "b"}]
