"""Label and field selectors: the grammar, and what matches."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.rules.selectors import (
    FieldRequirement,
    InvalidSelector,
    Requirement,
    fields_match,
    format_label_selector,
    labels_match,
    map_matches,
    parse_field_selector,
    parse_label_selector,
    selector_matches,
)

KEYS = st.sampled_from(["a", "in", "notin", "x.io/app", "tier"])
VALUES = st.sampled_from(["", "b", "in", "v1.2_3", "5", "12"])
LABELS = st.dictionaries(KEYS, VALUES)


@st.composite
def requirements(draw: st.DrawFn) -> Requirement:
    operator: Any = draw(st.sampled_from(["in", "notin", "exists", "!", "gt", "lt"]))
    if operator in ("exists", "!"):
        return Requirement(draw(KEYS), operator)
    if operator in ("gt", "lt"):
        return Requirement(draw(KEYS), operator, (str(draw(st.integers(0, 20))),))
    return Requirement(draw(KEYS), operator, tuple(sorted(draw(st.sets(VALUES, min_size=1)))))


def test_reads_every_form_of_requirement() -> None:
    assert parse_label_selector("a=b,c!=d, e in (x, y) ,!f,g notin (z),h,i==,j>5,k<6") == [
        Requirement("a", "in", ("b",)),
        Requirement("c", "notin", ("d",)),
        Requirement("e", "in", ("x", "y")),
        Requirement("f", "!"),
        Requirement("g", "notin", ("z",)),
        Requirement("h", "exists"),
        Requirement("i", "in", ("",)),
        Requirement("j", "gt", ("5",)),
        Requirement("k", "lt", ("6",)),
    ]


@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_selector_selects_everything(text: str) -> None:
    assert labels_match(parse_label_selector(text), {"any": "label"})


@pytest.mark.parametrize(
    "text",
    [
        "a=b,",
        ",a",
        "a in x",
        "a in (b",
        "a in b)",
        "=b",
        "a b",
        "a=b c",
        "!a=b",
        "!",
        "a>x",
        "a=b=c",
        "-a=b",
        "a=b_",
        "a/b/c=d",
    ],
)
def test_refuses_what_is_no_selector(text: str) -> None:
    with pytest.raises(InvalidSelector):
        parse_label_selector(text)


@pytest.mark.parametrize(("text", "found"), [("app in w", "w"), ("app in", ""), ("app notin ,b", ",")])
def test_says_what_stands_where_a_list_should(text: str, found: str) -> None:
    with pytest.raises(InvalidSelector, match=rf"unable to parse requirement: found '{found}' expected: '\('"):
        parse_label_selector(text)


QUALIFIED = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
REQUIREMENT = "unable to parse requirement: "
END = "expected: ',' or 'end of string'"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        ("(a)", "found '(', expected: !, identifier, or 'end of string'"),
        ("!", f"{REQUIREMENT}found '', expected: identifier"),
        ("!!a", f"{REQUIREMENT}found '!', expected: identifier"),
        ("!a,", "found '', expected: identifier after ','"),
        ("a,,b", "found ',', expected: identifier after ','"),
        ("a=b=c", f"found '=', {END}"),
        ("!a=b", f"found '=', {END}"),
        ("a in (x)b", f"found 'b', {END}"),
        ("a b", f"{REQUIREMENT}found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a in (", f"{REQUIREMENT}found '', expected: ',', ')' or identifier"),
        ("a in (b,", f"{REQUIREMENT}found '', expected: ',', or identifier"),
        ("a in (b c)", f"{REQUIREMENT}found 'c', expected: ',' or ')'"),
        ("a>=1", f"{REQUIREMENT}found '=', expected: identifier"),
        (
            "a>b",
            f"{REQUIREMENT}values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
        ("-a", f'{REQUIREMENT}<nil>: Invalid value: "-a": name part {QUALIFIED}'),
        ("d/", f'{REQUIREMENT}<nil>: Invalid value: "d/": name part must be non-empty; name part {QUALIFIED}'),
        ("/d", f'{REQUIREMENT}<nil>: Invalid value: "/d": prefix part must be non-empty'),
        (f"a={'v' * 64}", f'{REQUIREMENT}values[0][a]: Invalid value: "{"v" * 64}": must be no more than 63 bytes'),
    ],
)
def test_says_what_a_real_server_says(text: str, said: str) -> None:
    with pytest.raises(InvalidSelector) as refused:
        parse_label_selector(text)

    assert str(refused.value) == said


@given(st.lists(requirements(), max_size=5))
def test_reads_what_it_writes(selector: list[Requirement]) -> None:
    assert parse_label_selector(",".join(str(requirement) for requirement in selector)) == selector


@pytest.mark.parametrize(
    ("selector", "labels", "matches"),
    [
        ("a=b", {"a": "b"}, True),
        ("a=b", {}, False),
        ("a!=b", {}, True),
        ("a notin (b)", {}, True),
        ("a notin (b)", {"a": "b"}, False),
        ("a", {"a": ""}, True),
        ("!a", {"a": ""}, False),
        ("a=", {}, False),
        ("a>5", {"a": "10"}, True),
        ("a<5", {"a": "x"}, False),
        ("a=b,c=d", {"a": "b"}, False),
    ],
)
def test_all_requirements_must_hold(selector: str, labels: dict[str, str], matches: bool) -> None:
    assert labels_match(parse_label_selector(selector), labels) is matches


@given(
    st.dictionaries(KEYS, VALUES, max_size=3),
    KEYS,
    st.sampled_from(["In", "NotIn"]),
    st.sets(VALUES, min_size=1),
    LABELS,
)
def test_a_label_selector_object_means_what_its_text_means(
    wanted: dict[str, str], key: str, operator: str, values: set[str], labels: dict[str, str]
) -> None:
    expression = {"key": key, "operator": operator, "values": sorted(values)}
    selector = {"matchLabels": wanted, "matchExpressions": [expression]}

    by_hand = all(labels.get(k) == v for k, v in wanted.items()) and (labels.get(key) in values) == (operator == "In")

    assert selector_matches(selector, labels) is by_hand
    assert labels_match(parse_label_selector(format_label_selector(selector)), labels) is by_hand


def test_no_selector_matches_nothing_and_an_empty_one_everything() -> None:
    assert not selector_matches(None, {"a": "b"})
    assert selector_matches({}, {"a": "b"})
    assert not map_matches({}, {"a": "b"})
    assert map_matches({"a": "b"}, {"a": "b", "c": "d"})


def test_refuses_an_operator_that_does_not_exist() -> None:
    with pytest.raises(InvalidSelector, match="'Near' is not a valid label selector operator"):
        selector_matches({"matchExpressions": [{"key": "a", "operator": "Near"}]}, {})


def test_reads_field_selectors_with_escapes() -> None:
    assert parse_field_selector(r"spec.nodeName=n1,status.phase!=Running,a==b\,c\=d\\,e=") == [
        FieldRequirement("spec.nodeName", "=", "n1"),
        FieldRequirement("status.phase", "!=", "Running"),
        FieldRequirement("a", "=", "b,c=d\\"),
        FieldRequirement("e", "=", ""),
    ]


@pytest.mark.parametrize("text", ["spec.nodeName", "=x", "a=b=c", "a=b\\"])
def test_refuses_what_is_no_field_selector(text: str) -> None:
    with pytest.raises(InvalidSelector, match="can't understand"):
        parse_field_selector(text)


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("metadata.name=web", True),
        ("spec.nodeName=", True),
        ("spec.nodeName!=n1", True),
        ("spec.unschedulable=false", True),
        ("spec.hostNetwork=true", True),
        ("status.replicas=3", True),
        ("metadata.name=web,status.phase=Running", False),
    ],
)
def test_compares_fields_as_text_and_knows_what_absent_means(selector: str, matches: bool) -> None:
    obj = {"metadata": {"name": "web"}, "spec": {"hostNetwork": True}, "status": {"replicas": 3}}

    assert fields_match(parse_field_selector(selector), obj) is matches
