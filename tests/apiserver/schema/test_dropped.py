"""Fields of features that are off, and of ones that are no more, are known and not kept, as in Kubernetes."""

from __future__ import annotations

from typing import Any

import pytest

from actors.apiserver.schema.check import check
from actors.apiserver.schema.resources import by_kind
from actors.apiserver.schema.types import Types

TYPES = Types.load()


@pytest.mark.parametrize(
    ("api_version", "kind", "field", "value"),
    [
        ("coordination.k8s.io/v1", "Lease", "strategy", "OldestEmulationVersion"),
        ("storage.k8s.io/v1", "CSIDriver", "preventPodSchedulingIfMissing", True),
        ("v1", "Node", "configSource", {"configMap": {"name": "a"}}),
    ],
)
def test_a_field_that_is_off_is_dropped_and_nobody_is_told(api_version: str, kind: str, field: str, value: Any) -> None:
    resource = by_kind(api_version, kind)
    assert resource is not None
    obj = {"spec": {field: value}}

    checked = check(obj, TYPES.of(resource))

    assert obj == {"spec": {}}
    assert (checked.errors, checked.unknown) == ([], [])


def test_a_value_of_the_wrong_type_is_one_there_too() -> None:
    resource = by_kind("coordination.k8s.io/v1", "Lease")
    assert resource is not None

    assert len(check({"spec": {"strategy": 5}}, TYPES.of(resource)).errors) == 1


def test_a_source_of_a_volume_that_is_off_leaves_an_empty_one() -> None:
    resource = by_kind("v1", "Pod")
    assert resource is not None
    source: dict[str, Any] = {"clusterTrustBundle": {"name": "a", "path": "b"}}
    obj = {"spec": {"volumes": [{"name": "v", "projected": {"sources": [source]}}]}}

    check(obj, TYPES.of(resource))

    assert obj["spec"]["volumes"][0]["projected"] == {"sources": [{}]}
    assert source == {"clusterTrustBundle": {"name": "a", "path": "b"}}
