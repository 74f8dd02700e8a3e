"""RBAC decides as its literal model does, in any order of changes; and nobody can grant what they do not have."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.apiserver.access.attributes import Attributes, refusal
from actors.apiserver.access.rbac import BINDINGS, CLUSTER_BINDINGS, CLUSTER_ROLES, ROLES, Rbac
from actors.apiserver.access.rules import described, document_of, missing, rule_of
from actors.apiserver.callers import Caller
from protocols.objects import key_of
from tests.apiserver.access import rbac_model as model

VERBS = ("get", "list", "create", "*")
GROUPS = ("", "apps", "*")
RESOURCES = ("pods", "pods/log", "deployments", "*/scale", "*/log", "*", "pods/*")
NAMES = ("a", "b")
PATHS = ("/healthz", "/api", "/api/*", "*", "/api/v1")
SPACES = ("one", "two")
USERS = ("jane", "system:serviceaccount:one:robot", "system:serviceaccount:two:robot")
TEAMS = ("team", "others")


def some(values: tuple[str, ...], *, empty: bool = False) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=0 if empty else 1, max_size=3, unique=True)


def resource_rules() -> st.SearchStrategy[dict[str, Any]]:
    parts = {"verbs": some(VERBS), "apiGroups": some(GROUPS), "resources": some(RESOURCES)}
    return st.fixed_dictionaries(parts, optional={"resourceNames": some(NAMES)})


def rules() -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        resource_rules(),
        resource_rules(),
        st.fixed_dictionaries({"verbs": some(VERBS), "nonResourceURLs": some(PATHS)}),
    )


@st.composite
def subjects(draw: st.DrawFn, namespace: str) -> dict[str, Any]:
    kind = draw(st.sampled_from(("User", "Group", "ServiceAccount")))
    if kind != "ServiceAccount":
        return {"kind": kind, "name": draw(st.sampled_from(USERS if kind == "User" else TEAMS))}
    where = draw(st.sampled_from((*SPACES, ""))) if namespace else draw(st.sampled_from(SPACES))
    return {"kind": kind, "name": "robot"} | ({"namespace": where} if where else {})


@st.composite
def objects(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    group_resource = draw(st.sampled_from((ROLES, CLUSTER_ROLES, BINDINGS, CLUSTER_BINDINGS)))
    namespace = draw(st.sampled_from(SPACES)) if group_resource in (ROLES, BINDINGS) else ""
    metadata = {"name": draw(st.sampled_from(NAMES))} | ({"namespace": namespace} if namespace else {})
    if group_resource in (ROLES, CLUSTER_ROLES):
        kept = resource_rules() if namespace else rules()
        return group_resource, {"metadata": metadata, "rules": draw(st.lists(kept, max_size=3))}
    kind = draw(st.sampled_from(("Role", "ClusterRole"))) if namespace else "ClusterRole"
    reference = {"kind": kind, "name": draw(st.sampled_from(NAMES))}
    bound = draw(st.lists(subjects(namespace), max_size=3))
    return group_resource, {"metadata": metadata, "roleRef": reference, "subjects": bound}


def questions() -> st.SearchStrategy[Attributes]:
    about_resources = st.builds(
        Attributes,
        st.sampled_from(("get", "list", "create", "delete")),
        st.sampled_from(("", "apps", "batch")),
        st.sampled_from(("pods", "deployments", "secrets")),
        st.sampled_from(("", "log", "scale")),
        st.sampled_from(("", *SPACES)),
        st.sampled_from(("", *NAMES, "c")),
    )
    paths = st.sampled_from(("/healthz", "/api", "/api/", "/api/v1", "/apis", "/"))
    about_paths = st.builds(lambda verb, path: Attributes(verb, path=path), st.sampled_from(("get", "list")), paths)
    return st.one_of(about_resources, about_resources, about_paths)


def callers() -> st.SearchStrategy[Caller]:
    teams = st.lists(st.sampled_from(TEAMS), max_size=2, unique=True).map(tuple)
    return st.builds(Caller, st.sampled_from((*USERS, "nobody")), teams)


def test_a_binding_that_is_gone_gives_nothing() -> None:
    rbac, jane = Rbac(), Caller("jane", ())
    to_get = Attributes("get", "", "pods", "", "one", "")
    rbac.put(CLUSTER_ROLES, {"metadata": {"name": "a"}, "rules": [_rule("get", "pods")]})
    rbac.put(CLUSTER_ROLES, {"metadata": {"name": "b"}, "rules": [_rule("list", "pods")]})
    for name in NAMES:
        bound = {"roleRef": {"kind": "ClusterRole", "name": name}, "subjects": [{"kind": "User", "name": "jane"}]}
        rbac.put(CLUSTER_BINDINGS, {"metadata": {"name": name}, **bound})

    before = rbac.decide(jane, to_get).allowed
    rbac.remove(CLUSTER_BINDINGS, "a")

    assert (before, rbac.decide(jane, to_get).allowed) == (True, False)
    rbac.check()


def _rule(verb: str, resource: str) -> dict[str, Any]:
    return {"verbs": [verb], "apiGroups": [""], "resources": [resource]}


changes = st.lists(st.tuples(objects(), st.booleans()), max_size=16)


@pytest.mark.slow
@given(changes, st.lists(st.tuples(callers(), questions()), min_size=1, max_size=8))
def test_it_decides_as_the_model_does_whatever_was_put_and_removed(
    history: list[tuple[tuple[str, dict[str, Any]], bool]], asked: list[tuple[Caller, Attributes]]
) -> None:
    rbac, stored = Rbac(), {}
    for (group_resource, obj), kept in history:
        key = (group_resource, key_of(obj))
        if kept:
            rbac.put(group_resource, obj)
            stored[key] = obj
        else:
            rbac.remove(group_resource, key[1])
            stored.pop(key, None)

        rbac.check()
    everything = [(group_resource, obj) for (group_resource, _), obj in stored.items()]

    for caller, question in asked:
        expected = model.allowed(everything, caller, question)
        assert rbac.decide(caller, question).allowed == expected, (caller, question)
        anywhere = rbac.allowed_anywhere(caller, question)
        assert expected or not anywhere
        found, _ = rbac.rules_for(caller, question.namespace)
        assert any(rule.allows(question) for rule in found) == expected


@pytest.mark.slow
@given(
    st.lists(resource_rules() | rules(), max_size=3), st.lists(rules(), max_size=3), st.lists(questions(), max_size=20)
)
def test_what_is_covered_allows_nothing_more(
    owned: list[dict[str, Any]], granted: list[dict[str, Any]], asked: list[Attributes]
) -> None:
    own, wanted = [rule_of(rule) for rule in owned], [rule_of(rule) for rule in granted]

    lacking = missing(own, wanted)

    assert missing([*own, *lacking], wanted) == []
    assert missing(wanted, wanted) == []
    for question in asked:
        if any(rule.allows(question) for rule in wanted) and not any(rule.allows(question) for rule in own):
            assert lacking, question


@pytest.mark.parametrize(
    ("resource", "asked", "allowed"),
    [
        ("pods", "pods", True),
        ("pods", "pods/log", False),
        ("pods/log", "pods", False),
        ("pods/log", "pods/log", True),
        ("*/log", "pods/log", True),
        ("*/log", "pods/exec", False),
        ("*/log", "pods", False),
        ("pods/*", "pods/log", False),
        ("*", "pods/log", True),
    ],
)
def test_a_subresource_is_named_with_its_resource_or_a_star(resource: str, asked: str, allowed: bool) -> None:
    rule = rule_of({"verbs": ["get"], "apiGroups": [""], "resources": [resource]})
    plural, _, subresource = asked.partition("/")

    assert rule.allows(Attributes("get", "", plural, subresource)) is allowed


def test_what_is_allowed_anywhere_is_so_in_every_namespace_and_under_every_name() -> None:
    rbac = Rbac()
    bound = {"subjects": [{"kind": "Group", "name": "team"}]}
    for name, names in (("one", ["a"]), ("all", [])):
        rule = {"verbs": ["get"], "apiGroups": [""], "resources": [name], "resourceNames": names}
        rbac.put(CLUSTER_ROLES, {"metadata": {"name": name}, "rules": [rule]})
        reference = {"kind": "ClusterRole", "name": name}
        rbac.put(CLUSTER_BINDINGS, {"metadata": {"name": name}, "roleRef": reference, **bound})
        rbac.put(BINDINGS, {"metadata": {"name": name, "namespace": "here"}, "roleRef": reference, **bound})
    team = Caller("jane", ("team",))

    assert rbac.decide(team, Attributes("get", "", "one", "", "here", "a")).allowed
    assert not rbac.allowed_anywhere(team, Attributes("get", "", "one", "", "here", "a"))
    assert rbac.allowed_anywhere(team, Attributes("get", "", "all", "", "here", "a"))


def test_the_binding_of_a_namespace_gives_nothing_elsewhere() -> None:
    rbac, team = Rbac(), Caller("jane", ("team",))
    rule = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}
    rbac.put(CLUSTER_ROLES, {"metadata": {"name": "reader"}, "rules": [rule]})
    reference, subjects = {"kind": "ClusterRole", "name": "reader"}, [{"kind": "Group", "name": "team"}]
    metadata = {"name": "readers", "namespace": "here"}
    rbac.put(BINDINGS, {"metadata": metadata, "roleRef": reference, "subjects": subjects})

    assert rbac.decide(team, Attributes("get", "", "pods", "", "here")).allowed
    assert not rbac.decide(team, Attributes("get", "", "pods", "", "there")).allowed
    assert not rbac.decide(team, Attributes("get", "", "pods")).allowed


@given(rules())
def test_a_rule_is_shown_as_it_was_given(rule: dict[str, Any]) -> None:
    assert rule_of(document_of(rule_of(rule))) == rule_of(rule)


def test_a_reason_names_binding_role_and_subject() -> None:
    rbac = Rbac()
    rbac.put(
        CLUSTER_ROLES,
        {"metadata": {"name": "reader"}, "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]},
    )
    robot = {"kind": "ServiceAccount", "name": "robot"}
    rbac.put(
        BINDINGS,
        {
            "metadata": {"name": "readers", "namespace": "one"},
            "roleRef": {"kind": "ClusterRole", "name": "reader"},
            "subjects": [robot],
        },
    )
    rbac.put(
        CLUSTER_BINDINGS,
        {
            "metadata": {"name": "lost"},
            "roleRef": {"kind": "ClusterRole", "name": "gone"},
            "subjects": [{"kind": "User", "name": "jane"}],
        },
    )

    granted = rbac.decide(Caller("system:serviceaccount:one:robot", ()), Attributes("get", "", "pods", "", "one", "a"))
    refused = rbac.decide(Caller("jane", ()), Attributes("get", "", "pods"))

    assert granted == (
        True,
        'RBAC: allowed by RoleBinding "readers/one" of ClusterRole "reader" to ServiceAccount "robot/one"',
    )
    assert refused == (False, 'RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found')


def test_what_is_missing_is_described_as_kubernetes_does() -> None:
    granted = [
        rule_of({"verbs": ["list", "get"], "apiGroups": [""], "resources": ["pods"]}),
        rule_of({"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"]}),
        rule_of({"verbs": ["get"], "nonResourceURLs": ["/metrics"]}),
    ]

    assert described(missing([], granted)) == [
        '{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}',
        '{APIGroups:[""], Resources:["secrets"], ResourceNames:["a"], Verbs:["get"]}',
        '{NonResourceURLs:["/metrics"], Verbs:["get"]}',
    ]


@pytest.mark.parametrize(
    ("asked", "reason", "message", "details"),
    [
        (
            Attributes("list", "", "pods", "", "default"),
            "",
            'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default"',
            {"kind": "pods"},
        ),
        (
            Attributes("get", "", "nodes", "", "", "n1"),
            "",
            'nodes "n1" is forbidden: User "jane" cannot get resource "nodes" in API group "" at the cluster scope',
            {"name": "n1", "kind": "nodes"},
        ),
        (
            Attributes("update", "apps", "deployments", "scale", "default", "web"),
            "RBAC: why",
            'deployments.apps "web" is forbidden: User "jane" cannot update resource "deployments/scale" '
            'in API group "apps" in the namespace "default": RBAC: why',
            {"name": "web", "group": "apps", "kind": "deployments"},
        ),
        (Attributes("get", path="/x<y"), "", 'forbidden: User "jane" cannot get path "/x&lt;y"', {}),
    ],
)
def test_refusals_are_worded_as_kubernetes_words_them(
    asked: Attributes, reason: str, message: str, details: dict[str, str]
) -> None:
    refused = refusal(Caller("jane", ()), asked, reason)

    assert (str(refused), refused.details) == (message, details)
