"""Bounds of requests, as a kube-apiserver 1.36.2 was seen to keep them: time, headers, operations, encodings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.apiserver.access.attributes import Attributes
from actors.apiserver.rest.params import Params
from actors.apiserver.rest.timeout import seconds_allowed
from protocols.errors import BadRequest
from tests.apiserver.rest_client import Rest, rest

MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1.5s", 1.5), ("1h", 60.0), ("1m1s", 60.0), ("30s500ms", 30.5), ("0", None), ("0s", None), ("-1s", None)],
)
def test_a_request_may_take_as_long_as_its_client_says_up_to_a_minute(text: str, seconds: float | None) -> None:
    assert seconds_allowed(Params({"timeout": text}), Attributes("list", "", "pods")) == seconds


@pytest.mark.parametrize(
    ("text", "why"),
    [("abc", "invalid"), ("5", "missing unit in"), ("1m1", "missing unit in"), ("1x", 'unknown unit "x" in')],
)
def test_what_is_no_time_is_said(text: str, why: str) -> None:
    with pytest.raises(BadRequest) as refused:
        seconds_allowed(Params({"timeout": text}), Attributes("get", path="/version"))

    said = f'invalid timeout specified in the request URL - time: {why} duration "{text}"'
    assert refused.value.message == said


@pytest.mark.parametrize(
    "asked",
    [Attributes("watch", "", "pods"), Attributes("get", "", "pods", "log"), Attributes("get", "", "nodes", "proxy")],
)
def test_what_goes_on_for_as_long_as_its_client_likes_has_no_such_bound(asked: Attributes) -> None:
    assert seconds_allowed(Params({"timeout": "abc"}), asked) is None


async def test_who_does_not_want_to_wait_is_told_so(api: Rest) -> None:
    answer = await api.send("POST", f"{MAPS}?timeout=1ns", {"metadata": {"name": "a"}})

    assert (answer.code, answer.json["reason"], answer.json["details"]) == (504, "Timeout", {})
    assert answer.json["message"] == "Timeout: request did not complete within the allotted timeout"


async def test_long_tokens_and_selectors_are_read(api: Rest) -> None:
    names = ",".join(f"name-{number}" for number in range(1500))

    listed = await api.get(f"{MAPS}?labelSelector=app%20in%20({names})", X_Long="a" * 40_000)

    assert (listed.code, listed.json["items"]) == (200, [])


async def test_headers_have_a_bound_all_the_same(api: Rest) -> None:
    answer = await api.get("/version", X_Long="a" * 1_100_000)

    assert (answer.code, answer.body) == (431, b"431 Request Header Fields Too Large")


async def test_a_patch_of_too_many_operations_is_too_large(api: Rest) -> None:
    await api.create(MAPS, {"metadata": {"name": "a"}})
    operations = [{"op": "test", "path": "/metadata/name", "value": "a"}] * 10_001

    answer = await api.send("PATCH", f"{MAPS}/a", operations, content_type="application/json-patch+json")

    said = "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"
    assert (answer.code, answer.json["message"]) == (413, said)


async def test_a_body_that_is_not_encoded_as_it_says_is_a_clients_mistake(api: Rest) -> None:
    answer = await api.send("POST", MAPS, b"abc", Content_Encoding="gzip")

    assert (answer.code, answer.json["reason"]) == (400, "BadRequest")
