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

# Kubernetes serves by default only betas that are older than 1.24; the others need `--runtime-config`.
BETAS = {"1.27": {"v1beta2", "v1beta3"}, "1.28": {"v1beta2", "v1beta3"}} | {
    f"1.{minor}": {"v1beta3"} for minor in range(29, 32)
}


@pytest.mark.slow
@pytest.mark.parametrize("version", served_versions())
def test_every_version_has_whole_documents(version: str) -> None:
    types = Types.load(version)
    served = Served(Cache(), types)

    v2, v3 = OpenApiV2(types, served), OpenApiV3(types, served)

    missing = {each for each in RESOURCES if each not in served.all()}
    gangs = {(each.version, each.kind) for each in missing if each.version.startswith("v1alpha")}
    betas = {each.version for each in served.all() if each.version.startswith("v1beta")}
    assert gangs == {each for each in GANGS if each[0] not in ALPHA.get(version, ())}
    assert betas == BETAS.get(version, set())
    assert {each.kind for each in missing if each.version in ("v1", "v2")} == CAME_LATER[version]
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


FLOWS_API = "/apis/flowcontrol.apiserver.k8s.io"
QUEUING = {"type": "Queue", "queuing": {"queues": 2, "handSize": 1, "queueLengthLimit": 3}}


def level(version: str, **limited: Any) -> Any:
    spec = {"type": "Limited", "limited": {"limitResponse": QUEUING, **limited}}
    api_version = f"flowcontrol.apiserver.k8s.io/{version}"
    return {
        "apiVersion": api_version,
        "kind": "PriorityLevelConfiguration",
        "metadata": {"name": f"of-{version}"},
        "spec": spec,
    }


async def test_flow_schemas_are_served_as_the_betas_that_a_version_has(tmp_path: Path) -> None:
    """1.27 has only betas; what it calls `assured` is the same number."""
    async with rest(tmp_path, kubernetes_version="1.27") as api:
        group = (await api.get(FLOWS_API)).json
        schema = (await api.get(f"{FLOWS_API}/v1beta2/flowschemas/catch-all")).json
        await api.create(
            f"{FLOWS_API}/v1beta2/prioritylevelconfigurations", level("v1beta2", assuredConcurrencyShares=7)
        )
        path = f"{FLOWS_API}/v1beta3/prioritylevelconfigurations/of-v1beta2"
        patch = {"spec": {"limited": {"nominalConcurrencyShares": 8}}}
        patched = await api.send("PATCH", path, patch, content_type="application/merge-patch+json")
        read = (await api.get(path.replace("v1beta3", "v1beta2", 1))).json
        table = await api.get(
            path.replace("v1beta3", "v1beta2", 1), Accept="application/json;as=Table;v=v1;g=meta.k8s.io"
        )
        shares = str(table.json["rows"][0]["cells"][2])
        gone = await api.get(f"{FLOWS_API}/v1/flowschemas")

    assert shares == "8"
    assert [each["version"] for each in group["versions"]] == ["v1beta3", "v1beta2"]
    assert (schema["apiVersion"], schema["spec"]["matchingPrecedence"]) == (group["versions"][1]["groupVersion"], 10000)
    assert patched.json["spec"]["limited"]["nominalConcurrencyShares"] == 8, patched.json
    assert read["spec"]["limited"] == {"assuredConcurrencyShares": 8, "lendablePercent": 0, "limitResponse": QUEUING}
    assert gone.code == 404


async def test_no_shares_are_the_default_in_a_beta_unless_its_annotation_means_them(tmp_path: Path) -> None:
    kept = {"flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares": ""}
    levels = f"{FLOWS_API}/v1beta3/prioritylevelconfigurations"
    meant = level("v1beta3", nominalConcurrencyShares=0)
    meant["metadata"] = {"name": "meant", "annotations": kept}
    async with rest(tmp_path, kubernetes_version="1.29") as api:
        default = await api.create(levels, level("v1beta3", nominalConcurrencyShares=0))
        zero = await api.create(levels, meant)
        in_v1 = (await api.get(levels.replace("v1beta3", "v1", 1) + "/meant")).json

    assert default["spec"]["limited"]["nominalConcurrencyShares"] == 30
    assert (zero["spec"]["limited"]["nominalConcurrencyShares"], zero["metadata"]["annotations"]) == (0, kept)
    assert in_v1["spec"]["limited"]["nominalConcurrencyShares"] == 0 and not in_v1["metadata"].get("annotations")


@pytest.mark.parametrize(
    ("version", "path", "warning"),
    [
        (
            "1.27",
            f"{FLOWS_API}/v1beta2/flowschemas",
            "flowcontrol.apiserver.k8s.io/v1beta2 FlowSchema is deprecated in v1.26+, unavailable in v1.29+; "
            "use flowcontrol.apiserver.k8s.io/v1beta3 FlowSchema",
        ),
        ("1.27", f"{FLOWS_API}/v1beta3/flowschemas", ""),
        ("1.32", "/api/v1/endpoints", ""),
        (
            "1.33",
            "/api/v1/endpoints",
            "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
        ),
    ],
)
async def test_who_asks_for_what_is_deprecated_is_warned(tmp_path: Path, version: str, path: str, warning: str) -> None:
    async with rest(tmp_path, kubernetes_version=version) as api:
        answers = [await api.get(path), await api.get(f"{path}?watch=1&timeoutSeconds=1&resourceVersion=0")]

    wanted = [f'299 - "{warning}"'] if warning else []
    assert [answer.headers.getall("Warning", []) for answer in answers] == [wanted, wanted]
