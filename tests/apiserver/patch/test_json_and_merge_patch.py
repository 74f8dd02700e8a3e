"""JSON patch and JSON merge patch."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.apiserver.patch import apply_patch, touches
from protocols.api import PatchType
from protocols.errors import BadRequest, Invalid, NotFound, RequestEntityTooLarge
from tests.apiserver.patch.objects import CONFIG_MAPS, NOW, TYPES, config_map
from tests.effort import examples

keys = st.sampled_from(["a", "b", "c"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(keys, json_values, max_size=3)
pointers = st.lists(keys | st.sampled_from(["0", "1", "-", ""]), max_size=3).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)
operations = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "test", "move", "copy", "nonsense"]), "path": pointers},
    optional={"value": json_values, "from": pointers},
)

directives = st.sampled_from([{}, {"$patch": "replace"}, {"$patch": "delete"}, {"$retainKeys": ["a"]}])
patches = st.one_of(
    st.tuples(st.just("merge"), documents | json_values),
    st.tuples(st.just("json"), st.lists(operations, max_size=3) | json_values),
    st.builds(lambda patch, more: ("strategic", {**patch, **more}), documents, directives),
)


def patched(type: Any, current: Any, patch: Any) -> Any:
    return apply_patch(TYPES, CONFIG_MAPS, type, current, patch, manager="me", force=False, now=NOW)


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2, word for word."""
    if not isinstance(patch, dict):
        return patch
    if not isinstance(target, dict):
        target = {}
    result = dict(target)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


@settings(max_examples=examples(100), deadline=None)
@given(documents, documents)
def test_a_merge_patch_merges_as_its_rfc_says_and_leaves_its_arguments_alone(current: Any, patch: Any) -> None:
    before = copy.deepcopy((current, patch))

    result = patched("merge", current, patch)

    assert result == merged(current, patch)
    assert (current, patch) == before


@pytest.mark.parametrize("type", ["merge", "json", "strategic"])
def test_what_a_patch_leaves_is_not_copied_and_what_it_changes_is(type: PatchType) -> None:
    current = {"data": {"a": "1"}, "metadata": {"labels": {"b": "1"}}}
    before, patch = copy.deepcopy(current), {"data": {"a": "2"}}
    sent = [{"op": "replace", "path": "/data/a", "value": "2"}] if type == "json" else patch

    result = patched(type, current, sent)

    assert result == {**before, "data": {"a": "2"}}
    assert result["metadata"] is current["metadata"]
    assert current == before


@settings(max_examples=examples(100), deadline=None)
@given(documents, patches)
def test_what_a_patch_does_not_touch_is_the_same_value_as_before(current: Any, sent: tuple[PatchType, Any]) -> None:
    type, patch = sent
    before = copy.deepcopy(current)

    try:
        result = patched(type, current, patch)
    except (Invalid, BadRequest):
        result = current

    assert current == before
    for key, value in before.items():
        assert touches(key, type, patch) or result.get(key) is current[key] == value


def test_the_result_of_a_merge_patch_shares_nothing_with_the_patch() -> None:
    patch = {"data": {"list": [{"a": 1}]}}

    patched("merge", {}, patch)["data"]["list"][0]["a"] = 2

    assert patch == {"data": {"list": [{"a": 1}]}}


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(documents, st.lists(operations, max_size=3))
def test_any_json_patch_is_applied_whole_or_refused_and_never_a_bug(current: Any, patch: Any) -> None:
    before = copy.deepcopy(current)

    try:
        result = patched("json", current, patch)
    except (Invalid, BadRequest):
        result = None

    assert current == before
    assert result is None or isinstance(result, dict)


def test_a_json_patch_adds_replaces_removes_moves_and_tests() -> None:
    patch = [
        {"op": "test", "path": "/metadata/name", "value": "settings"},
        {"op": "replace", "path": "/data/a", "value": "2"},
        {"op": "add", "path": "/metadata/labels", "value": {"x~y": "z"}},
        {"op": "remove", "path": "/metadata/labels/x~0y"},
        {"op": "move", "from": "/data/b", "path": "/data/c"},
    ]

    result = patched("json", config_map({"a": "1", "b": "3"}), patch)

    assert result["data"] == {"a": "2", "c": "3"}
    assert result["metadata"]["labels"] == {}


@pytest.mark.parametrize("before", [[], [{"op": "add", "path": "/data/z", "value": "z"}]])
@pytest.mark.parametrize(
    ("operation", "why"),
    [
        (
            {"op": "test", "path": "/metadata/name", "value": "other"},
            "value /metadata/name failed: test failed",
        ),
        ({"op": "test", "path": "/data/no", "value": "other"}, "testing value /data/no failed: test failed"),
        (
            {"op": "remove", "path": "/data/mi~1ng"},
            "error in remove for path: '/data/mi~1ng': Unable to remove nonexistent key: mi/ng: missing value",
        ),
        (
            {"op": "remove", "path": "/nowhere/deep"},
            'remove operation does not apply: doc is missing path: "/nowhere/deep": missing value',
        ),
        (
            {"op": "remove", "path": "/metadata/finalizers/0"},
            'remove operation does not apply: doc is missing path: "/metadata/finalizers/0": missing value',
        ),
        (
            {"op": "replace", "path": "/metadata/labels/2", "value": "x"},
            "replace operation does not apply: doc is missing path: /metadata/labels/2: missing value",
        ),
        (
            {"op": "replace", "path": "/nowhere/deep", "value": "x"},
            "replace operation does not apply: doc is missing path: /nowhere/deep: missing value",
        ),
        (
            {"op": "add", "path": "/nowhere/deep", "value": "x"},
            'add operation does not apply: doc is missing path: "/nowhere/deep": missing value',
        ),
        ({"op": "add", "path": "/data/a/b", "value": "x"}, "add operation does not apply: "),
        (
            {"op": "copy", "from": "/data/missing", "path": "/data/b"},
            "copy operation does not apply: doc is missing from path: /data/missing: missing value",
        ),
        ({"op": "replace", "path": "", "value": []}, "is not an object"),
    ],
)
def test_an_operation_that_does_not_apply_refuses_the_patch_and_tells_nothing_of_the_object(
    operation: dict[str, Any], why: str, before: list[Any]
) -> None:
    with pytest.raises(Invalid, match=f"the server rejected our request due to an error in our request: .*{why}") as no:
        patched("json", config_map({"a": "secret"}), [*before, operation])

    assert "secret" not in str(no.value) and "settings" not in str(no.value)


