"""Objects that the tests of patches start from."""

from __future__ import annotations

from typing import Any

from actors.apiserver.schema.resources import Resource, find
from actors.apiserver.schema.types import Types

TYPES = Types.load()
NOW = 1767225600.0  # 2026-01-01T00:00:00Z


def resource(group_resource: str) -> Resource:
    found = find(group_resource)
    assert found is not None
    return found


DEPLOYMENTS = resource("deployments.apps")
CONFIG_MAPS = resource("configmaps")
SERVICES = resource("services")
PODS = resource("pods")


def deployment(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": spec,
    }


def with_containers(*containers: dict[str, Any], **pod: Any) -> dict[str, Any]:
    return deployment(template={"spec": {"containers": list(containers), **pod}})


def containers_of(obj: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = obj["spec"]["template"]["spec"]["containers"]
    return found


def config_map(data: dict[str, str] | None = None) -> dict[str, Any]:
    obj: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "default"},
    }
    return obj if data is None else {**obj, "data": data}
