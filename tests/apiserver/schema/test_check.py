"""The structural check: made-up objects with one thing wrong, and the sentences that users see."""

from __future__ import annotations

import copy
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.apiserver.schema.check import cannot_be_handled, check, missing
from actors.apiserver.schema.resources import RESOURCES, find
from actors.apiserver.schema.types import Types
from tests.apiserver.schema.samples import sample

TYPES = Types.load()
DEPLOYMENT = TYPES.of(find("deployments.apps"))
POD = TYPES.of(find("pods"))

some_type = st.sampled_from([resource for resource in RESOURCES if TYPES.has(resource)]).map(TYPES.of)
seeds = st.integers(0, 2**32)


def places(value, type_, path=(), go_path=()):
    """Every place in an object: (its container, its key, its type, its path, its path as Go says it)."""
    if type_.kind == "object":
        for name, below in value.items():
            yield value, name, type_.fields[name], (*path, name), (*go_path, name)
            yield from places(below, type_.fields[name], (*path, name), (*go_path, name))
    elif type_.kind in ("array", "map"):
        element = type_.items if type_.kind == "array" else type_.values
        for key in range(len(value)) if type_.kind == "array" else value:
            yield value, key, element, (*path, key), go_path
            yield from places(value[key], element, (*path, key), go_path)


def dotted(path):
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


@settings(max_examples=60)
@given(some_type, seeds)
def test_a_right_object_passes_and_stays_as_it_is(type_, seed):
    obj = sample(type_, random.Random(seed))
    before = copy.deepcopy(obj)

    found = check(obj, type_)

    assert (found.errors, found.unknown) == ([], [])
    assert obj == before


@settings(max_examples=60)
@given(some_type, seeds)
def test_unknown_fields_are_named_wherever_they_are_and_dropped(type_, seed):
    chance = random.Random(seed)
    obj = sample(type_, chance)
    before = copy.deepcopy(obj)
    objects = [((), obj)]
    objects += [(path, at[key]) for at, key, below, path, _ in places(obj, type_) if below.kind == "object"]
    chosen = chance.sample(objects, min(3, len(objects)))
    for _, value in chosen:
        value["bogus"] = {"a": 1}

    found = check(obj, type_)

    assert sorted(found.unknown) == sorted(f'unknown field "{dotted((*path, "bogus"))}"' for path, _ in chosen)
    assert obj == before


@settings(max_examples=80)
@given(some_type, seeds)
def test_a_value_of_the_wrong_type_is_one_error_that_names_its_go_path(type_, seed):
    chance = random.Random(seed)
    obj = sample(type_, chance)
    obj.setdefault("metadata", {})["name"] = "web"  # so that there is one place at least
    candidates = [place for place in places(obj, type_) if place[2].kind not in ("any", "quantity")]
    at, key, below, _, go_path = chance.choice(candidates)
    at[key] = {"object": "text", "map": [], "array": {}, "string": 1.5, "boolean": "true"}.get(below.kind, [])

    found = check(obj, type_)

    assert len(found.errors) == 1
    assert f".{'.'.join(go_path)} of type " in found.errors[0]


@settings(max_examples=40)
@given(some_type, seeds)
def test_null_is_the_same_as_absent(type_, seed):
    chance = random.Random(seed)
    obj = sample(type_, chance)
    before = copy.deepcopy(obj)
    for name in type_.fields:
        obj.setdefault(name, None)

    found = check(obj, type_)

    assert (found.errors, found.unknown, obj) == ([], [], before)


@settings(max_examples=40)
@given(some_type, seeds)
def test_checking_twice_changes_nothing_more(type_, seed):
    obj = sample(type_, random.Random(seed))
    check(obj, type_)
    once = copy.deepcopy(obj)

    check(obj, type_)

    assert obj == once


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (
            {"replicas": "three"},
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            {"replicas": 3.5},
            "json: cannot unmarshal number 3.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            {"replicas": 2**31},
            "json: cannot unmarshal number 2147483648 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            {"replicas": True},
            "json: cannot unmarshal bool into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            {"template": {"spec": {"containers": [{"env": [{"name": "A", "value": 1}]}]}}},
            "json: cannot unmarshal number into Go struct field "
            "EnvVar.spec.template.spec.containers.env.value of type string",
        ),
        (
            {"template": {"spec": {"containers": {"name": "web"}}}},
            "json: cannot unmarshal object into Go struct field "
            "PodSpec.spec.template.spec.containers of type []v1.Container",
        ),
        (
            {"template": {"metadata": {"labels": {"app": 1}}}},
            "json: cannot unmarshal number into Go struct field "
            "ObjectMeta.spec.template.metadata.labels of type string",
        ),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": []}}},
            "json: cannot unmarshal array into Go struct field "
            "RollingUpdateDeployment.spec.strategy.rollingUpdate.maxSurge of type int32",
        ),
        (
            {"template": {"spec": {"containers": [{"resources": {"limits": {"cpu": "1x"}}}]}}},
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$' "
            "(spec.template.spec.containers[0].resources.limits.cpu)",
        ),
    ],
)
def test_errors_are_the_sentences_of_kubernetes_decoder(spec, sentence):
    assert check({"spec": spec}, DEPLOYMENT).errors == [sentence]


def test_what_is_no_object_at_all_is_said_so():
    assert check([], POD).errors == ["json: cannot unmarshal array into Go value of type v1.Pod"]


