"""Rules of custom resources in CEL: what compiles, what holds, and in whose words what does not is refused."""

from __future__ import annotations

from typing import Any

import pytest

from actorkube.cel.engine import CompileError, EvaluationError
from actors.apiserver.cel.environment import Environment
from actors.apiserver.cel.validations import Rules
from actors.apiserver.custom.structural import Node
from protocols.errors import Invalid
from protocols.objects import Object
from tests.apiserver.custom.widgets import CRDS, WIDGETS, definition, widget
from tests.apiserver.world import World


def rules(*written: Object | str, **schema: Any) -> Rules:
    validations = [{"rule": each} if isinstance(each, str) else each for each in written]
    spec = {"type": "object", "x-kubernetes-validations": validations, **schema}
    return Rules(Node({"type": "object", "properties": {"spec": spec}}))


def said(compiled: Rules, spec: Any, old: Any = None) -> list[str]:
    assert compiled.problems == []
    return [str(each) for each in compiled.errors({"spec": spec}, {"spec": old} if old is not None else None)]


INTEGERS = {"min": {"type": "integer"}, "max": {"type": "integer"}}


# -- what is said -----------------------------------------------------------------------------------------------------


def test_a_rule_that_does_not_hold_is_named_by_its_message_or_itself() -> None:
    compiled = rules(
        "self.min <= self.max",
        {"rule": "self.min > 0", "message": "min must be positive", "reason": "FieldValueForbidden"},
        {"rule": "self.max < 10", "messageExpression": "'%d is too many'.format([self.max])", "fieldPath": ".max"},
        properties=INTEGERS,
    )

    assert said(compiled, {"min": 1, "max": 2}) == []
    assert said(compiled, {"min": 0, "max": -1}) == [
        "spec: Invalid value: failed rule: self.min <= self.max",
        "spec: Forbidden: min must be positive",
    ]
    assert said(compiled, {"min": 1, "max": 12}) == ["spec.max: Invalid value: 12 is too many"]


def test_a_scalar_that_breaks_a_rule_is_shown() -> None:
    compiled = rules(properties={"n": {"type": "integer", "x-kubernetes-validations": [{"rule": "self % 2 == 0"}]}})

    assert said(compiled, {"n": 3}) == ["spec.n: Invalid value: 3: failed rule: self % 2 == 0"]


def test_a_rule_that_cannot_be_evaluated_says_why() -> None:
    compiled = rules("self.min > 1", {"rule": "1 / self.max > 0", "message": "told"}, properties=INTEGERS)

    assert said(compiled, {"max": 0}) == [
        'spec: Invalid value: "object": no such key: min evaluating rule: self.min > 1',
        'spec: Invalid value: "object": division by zero evaluating rule: told',
    ]


@pytest.mark.parametrize(
    ("rule", "detail"),
    [
        ("self.nope > 1", "compilation failed: ERROR: <input>:1:5: undefined field 'nope'"),
        (
            "self.min == 'a'",
            "compilation failed: ERROR: <input>:1:10: found no matching overload for '_==_' applied to",
        ),
        ("self.min +", "compilation failed: ERROR: <input>:1:11: Syntax error: mismatched input '<EOF>'"),
        ("self.min + 1", "cel expression must evaluate to a bool"),
        ("foo == 1", "compilation failed: ERROR: <input>:1:1: undeclared reference to 'foo'"),
        ("oldSelf.min == self.min && self.metadata.name == 'x'", "undefined field 'metadata'"),
    ],
)
def test_what_does_not_compile_says_where(rule: str, detail: str) -> None:
    (problem,) = rules(rule, properties=INTEGERS).problems

    assert problem.field == ".properties[spec].x-kubernetes-validations[0].rule"
    assert detail in problem.detail


# -- old and new ------------------------------------------------------------------------------------------------------


def test_a_transition_rule_holds_for_changes_only() -> None:
    immutable = {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "is immutable"}]}
    compiled = rules(properties={"class": immutable})

    assert said(compiled, {"class": "a"}) == []
    assert said(compiled, {"class": "b"}, {}) == []
    assert said(compiled, {"class": "a"}, {"class": "a"}) == []
    assert said(compiled, {"class": "b"}, {"class": "a"}) == ['spec.class: Invalid value: "b": is immutable']


def test_an_optional_old_self_is_asked_from_the_beginning() -> None:
    rule = {"rule": "oldSelf.hasValue() || self.min == 0", "optionalOldSelf": True, "message": "starts at 0"}
    compiled = rules(rule, properties=INTEGERS)

    assert said(compiled, {"min": 1}) == ["spec: Invalid value: starts at 0"]
    assert said(compiled, {"min": 0}) == []
    assert said(compiled, {"min": 1}, {"min": 0}) == []


def test_what_did_not_change_is_not_refused_by_a_rule_that_is_newer() -> None:
    lower = {"type": "string", "x-kubernetes-validations": [{"rule": "self.matches('^[a-z]+$')"}]}
    compiled = rules(properties={"a": lower, "b": lower})

    assert said(compiled, {"a": "A", "b": "x"}, {"a": "A"}) == []
    assert len(said(compiled, {"a": "B"}, {"a": "A"})) == 1


