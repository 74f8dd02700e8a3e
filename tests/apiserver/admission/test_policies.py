"""ValidatingAdmissionPolicies: what they refuse, whom their bindings are about, and in whose words."""

from __future__ import annotations

from typing import Any

import pytest

from protocols.errors import Forbidden, Invalid
from protocols.objects import Object
from tests.apiserver.world import World, config_map, deployment, namespace

GROUP = "admissionregistration.k8s.io"
POLICIES, BINDINGS = f"validatingadmissionpolicies.{GROUP}", f"validatingadmissionpolicybindings.{GROUP}"


def policy(*validations: Object | str, resources: tuple[str, ...] = ("deployments",), **spec: Any) -> Object:
    listed = [{"expression": each} if isinstance(each, str) else each for each in validations]
    rule = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": list(resources)}
    spec = {"matchConstraints": {"resourceRules": [rule]}, "validations": listed, **spec}
    return {"apiVersion": f"{GROUP}/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "p"}, "spec": spec}


def binding(*actions: str, **spec: Any) -> Object:
    spec = {"policyName": "p", "validationActions": list(actions or ("Deny",)), **spec}
    head = {"apiVersion": f"{GROUP}/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "b"}}
    return {**head, "spec": spec}


async def enact(api: World, made: Object, bound: Object | None = None) -> None:
    await api.create(POLICIES, made)
    await api.create(BINDINGS, bound or binding())


async def test_what_breaks_a_policy_is_refused(api: World) -> None:
    await enact(api, policy("object.spec.replicas <= 5"))

    await api.create("deployments.apps", deployment("small"))
    with pytest.raises(Invalid) as refused:
        await api.create("deployments.apps", deployment("large", 6))
    with pytest.raises(Invalid):
        await api.patch("deployments.apps", "small", {"spec": {"replicas": 7}})

    assert str(refused.value) == (
        "deployments.apps \"large\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: "
        "failed expression: object.spec.replicas <= 5"
    )
    assert refused.value.details == {
        "name": "large",
        "group": "apps",
        "kind": "deployments",
        "causes": [{"message": str(refused.value).partition(" is forbidden: ")[2]}],
    }


async def test_variables_messages_and_reasons(api: World) -> None:
    validation = {
        "expression": "variables.wanted <= variables.most",
        "messageExpression": "'at most ' + string(variables.most)",
        "reason": "Forbidden",
    }
    variables = [
        {"name": "wanted", "expression": "object.spec.replicas"},
        {"name": "most", "expression": "namespaceObject.metadata.name == 'default' ? 4 : 1"},
    ]
    await enact(api, policy(validation, variables=variables))

    with pytest.raises(Forbidden, match=r"denied request: at most 4$"):
        await api.create("deployments.apps", deployment("web", 5))


async def test_a_policy_is_asked_for_each_of_its_parameters(api: World) -> None:
    made = policy("object.spec.replicas <= int(params.data.most)", paramKind={"apiVersion": "v1", "kind": "ConfigMap"})
    await enact(api, made, binding(paramRef={"selector": {}, "parameterNotFoundAction": "Deny"}))

    with pytest.raises(Invalid, match="no params found for policy binding with `Deny` parameterNotFoundAction"):
        await api.create("deployments.apps", deployment("web", 1))
    for name, most in (("a", "9"), ("b", "3")):
        await api.create("configmaps", {**config_map(name), "data": {"most": most}})
    await api.create("deployments.apps", deployment("web", 3))
    with pytest.raises(Invalid):
        await api.create("deployments.apps", deployment("more", 4))


async def test_a_binding_may_narrow_what_its_policy_is_about(api: World) -> None:
    only = {"namespaceSelector": {"matchLabels": {"strict": "yes"}}}
    await enact(api, policy("false", resources=("configmaps",)), binding(matchResources=only))
    await api.create("namespaces", {**namespace("team"), "metadata": {"name": "team", "labels": {"strict": "yes"}}})

    await api.create("configmaps", config_map("a"))
    with pytest.raises(Invalid, match="failed expression: false"):
        await api.create("configmaps", config_map("a", "team"))


async def test_conditions_and_exclusions_leave_out(api: World) -> None:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}
    constraints = {"resourceRules": [rule], "excludeResourceRules": [{**rule, "resourceNames": ["free"]}]}
    conditions = [{"name": "marked", "expression": "has(object.metadata.labels) && 'x' in object.metadata.labels"}]
    await enact(api, policy("false", matchConstraints=constraints, matchConditions=conditions))

    await api.create("configmaps", config_map("free", labels={"x": "y"}))
    await api.create("configmaps", config_map("unmarked"))
    with pytest.raises(Invalid):
        await api.create("configmaps", config_map("marked", labels={"x": "y"}))


async def test_what_cannot_be_evaluated_refuses_unless_failures_are_ignored(api: World) -> None:
    await enact(api, policy("object.data.missing == 'x'", resources=("configmaps",)))

    with pytest.raises(
        Invalid, match=r"expression 'object.data.missing == 'x'' resulted in error: no such key: missing"
    ):
        await api.create("configmaps", config_map("a"))
    await api.patch(POLICIES, "p", {"spec": {"failurePolicy": "Ignore"}}, "")
    await api.create("configmaps", config_map("a"))


async def test_a_change_is_seen_with_what_was_before(api: World) -> None:
    await enact(
        api, policy("request.operation != 'UPDATE' || object.data == oldObject.data", resources=("configmaps",))
    )
    await api.create("configmaps", config_map("a"))

    await api.patch("configmaps", "a", {"metadata": {"labels": {"x": "y"}}})
    with pytest.raises(Invalid):
        await api.patch("configmaps", "a", {"data": {"a": "2"}})


async def test_a_policy_that_does_not_compile_is_refused(api: World) -> None:
    with pytest.raises(Invalid, match=r"spec.validations\[0\].expression: Invalid value: .*compilation failed: ERROR"):
        await api.create(POLICIES, policy("object."))
    with pytest.raises(Invalid, match="must not contain both Deny and Warn"):
        await api.create(BINDINGS, binding("Deny", "Warn"))


async def test_who_uses_a_variable_that_failed_is_told_why(api: World) -> None:
    await enact(api, policy("variables.a == 'x'", variables=[{"name": "a", "expression": "object.spec.nope"}]))

    with pytest.raises(Invalid) as refused:
        await api.create("deployments.apps", deployment("web"))

    assert refused.value.message.endswith(
        "expression 'variables.a == 'x'' resulted in error: "
        'composited variable "a" fails to evaluate: no such key: nope'
    )


async def test_a_kind_of_parameters_that_is_not_there_is_named(api: World) -> None:
    made = policy("params.data.most == '1'", paramKind={"apiVersion": "no.such/v1", "kind": "Foo"})
    await enact(api, made, binding(paramRef={"name": "x", "parameterNotFoundAction": "Deny"}))

    with pytest.raises(Invalid) as refused:
        await api.create("deployments.apps", deployment("web"))

    assert refused.value.message.endswith(
        "ValidatingAdmissionPolicy 'p' denied request: failed to configure policy: "
        "failed to find resource referenced by paramKind: 'no.such/v1, Kind=Foo'"
    )


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        (
            {"variables": [{"name": "a", "expression": "variables.b"}, {"name": "b", "expression": "2"}]},
            "spec.variables[0].expression",
            "undefined field 'b'",
        ),
        (
            {"validations": [{"expression": "variables.c == 1"}], "variables": [{"name": "b", "expression": "2"}]},
            "spec.validations[0].expression",
            "undefined field 'c'",
        ),
        (
            {"validations": [{"expression": "params != null"}]},
            "spec.validations[0].expression",
            "undeclared reference to 'params' (in container '')",
        ),
    ],
)
async def test_an_expression_may_name_what_stands_before_it(api: World, spec: Any, field: str, words: str) -> None:
    with pytest.raises(Invalid) as refused:
        await api.create(POLICIES, policy("true", **spec))

    (cause,) = refused.value.details["causes"]
    assert cause["field"] == field and words in cause["message"]


async def test_an_expression_may_have_lines(api: World) -> None:
    await enact(api, policy("object.spec.replicas <= 5 ||\n false"))

    with pytest.raises(Invalid):
        await api.create("deployments.apps", deployment("large", 6))
