"""A Scale that is applied: the number of replicas belongs to whoever applied it, on the object that is scaled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.world import deployment

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
APPLY = "application/apply-patch+yaml"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


async def apply(api: Rest, path: str, obj: Any, manager: str, **options: str) -> Any:
    query = "&".join(f"{key}={value}" for key, value in {"fieldManager": manager, **options}.items())
    return await api.send("PATCH", f"{DEPLOYMENTS}/{path}?{query}", obj, content_type=APPLY)


def scale(replicas: int | None) -> Any:
    spec = {} if replicas is None else {"replicas": replicas}
    return {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": spec}


async def test_who_applies_a_scale_owns_the_number_and_may_have_to_take_it(api: Rest) -> None:
    wanted = {**deployment("web", replicas=2), "apiVersion": "apps/v1", "kind": "Deployment"}
    await apply(api, "web", wanted, "people")

    refused = await apply(api, "web/scale", scale(5), "scaler")
    taken = await apply(api, "web/scale", scale(5), "scaler", force="true")
    back = await apply(api, "web", wanted, "people")
    stored = (await api.get(f"{DEPLOYMENTS}/web")).json

    assert refused.code == 409 and 'conflict with "people": .spec.replicas' in refused.json["message"]
    assert (taken.code, taken.json["kind"], taken.json["spec"]) == (200, "Scale", {"replicas": 5})
    assert back.code == 409 and 'conflict with "scaler" with subresource "scale"' in back.json["message"]
    assert stored["spec"]["replicas"] == 5
    (entry,) = (each for each in stored["metadata"]["managedFields"] if each["manager"] == "scaler")
    assert (entry["operation"], entry["subresource"], entry["fieldsV1"]) == (
        *("Apply", "scale"),
        {"f:spec": {"f:replicas": {}}},
    )


@pytest.mark.parametrize(
    ("obj", "code", "problem"),
    [
        (scale(-1), 422, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        (
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}},
            400,
            "cannot be handled as a Scale",
        ),
        ([], 400, "not a JSON object"),
    ],
)
async def test_what_is_no_scale_is_not_applied(api: Rest, obj: Any, code: int, problem: str) -> None:
    await api.create(DEPLOYMENTS, deployment("web", replicas=2))

    refused = await apply(api, "web/scale", obj, "scaler")

    assert refused.code == code and problem in refused.json["message"], refused.json
    assert (await api.get(f"{DEPLOYMENTS}/web")).json["spec"]["replicas"] == 2


async def test_no_scale_is_applied_to_what_is_not_there(api: Rest) -> None:
    assert (await apply(api, "web/scale", scale(1), "scaler")).code == 404
