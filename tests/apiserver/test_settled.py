"""What is made of an object whose settled spec is left alone is what a close look would make of it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.apiserver.patch import apply_patch, touches, track_update
from actors.apiserver.rules.defaults import OF_THE_SPEC_ALONE, apply_defaults
from actors.apiserver.rules.prepare import prepare_update
from actors.apiserver.rules.validate import validate
from actors.apiserver.schema.check import check
from actors.apiserver.schema.resources import Resource, find
from actors.apiserver.schema.types import Types
from actors.apiserver.settled import has_settled_spec, keeps_spec
from protocols.api import PatchType
from protocols.errors import Answer
from protocols.objects import Object
from tests.apiserver.rules.of_type import objects_of
from tests.effort import examples

TYPES = Types.load()
KINDS = [resource for name in OF_THE_SPEC_ALONE if (resource := find(name)) is not None]
MAKER = [
    {
        "manager": "maker",
        "operation": "Update",
        "apiVersion": "v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {}},
    }
]
TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "web:1"}]}}
SPECS: dict[str, Object] = {
    "pods": TEMPLATE["spec"],
    "statefulsets.apps": {"selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE, "serviceName": "web"},
}
SPEC = {"selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE}
WORDS = st.sampled_from(["a", "b", "Not a label", "", 7]) | st.none()
MAPS = st.dictionaries(st.sampled_from(["a", "app", "/"]), WORDS, max_size=2)
METADATA = st.fixed_dictionaries(
    {}, optional={"labels": MAPS | st.none(), "annotations": MAPS, "finalizers": st.just(["a.b/c"]), "odd": st.just(1)}
)
BY_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "metadata": METADATA,
        "status": st.sampled_from([{"phase": "Running"}, {"replicas": 1}, None, 7]),
        "odd": st.just(1),
    },
)
POINTERS = st.sampled_from(["/metadata/labels", "/metadata/annotations/a", "/status", "/spec", "", "/odd", "x"])
OPERATIONS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "test", "move"]), "path": POINTERS},
    optional={"value": WORDS | MAPS, "from": POINTERS},
)
PATCHES: st.SearchStrategy[tuple[PatchType, Any]] = st.one_of(
    st.tuples(st.sampled_from(["merge", "strategic"]), BY_FIELDS),
    st.tuples(st.just("json"), st.lists(OPERATIONS, min_size=1, max_size=2)),
)


def stored(resource: Resource, **more: Any) -> Object:
    """One that a client made, as it is stored."""
    metadata = {"name": "a", "namespace": "default", "uid": "u", "managedFields": MAKER, "resourceVersion": "7"}
    spec = copy.deepcopy(SPECS.get(resource.group_resource, SPEC))
    obj = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "spec": {**spec, **more}}
    apply_defaults(resource, obj)
    return obj


@st.composite
def at_random(draw: st.DrawFn, resource: Resource) -> Object:
    obj = draw(objects_of(TYPES, resource))
    if draw(st.booleans()):
        apply_defaults(resource, obj)
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": "7"}}


ANY = st.sampled_from(KINDS).flatmap(
    lambda resource: st.tuples(st.just(resource), st.just(stored(resource)) | at_random(resource))
)


def made(resource: Resource, old: Object, base: Object, type: PatchType, patch: Any, settled: bool) -> object:
    """What a change through the main endpoint makes of it, as `Changes` does; or what is wrong with it."""
    try:
        new = apply_patch(TYPES, resource, type, base, patch, manager="me", force=False, now=5.0)
    except Answer as refusal:
        return repr(refusal)
    found = check(new, TYPES.of(resource), settled=settled)
    if found.errors:
        return found
    if settled:
        assert keeps_spec(new, old)
    else:
        apply_defaults(resource, new)
    new = prepare_update(resource, old, new, "")
    return found, track_update(TYPES, resource, old, new, manager="me", now=5.0), validate(resource, new, old)


@pytest.mark.slow
@settings(max_examples=examples(400), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ANY, PATCHES)
def test_a_patch_that_leaves_a_settled_spec_makes_what_a_close_look_makes(
    of_kind: tuple[Resource, Object], sent: tuple[PatchType, Any]
) -> None:
    resource, obj = of_kind
    if touches("spec", *sent) or not has_settled_spec(TYPES, resource, obj):
        return
    before = copy.deepcopy(obj)

    quickly = made(resource, obj, obj, *sent, settled=True)

    assert quickly == made(resource, copy.deepcopy(before), copy.deepcopy(before), *sent, settled=False)
    assert obj == before


@settings(max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ANY)
def test_their_defaults_look_at_the_spec_alone(of_kind: tuple[Resource, Object]) -> None:
    resource, obj = of_kind
    alone, whole = {"spec": copy.deepcopy(obj["spec"])} if "spec" in obj else {}, copy.deepcopy(obj)

    apply_defaults(resource, alone)
    apply_defaults(resource, whole)

    assert whole == {**obj, "spec": alone["spec"]}


@pytest.mark.parametrize("resource", KINDS, ids=lambda resource: resource.plural)
def test_what_clients_made_is_settled_and_what_lacks_or_breaks_something_is_not(resource: Resource) -> None:
    assert has_settled_spec(TYPES, resource, stored(resource))

    whole = stored(resource)["spec"]
    lacking = [{key: value for key, value in whole.items() if key != name} for name in ("restartPolicy", "replicas")]
    odd = [{**whole, "noSuchField": 1}, {**whole, "minReadySeconds": "1", "priority": "1"}, {**whole, "hostname": None}]
    for spec in [*lacking, *odd]:
        assert spec == whole or not has_settled_spec(TYPES, resource, {"spec": spec})
    assert not has_settled_spec(TYPES, resource, {})


def test_a_pod_that_would_be_refused_is_not_settled() -> None:
    pods = find("pods")
    assert pods is not None

    assert not has_settled_spec(TYPES, pods, stored(pods, nodeName="No name"))