def test_items_of_a_list_are_told_apart_by_their_keys() -> None:
    item = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "port": {"type": "integer"}},
        "x-kubernetes-validations": [{"rule": "self.port >= oldSelf.port"}],
    }
    listed = {"type": "array", "items": item}
    keyed = rules(properties={"l": {**listed, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}})
    atomic = rules(properties={"l": listed})

    old = {"l": [{"name": "a", "port": 2}, {"name": "b", "port": 1}]}
    new = {"l": [{"name": "b", "port": 2}, {"name": "c", "port": 0}, {"name": "a", "port": 1}]}
    assert said(keyed, new, old) == ["spec.l[2]: Invalid value: failed rule: self.port >= oldSelf.port"]
    (problem,) = atomic.problems
    assert "oldSelf cannot be used on the uncorrelatable portion of the schema" in problem.detail


# -- types and names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "rule", "value"),
    [
        ({"type": "string", "format": "date-time"}, "self < timestamp('2030-01-01T00:00:00Z')", "2026-01-01T00:00:00Z"),
        ({"type": "string", "format": "duration"}, "self > duration('59m') && self < duration('2h')", "1h30m"),
        ({"type": "string", "format": "byte"}, "size(self) == 3", "YWJj"),
        ({"type": "number"}, "self + 0.5 == 1.5", 1),
        ({"type": "object", "properties": {"a-b": {"type": "integer"}}}, "self.a__dash__b == 1", {"a-b": 1}),
        ({"type": "object", "properties": {"in": {"type": "string"}}}, "self.__in__ == 'x'", {"in": "x"}),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "self.all(k, self[k] > 0)", {"a-b": 1}),
        ({"x-kubernetes-int-or-string": True}, "type(self) == int ? self > 0 : self == 'x'", "x"),
        ({"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}, "self[0][0] == 1", [[1]]),
        ({"type": "string"}, "isURL(self) && url(self).getHost() == 'example.com:80'", "https://example.com:80/"),
        ({"type": "string"}, "quantity(self).isGreaterThan(quantity('1Gi'))", "2Gi"),
        ({"type": "string"}, "quantity(self).isGreaterThan(quantity('20Gi'))", "40Gi"),
        ({"type": "string"}, "cidr('10.0.0.0/8').containsIP(self) && ip(self).family() == 4", "10.1.2.3"),
        ({"type": "array", "items": {"type": "integer"}}, "self.isSorted() && self.sum() == 3", [1, 2]),
        ({"type": "array", "items": {"type": "integer"}}, "self.max() == 2 && self.min() == 1", [1, 2]),
        ({"type": "string"}, "self.findAll('[0-9]+') == ['1', '22']", "a1b22"),
        ({"type": "array", "items": {"type": "string"}}, "sets.equivalent(self, ['a', 'b'])", ["b", "a"]),
        ({"type": "string"}, "semver(self).isLessThan(semver('1.2.3'))", "1.2.3-rc.1"),
        ({"type": "string"}, "semver('1.10.0').isGreaterThan(semver(self))", "1.9.0"),
        ({"type": "string"}, "double(self) > 0 && 1 < double(self) && !(double(self) >= 2u)", "1.5"),
        ({"type": "integer"}, "self <= 2.5 && self < 3u && 1u < self && 1.5 <= 2u", 2),
    ],
)  # fmt: skip
def test_values_are_what_their_schema_says(schema: Object, rule: str, value: Any) -> None:
    compiled = rules(properties={"v": {**schema, "x-kubernetes-validations": [{"rule": rule}]}})

    assert said(compiled, {"v": value}) == []


def test_the_root_knows_its_own_name() -> None:
    validations = [{"rule": "self.metadata.name.startsWith('a') && self.kind == 'Widget'"}]
    compiled = Rules(Node({"type": "object", "x-kubernetes-validations": validations}))

    assert compiled.problems == []
    named = {"kind": "Widget", "metadata": {"name": "b", "labels": {"x-y": "z"}}}
    assert len(list(compiled.errors(named))) == 1
    assert list(compiled.errors({**named, "metadata": {"name": "a"}})) == []


def test_unions_as_people_write_them() -> None:
    union = "has(self.http) != has(self.tcp)"
    one_of = "[has(self.http), has(self.tcp), has(self.udp)].filter(x, x == true).size() <= 1"
    open_object = {"type": "object", "properties": {"port": {"type": "integer"}}}
    compiled = rules(union, one_of, properties={"http": open_object, "tcp": open_object, "udp": open_object})

    assert said(compiled, {"http": {"port": 1}}) == []
    assert len(said(compiled, {"http": {}, "tcp": {}})) == 2


# -- the engine -------------------------------------------------------------------------------------------------------


def test_an_expression_is_bounded() -> None:
    with pytest.raises(CompileError, match="longer than"):
        Environment({"self": "dyn"}).compile("1 == 1" + " && 1 == 1" * 2000)


