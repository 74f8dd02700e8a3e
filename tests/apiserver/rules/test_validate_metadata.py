"""Metadata of all kinds, and the answer that refuses."""

from typing import Any

import pytest

from actors.apiserver.rules.field import duplicate, invalid_value, required
from actors.apiserver.rules.validate import invalid
from actors.apiserver.schema.resources import find
from tests.apiserver.rules.judged import ABSENT, problems, resource_of, update_problems

OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a", "uid": "u", "controller": True}


def test_one_problem_stands_alone_and_several_in_brackets() -> None:
    deployments = find("deployments.apps")
    assert deployments is not None
    one = invalid_value("spec.replicas", -1, "must be greater than or equal to 0")
    two = required("spec.selector")

    alone, both = invalid(deployments, "web", [one]), invalid(deployments, "web", [one, two, one])

    replicas = "spec.replicas: Invalid value: -1: must be greater than or equal to 0"
    assert alone.message == f'Deployment.apps "web" is invalid: {replicas}'
    assert both.message == f'Deployment.apps "web" is invalid: [{replicas}, spec.selector: Required value]'
    assert alone.details == {
        "name": "web",
        "group": "apps",
        "kind": "Deployment",
        "causes": [
            {
                "reason": "FieldValueInvalid",
                "message": "Invalid value: -1: must be greater than or equal to 0",
                "field": "spec.replicas",
            }
        ],
    }


def test_kinds_of_the_core_group_have_no_suffix() -> None:
    pods = find("pods")
    assert pods is not None

    assert invalid(pods, "a", [duplicate("x", "y")]).message == 'Pod "a" is invalid: x: Duplicate value: "y"'


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("ConfigMap", {"metadata.name": ABSENT}, "metadata.name: Required value: name or generateName is required"),
        ("ConfigMap", {"metadata.name": "A"}, 'metadata.name: Invalid value: "A": a lowercase RFC 1123 subdomain'),
        ("Service", {"metadata.name": "a.b"}, 'metadata.name: Invalid value: "a.b": must not contain dots'),
        ("Namespace", {"metadata.name": "a.b"}, 'metadata.name: Invalid value: "a.b": must not contain dots'),
        ("ClusterRole", {"metadata.name": "a/b"}, "metadata.name: Invalid value: \"a/b\": may not contain '/'"),
        ("CronJob", {"metadata.name": "a" * 53}, "must be no more than 52 characters"),
        ("ConfigMap", {"metadata.namespace": ABSENT}, "metadata.namespace: Required value"),
        ("Node", {"metadata.namespace": "a"}, "metadata.namespace: Forbidden: not allowed on this type"),
        ("ConfigMap", {"metadata.generateName": "A_b-"}, 'metadata.generateName: Invalid value: "A_b-"'),
        ("ConfigMap", {"metadata.labels": {"-a": "b"}}, 'metadata.labels: Invalid value: "-a": name part must consist'),
        (
            "ConfigMap",
            {"metadata.labels": {"a": "b c"}},
            'metadata.labels: Invalid value: "b c": a valid label',
        ),
        ("ConfigMap", {"metadata.annotations": {"a b": ""}}, 'metadata.annotations: Invalid value: "a b": name part'),
        (
            "ConfigMap",
            {"metadata.annotations": {"a": "x" * 262144}},
            "metadata.annotations: Too long: may not be more than 262144 bytes",
        ),
        ("Lease", {"metadata.finalizers": ["a b"]}, 'metadata.finalizers: Invalid value: "a b": name part'),
        (
            "ConfigMap",
            {"metadata.finalizers": ["orphan", "foregroundDeletion"]},
            "finalizer orphan and foregroundDeletion cannot be both set",
        ),
        (
            "ConfigMap",
            {"metadata.ownerReferences": [{**OWNER, "uid": ""}]},
            'metadata.ownerReferences.uid: Invalid value: "": must not be empty',
        ),
        *(
            (
                "ConfigMap",
                {"metadata.ownerReferences": [{**OWNER, "apiVersion": version}]},
                f'metadata.ownerReferences.apiVersion: Invalid value: "{version}": version must not be empty',
            )
            for version in ("", "/", "a/", "a/b/c")
        ),
        (
            "ConfigMap",
            {"metadata.ownerReferences": [OWNER, {**OWNER, "name": "b"}]},
            'Only one reference can have Controller set to true. Found "true" in references for ReplicaSet/a and ',
        ),
    ],
)
def test_bad_metadata_is_refused(kind: str, changes: dict[str, Any], message: str) -> None:
    found = problems(kind, changes)

    assert len(found) == 1
    assert message in found[0]


def test_annotation_keys_may_have_capitals_and_generated_names_end_in_a_dash() -> None:
    assert problems("ConfigMap", {"metadata.annotations": {"Example.COM/Key": "any thing"}}) == []
    assert problems("ConfigMap", {"metadata.generateName": "web-", "metadata.name": ABSENT}) == []


def test_what_an_object_is_does_not_change() -> None:
    assert update_problems("ConfigMap", {"metadata.uid": "other"}) == [
        'metadata.uid: Invalid value: "other": field is immutable'
    ]
    assert update_problems("ConfigMap", {"metadata.labels": {"a": "b"}, "metadata.uid": ABSENT}) == []


def test_finalizers_are_only_taken_away_while_an_object_goes() -> None:
    from actors.apiserver.rules.validate.metadata import metadata_update

    pods = resource_of({"apiVersion": "v1", "kind": "Pod"})
    meta = {"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"}
    old = {"metadata": {**meta, "finalizers": ["a/b", "a/c"]}}

    assert list(metadata_update(pods, {"metadata": {**meta, "finalizers": ["a/c"]}}, old)) == []
    (error,) = metadata_update(pods, {"metadata": {**meta, "finalizers": ["a/d"]}}, old)
    assert str(error) == (
        "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, "
        'found new finalizers []string{"a/d"}'
    )
