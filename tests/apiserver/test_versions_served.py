"""Another version of Kubernetes' API: discovery, OpenAPI and validation are all of that version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actors.apiserver.cache import Cache
from actors.apiserver.custom.served import Served
from actors.apiserver.schema.openapi_v2 import OpenApiV2
from actors.apiserver.schema.openapi_v3 import OpenApiV3
from actors.apiserver.schema.resources import RESOURCES
from actors.apiserver.schema.types import OLDEST_VERSION, Types, served_versions
from tests.apiserver.rest_client import rest
from tests.apiserver.world import pod

PODS = "/api/v1/namespaces/default/pods"
MUTATING = {"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"}
POLICIES = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", *MUTATING}
FLOWS = {"FlowSchema", "PriorityLevelConfiguration"}
ADDRESSES = {"IPAddress", "ServiceCIDR"}
DEVICES = {"DeviceClass", "ResourceClaim", "ResourceClaimTemplate", "ResourceSlice", "VolumeAttributesClass"}
SINCE = {28: {"SelfSubjectReview"}, 29: FLOWS, 30: POLICIES - MUTATING, 33: ADDRESSES, 34: DEVICES, 36: MUTATING}
CAME_LATER = {
    f"1.{minor}": {kind for since, kinds in SINCE.items() if minor < since for kind in kinds} for minor in range(27, 38)
}
GANGS = {("v1alpha1", "Workload"), ("v1alpha2", "Workload"), ("v1alpha2", "PodGroup")}
ALPHA = {"1.35": {"v1alpha1"}, "1.36": {"v1alpha2"}}  # what only these versions have


@pytest.mark.slow
@pytest.mark.parametrize("version", served_versions())
def test_every_version_has_whole_documents(version: str) -> None:
    types = Types.load(version)
    served = Served(Cache(), types)

    v2, v3 = OpenApiV2(types, served), OpenApiV3(types, served)

    missing = {each for each in RESOURCES if each not in served.all()}
    gangs = {(each.version, each.kind) for each in missing if each.version.startswith("v1alpha")}
    assert gangs == {each for each in GANGS if each[0] not in ALPHA.get(version, ())}
    assert {each.kind for each in missing if not each.version.startswith("v1alpha")} == CAME_LATER[version]
    assert all(types.of(resource) for resource in served.all())
    assert v2.json().body and v2.protobuf().body and v3.index().body
    assert all(v3.document(f"apis/{each.api_version}" if each.group else "api/v1") for each in served.all())


async def test_a_field_that_came_later_is_unknown_to_an_older_version(tmp_path: Path) -> None:
    """`hostnameOverride` of a pod is of 1.34."""
    wanted = pod("web")
    wanted["spec"]["hostnameOverride"] = "other"
    answers = {}
    for version in ("1.33", "1.35"):
        (tmp_path / version).mkdir()
        async with rest(tmp_path / version, kubernetes_version=version) as api:
            answers[version] = await api.send("POST", f"{PODS}?fieldValidation=Strict", wanted)
            told = (await api.get("/version")).json

        assert (told["minor"], told["gitVersion"].split("+")[0]) == (version[2:], f"v{version}.0")

    assert (answers["1.33"].code, answers["1.35"].code) == (400, 201)
    assert 'unknown field "spec.hostnameOverride"' in answers["1.33"].json["message"]


async def test_a_kind_that_came_later_is_not_served_by_an_older_version(tmp_path: Path) -> None:
    """SelfSubjectReview is of authentication.k8s.io/v1 since 1.28."""
    path = "/apis/authentication.k8s.io/v1"
    async with rest(tmp_path, kubernetes_version=OLDEST_VERSION) as api:
        kinds = [each["kind"] for each in (await api.get(path)).json["resources"]]
        answer = await api.send("POST", f"{path}/selfsubjectreviews", {})

    assert kinds == ["TokenReview"] and answer.code == 404


async def test_label_keys_of_spread_constraints_are_merged_since_1_34(tmp_path: Path) -> None:
    """Those of affinity in every version that has them."""
    wanted = pod("web", labels={"hash": "1"})
    term = {"topologyKey": "zone", "labelSelector": {}, "matchLabelKeys": ["hash"]}
    wanted["spec"] |= {
        "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}},
        "topologySpreadConstraints": [{**term, "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}],
    }
    merged, answers = {"matchExpressions": [{"key": "hash", "operator": "In", "values": ["1"]}]}, {}
    for version in ("1.33", "1.34"):
        (tmp_path / version).mkdir()
        async with rest(tmp_path / version, kubernetes_version=version) as api:
            spec = (await api.send("POST", PODS, wanted)).json["spec"]
        (towards,) = spec["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        answers[version] = towards["labelSelector"], spec["topologySpreadConstraints"][0]["labelSelector"]

    assert answers == {"1.33": (merged, {}), "1.34": (merged, merged)}


@pytest.mark.parametrize(
    ("version", "group_version", "spec"),
    [
        ("1.35", "v1alpha1", {"podGroups": [{"name": "a", "policy": {"gang": {"minCount": 2}}}]}),
        ("1.36", "v1alpha2", {"podGroupTemplates": [{"name": "a", "schedulingPolicy": {"gang": {"minCount": 2}}}]}),
    ],
)
async def test_a_workload_is_of_the_version_that_is_served(
    tmp_path: Path, version: str, group_version: str, spec: Any
) -> None:
    api_version = f"scheduling.k8s.io/{group_version}"
    path = f"/apis/{api_version}/namespaces/default/workloads"
    wanted = {"apiVersion": api_version, "kind": "Workload", "metadata": {"name": "w"}, "spec": spec}
    async with rest(tmp_path, kubernetes_version=version) as api:
        created = await api.send("POST", f"{path}?fieldValidation=Strict", wanted)
        found = (await api.get(f"{path}/w")).json

    assert created.code == 201, created.json
    assert (found["apiVersion"], found["kind"]) == (api_version, "Workload")
    (group,) = next(iter(found["spec"].values()))
    assert group["name"] == "a" and group.get("priority") == (0 if version == "1.36" else None)


def test_versions_that_no_kubernetes_serves_side_by_side_are_not_translated() -> None:
    workloads = [(each.version, each.alias) for each in RESOURCES if each.kind == "Workload"]

    assert workloads == [("v1alpha2", False), ("v1alpha1", False)]
