"""Rules about lists that are sets or maps: equal in any order, merged when they are added, wherever they come from."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkube.cel.list_types import Shape, equal, merged
from tests.apiserver.custom.test_rules import rules, said

TEXTS = {"type": "array", "maxItems": 5, "items": {"type": "string", "maxLength": 5}}
SET = {**TEXTS, "x-kubernetes-list-type": "set"}
NAME = {"type": "string", "maxLength": 5}
ITEM = {"type": "object", "properties": {"na-me": NAME, "n": {"type": "integer"}, "tags": SET}}
MAP = {
    "type": "array",
    "maxItems": 5,
    "items": ITEM,
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["na-me"],
}
BY_NAME = {"type": "object", "maxProperties": 5, "additionalProperties": SET}
PARTS = {"type": "object", "properties": {"a": SET, "plain": TEXTS}}
SCHEMA = {"a": SET, "b": SET, "plain": TEXTS, "m": MAP, "named": BY_NAME, "parts": PARTS}
ONE, TWO = {"na-me": "1", "n": 1, "tags": ["p", "q"]}, {"na-me": "2", "n": 2}
NOW: dict[str, Any] = {
    "a": ["x", "y"],
    "b": ["y", "x"],
    "plain": ["y", "x"],
    "m": [ONE, TWO],
    "named": {"k": ["1", "2"]},
    "parts": {"a": ["1", "2"], "plain": ["1"]},
}
BEFORE: dict[str, Any] = {
    **NOW,
    "m": [TWO, {**ONE, "tags": ["q", "p"]}],
    "named": {"k": ["2", "1"]},
    "parts": {"a": ["2", "1"], "plain": ["1"]},
}

OTHER: dict[str, Any] = {
    **NOW,
    "a": ["x", "z"],
    "m": [{**ONE, "tags": ["p", "r"]}, {**TWO, "n": 3}],
    "named": {"k": ["1", "3"]},
    "parts": {"a": ["1"], "plain": ["1"]},
}


def holds(rule: str, now: Any = NOW, before: Any = BEFORE) -> bool:
    return said(rules(rule, properties=SCHEMA), now, before) == []


@pytest.mark.parametrize(
    "rule",
    [
        "self.a == self.b && !(self.a != self.b)",
        "self.a == self.plain",
        "self.m == oldSelf.m",
        "self.named == oldSelf.named && self.parts == oldSelf.parts",
        "oldSelf == self",
        "self.m[0] == oldSelf.m[1] && self.m[0].tags == oldSelf.m[1].tags",
        "self.named['k'] == oldSelf.named.k",
        "self.m.all(e, oldSelf.m.exists(was, was == e))",
        "self.m.all(i, e, oldSelf.m[1 - i] == e)",
        "self.named.all(k, v, oldSelf.named[k] == v)",
        "self.m.filter(e, e.n == 1) == oldSelf.m.filter(e, e.n == 1)",
        "self.m.map(e, e) == [oldSelf.m[1], oldSelf.m[0]]",
        "[self.a] == [self.b] && {'k': self.a} == {'k': self.b}",
        "self.a in [self.b] && self.m[0] in oldSelf.m && !(self.a in [['x', 'z']])",
        "cel.bind(found, self.a, found == self.b)",
        "dyn(self.a) == self.b",
        "(has(self.a) ? self.a : []) == self.b",
        "self.?a.orValue([]) == self.b && self.?parts.a.orValue([]) == oldSelf.parts.a",
    ],
)
def test_order_does_not_matter_where_a_list_is_a_set_or_a_map(rule: str) -> None:
    assert holds(rule) and not holds(rule, OTHER)


@pytest.mark.parametrize(
    "rule",
    [
        "self.plain != self.a && ['y', 'x'] != ['x', 'y'] && self.plain == self.b",
        "self.m != [] && self.a != ['x'] && self.a != ['x', 'z']",
        "self.a + self.b == self.a && size(self.a + ['z', 'x']) == 3 && (self.a + ['z'])[2] == 'z'",
        "self.plain + self.a == ['y', 'x', 'x', 'y']",
        "self.a + self.plain + self.b == self.a",
        "(self.m + oldSelf.m).map(e, e.__namex) == ['1', '2']",
        "self.a.map(e, e + '!') == ['x!', 'y!'] && 1 + 1 == 2",
    ],
)
def test_sums_are_merged_and_plain_lists_are_what_they_are(rule: str) -> None:
    assert holds(rule.replace("__namex", "na__dash__me"))


def test_the_right_sides_item_takes_the_place_of_the_one_with_its_keys() -> None:
    rule = "(self.m + oldSelf.m).map(e, e.n) == [9, 2, 3] && (self.m + oldSelf.m) == oldSelf.m + [self.m[1]]"
    before = [{"na-me": "3", "n": 3}, {"na-me": "1", "n": 9}]

    assert holds(rule, NOW, {**NOW, "m": before})


def test_an_old_self_that_may_not_be_there_is_compared_by_its_lists() -> None:
    rule = {"rule": "!oldSelf.hasValue() || oldSelf.value().a == self.a", "optionalOldSelf": True}
    compiled = rules(rule, properties=SCHEMA)

    assert said(compiled, NOW) == [] == said(compiled, NOW, {**NOW, "a": ["y", "x"]})
    assert said(compiled, NOW, {**NOW, "a": ["y"]}) != []


def test_a_rule_of_the_list_itself_knows_what_it_is() -> None:
    compiled = rules(properties={"a": {**SET, "x-kubernetes-validations": [{"rule": "self == ['y', 'x']"}]}})

    assert said(compiled, {"a": ["x", "y"]}) == [] and len(said(compiled, {"a": ["x", "z"]})) == 1


@given(st.data())
def test_any_order_of_a_set_is_equal_and_adds_nothing(data: st.DataObject) -> None:
    scalars = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=3))
    values = data.draw(st.lists(scalars, unique_by=lambda each: (isinstance(each, bool), each)))
    other = data.draw(st.permutations(values))

    assert equal(values, other, Shape("set")) and merged(values, other, Shape("set")) == values
    if values:
        assert not equal(values, other[1:], Shape("set")) and not equal(values, [*other[1:], "none"], Shape("set"))


def test_what_python_takes_for_equal_is_not() -> None:
    assert not equal([1], [True], Shape("set")) and not equal([True], [1], None) and equal([1], [1.0], Shape("set"))


def test_a_shape_is_what_its_text_says() -> None:
    from actorkube.cel.list_types import _read

    shape = Shape(fields={"a": Shape("set"), "m": Shape("map", ("x", "y"), Shape(rest=Shape("set")))})

    assert _read(shape.text) == shape
