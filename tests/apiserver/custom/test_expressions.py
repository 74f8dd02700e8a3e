"""Rules of a definition, and what a kube-apiserver 1.36.2 said of each: `expressions.txt`.

A line is the type of the field, the rule, and the causes (of what did not compile: what the compiler said), or null.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from actors.apiserver.cel.validations import Rules
from actors.apiserver.custom.structural import Node
from actors.apiserver.rules.validate.rules import rule_problems

LINES = Path(__file__).with_name("expressions.txt").read_text().splitlines()
TYPES: dict[str, dict[str, Any]] = {"int": {"type": "integer"}, "str": {"type": "string", "maxLength": 10}}
RULES = "x-kubernetes-validations"
FIELDS: dict[str, Any] = {
    "x": {"type": "object", "properties": {"y": {"type": "integer"}}},
    "l": {"type": "array", "items": {"type": "integer"}},
    "m": {"type": "object", "additionalProperties": {"type": "integer"}},
}


def below(schema: dict[str, Any]) -> Node:
    return Node({"type": "object", "properties": {"spec": {"type": "object", "properties": {"a": schema}}}})


def said(schema: dict[str, Any]) -> list[str]:
    return [
        error.body.rpartition(": compilation failed: ")[2] if ": compilation failed: " in error.body else error.body
        for error in rule_problems(below(schema), "spec.validation.openAPIV3Schema")
    ]


def test_expressions_are_refused_as_kubernetes_refuses_them() -> None:
    different = []
    for line in LINES:
        type, rule, expected = json.loads(line)
        if rule.strip() and said({**TYPES[type], RULES: [{"rule": rule}]}) != (expected or []):
            different.append((type, rule, expected, said({**TYPES[type], RULES: [{"rule": rule}]})))

    assert len(LINES) > 250
    assert different == []


@pytest.mark.parametrize("path", ["x", ".nope", ".x.z", ".x[", ".x[0]", ".l[0]", ".m['a'].b", " .x "])
def test_a_path_leads_to_a_field(path: str) -> None:
    rules = Rules(Node({"type": "object", "properties": FIELDS, RULES: [{"rule": "true", "fieldPath": path}]}))

    assert [error.detail for error in rules.problems] == ["must be a valid path"]


@pytest.mark.parametrize(
    ("path", "field"),
    [(".x", "x"), (".x.y", "x.y"), ("['x']", "x"), (".m['a']", "m[a]"), (".m.a", "m[a]"), ("", "<nil>")],
)
def test_an_error_is_at_the_field_that_the_rule_names(path: str, field: str) -> None:
    rules = Rules(Node({"type": "object", "properties": FIELDS, RULES: [{"rule": "false", "fieldPath": path}]}))

    assert rules.problems == []
    assert [error.field for error in rules.errors({})] == [field]


@pytest.mark.parametrize("name", ["self.namespace", "self.__namespace__"])
def test_reserved_words_are_fields_behind_a_dot(name: str) -> None:
    schema = {"type": "object", "properties": {"namespace": {"type": "string"}}, RULES: [{"rule": f"{name} == 'a'"}]}
    rules = Rules(Node(schema))

    assert rules.problems == []
    assert list(rules.errors({"namespace": "a"})) == []
    assert list(rules.errors({"namespace": "b"})) != []


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "integer", "default": -1, RULES: [{"rule": "self > 0", "message": "pos"}]}, "Invalid value: -1: pos"),
        (
            {
                "type": "object",
                "default": {"a": 1},
                "properties": {"a": {"type": "integer"}},
                RULES: [{"rule": "self.a > 3", "message": "pos"}],
            },
            "Invalid value: pos",
        ),
    ],
)
def test_a_default_is_held_against_the_rules(schema: dict[str, Any], message: str) -> None:
    (error,) = rule_problems(below(schema), "spec.validation.openAPIV3Schema")

    assert error.field == "spec.validation.openAPIV3Schema.properties[spec].properties[a].default"
    assert error.body == message
