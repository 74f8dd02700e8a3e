"""`kubectl get componentstatuses`: who is well is said by those who are asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocols.objects import Object
from tests.apiserver.rest_client import Rest, rest

PATH = "/api/v1/componentstatuses"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    """There is a scheduler, and no controller manager."""
    async with rest(tmp_path) as client:
        await client.world.system("scheduler")
        yield client


def healthy(obj: Object) -> tuple[str, str, str]:
    (condition,) = obj["conditions"]
    assert condition["type"] == "Healthy"
    return obj["metadata"]["name"], condition["status"], condition.get("message", "")


async def test_those_who_answer_are_well(api: Rest) -> None:
    found = (await api.get(PATH)).json
    lost = next(each for each in found["items"] if each["metadata"]["name"] == "controller-manager")

    assert (found["kind"], found["apiVersion"]) == ("ComponentStatusList", "v1")
    assert list(map(healthy, found["items"])) == [
        ("scheduler", "True", "ok"),
        ("controller-manager", "False", ""),
        ("etcd-0", "True", "ok"),
    ]
    assert lost["conditions"][0]["error"].startswith("controller-manager does not answer: ")


async def test_a_store_that_is_gone_is_not_well(api: Rest) -> None:
    before = (await api.get(f"{PATH}/etcd-0")).json
    await api.world.stop_system("etcd-0")

    after = (await api.get(f"{PATH}/etcd-0")).json

    assert healthy(before) == ("etcd-0", "True", "ok")
    assert healthy(after) == ("etcd-0", "False", "")


async def test_they_are_selected_and_shown_in_columns(api: Rest) -> None:
    one = (await api.get(f"{PATH}?fieldSelector=metadata.name=etcd-0")).json
    none = (await api.get(f"{PATH}?labelSelector=app=web")).json
    table = (await api.get(PATH, Accept=TABLE)).json

    assert [item["metadata"]["name"] for item in one["items"]] == ["etcd-0"] and none["items"] == []
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Status", "Message", "Error"]
    assert [row["cells"][:3] for row in table["rows"]] == [
        ["scheduler", "Healthy", "ok"],
        ["controller-manager", "Unhealthy", ""],
        ["etcd-0", "Healthy", "ok"],
    ]


async def test_who_asks_is_told_that_it_is_deprecated(api: Rest) -> None:
    answer = await api.get(PATH)

    assert answer.headers["Warning"] == '299 - "v1 ComponentStatus is deprecated in v1.19+"'


@pytest.mark.parametrize(
    ("method", "path", "code"), [("GET", f"{PATH}/cloud", 404), ("DELETE", f"{PATH}/etcd-0", 405), ("POST", PATH, 405)]
)
async def test_nothing_else_can_be_done_with_them(api: Rest, method: str, path: str, code: int) -> None:
    assert (await api.send(method, path, {} if method == "POST" else None)).code == code


async def test_who_may_not_know_is_not_told(api: Rest) -> None:
    assert (await api.send("GET", PATH, session=api.anonymous)).code in (401, 403)