def test_a_type_that_kubernetes_adds_is_checked() -> None:
    with pytest.raises(CompileError, match="found no matching overload for 'isLessThan'"):
        Environment({}).compile("'a'.isLessThan(quantity('2'))")
    with pytest.raises(EvaluationError, match="quantities must match"):
        Environment({}).compile("quantity('x').isInteger()")({})


# -- through the server -----------------------------------------------------------------------------------------------


def ruled(*written: Object) -> Object:
    made = definition()
    schema = made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    spec = {**schema["properties"]["spec"], "x-kubernetes-validations": list(written)}
    schema["properties"] = {**schema["properties"], "spec": spec}
    return made


async def test_objects_are_judged_by_the_rules_of_their_definition(api: World) -> None:
    await api.create(
        CRDS,
        ruled(
            {"rule": "self.color != 'green' || self.replicas < 5", "message": "few are green"},
            {
                "rule": "self.replicas >= oldSelf.replicas",
                "messageExpression": "'not below %d'.format([oldSelf.replicas])",
            },
        ),
    )
    await api.create(WIDGETS, widget("one", replicas=3))

    with pytest.raises(Invalid) as refused:
        await api.create(WIDGETS, widget("two", color="green", replicas=9))
    with pytest.raises(Invalid, match="spec: Invalid value: not below 3"):
        await api.patch(WIDGETS, "one", {"spec": {"replicas": 2}})
    with pytest.raises(Invalid, match="some validation rules were not checked because the object was invalid"):
        await api.create(WIDGETS, {**widget("three"), "spec": {"color": 7}})

    assert str(refused.value) == 'Widget.shop.example.com "two" is invalid: spec: Invalid value: few are green'


def test_names_that_only_json_would_confuse_are_told_apart() -> None:
    labels = {"type": "object", "additionalProperties": {"type": "string"}}
    compiled = rules("self.a_b == 'x' && self.aB == 1 && self.m_n.size() == 1", properties={
        "a_b": {"type": "string"}, "aB": {"type": "integer"}, "m_n": labels, "m__n": labels, "MN": labels,
    })  # fmt: skip

    assert said(compiled, {"a_b": "x", "aB": 1, "m_n": {"a": "b"}}) == []


async def test_a_definition_whose_rules_do_not_compile_is_refused(api: World) -> None:
    with pytest.raises(Invalid) as refused:
        await api.create(CRDS, ruled({"rule": "self.size > 1"}, {"rule": ""}, {"rule": "true", "message": " "}))
    with pytest.raises(Invalid) as compiled:
        await api.create(CRDS, ruled({"rule": "self.size > 1"}))

    at = "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations"
    assert f"{at}[1].rule: Required value: rule is not specified" in str(refused.value)
    assert f"{at}[2].message: Invalid value" in str(refused.value)
    assert f"{at}[0].rule: Invalid value" in str(compiled.value)
    assert "compilation failed: ERROR: <input>:1:5: undefined field 'size'" in str(compiled.value)


DIGEST = f"sha256:{'0123456789abcdef' * 4}"


@pytest.mark.parametrize(
    ("image", "registry", "repository", "tag", "digest"),
    [
        ("nginx", "index.docker.io", "library/nginx", "latest", ""),
        ("docker.io/team/app:v1", "index.docker.io", "team/app", "v1", ""),
        ("nginx:", "index.docker.io", "library/nginx", "latest", ""),
        ("team/app", "index.docker.io", "team/app", "latest", ""),
        ("registry.k8s.io/pause:3.9", "registry.k8s.io", "pause", "3.9", ""),
        ("localhost/app", "localhost", "app", "latest", ""),
        ("host:5000/a/b", "host:5000", "a/b", "latest", ""),
        (f"registry.k8s.io/pause:3.9@{DIGEST}", "registry.k8s.io", "pause", "", DIGEST),
        (f"nginx@{DIGEST}", "index.docker.io", "library/nginx", "", DIGEST),
    ],
)
def test_an_image_has_the_parts_that_a_registry_would_be_asked_for(
    image: str, registry: str, repository: str, tag: str, digest: str
) -> None:
    """(The examples of Kubernetes' library, and what go-containerregistry makes of them.)"""
    parts = ("registry", "repository", "tag", "digest", "identifier", "containsDigest")
    listed = ", ".join(f"dyn(image(self).{part}())" for part in parts)

    found = Environment({"self": "string"}).compile(f"[{listed}]")({"self": image})

    assert found == [registry, repository, tag, digest, digest or tag, bool(digest)]


@pytest.mark.parametrize(
    "text", ["", "registry.k8s.io//pause", "Nginx", "nginx:a b", "nginx@sha256:00", "a", "x" * 256, "https://a.b/cd"]
)
def test_what_is_no_image(text: str) -> None:
    assert Environment({"self": "string"}).compile("isImage(self)")({"self": text}) is False
    with pytest.raises(EvaluationError, match="could not parse reference"):
        Environment({"self": "string"}).compile("image(self).tag()")({"self": text})
