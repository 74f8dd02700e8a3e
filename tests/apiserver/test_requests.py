"""Reading HTTP requests: paths, query parameters, Accept headers, bodies. Pure."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.apiserver.cache import Cache
from actors.apiserver.custom.served import Served
from actors.apiserver.reads import CURRENT
from actors.apiserver.rest.bodies import decode_body, decode_patch
from actors.apiserver.rest.negotiate import JSON, YAML, Output, negotiate
from actors.apiserver.rest.options import check_options
from actors.apiserver.rest.params import Params
from actors.apiserver.rest.paths import parse_path
from actors.apiserver.rest.repeated import repeated, repeated_fields, repeated_keys
from actors.apiserver.schema.types import Types
from protocols.errors import BadRequest, Invalid, NotAcceptable, UnsupportedMediaType

SERVED = Served(Cache(), Types.load())


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/pods", ("pods", "", "", "")),
        ("/api/v1/namespaces", ("namespaces", "", "", "")),
        ("/api/v1/namespaces/a", ("namespaces", "", "a", "")),
        ("/api/v1/namespaces/a/finalize", ("namespaces", "", "a", "finalize")),
        ("/api/v1/namespaces/a/pods", ("pods", "a", "", "")),
        ("/api/v1/namespaces/a/pods/", ("pods", "a", "", "")),
        ("/api/v1/namespaces/a/pods/b", ("pods", "a", "b", "")),
        ("/api/v1/namespaces/a/pods/b/log", ("pods", "a", "b", "log")),
        ("/apis/apps/v1/deployments", ("deployments.apps", "", "", "")),
        ("/apis/apps/v1/namespaces/a/deployments/b/scale", ("deployments.apps", "a", "b", "scale")),
        ("/api/v1/nodes/n1/status", ("nodes", "", "n1", "status")),
        ("/api/v1", None),
        ("/apis/apps/v1", None),
        ("/apis/apps/v2/deployments", None),
        ("/api/v1/gadgets", None),
        ("/api/v1/namespaces/a/gadgets", ("namespaces", "", "a", "gadgets")),  # which permit() then refuses
        ("/api/v1/namespaces/a/pods/b/proxy/x/y/", ("pods", "a", "b", "proxy")),
        ("/api/v1/watch/pods", ("pods", "", "", "", True)),
        ("/api/v1/watch/namespaces/a/pods/b", ("pods", "a", "b", "", True)),
        ("/api/v1/watch/namespaces", ("namespaces", "", "", "", True)),
        ("/apis/apps/v1/watch/namespaces/a/deployments", ("deployments.apps", "a", "", "", True)),
        ("/api/v1/watch/namespaces/a/pods/b/log", None),
        ("/api/v1/watch", None),
        ("/api/v1/namespaces/a/pods/b/log/x", None),
        ("/api/v1/namespaces/a/pods//log", None),
        ("/healthz", None),
        ("/", None),
    ],
)
def test_a_path_names_a_target(path: str, expected: tuple[str, ...] | None) -> None:
    target = parse_path(SERVED, path)

    found = (target.resource.group_resource, *target[1:]) if target is not None else None
    assert found == expected or (expected is not None and found == (*expected, False))


@given(st.lists(st.sampled_from(["api", "apis", "v1", "apps", "namespaces", "pods", "x", "", "status"]), max_size=9))
def test_any_path_is_a_target_or_none(parts: list[str]) -> None:
    target = parse_path(SERVED, "/" + "/".join(parts))

    assert target is None or target.resource.stored or target.resource.verbs


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        ("true", True),
        ("True", True),
        ("1", True),
        ("t", True),
        ("", True),
        ("false", False),
        ("FALSE", False),
        ("0", False),
    ],
)
def test_flags_are_read_as_go_writes_and_python_spells_them(value: str, meaning: bool) -> None:
    assert Params({"watch": value}).flag("watch") is meaning
    assert Params({}).flag("watch") is False
    assert Params({}).optional_flag("watch") is None


def test_a_list_reads_its_query() -> None:
    given_all = Params({"labelSelector": "a=b", "fieldSelector": "type=x", "limit": "5", "continue": "abc"}).query()
    exact = Params({"resourceVersion": "7", "resourceVersionMatch": "Exact"}).query()

    assert (given_all.labels, given_all.fields, given_all.limit, given_all.token) == ("a=b", "type=x", 5, "abc")
    assert (given_all.revision, exact.revision, exact.exact) == (CURRENT, 7, True)
    assert Params({"resourceVersion": "0"}).query().revision == 0
    assert Params({"fieldSelector": "type=x"}).query("web").fields == "metadata.name=web,type=x"
    with pytest.raises(BadRequest):
        Params({"continue": "abc", "resourceVersion": "7"}).query()


@pytest.mark.parametrize(
    ("verb", "query", "problem"),
    [
        ("list", "resourceVersionMatch=Exact", "resourceVersionMatch is forbidden unless resourceVersion is provided"),
        ("list", "resourceVersion=0&resourceVersionMatch=Exact", 'Match "exact" is forbidden for resourceVersion "0"'),
        ("list", "resourceVersion=7&resourceVersionMatch=Some", 'Unsupported value: "Some": supported values: "Exact"'),
        ("list", "continue=a&resourceVersion=7&resourceVersionMatch=Exact", "is forbidden when continue is provided"),
        ("list", "sendInitialEvents=false", "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"),
        ("deletecollection", "resourceVersionMatch=Exact", "is forbidden unless resourceVersion is provided"),
        ("watch", "sendInitialEvents=true", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
        ("watch", "resourceVersionMatch=NotOlderThan", "is forbidden for watch unless sendInitialEvents is provided"),
        (
            "watch",
            "sendInitialEvents=1&resourceVersionMatch=Exact",
            'Unsupported value: "Exact": supported values: "Not',
        ),
        ("create", "dryRun=Some", 'dryRun: Unsupported value: ["Some"]: supported values: "All"'),
        ("update", "dryRun=", 'dryRun: Unsupported value: [""]: supported values: "All"'),
        ("delete", "dryRun=all", 'dryRun: Unsupported value: ["all"]: supported values: "All"'),
        ("create", "fieldManager=" + "x" * 129, "fieldManager: Too long: may not be more than 128 bytes"),
        ("update", "fieldManager=a%0Ab", "invalid character U+000A (at position 1)"),
        (
            "create",
            "fieldValidation=Some",
            'Unsupported value: "Some": supported values: "", "Ignore", "Strict", "Warn"',
        ),
        ("patch", "force=false", "force: Forbidden: may not be specified for non-apply patch"),
        ("apply", "force=true", "fieldManager: Required value: is required for apply patch"),
    ],
)
def test_options_that_kubernetes_refuses_are_refused_in_its_words(verb: str, query: str, problem: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_options(
            "patch" if verb == "apply" else verb, Params(dict(parse_qsl(query, True))), applies=verb == "apply"
        )

    message = str(refused.value)
    assert 'Options.meta.k8s.io "" is invalid: ' in message and problem in message


@pytest.mark.parametrize(
    ("verb", "query"),
    [
        ("list", "resourceVersion=0&resourceVersionMatch=NotOlderThan"),
        ("list", "resourceVersion=7&resourceVersionMatch=Exact&limit=2"),
        ("watch", "sendInitialEvents=true&resourceVersionMatch=NotOlderThan"),
        ("create", "dryRun=All&fieldManager=me&fieldValidation=Strict"),
        ("apply", "fieldManager=me&force=true"),
        ("get", "resourceVersionMatch=Exact&dryRun=what"),  # who reads one object is not asked
    ],
)
def test_other_options_pass(verb: str, query: str) -> None:
    check_options("patch" if verb == "apply" else verb, Params(dict(parse_qsl(query, True))), applies=verb == "apply")


@pytest.mark.parametrize(
    ("verb", "query", "problem"),
    [
        ("list", "limit=abc", 'strconv.ParseInt: parsing "abc": invalid syntax'),
        ("list", "limit=", 'strconv.ParseInt: parsing "": invalid syntax'),
        ("list", "timeoutSeconds=1_0", 'strconv.ParseInt: parsing "1_0": invalid syntax'),
        ("watch", "timeoutSeconds=1.5", 'strconv.ParseInt: parsing "1.5": invalid syntax'),
        ("watch", "limit=9223372036854775808", 'parsing "9223372036854775808": value out of range'),
        ("deletecollection", "limit=x", 'parsing "x": invalid syntax'),
        ("delete", "gracePeriodSeconds=soon", 'parsing "soon": invalid syntax'),
    ],
)
def test_numbers_that_are_none_are_refused_as_go_does(verb: str, query: str, problem: str) -> None:
    with pytest.raises(BadRequest) as refused:
        check_options(verb, Params(dict(parse_qsl(query, True))))

    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("verb", "query"),
    [("list", "limit=%2B5&timeoutSeconds=-1&timeout=1h30m"), ("watch", "timeout=abc"), ("get", "limit=abc")],
)
def test_numbers_that_nobody_reads_may_be_anything(verb: str, query: str) -> None:
    check_options(verb, Params(dict(parse_qsl(query, True))))


def test_what_a_delete_says_in_its_body_is_not_read_from_its_query() -> None:
    check_options("delete", Params({"gracePeriodSeconds": "soon"}), has_body=True)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", Output(JSON)),
        ("*/*", Output(JSON)),
        ("application/json", Output(JSON)),
        ("application/json; charset=utf-8", Output(JSON)),
        ("application/yaml", Output(YAML)),
        ("text/html, application/yaml;q=0.3, application/json;q=0.9", Output(JSON)),
        ("application/vnd.kubernetes.protobuf, */*", Output(JSON)),
        ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Output(JSON, "Table")),
        ("application/json;as=Table;v=v1beta1;g=meta.k8s.io", Output(JSON, "Table", "v1beta1")),
        ("application/json;as=Chair;v=v1;g=meta.k8s.io, application/json", Output(JSON)),
        ("application/xml", None),
        ("application/json;q=0", None),
    ],
)
def test_the_first_form_that_there_is_wins(accept: str, expected: Output | None) -> None:
    if expected is None:
        with pytest.raises(NotAcceptable):
            negotiate(accept)
    else:
        assert negotiate(accept) == expected


@settings(max_examples=50)
@given(st.text(max_size=60))
def test_any_accept_header_is_an_answer_or_a_refusal(text: str) -> None:
    try:
        negotiate(text)
    except NotAcceptable:
        pass


@settings(deadline=None)  # the first body of a kind imports what reads it
@given(st.binary(max_size=60), st.sampled_from([JSON, YAML, "application/vnd.kubernetes.protobuf", "text/x"]))
def test_any_body_is_a_value_or_a_refusal(body: bytes, content_type: str) -> None:
    try:
        decode_body(body, content_type)
    except (BadRequest, UnsupportedMediaType):
        pass


def test_yaml_says_what_json_would_have_said() -> None:
    body = b"a: 1\nb: 2026-01-01\nc: [x, true, null]\n1: number\n"

    assert decode_body(body, YAML) == {"a": 1, "b": "2026-01-01", "c": ["x", True, None], "1": "number"}
    assert decode_patch(b"a: b", "application/apply-patch+yaml", custom=False) == ("apply", {"a": "b"})


def test_fields_that_a_document_names_twice_are_found_wherever_they_are() -> None:
    body = b'{"a": 1, "b": [{"c": 1}, {"c": {"d": 1, "d": 2}, "c": {"e": 1, "e": 2}}], "a": 2}'

    assert sorted(repeated_fields(body)) == ["a", "b[1].c", "b[1].c.e"]
    assert repeated_fields(b'{"a": {"a": 1}, "b": [[{"a": 1}], 5]}') == []


def test_a_yaml_document_names_a_key_twice_in_a_line() -> None:
    body = b"---\na: &x {b: 1}\nc:\n- d: 1\n  e: *x\n  d: 2\na: 3\n"

    assert repeated_keys(body) == ['line 6: key "d" already set in map', 'line 7: key "a" already set in map']
    assert repeated_keys(b"a: [1, {a: 1}]\n") == repeated_keys(b"") == []


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=3), st.integers(0, 9) | st.lists(st.booleans(), max_size=3), max_size=4))
def test_what_says_nothing_twice_is_seen_to_say_nothing_twice(value: dict[str, object]) -> None:
    for body in (orjson.dumps(value), json.dumps(value, indent=2).encode()):
        assert repeated(body, JSON, value) == []


def _written(pairs: list[tuple[str, object]], escapes: bool) -> str:
    """A JSON object of these pairs, keys that repeat included."""
    return (
        "{"
        + ", ".join(f"{json.dumps(key, ensure_ascii=escapes)}: {_json_of(value, escapes)}" for key, value in pairs)
        + "}"
    )


def _json_of(value: object, escapes: bool) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=escapes).replace(":", r"\u003a" if escapes else ":")
    return _written(value, escapes) if isinstance(value, list) else json.dumps(value)


_KEYS = st.sampled_from(["a", "b", "a:b", "é"])
_VALUES: st.SearchStrategy[object] = st.recursive(
    st.sampled_from([1, None, "x", "a:b", '":"']), lambda inner: st.lists(st.tuples(_KEYS, inner), max_size=3)
)


@settings(deadline=None)
@given(st.lists(st.tuples(_KEYS, _VALUES), max_size=4), st.booleans())
@example([("a", 1), ("a", "a:b")], True)
def test_colons_are_counted_right(pairs: list[tuple[str, object]], escapes: bool) -> None:
    body = _written(pairs, escapes).encode()

    found = repeated(body, JSON, orjson.loads(body))
    assert found == [f'duplicate field "{field}"' for field in repeated_fields(body)]


def test_who_says_a_field_twice_in_one_of_many_is_found_out() -> None:
    body = b'{"data":{"x":"1","x":"2"}}'

    assert repeated(body, JSON, decode_body(body, JSON)) == ['duplicate field "data.x"']
    assert repeated(body, YAML, decode_body(body, YAML)) == ['line 1: key "x" already set in map']