LAST = "/metadata/finalizers/-1"


@pytest.mark.parametrize(
    ("operation", "finalizers"),
    [
        ({"op": "remove", "path": LAST}, ["a/b"]),
        ({"op": "remove", "path": "/metadata/finalizers/-2"}, ["c/d"]),
        ({"op": "remove", "path": "/metadata/finalizers/-0"}, ["c/d"]),
        ({"op": "remove", "path": "/metadata/finalizers/01"}, ["a/b"]),
        ({"op": "remove", "path": "/metadata/finalizers/-3"}, None),
        ({"op": "remove", "path": "/metadata/finalizers/-"}, None),
        ({"op": "remove", "path": "/metadata/finalizers/x"}, None),
        ({"op": "replace", "path": LAST, "value": "x/y"}, ["a/b", "x/y"]),
        ({"op": "replace", "path": "/metadata/finalizers/2", "value": "x/y"}, None),
        ({"op": "add", "path": LAST, "value": "x/y"}, ["a/b", "c/d", "x/y"]),
        ({"op": "add", "path": "/metadata/finalizers/-3", "value": "x/y"}, ["x/y", "a/b", "c/d"]),
        ({"op": "add", "path": "/metadata/finalizers/-4", "value": "x/y"}, None),
        ({"op": "add", "path": "/metadata/finalizers/+1", "value": "x/y"}, ["a/b", "x/y", "c/d"]),
        ({"op": "test", "path": LAST, "value": "c/d"}, ["a/b", "c/d"]),
        ({"op": "test", "path": LAST, "value": "a/b"}, None),
        ({"op": "test", "path": "/data/missing"}, ["a/b", "c/d"]),
        ({"op": "test", "path": "/data/missing", "value": None}, ["a/b", "c/d"]),
        ({"op": "test", "path": "/data/k"}, None),
        ({"op": "test", "path": "data"}, None),
        ({"op": "move", "from": LAST, "path": "/metadata/finalizers/0"}, ["c/d", "a/b"]),
        ({"op": "move", "from": "/metadata/finalizers/0", "path": LAST}, ["c/d", "a/b"]),
        ({"op": "move", "from": "/metadata/finalizers/-3", "path": "/metadata/finalizers/0"}, None),
        ({"op": "copy", "from": "/metadata/finalizers/-2", "path": LAST}, ["a/b", "c/d", "a/b"]),
        ({"op": "copy", "from": "/metadata/finalizers/-3", "path": LAST}, None),
        ({"op": "copy", "from": "/metadata/finalizers/-", "path": "/data/k"}, None),
        ({"op": "test", "path": "/metadata/finalizers/-", "value": "a/b"}, None),
        ({"op": "move", "path": "/data/k"}, None),
        ({"op": "add", "path": "", "value": {}}, None),
        ({"op": "remove", "path": ""}, None),
        ({"op": "add", "value": {}}, None),
        ({"path": "/data", "value": {}}, None),
        ({"op": "nope", "path": "/data", "value": {}}, None),
        ({"op": "add", "path": "data", "value": {}}, None),
    ],
)
def test_a_json_patch_is_taken_as_kubernetes_library_takes_it(
    operation: dict[str, Any], finalizers: list[str] | None
) -> None:
    """As a kube-apiserver 1.36.2 was seen to answer; None: refused."""
    current = config_map({"k": "v"})
    current["metadata"]["finalizers"] = ["a/b", "c/d"]

    if finalizers is None:
        with pytest.raises(Invalid, match="the server rejected our request due to an error in our request"):
            patched("json", current, [operation])
    else:
        assert patched("json", current, [operation])["metadata"]["finalizers"] == finalizers


def test_a_json_patch_replaces_what_is_not_there_and_adds_null_for_a_value_that_is_not_given() -> None:
    patch = [{"op": "replace", "path": "/data/new", "value": "x"}, {"op": "add", "path": "/data/empty"}]

    assert patched("json", config_map({}), patch)["data"] == {"new": "x", "empty": None}


@pytest.mark.parametrize("patch", [{"op": "add"}, ["add"], [{"path": 1, "op": "add"}]])
def test_what_is_no_json_patch_is_a_bad_request(patch: Any) -> None:
    with pytest.raises(BadRequest):
        patched("json", config_map({}), patch)


def test_a_json_patch_has_at_most_ten_thousand_operations() -> None:
    with pytest.raises(RequestEntityTooLarge):
        patched("json", config_map({}), [{"op": "test", "path": "", "value": 1}] * 10_001)


def test_only_an_apply_makes_something_of_nothing() -> None:
    with pytest.raises(NotFound):
        patched("merge", None, {})


def test_a_patch_that_is_no_object_is_a_bad_request() -> None:
    with pytest.raises(BadRequest):
        patched("merge", config_map({}), ["x"])
