"""What a kube-apiserver 1.36.2 made of metadata that clients send; ours makes the same of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.rules.minimal import minimal_of
from tests.apiserver.world import config_map
from tests.cluster.two_servers import path_of

MAPS = "/api/v1/namespaces/default/configmaps"
MERGE, APPLY = "application/merge-patch+json", "application/apply-patch+yaml"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


# -- who owns fields --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", [[], [{}]])
async def test_whose_managers_are_reset_has_none_until_somebody_applies(api: Rest, reset: Any) -> None:
    await api.create(MAPS, config_map("a"))

    async def patch(body: Any, kind: str = MERGE) -> Any:
        return (await api.send("PATCH", f"{MAPS}/a?fieldManager=me", body, content_type=kind)).json["metadata"]

    assert "managedFields" not in await patch({"metadata": {"managedFields": reset}, "data": {"b": "c"}})
    assert "managedFields" not in await patch({"data": {"d": "e"}})
    applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"f": "g"}}
    managers = [entry["manager"] for entry in (await patch(applied, APPLY))["managedFields"]]
    assert managers == ["me", "before-first-apply"]


@pytest.mark.parametrize(
    ("agent", "manager"),
    [("kubectl/v1.33.0 (linux)", "kubectl"), ("a" * 200 + "/1", "a" * 128), ("x\ty/2", "xy"), ("/1", "unknown")],
)
async def test_a_manager_is_named_after_its_program(api: Rest, agent: str, manager: str) -> None:
    answer = await api.send("POST", MAPS, {"metadata": {"name": "a"}, "data": {"b": "c"}}, User_Agent=agent)

    assert [entry["manager"] for entry in answer.json["metadata"]["managedFields"]] == [manager]


@pytest.mark.parametrize("kind", [MERGE, APPLY])
async def test_who_scales_has_no_time(api: Rest, kind: str) -> None:
    made = minimal_of("Deployment")
    await api.create(path_of(made), made)
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "a"}, "spec": {"replicas": 3}}

    path = path_of(made, made["metadata"]["name"])
    force = "&force=true" if kind == APPLY else ""
    scaled = await api.send("PATCH", f"{path}/scale?fieldManager=hpa{force}", scale, content_type=kind)
    entries = (await api.get(path)).json["metadata"]["managedFields"]

    assert scaled.code == 200
    assert [("time" in entry) for entry in entries if entry.get("subresource") == "scale"] == [False]


async def test_nobody_owns_a_deletion_that_somebody_sent_with_what_is_new(api: Rest) -> None:
    metadata = {"name": "a", "deletionTimestamp": "2020-01-01T00:00:00Z", "deletionGracePeriodSeconds": 5}

    made = await api.create(MAPS, {"metadata": metadata})

    assert not {"managedFields", *metadata} & set(made["metadata"]) - {"name"}


# -- versions ---------------------------------------------------------------------------------------------------------


async def test_a_version_that_no_64_bits_hold_is_none(api: Rest) -> None:
    answer = await api.get(f"{MAPS}?resourceVersion=18446744073709551616")

    problem = 'strconv.ParseUint: parsing "18446744073709551616": value out of range'
    said = f'invalid resource version: resourceVersion: Invalid value: "18446744073709551616": {problem}'
    assert (answer.code, answer.json["message"]) == (400, said)
