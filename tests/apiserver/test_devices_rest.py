"""Devices and addresses over REST: kinds of newer versions, their statuses, what they are selected by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from actors.apiserver.schema.resources import by_kind
from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.rules.judged import changed
from tests.apiserver.rules.minimal import minimal_of

GROUP = "/apis/resource.k8s.io/v1"
CLAIMS = f"{GROUP}/namespaces/default/resourceclaims"
SLICES = f"{GROUP}/resourceslices"
RESULT = {"request": "gpu", "driver": "gpu.example.com", "pool": "node-1", "device": "gpu-0"}
ALLOCATED = {"allocation": {"devices": {"results": [RESULT]}}}


async def made(api: Rest, kind: str, changes: dict[str, Any] | None = None) -> Any:
    obj = changed(minimal_of(kind), changes or {})
    resource = by_kind(obj["apiVersion"], kind)
    assert resource is not None
    namespace = "namespaces/default/" if resource.namespaced else ""
    return await api.send("POST", f"/apis/{obj['apiVersion']}/{namespace}{resource.plural}", obj)


async def test_a_claims_status_is_written_apart_from_what_it_asks_for(tmp_path: Path) -> None:
    async with rest(tmp_path) as api:
        created = await made(api, "ResourceClaim", {"status": ALLOCATED})
        claim = changed(created.json, {"status": ALLOCATED, "spec.devices.requests.0.name": "other"})
        refused = await api.send("PUT", f"{CLAIMS}/a", claim)
        written = await api.send("PUT", f"{CLAIMS}/a/status", claim)

    assert created.code == 201 and "allocation" not in created.json["status"]
    assert "generation" not in created.json["metadata"]
    assert refused.code == 422 and refused.json["details"]["causes"][0]["field"] == "spec"
    assert written.json["spec"] == created.json["spec"] and written.json["status"] == ALLOCATED


async def test_slices_are_found_by_node_and_driver(tmp_path: Path) -> None:
    async with rest(tmp_path) as api:
        for name, node, driver in (("a", "node-1", "x"), ("b", "node-2", "x"), ("c", "node-1", "y")):
            answer = await made(
                api, "ResourceSlice", {"metadata.name": name, "spec.nodeName": node, "spec.driver": driver}
            )
            assert answer.code == 201 and answer.json["metadata"]["generation"] == 1
        everywhere = {"metadata.name": "d", "spec.nodeName": None, "spec.allNodes": True}
        await made(api, "ResourceSlice", everywhere)

        async def names(fields: str) -> list[str]:
            listed = await api.get(f"{SLICES}?fieldSelector={fields}")
            return [each["metadata"]["name"] for each in listed.json["items"]]

        assert await names("spec.nodeName%3Dnode-1") == ["a", "c"]
        assert await names("spec.nodeName%3Dnode-1,spec.driver%3Dy") == ["c"]
        assert await names("spec.nodeName%3D") == ["d"]
        assert (await api.get(f"{SLICES}?fieldSelector=spec.pool.name%3Da")).code == 400


async def test_a_condition_of_a_service_cidr_is_its_status(tmp_path: Path) -> None:
    path = "/apis/networking.k8s.io/v1/servicecidrs"
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "",
        "message": "ready",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    async with rest(tmp_path) as api:
        created = await made(api, "ServiceCIDR", {"status": {"conditions": [ready]}})
        patch = {"status": {"conditions": [ready]}, "spec": {"cidrs": ["10.9.0.0/16"]}}
        merge = "application/merge-patch+json"
        written = await api.send("PATCH", f"{path}/a/status", patch, content_type=merge)
        refused = await api.send("PATCH", f"{path}/a", patch, content_type=merge)

    assert created.json["status"] == {} and "generation" not in created.json["metadata"]
    assert written.json["status"]["conditions"] == [ready] and written.json["spec"] == {"cidrs": ["10.8.0.0/16"]}
    assert refused.code == 422 and refused.json["message"].endswith(
        'spec.cidrs[0]: Invalid value: "10.9.0.0/16": field is immutable'
    )
