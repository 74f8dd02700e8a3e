"""More answers that a kube-apiserver 1.36.2 gave to these requests, word for word; ours gives the same."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.custom.widgets import CRD_PATH, definition, version, widget
from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.world import config_map, pod

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
ACCESS = "/apis/authorization.k8s.io/v1"
NOT_FOUND = "the server could not find the requested resource"
NO_HOST = "pod a does not have a host assigned"
NOT_BOTH = "exactly one of nonResourceAttributes or resourceAttributes must be specified"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


# -- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_what_lives_in_a_namespace_is_not_found_without_it(api: Rest, method: str) -> None:
    answer = await api.send(method, "/apis/rbac.authorization.k8s.io/v1/roles/r", {})

    assert (answer.code, answer.json["message"]) == (404, NOT_FOUND)


async def test_below_a_definitions_group_what_is_not_found_is_said_in_plain_words(api: Rest) -> None:
    await api.create(CRD_PATH, definition())

    for path in ("/apis/shop.example.com/v1/widgets/w", "/apis/shop.example.com/v1/namespaces/default/nothere"):
        answer = await api.get(path)
        assert (answer.code, answer.body) == (404, b"404 page not found\n")


# -- logs and connections ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("tailLines=-1", "tailLines: Invalid value: -1: must be greater than or equal to 0"),
        ("limitBytes=0", "limitBytes: Invalid value: 0: must be greater than 0"),
        ("sinceSeconds=-5", "sinceSeconds: Invalid value: -5: must be greater than 0"),
        (
            "sinceSeconds=1&sinceTime=2026-11-30T06:00:00Z",
            "[]: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified",
        ),
    ],
)
async def test_which_logs_cannot_be_asked_for(api: Rest, query: str, problem: str) -> None:
    await api.create(PODS, pod("a"))

    answer = await api.get(f"{PODS}/a/log?{query}")

    assert (answer.code, answer.json["message"]) == (422, f'PodLogOptions "a" is invalid: {problem}')


async def test_a_pod_without_a_node_has_said_nothing(api: Rest) -> None:
    await api.create(PODS, pod("a"))

    answer = await api.get(f"{PODS}/a/log")

    assert (answer.code, answer.body) == (204, b"")


@pytest.mark.parametrize(
    ("path", "message"),
    [("exec", NO_HOST), ("attach", NO_HOST), ("portforward", NO_HOST), ("proxy", "address not allowed")],
)
async def test_to_a_pod_without_a_node_nobody_connects(api: Rest, path: str, message: str) -> None:
    await api.create(PODS, pod("a"))

    answer = await api.get(f"{PODS}/a/{path}")

    assert (answer.code, answer.json["message"]) == (400, message)


# -- definitions ------------------------------------------------------------------------------------------------------


async def test_a_deprecated_version_of_a_definition_is_warned_of(api: Rest) -> None:
    old = [version("v1beta1", storage=False, deprecated=True), version("v1alpha1", storage=False, deprecated=True)]
    old[1]["deprecationWarning"] = "do not"
    await api.create(CRD_PATH, definition(version(), *old))

    warnings = [
        (await api.get(f"/apis/shop.example.com/{name}/namespaces/default/widgets")).headers.get("Warning")
        for name in ("v1", "v1beta1", "v1alpha1")
    ]

    assert warnings == [
        None,
        '299 - "shop.example.com/v1beta1 Widget is deprecated; use shop.example.com/v1 Widget"',
        '299 - "do not"',
    ]


async def test_what_scales_is_no_negative_number(api: Rest) -> None:
    await api.create(CRD_PATH, definition())

    answer = await api.send("POST", "/apis/shop.example.com/v1/namespaces/default/widgets", widget(replicas=-1))

    assert (answer.code, answer.json["message"]) == (
        422,
        'Widget.shop.example.com "one" is invalid: [spec.replicas: Invalid value: -1: '
        "spec.replicas in body should be greater than or equal to 0, "
        ".spec.replicas: Invalid value: -1: should be a non-negative integer]",
    )


# -- watches ----------------------------------------------------------------------------------------------------------


async def test_a_watch_ends_with_a_bookmark(api: Rest) -> None:
    await api.create(MAPS, config_map("a"))

    answer = await api.get(f"{MAPS}?watch=1&allowWatchBookmarks=true&timeoutSeconds=1&fieldSelector=metadata.name=a")

    events = [json.loads(line) for line in answer.body.splitlines()]
    assert [event["type"] for event in events] == ["ADDED", "BOOKMARK"]
    assert list(events[1]["object"]["metadata"]) == ["resourceVersion"]


async def test_a_watch_is_not_continued(api: Rest) -> None:
    answer = await api.get(f"{MAPS}?watch=1&continue=abc")

    assert (answer.code, answer.json["message"]) == (
        422,
        'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: '
        "resourceVersionMatch is forbidden when continue is provided",
    )


# -- reviews ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "spec", "problems"),
    [
        ("selfsubjectaccessreviews", {}, f"spec.resourceAttributes: Invalid value: null: {NOT_BOTH}"),
        (
            "subjectaccessreviews",
            {},
            f"[spec.resourceAttributes: Invalid value: null: {NOT_BOTH}, "
            'spec.user: Invalid value: "": at least one of user or group must be specified]',
        ),
        (
            "namespaces/default/localsubjectaccessreviews",
            {"user": "jane", "nonResourceAttributes": {"path": "/x", "verb": "get"}},
            'spec.nonResourceAttributes: Invalid value: {"Path":"/x","Verb":"get"}: disallowed on this kind of request',
        ),
    ],
)
async def test_a_review_that_asks_wrongly_is_of_no_kind(
    api: Rest, kind: str, spec: dict[str, Any], problems: str
) -> None:
    answer = await api.send("POST", f"{ACCESS}/{kind}", {"metadata": {"namespace": "default"}, "spec": spec})

    assert (answer.code, answer.json["message"]) == (422, f'.authorization.k8s.io "" is invalid: {problems}')
    assert "kind" not in answer.json["details"]


async def test_who_asks_for_rules_is_not_told_the_question(api: Rest) -> None:
    answer = await api.send("POST", f"{ACCESS}/selfsubjectrulesreviews", {"spec": {"namespace": "default"}})

    assert (answer.code, answer.json["spec"]) == (201, {})


async def test_a_token_of_nobody_is_just_that(api: Rest) -> None:
    answer = await api.send("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": "zz"}})

    assert answer.code == 201
    assert sorted(answer.json["status"]) == ["error", "user"]


async def test_where_a_balancer_sends_what_it_is_sent_has_a_default(api: Rest) -> None:
    services = "/api/v1/namespaces/default/services"
    await api.create(services, {"metadata": {"name": "s"}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}})
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}, {"hostname": "h"}]}}}

    answer = await api.send("PATCH", f"{services}/s/status", status, content_type="application/merge-patch+json")

    ingress = answer.json["status"]["loadBalancer"]["ingress"]
    assert ingress == [{"ip": "1.2.3.4", "ipMode": "VIP"}, {"hostname": "h"}]
