"""Whatever is sent as a patch is applied or refused: never a bug, and never half of it."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.apiserver.patch import apply_patch, track_update
from protocols.errors import StatusError
from tests.apiserver.patch.objects import DEPLOYMENTS, NOW, TYPES, with_containers
from tests.effort import examples

NAMES = [
    "metadata",
    "finalizers",
    "labels",
    "annotations",
    "managedFields",
    "ownerReferences",
    "spec",
    "selector",
    "template",
    "containers",
    "name",
    "env",
    "ports",
    "containerPort",
    "resources",
    "limits",
    "$patch",
    "$retainKeys",
    "$setElementOrder/containers",
    "$setElementOrder/finalizers",
    "$deleteFromPrimitiveList/finalizers",
]
scalars = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "web", "delete", "replace", "spec", "1"])
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=15,
)
bodies = st.dictionaries(st.sampled_from(["metadata", "spec", "$patch"]), anything, max_size=3)
# Deep enough to reach what the schema merges by key.
deep = st.builds(
    lambda template: {"spec": {"template": {"spec": template}}}, st.dictionaries(st.sampled_from(NAMES), anything)
)

LAST = "kubectl.kubernetes.io/last-applied-configuration"
CURRENT = {
    **with_containers({"name": "web", "env": [{"name": "A", "value": "1"}]}, {"name": "log"}),
    "metadata": {"name": "web", "finalizers": ["a/b"], "labels": {"a": "b"}, "annotations": {LAST: "{}"}},
}


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(bodies | deep)
def test_a_strategic_merge_patch_is_applied_or_refused(patch: Any) -> None:
    sent, current = copy.deepcopy(patch), copy.deepcopy(CURRENT)

    try:
        result = apply_patch(TYPES, DEPLOYMENTS, "strategic", current, patch, manager="me", force=False, now=NOW)
    except StatusError:
        result = {}

    assert isinstance(result, dict)
    assert (patch, current) == (sent, CURRENT)


@pytest.mark.slow
@settings(max_examples=examples(150), deadline=None)
@given(bodies | deep, st.booleans())
def test_a_configuration_is_applied_or_refused(config: Any, force: bool) -> None:
    config = {**config, "apiVersion": "apps/v1", "kind": "Deployment"}
    current = track_update(TYPES, DEPLOYMENTS, None, CURRENT, manager="maker", now=NOW)
    before = copy.deepcopy(current)

    for live in (None, current):
        try:
            apply_patch(TYPES, DEPLOYMENTS, "apply", live, config, manager="kubectl", force=force, now=NOW)
        except StatusError:
            continue

    assert current == before
