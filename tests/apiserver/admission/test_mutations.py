"""MutatingAdmissionPolicies: applied objects and JSON patches in CEL, before a real API server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actors.apiserver.cel.objects import BadObject, as_maps
from protocols.errors import AdmissionRefusal, Invalid
from protocols.objects import Object
from tests.apiserver.custom.widgets import CRDS, WIDGETS, definition, widget
from tests.apiserver.world import World, config_map, deployment, pod, world

POLICIES = "mutatingadmissionpolicies.admissionregistration.k8s.io"
BINDINGS = "mutatingadmissionpolicybindings.admissionregistration.k8s.io"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as here:
        yield here


def apply(expression: str) -> Object:
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}


def patch(expression: str) -> Object:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}


def policy(*mutations: Object, resources: str = "configmaps", name: str = "p", **spec: Any) -> Object:
    rule = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": [resources]}
    subject = {"matchConstraints": {"resourceRules": [rule]}, "reinvocationPolicy": "Never"}
    return {"metadata": {"name": name}, "spec": {**subject, "mutations": list(mutations), **spec}}


async def enact(api: World, made: Object, **binding: Any) -> None:
    name = made["metadata"]["name"]
    await api.create(POLICIES, made)
    await api.create(BINDINGS, {"metadata": {"name": name}, "spec": {"policyName": name, **binding}})


async def test_an_applied_object_is_merged_by_the_rules_of_its_kind(api: World) -> None:
    side = 'Object.spec.template.spec.containers{name: "side", image: object.metadata.name}'
    template = f"Object.spec.template{{spec: Object.spec.template.spec{{containers: [{side}]}}}}"
    labels = 'Object.metadata{labels: {"by": "policy"}}'
    made = (
        f"Object{{metadata: {labels}, spec: Object.spec{{replicas: object.spec.replicas + 2, template: {template}}}}}"
    )
    await enact(api, policy(apply(made), resources="deployments"))

    created = await api.create("deployments.apps", deployment("web", 3))

    containers = {each["name"]: each for each in created["spec"]["template"]["spec"]["containers"]}
    assert created["spec"]["replicas"] == 5 and created["metadata"]["labels"] == {"by": "policy"}
    assert set(containers) == {"main", "side"} and containers["main"]["image"] == "example"
    assert containers["side"]["image"] == "web" and containers["side"]["imagePullPolicy"] == "Always"


async def test_operations_of_a_json_patch_are_made_one_after_the_other(api: World) -> None:
    await enact(
        api,
        policy(
            patch(
                '[JSONPatch{op: "test", path: "/data/a", value: "1"},'
                ' JSONPatch{op: "add", path: "/metadata/labels/" + jsonpatch.escapeKey("a.io/by"),'
                " value: variables.word},"
                ' JSONPatch{op: "copy", from: "/data/a", path: "/data/b"}]'
            ),
            apply('Object{data: {"count": string(size(object.data))}}'),
            variables=[{"name": "word", "expression": "object.metadata.name + '-1'"}],
        ),
    )

    created = await api.create("configmaps", config_map("one", labels={"of": "it"}))

    assert created["data"] == {"a": "1", "b": "1", "count": "2"}
    assert created["metadata"]["labels"] == {"of": "it", "a.io/by": "one-1"}


async def test_conditions_parameters_and_narrower_bindings_say_whom_it_is_about(api: World) -> None:
    conditions = [{"name": "c", "expression": "object.metadata.name.startsWith('yes')"}]
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    made = policy(
        apply('Object{data: {"from": params.data.a}}'), paramKind=kind, matchConditions=conditions
    )  # fmt: skip
    await api.create("configmaps", config_map("settings"))
    reference = {"name": "settings", "namespace": "default", "parameterNotFoundAction": "Deny"}
    narrower = {"objectSelector": {"matchExpressions": [{"key": "skip", "operator": "DoesNotExist"}]}}
    await enact(api, made, paramRef=reference, matchResources=narrower)

    yes = await api.create("configmaps", config_map("yes"))
    no = await api.create("configmaps", config_map("no"))
    skipped = await api.create("configmaps", config_map("yes-2", labels={"skip": ""}))

    assert yes["data"] == {"a": "1", "from": "1"}
    assert no["data"] == skipped["data"] == {"a": "1"}


async def test_who_wants_to_see_what_others_changed_is_asked_again_once(api: World) -> None:
    count = apply('Object{data: {"seen": string(size(object.data))}}')
    for name, again in (("a-never", "Never"), ("a-needed", "IfNeeded")):
        key = apply(f'Object{{data: {{"{name}": string(size(object.data))}}}}')
        await enact(api, policy(key, name=name, reinvocationPolicy=again))
    await enact(api, policy(count, name="b-late"))

    created = await api.create("configmaps", config_map("one"))

    assert created["data"] == {"a": "1", "a-needed": "4", "a-never": "2", "seen": "3"}


async def test_what_is_made_is_judged_and_what_cannot_be_made_refuses(api: World) -> None:
    await enact(api, policy(apply("Object{spec: Object.spec{nodeName: object.spec.nothing}}"), resources="pods"))
    with pytest.raises(AdmissionRefusal) as refused:
        await api.create("pods", pod("web"))
    await api.delete(BINDINGS, "p", "")
    main = 'Object.spec.containers{name: "main", image: "x"}'
    twice = patch(f'[JSONPatch{{op: "add", path: "/spec/containers/-", value: {main}}}]')
    await enact(api, policy(twice, resources="pods", name="twice"))
    with pytest.raises(Invalid) as invalid:
        await api.create("pods", pod("web"))

    start = "policy 'p' with binding 'p' denied request: expression "
    assert (refused.value.code, refused.value.reason) == (403, "Invalid")
    assert refused.value.message.startswith(start) and "no such key: nothing" in refused.value.message
    assert "spec.containers[1].name: Duplicate value" in invalid.value.message


@pytest.mark.parametrize(
    ("mutation", "cause"),
    [
        (patch("[1]"), 'Invalid value: "[1]": must evaluate to list(JSONPatch) but got list(int)'),
        (patch("[]"), 'Invalid value: "[]": must evaluate to list(JSONPatch) but got list(dyn)'),
        (apply("1"), 'Invalid value: "1": must evaluate to Object but got int'),
        (
            {**patch("[JSONPatch{op: 'remove', path: '/data/a'}]"), "applyConfiguration": {"expression": "Object{}"}},
            'Invalid value: "{applyConfiguration}": must not be specified when patchType is JSONPatch',
        ),
        ({"jsonPatch": {"expression": "[]"}}, "Required value"),
        (
            {"patchType": "X", "jsonPatch": {"expression": "[]"}},
            'Unsupported value: "X": supported values: "ApplyConfiguration", "JSONPatch"',
        ),
    ],
)
async def test_a_mutation_is_of_its_type(api: World, mutation: Object, cause: str) -> None:
    with pytest.raises(Invalid) as refused:
        await api.create(POLICIES, policy(mutation))

    assert [each["message"] for each in refused.value.details["causes"]] == [cause]


async def test_what_operations_test_for_decides_whether_they_are_made(api: World) -> None:
    tested = 'JSONPatch{op: "test", path: "/data/a", value: "other"}'
    await enact(api, policy(patch(f'[{tested}, JSONPatch{{op: "add", path: "/data/b", value: "2"}}]')))

    created = await api.create("configmaps", config_map("one"))

    assert created["data"] == {"a": "1"}


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        (
            'Object{spec: Object.spec{containers: [Object.spec.containers{name: "main", args: ["a"]}]}}',
            "may not mutate atomic arrays, maps or structs: .spec.containers[0].args",
        ),
        ("Object{spec: Object.spec{nothing: 1}}", ".spec.nothing: field not declared in schema"),
    ],
)
async def test_an_object_that_cannot_be_merged_is_refused_unless_failures_are_ignored(
    api: World, expression: str, words: str
) -> None:
    await enact(api, policy(apply(expression), resources="pods"))

    with pytest.raises(AdmissionRefusal) as refused:
        await api.create("pods", pod("web"))
    await api.patch(POLICIES, "p", {"spec": {"failurePolicy": "Ignore"}}, "")
    created = await api.create("pods", pod("web"))

    assert f"invalid ApplyConfiguration: {words}" in refused.value.message
    assert "args" not in created["spec"]["containers"][0]


async def test_custom_resources_are_changed_by_their_schema(api: World) -> None:
    await api.create(CRDS, definition())
    ports = '[Object.spec.ports{name: "web", number: 2}]'
    await enact(
        api, policy(apply(f'Object{{spec: Object.spec{{color: "green", ports: {ports}}}}}'), resources="widgets")
    )

    created = await api.create(WIDGETS, widget("one", ports=[{"name": "web"}, {"name": "dns", "number": 53}]))

    assert created["spec"]["color"] == "green"
    assert [(each["name"], each["number"]) for each in created["spec"]["ports"]] == [("web", 2), ("dns", 53)]


async def test_a_policy_that_could_not_work_is_refused(api: World) -> None:
    made = policy(
        apply("Object{spec: Object.metadata{}}"),
        patch("'text'"),
        {"patchType": "JSONPatch", "applyConfiguration": {"expression": "Object{}"}},
        reinvocationPolicy="Sometimes",
    )

    with pytest.raises(Invalid) as refused:
        await api.create(POLICIES, made)

    for part in (
        "expected type of field to be 'Object.spec' but provided type is 'Object.metadata'",
        "spec.mutations[1].jsonPatch.expression: Invalid value",
        "must evaluate to list",
        "spec.mutations[2].jsonPatch: Required value: must be specified when patchType is JSONPatch",
        'spec.mutations[2].applyConfiguration: Invalid value: "{applyConfiguration}": must not be specified when '
        "patchType is JSONPatch",
        'spec.reinvocationPolicy: Unsupported value: "Sometimes"',
    ):
        assert part in refused.value.message


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Object{}", "{}"),
        ("Object {spec: Object.spec { n : a ? 1 : 2}}", '{"spec":  { "n" : a ? 1 : 2}}'),
        ('"Object{a: 1}" + r"\\"', '"Object{a: 1}" + r"\\"'),
        ("l.map(c, Object.spec.l{name: c.name, `a-b`: {'k': 1}})", 'l.map(c, {"name": c.name, "a-b": {\'k\': 1}})'),
        ("has(object.Object.a) ? {x: 1} : {y: 2}", "has(object.Object.a) ? {x: 1} : {y: 2}"),
        ("Object{?a: optional.of(1), b: [1, 2]}", '{?"a": optional.of(1), "b": [1, 2]}'),
    ],
)
def test_what_builds_an_object_is_written_as_a_map(text: str, written: str) -> None:
    assert as_maps(text).strip() == written


@pytest.mark.parametrize(
    "text", ["JSONPatch{ops: 1}", "JSONPatch.x{}", "Object{a: Object.b{}}", "Object{a:" * 70 + "1"]
)
def test_what_builds_no_object_is_refused(text: str) -> None:
    with pytest.raises(BadObject):
        as_maps(text)
