"""What a kube-apiserver 1.36.2 makes of a webhook's answer, word for word, and what it tells a webhook."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.apiserver.admission.hooks import CONFIGMAPS, Answer, Webhook, add, allow, deny, hooked, patch
from tests.apiserver.world import config_map

pytestmark = pytest.mark.slow  # a server for each answer

MERGE = "application/merge-patch+json"
DENIED = 'admission webhook "a.example.com" denied the request'
FAILED = 'failed calling webhook "a.example.com": '
CALL = "failed to call webhook: "
INVALID = "received invalid webhook response: "
MANY = "the server has received too many requests and has asked us to try again later"
EVERY = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps", "namespaces"]}


@pytest.fixture
async def hooks(tmp_path: Path) -> AsyncIterator[Webhook]:
    async with hooked(tmp_path) as made:
        yield made


def said(version: str, kind: str = "AdmissionReview") -> Answer:
    return lambda request: orjson.dumps({"apiVersion": version, "kind": kind})


@pytest.mark.parametrize(
    ("status", "code", "reason", "message", "details"),
    [
        ({}, 400, None, f"{DENIED} without explanation", None),
        ({"message": "no way"}, 400, None, f"{DENIED}: no way", None),
        ({"message": "no way", "code": 409, "reason": "Conflict"}, 409, "Conflict", f"{DENIED}: no way", None),
        ({"code": 402}, 402, None, f"{DENIED} without explanation", None),
        ({"code": 200}, 400, None, f"{DENIED} without explanation", None),
        ({"reason": "too bad"}, 400, "too bad", f"{DENIED}: too bad", None),
        (
            {"message": "m", "details": {"causes": [{"message": "c", "field": "f"}]}},
            400,
            None,
            f"{DENIED}: m",
            {"causes": [{"message": "c", "field": "f"}]},
        ),
    ],
)
async def test_a_refusal_is_the_webhooks_own(
    hooks: Webhook, status: dict[str, Any], code: int, reason: str | None, message: str, details: Any
) -> None:
    await hooks.configure("Validating", hooks.hook("a", deny(**status)))

    answer = await hooks.post(config_map("a"))

    assert (answer.code, answer.json["code"], answer.json.get("reason")) == (code, code, reason)
    assert (answer.json["message"], answer.json.get("details")) == (message, details)


@pytest.mark.parametrize(
    ("kind", "answer", "why"),
    [
        ("Validating", said("admission.k8s.io/v1"), f"{INVALID}webhook response was absent"),
        (
            "Validating",
            said("admission.k8s.io/v1beta1"),
            f"{CALL}converting (v1beta1.AdmissionReview) to (v1.AdmissionReview): unknown conversion",
        ),
        (
            "Validating",
            said("admission.k8s.io/v1", "Foo"),
            f'{CALL}no kind "Foo" is registered for version "admission.k8s.io/v1"',
        ),
        (
            "Validating",
            lambda request: b"",
            f"{CALL}0-length response with status code: 200 and content type: application/json",
        ),
        (
            "Validating",
            lambda request: 500,
            f'{CALL}an error on the server ("unknown") has prevented the request from succeeding',
        ),
        ("Validating", lambda request: 404, f"{CALL}the server could not find the requested resource"),
        ("Validating", lambda request: 429, f"{CALL}{MANY}"),
        (
            "Validating",
            lambda request: 302,
            f"{CALL}the server responded with the status code 302 but did not return more information",
        ),
        ("Validating", patch(), f"{INVALID}validating webhook may not return response.patch"),
        (
            "Mutating",
            allow(patch=base64.b64encode(b"[]").decode()),
            f"{INVALID}webhook returned response.patch but not response.patchType",
        ),
        (
            "Mutating",
            allow(patchType="JSONPatch"),
            f"{INVALID}webhook returned response.patchType but not response.patch",
        ),
        ("Mutating", allow(patchType="JSONPatch", patch="!!"), f"{CALL}illegal base64 data"),
    ],
)
async def test_an_answer_that_is_none_is_described(hooks: Webhook, kind: str, answer: Answer, why: str) -> None:
    await hooks.configure(kind, hooks.hook("a", answer))

    refused = await hooks.post(config_map("a"))

    assert (refused.code, refused.json["reason"]) == (500, "InternalError")
    assert refused.json["message"] == f"Internal error occurred: {FAILED}{why}"
    assert refused.json["details"] == {"causes": [{"message": f"{FAILED}{why}"}]}


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        ({"op": "test", "path": "/data/k", "value": "z"}, "testing value /data/k failed: test failed"),
        (
            {"op": "remove", "path": "/nope"},
            "error in remove for path: '/nope': Unable to remove nonexistent key: nope: missing value",
        ),
        (add("/data/n", 5), "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"),
    ],
)
async def test_a_patch_that_does_not_fit_is_nobodys_request(hooks: Webhook, operation: Any, why: str) -> None:
    await hooks.configure("Mutating", hooks.hook("a", patch(operation)))

    refused = await hooks.post({**config_map("a"), "data": {"k": "v"}})

    assert (refused.code, refused.json["reason"]) == (500, "InternalError")
    assert refused.json["message"] == f"Internal error occurred: {why}"


@pytest.mark.parametrize(
    ("method", "query", "body", "options"),
    [
        ("POST", "", {}, {"kind": "CreateOptions"}),
        ("POST", "?dryRun=All", {}, {"kind": "CreateOptions", "dryRun": ["All"]}),
        (
            "PATCH",
            "?fieldManager=me&fieldValidation=Strict",
            {"data": {"k": "x"}},
            {"kind": "UpdateOptions", "fieldManager": "me", "fieldValidation": "Strict"},
        ),
        (
            "DELETE",
            "?propagationPolicy=Foreground&gracePeriodSeconds=3",
            None,
            {"kind": "DeleteOptions", "propagationPolicy": "Foreground", "gracePeriodSeconds": 3},
        ),
        (
            "DELETE",
            "",
            {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Orphan"},
            {"kind": "DeleteOptions", "propagationPolicy": "Orphan"},
        ),
    ],
)
async def test_a_webhook_is_told_the_options(
    hooks: Webhook, method: str, query: str, body: Any, options: dict[str, Any]
) -> None:
    if method != "POST":
        await hooks.post(config_map("a"))
    await hooks.configure("Validating", hooks.hook("a", allow(), rules=[EVERY]))
    path = CONFIGMAPS if method == "POST" else f"{CONFIGMAPS}/a"
    sent = config_map("a") if method == "POST" else body
    form = MERGE if method == "PATCH" else "application/json"

    answer = await hooks.client.send(method, path + query, sent, content_type=form)

    assert answer.code < 300
    assert hooks.asked[-1][1]["options"] == {"apiVersion": "meta.k8s.io/v1", **options}
    assert hooks.headers["User-Agent"] == "kube-apiserver-admission"


async def test_an_update_has_the_revision_that_it_is_made_of(hooks: Webhook) -> None:
    made = (await hooks.post(config_map("a"))).json
    await hooks.configure("Validating", hooks.hook("a", allow()))

    await hooks.client.send("PUT", f"{CONFIGMAPS}/a", {**config_map("a"), "data": {"k": "w"}})

    asked = hooks.asked[-1][1]
    revisions = [asked[name]["metadata"]["resourceVersion"] for name in ("object", "oldObject")]
    assert revisions == [made["metadata"]["resourceVersion"]] * 2


async def test_whatever_a_webhook_makes_of_the_name_others_are_told_the_requests(hooks: Webhook) -> None:
    renaming = patch({"op": "replace", "path": "/metadata/name", "value": "other"})
    await hooks.configure("Mutating", hooks.hook("a", renaming), hooks.hook("b", allow()))

    await hooks.post(config_map("one"))

    path, asked = hooks.asked[-1]
    assert (path, asked["name"], asked["object"]["metadata"]["name"]) == ("/b", "one", "other")


async def test_a_namespace_is_its_own_namespace(hooks: Webhook) -> None:
    await hooks.configure("Validating", hooks.hook("a", allow(), rules=[EVERY]))

    await hooks.client.create("/api/v1/namespaces", {"metadata": {"name": "team"}})

    assert hooks.asked[-1][1]["namespace"] == "team"


async def test_who_is_not_there_is_named_by_address(hooks: Webhook) -> None:
    away = hooks.hook("a", allow(), clientConfig={"url": "https://127.0.0.1:1/x"})
    await hooks.configure("Validating", away)

    refused = await hooks.post(config_map("a"))

    post = 'Post "https://127.0.0.1:1/x?timeout=10s"'
    assert refused.json["message"] == (
        f"Internal error occurred: {FAILED}{CALL}{post}: dial tcp 127.0.0.1:1: connect: connection refused"
    )