def test_bad_base64_and_bad_times_are_errors():
    secret = TYPES.of(find("secrets"))

    assert check({"data": {"a": "Yg="}}, secret).errors == ["illegal base64 data at input byte 3"]
    assert check({"data": {"a": "Y!=="}}, secret).errors == ["illegal base64 data at input byte 1"]
    [error] = check({"metadata": {"creationTimestamp": "yesterday"}}, POD).errors
    assert error.startswith('parsing time "yesterday" as "2006-01-02T15:04:05Z07:00"')
    assert check({"metadata": {"creationTimestamp": "2026-02-30T00:00:00Z"}}, POD).errors


def test_quantities_times_and_nulls_inside_lists_get_their_canonical_form():
    pod = {
        "metadata": {"creationTimestamp": "2026-01-01T01:00:00.9+01:00", "labels": {"a": None}},
        "spec": {"containers": [{"args": ["x", None], "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}]},
    }

    found = check(pod, POD)

    assert found.errors == []
    assert pod == {
        "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"a": ""}},
        "spec": {"containers": [{"args": ["x", ""], "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}}]},
    }


@pytest.mark.parametrize(
    ("validation", "problem", "warnings"),
    [
        ("Strict", 'strict decoding error: unknown field "spec.a", unknown field "spec.b"', []),
        ("Warn", "", ['unknown field "spec.a"', 'unknown field "spec.b"']),
        ("Ignore", "", []),
    ],
)
def test_the_client_decides_what_unknown_fields_mean(validation, problem, warnings):
    found = check({"spec": {"a": 1, "b": 2}}, POD)

    assert (found.problem(validation), found.warnings(validation)) == (problem, warnings)


def test_a_wrong_type_is_refused_whatever_the_client_asks_for():
    found = check({"spec": "text"}, POD)

    assert found.problem("Ignore") == found.errors[0]


def test_no_more_than_a_hundred_unknown_fields_are_listed():
    found = check({f"field-{number}": 1 for number in range(500)}, POD)

    assert len(found.unknown) == 100


def test_the_refusal_reads_as_kubectl_shows_it():
    assert cannot_be_handled("apps/v1", "Deployment", "why") == (
        'Deployment in version "v1" cannot be handled as a Deployment: why'
    )


def test_required_fields_that_are_missing_are_listed_by_path():
    deployment = {"spec": {"template": {"spec": {"containers": [{"name": "a"}, {"image": "nginx"}]}}}}

    assert missing(deployment, DEPLOYMENT) == ["spec.selector", "spec.template.spec.containers[1].name"]


@settings(max_examples=40)
@given(some_type, seeds)
def test_nothing_is_missing_from_a_right_object(type_, seed):
    assert missing(sample(type_, random.Random(seed)), type_) == []


@settings(max_examples=100, deadline=None)
@given(some_type, seeds)
def test_what_is_below_an_object_may_be_shared_and_stays_as_it_is(type_, seed):
    below = sample(type_, random.Random(seed))
    for container, key, *_ in list(places(below, type_))[:: 1 + seed % 7]:
        container[key] = None
    before = copy.deepcopy(below)

    check({**below}, type_)

    assert below == before


@pytest.mark.parametrize(
    ("kind", "spec", "left"),
    [
        ("services", {"type": "", "clusterIP": "", "selector": {}, "publishNotReadyAddresses": False}, {}),
        ("services", {"ports": [{"port": 80, "protocol": "", "name": "", "nodePort": 0}]}, {"ports": [{"port": 80}]}),
        ("pods", {"nodeSelector": {}, "hostNetwork": False, "volumes": [], "nodeName": ""}, {}),
        (
            "pods",
            {
                "containers": [
                    {"name": "a", "image": "", "tty": False, "envFrom": [{"prefix": "", "secretRef": {"name": ""}}]}
                ]
            },
            {"containers": [{"name": "a", "envFrom": [{"secretRef": {}}]}]},
        ),
        ("cronjobs.batch", {"schedule": "", "concurrencyPolicy": ""}, {"schedule": ""}),
    ],
)
def test_what_is_empty_is_as_good_as_absent_where_go_leaves_it_out(kind: str, spec: dict, left: dict) -> None:
    obj = {"metadata": {"name": "a", "namespace": "", "labels": {}, "finalizers": []}, "spec": spec}

    found = check(obj, TYPES.of(find(kind)))

    assert (found.errors, found.unknown) == ([], [])
    assert obj == {"metadata": {"name": "a"}, "spec": left}


@pytest.mark.parametrize(
    ("kind", "obj"),
    [
        ("deployments.apps", {"spec": {"replicas": 0, "strategy": {"rollingUpdate": {"maxSurge": 0}}}}),
        ("services", {"spec": {"ports": [{"port": 0, "appProtocol": "", "targetPort": 0}], "loadBalancerClass": ""}}),
        ("pods", {"spec": {"containers": [{"name": "", "securityContext": {"runAsUser": 0, "privileged": False}}]}}),
        ("pods", {"spec": {"containers": [], "terminationGracePeriodSeconds": 0}}),
        ("persistentvolumeclaims", {"spec": {"storageClassName": "", "resources": {"requests": {"storage": "0"}}}}),
        ("roles.rbac.authorization.k8s.io", {"rules": []}),
        ("endpointslices.discovery.k8s.io", {"endpoints": [], "ports": [{"name": "", "port": 0}]}),
    ],
)
def test_what_is_empty_stays_where_that_says_something(kind: str, obj: dict) -> None:
    before = copy.deepcopy(obj)

    check(obj, TYPES.of(find(kind)))

    assert obj == before


def test_an_empty_value_of_another_type_is_an_error() -> None:
    for wrong in ({"tty": 0}, {"workingDir": False}, {"env": {}}, {"env": ""}):
        found = check({"spec": {"containers": [{"name": "a", **wrong}]}}, POD)

        assert found.errors, wrong
