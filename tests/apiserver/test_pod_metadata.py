"""What is remembered of one pod's patched metadata and taken for the next is what the whole way makes of that one."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.apiserver.patch import apply_patch, track_update
from actors.apiserver.pod_metadata import Asked, changed_metadata
from actors.apiserver.rules.defaults import apply_defaults
from actors.apiserver.rules.prepare import prepare_update
from actors.apiserver.rules.validate import validate
from actors.apiserver.schema.check import check
from actors.apiserver.schema.resources import find
from actors.apiserver.schema.types import Types
from protocols.errors import Answer
from protocols.objects import Object, encode_object
from protocols.rules.times import time_of
from tests.effort import examples

TYPES = Types.load()
PODS = find("pods")
assert PODS is not None
ME = Asked("merge", "me", "Warn")
LABEL = {"metadata": {"labels": {"tier": "front"}}}

words = st.sampled_from(["web", "db", "web", "db", ""]) | st.none()
odd_words = words | st.sampled_from(["Not a label", 7])
maps = st.dictionaries(st.sampled_from(["app", "tier"]), words, max_size=2)
odd_maps = st.none() | st.dictionaries(st.sampled_from(["app", "a.b/c", "/", "$patch"]), odd_words, max_size=3)
owner = st.sampled_from([{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u"}, {"odd": 1}, {"uid": "u"}])
plain = st.fixed_dictionaries({}, optional={"labels": maps, "annotations": maps, "finalizers": st.just(["a.b/c"])})
odd = st.fixed_dictionaries(
    {},
    optional={
        "labels": odd_maps,
        "annotations": odd_maps,
        "finalizers": st.none() | st.lists(st.sampled_from(["a.b/c", "d.e/f", "$"]), max_size=2),
        "ownerReferences": st.lists(owner, max_size=2),
        "name": st.just("another"),
        "odd": st.just(1),
    },
)
patches = (plain | odd).map(lambda metadata: {"metadata": metadata})
fields = st.sampled_from([{"f:metadata": {"f:labels": {"f:app": {}}}}, {"f:spec": {"f:nodeName": {}}}])
entries = st.lists(
    st.fixed_dictionaries(
        {
            "manager": st.sampled_from(["me", *map(str, range(10))]),
            "operation": st.sampled_from(["Update", "Apply"]),
            "apiVersion": st.just("v1"),
            "time": st.integers(0, 9).map(float).map(time_of),
            "fieldsType": st.just("FieldsV1"),
            "fieldsV1": fields,
        }
    ),
    max_size=11,
)
statuses = st.sampled_from([{"phase": "Running"}, {"phase": "Pending"}, {"phase": "Failed"}, {"odd": 1}])


def pod(name: str = "web-1", **given: Any) -> Object:
    metadata = {"name": name, "namespace": "default", "uid": f"of {name}", "creationTimestamp": time_of(len(name))}
    metadata |= {"resourceVersion": "7", **given}
    spec = {"containers": [{"name": "main", "image": "web:1"}]}
    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": "Running"}}
    apply_defaults(PODS, obj)
    return obj


def the_whole_way(old: Object, patch: Any, asked: Asked, now: float) -> tuple[Object, list[str]] | None:
    """As a change through the main endpoint goes; None where it is refused."""
    try:
        new = apply_patch(TYPES, PODS, asked.type, old, patch, manager=asked.manager, force=False, now=now)
    except Answer:
        return None
    found = check(new, TYPES.of(PODS))
    apply_defaults(PODS, new)
    new = prepare_update(PODS, old, new, "")
    if found.problem(asked.validation) or validate(PODS, new, old):
        return None
    return track_update(TYPES, PODS, old, new, manager=asked.manager, now=now), found.warnings(asked.validation)


@settings(max_examples=examples(400), deadline=None)
@given(
    maps, entries, statuses, patches, st.sampled_from(["merge", "strategic"]), st.sampled_from(["Warn", "Strict"]),
    st.integers(0, 12),
)  # fmt: skip
def test_pods_of_other_names_and_times_are_changed_alike(
    labels: Any, managed: Any, status: Object, patch: Any, type: Any, validation: Any, now: int
) -> None:
    asked = Asked(type, "me", validation)
    for name, since in (("a", 0.0), ("another.one", 0.5), ("c", 1e9)):
        old = pod(name, **({"labels": labels} if labels else {}), **({"managedFields": managed} if managed else {}))
        old["status"] = status
        before = copy.deepcopy(old)

        changed = changed_metadata(TYPES, PODS, old, patch, asked, now + since)

        assert old == before
        if changed is None:
            continue
        made = the_whole_way(copy.deepcopy(before), patch, asked, now + since)
        assert made is not None
        assert encode_object({**old, "metadata": changed.metadata}) == encode_object(made[0])
        assert changed.warnings == made[1]
        assert changed.metadata != before["metadata"]


def test_a_pod_keeps_what_is_its_own() -> None:
    for name in ("a", "another.one"):
        changed = changed_metadata(TYPES, PODS, pod(name), LABEL, ME, 5.0)

        assert changed is not None
        assert changed.metadata == {**pod(name)["metadata"], "labels": {"tier": "front"}}


@pytest.mark.parametrize(
    ("old", "patch"),
    [
        (pod(labels={"tier": "front"}), LABEL),  # stays as it is
        (pod(), {"metadata": {"labels": {"a": "Not a label"}}}),
        (pod(), {"metadata": {"labels": 7}}),
        (pod(), {"metadata": {"name": "another", "labels": {"a": "b"}}}),
        (pod(), {"metadata": {"labels": {"a": "b"}}, "spec": {"nodeName": "n"}}),
        (pod(deletionTimestamp=time_of(9.0)), LABEL),
        ({**pod(), "spec": {**pod()["spec"], "resourceClaims": [{"name": "a"}]}}, LABEL),
        ({**pod(), "status": {"noSuchField": 1}}, LABEL),
        ({**pod(), "noSuchField": 1}, LABEL),
        (pod(creationTimestamp="2026-01-01T00:00:00+00:00"), LABEL),
        (pod(annotations={"large": "x" * 10_000}), LABEL),
    ],
)
def test_what_is_not_plain_goes_the_whole_way(old: Object, patch: Any) -> None:
    assert changed_metadata(TYPES, PODS, old, patch, ME, 5.0) is None
