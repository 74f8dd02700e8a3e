"""What a kube-apiserver 1.36.2 answered to lists and watches at their edges; ours answers the same."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.world import config_map

MAPS = "/api/v1/namespaces/default/configmaps"
NO_TOKEN = "invalid continue token: continue key is not valid: "


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        for name in "abc":
            await client.create(MAPS, config_map(name))
        yield client


def token(**parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def read(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x", "illegal base64 data at input byte 0"),
        ("!!!", "illegal base64 data at input byte 0"),
        (token(v="meta.k8s.io/v2"), "server does not recognize this encoded version meta.k8s.io/v2"),
        (
            token(v="meta.k8s.io/v1", rv=0, start="a"),
            "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
        ),
        (token(v="meta.k8s.io/v1", rv=5, start=""), "encoded start key empty (version meta.k8s.io/v1)"),
        (token(v="meta.k8s.io/v1", rv=5, start="../x"), "../x"),
    ],
)
async def test_what_is_no_token_to_go_on_with(api: Rest, text: str, why: str) -> None:
    answer = await api.get(f"{MAPS}?limit=2&continue={text}")

    assert (answer.code, answer.json["message"]) == (400, NO_TOKEN + why)


async def test_who_pages_too_slowly_may_go_on_with_what_there_is_now(api: Rest) -> None:
    first = (await api.get(f"{MAPS}?limit=1")).json["metadata"]["continue"]
    for number in range(3):
        await api.create(MAPS, config_map(f"b{number}"))
    stale = token(**{**read(first), "rv": 1})
    await api.restart()  # it keeps no history from before

    refused = await api.get(f"{MAPS}?limit=1&continue={stale}")
    goes_on = refused.json["metadata"]["continue"]
    rest_of_it = (await api.get(f"{MAPS}?limit=2&continue={goes_on}")).json

    assert (refused.code, refused.json["reason"]) == (410, "Expired")
    assert "or use the continue token in this response" in refused.json["message"]
    assert read(goes_on) == {**read(first), "rv": -1}
    assert [item["metadata"]["name"] for item in rest_of_it["items"]] == ["b", "b0"]
    assert read(rest_of_it["metadata"]["continue"])["rv"] == int(rest_of_it["metadata"]["resourceVersion"])


async def test_a_list_of_a_version_that_is_forgotten_is_too_old(api: Rest) -> None:
    await api.restart()  # it keeps no history from before

    answer = await api.get(f"{MAPS}?resourceVersion=1&resourceVersionMatch=Exact")

    assert (answer.code, answer.json["message"]) == (410, "The resourceVersion for the provided list is too old.")


async def test_a_page_of_a_version_is_one_of_that_very_version(api: Rest) -> None:
    before = (await api.get(f"{MAPS}/b")).json["metadata"]["resourceVersion"]

    exact = (await api.get(f"{MAPS}?resourceVersion={before}&limit=9")).json
    newer = (await api.get(f"{MAPS}?resourceVersion={before}&limit=9&resourceVersionMatch=NotOlderThan")).json

    assert [item["metadata"]["name"] for item in exact["items"]] == ["a", "b"]
    assert exact["metadata"]["resourceVersion"] == before
    assert [item["metadata"]["name"] for item in newer["items"]] == ["a", "b", "c"]


@pytest.mark.parametrize(("query", "seconds"), [("", "1"), ("&resourceVersionMatch=Exact", None), ("&limit=2", None)])
async def test_only_who_can_wait_for_a_version_is_told_to_come_again(
    api: Rest, query: str, seconds: str | None
) -> None:
    answer = await api.get(f"{MAPS}?resourceVersion=99999999{query}")

    assert (answer.code, answer.headers.get("Retry-After")) == (504, seconds)
    assert answer.json["message"].startswith("Timeout: Too large resource version: 99999999, current: ")
    assert answer.json["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


async def test_one_object_is_not_watched_by_a_parameter(api: Rest) -> None:
    answer = await api.get(f"{MAPS}/a?watch=1")

    assert (answer.code, answer.json["kind"]) == (200, "ConfigMap")


async def test_who_watches_one_and_selects_another_is_refused(api: Rest) -> None:
    answer = await api.get("/api/v1/watch/namespaces/default/configmaps/a?fieldSelector=metadata.name%3Db")

    assert (answer.code, answer.json["message"]) == (400, "fieldSelector metadata.name doesn't match requested name")
