"""The `resize` subresource of pods: other amounts of CPU and memory for containers that are there, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.rest_client import Rest, rest

PODS = "/api/v1/namespaces/default/pods"
QUOTAS = "/api/v1/namespaces/default/resourcequotas"
LIMITS = "/api/v1/namespaces/default/limitranges"
STRATEGIC = "application/strategic-merge-patch+json"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


def sized(**requests: str) -> Any:
    container = {"name": "app", "image": "x", "resources": {"requests": requests}}
    return {"metadata": {"name": "web"}, "spec": {"containers": [container]}}


async def resize(api: Rest, resources: Any, **container: Any) -> Any:
    patch = {"spec": {"containers": [{"name": "app", "resources": resources, **container}]}}
    return await api.send("PATCH", f"{PODS}/web/resize", patch, content_type=STRATEGIC)


async def test_a_pod_gets_other_amounts_and_counts_a_generation(api: Rest) -> None:
    await api.create(PODS, sized(cpu="1", memory="1Gi"))

    resized = (await resize(api, {"requests": {"cpu": "1500m"}}, image="other")).json
    by_update = await api.send("PATCH", f"{PODS}/web", {"spec": resized["spec"]}, content_type=STRATEGIC)
    refused = await api.send(
        "PATCH",
        f"{PODS}/web",
        {"spec": {"containers": [{"name": "app", "resources": {"requests": {"cpu": "2"}}}]}},
        content_type=STRATEGIC,
    )

    (container,) = resized["spec"]["containers"]
    assert container["resources"]["requests"] == {"cpu": "1500m", "memory": "1Gi"}
    assert (container["image"], resized["metadata"]["generation"]) == ("x", 2)
    assert by_update.code == 200 and refused.code == 422
    assert "pod updates may not change fields other than" in refused.json["message"]


@pytest.mark.parametrize(
    ("resources", "problem"),
    [
        ({"requests": {"cpu": None}}, "resource requests cannot be removed"),
        ({"requests": {"example.com/x": "1"}, "limits": {"example.com/x": "1"}}, "only cpu and memory resources are"),
        (
            {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
            'Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing',
        ),
        ({"limits": {"cpu": "500m"}}, "must be less than or equal to cpu limit"),
    ],
)
async def test_what_a_resize_may_not_do(api: Rest, resources: Any, problem: str) -> None:
    await api.create(PODS, sized(cpu="1", memory="1Gi"))

    refused = await resize(api, resources)

    assert refused.code == 422 and problem in refused.json["message"], refused.json


async def test_a_pod_outgrows_neither_quota_nor_limit_range(api: Rest) -> None:
    await api.create(PODS, sized(cpu="1", memory="1Gi"))
    await api.create(QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": {"requests.cpu": "2"}}})
    most = {"type": "Container", "max": {"memory": "2Gi"}}
    await api.create(LIMITS, {"metadata": {"name": "l"}, "spec": {"limits": [most]}})

    by_quota = await resize(api, {"requests": {"cpu": "3"}, "limits": {"memory": "1Gi"}})
    by_range = await resize(api, {"requests": {"memory": "3Gi"}, "limits": {"memory": "3Gi"}})
    within = await resize(api, {"requests": {"cpu": "2"}, "limits": {"memory": "2Gi"}})

    assert (by_quota.code, by_range.code, within.code) == (403, 403, 200), (by_quota.json, within.json)
    assert "exceeded quota: q" in by_quota.json["message"]
    assert "maximum memory usage per Container is 2Gi" in by_range.json["message"]


async def test_it_came_with_1_33(tmp_path: Path) -> None:
    found = {}
    for version in ("1.32", "1.33"):
        (tmp_path / version).mkdir()
        async with rest(tmp_path / version, kubernetes_version=version) as api:
            await api.create(PODS, sized(cpu="1"))
            names = {each["name"] for each in (await api.get("/api/v1")).json["resources"]}
            found[version] = ("pods/resize" in names, (await resize(api, {"requests": {"cpu": "2"}})).code)

    assert found == {"1.32": (False, 404), "1.33": (True, 200)}
