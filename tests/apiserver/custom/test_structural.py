"""Pruning, defaults and validation of custom objects: tables, and properties against a slow and obvious model."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.apiserver.custom.columns import NoPath, path
from actors.apiserver.custom.judge import errors
from actors.apiserver.custom.structural import Node, fill, prune
from actors.apiserver.custom.version import priority

NAMES = st.sampled_from("abc")
SCALARS = st.one_of(st.integers(-3, 3), st.sampled_from(["", "x"]), st.booleans())
VALUES = st.recursive(
    st.one_of(SCALARS, st.none()),
    lambda below: st.one_of(st.lists(below, max_size=2), st.dictionaries(NAMES, below, max_size=3)),
    max_leaves=8,
)


@st.composite
def scalar_schemas(draw: st.DrawFn) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": draw(st.sampled_from(["integer", "string", "boolean"]))}
    if draw(st.booleans()):
        schema["default"] = {"integer": 2, "string": "x", "boolean": True}[schema["type"]]
    if draw(st.booleans()):
        schema["nullable"] = True
    if schema["type"] == "integer" and draw(st.booleans()):
        schema["minimum"] = 0
    return schema


def composed(below: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    objects = st.fixed_dictionaries(
        {"type": st.just("object"), "properties": st.dictionaries(NAMES, below, max_size=3)},
        optional={
            "required": st.lists(NAMES, max_size=2, unique=True),
            "x-kubernetes-preserve-unknown-fields": st.just(True),
        },
    )
    maps = st.fixed_dictionaries({"type": st.just("object"), "additionalProperties": below})
    arrays = st.fixed_dictionaries({"type": st.just("array"), "items": below})
    return st.one_of(objects, maps, arrays)


SCHEMAS = st.recursive(scalar_schemas(), composed, max_leaves=8)
ROOTS = st.fixed_dictionaries({"type": st.just("object"), "properties": st.dictionaries(NAMES, SCHEMAS, max_size=3)})
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=3)


# -- the model: one function a rule, a new value each time, the schema read again at every step ------------------------


def below(schema: dict[str, Any] | None, key: str) -> dict[str, Any] | None:
    if schema is None:
        return None
    return (schema.get("properties") or {}).get(key) or schema.get("additionalProperties")


def model_pruned(schema: dict[str, Any] | None, value: Any) -> Any:
    if isinstance(value, list):
        if schema is not None and "items" not in schema and schema.get("x-kubernetes-preserve-unknown-fields"):
            return value
        return [model_pruned((schema or {}).get("items"), item) for item in value]
    if not isinstance(value, dict):
        return value
    keeps = schema is not None and schema.get("x-kubernetes-preserve-unknown-fields")
    return {
        key: model_pruned(below(schema, key), item) if below(schema, key) is not None else item
        for key, item in value.items()
        if below(schema, key) is not None or keeps
    }


def model_filled(schema: dict[str, Any] | None, value: Any) -> Any:
    if schema is None:
        return value
    if value is None and "default" in schema and not schema.get("nullable"):
        return schema["default"]
    if isinstance(value, list):
        return [model_filled(schema.get("items"), item) for item in value]
    if not isinstance(value, dict):
        return value
    properties = schema.get("properties") or {}
    said = {key: item for key, item in value.items() if not (item is None and model_is_nothing(schema, key))}
    defaults = {key: each["default"] for key, each in properties.items() if "default" in each and key not in said}
    return {key: model_filled(below(schema, key), item) for key, item in {**said, **defaults}.items()}


def model_is_nothing(schema: dict[str, Any], key: str) -> bool:
    """Whether a null there is as good as no field: none may be there, nor is it one of many, which have a default."""
    place, one_of_many = below(schema, key), key not in (schema.get("properties") or {})
    return place is not None and not place.get("nullable") and not (one_of_many and "default" in place)


def model_valid(schema: dict[str, Any] | None, value: Any) -> bool:
    if schema is None or (value is None and schema.get("nullable")):
        return True
    types = {"integer": int, "string": str, "boolean": bool, "object": dict, "array": list}
    if type(value) is not types[schema["type"]]:
        return False
    if schema["type"] == "integer":
        return bool(value >= schema.get("minimum", value))
    if isinstance(value, list):
        return all(model_valid(schema.get("items"), item) for item in value)
    if isinstance(value, dict):
        present = all(key in value for key in schema.get("required") or ())
        return present and all(model_valid(below(schema, key), item) for key, item in value.items())
    return True


@example(
    {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "object", "properties": {}}}}},
    {"a": [{"b": 1}]},
)
@given(ROOTS, OBJECTS)
def test_what_is_not_specified_goes_and_nothing_else(schema: dict[str, Any], obj: dict[str, Any]) -> None:
    before, expected = copy.deepcopy(obj), model_pruned(schema, copy.deepcopy(obj))

    gone = prune(Node(schema), obj)

    assert obj == expected
    assert bool(gone) == (obj != before)
    assert prune(Node(schema), obj) == []


@example({"type": "object", "properties": {"a": {"type": "integer"}}}, {"a": None})
@given(ROOTS, OBJECTS)
def test_defaults_stand_where_nothing_is_said_and_once_is_enough(schema: dict[str, Any], obj: dict[str, Any]) -> None:
    expected = model_filled(schema, copy.deepcopy(obj))

    fill(Node(schema), obj)

    assert obj == expected
    fill(Node(schema), obj)
    assert obj == expected


@given(ROOTS, OBJECTS)
def test_an_object_is_right_exactly_when_the_model_says_so(schema: dict[str, Any], obj: dict[str, Any]) -> None:
    found = list(errors(Node(schema), obj))

    assert (not found) == model_valid(schema, obj)


@given(ROOTS, OBJECTS, OBJECTS)
def test_what_did_not_change_is_never_wrong(schema: dict[str, Any], obj: dict[str, Any], old: dict[str, Any]) -> None:
    node = Node(schema)

    found = {each.field for each in errors(node, obj, old)}

    assert list(errors(node, obj, copy.deepcopy(obj))) == []
    assert found <= {each.field for each in errors(node, obj)}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (".spec.a", [1]),
        (".spec.none", []),
        (".spec.list[0].n", ["x"]),
        (".spec.list[-1].n", ["y"]),
        (".spec.list[*].n", ["x", "y"]),
        ('.spec.list[?(@.n=="y")].v', [2]),
        (".metadata.labels.example\\.com/a", ["b"]),
        (".metadata.labels['example.com/a']", ["b"]),
    ],
)
def test_columns_find_what_their_paths_say(text: str, found: list[Any]) -> None:
    obj = {
        "metadata": {"labels": {"example.com/a": "b"}},
        "spec": {"a": 1, "list": [{"n": "x", "v": 1}, {"n": "y", "v": 2}]},
    }

    assert path(text)(obj) == found


@pytest.mark.parametrize("text", ["spec", ".spec[", ".spec[?(", "{.spec}", "."])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(NoPath):
        path(text)


def test_the_newest_stable_version_is_preferred() -> None:
    versions = ["foo1", "v1beta1", "v10", "v2", "v1alpha1", "foo10", "v11beta2", "v3beta1"]

    versions.sort(key=priority, reverse=True)

    assert versions == ["v10", "v2", "v11beta2", "v3beta1", "v1beta1", "v1alpha1", "foo1", "foo10"]
