"""Webhooks over TLS: a server in this process that answers as each test says, asked by a real API server."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.apiserver.tls import Authority
from protocols.api import Bind, Binding
from protocols.errors import decode_error
from protocols.objects import Object
from tests.apiserver.admission.hooks import CONFIGMAPS, GROUP, Webhook, add, allow, deny, hooked, patch
from tests.apiserver.custom.widgets import CRD_PATH, definition, widget
from tests.apiserver.rest_client import NOW
from tests.apiserver.tls_server import behind_service
from tests.apiserver.world import config_map, pod

MERGE = "application/merge-patch+json"


@pytest.fixture
async def hooks(tmp_path: Path) -> AsyncIterator[Webhook]:
    async with hooked(tmp_path) as made:
        yield made


# -- validating -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_what_a_webhook_denies_is_refused_in_its_words(hooks: Webhook) -> None:
    denying = deny(message="no maps today", code=403)
    await hooks.configure("Validating", hooks.hook("no", denying))

    refused = await hooks.post(config_map("a"))

    assert refused.code == 403
    assert refused.json["message"] == 'admission webhook "no.example.com" denied the request: no maps today'
    assert (await hooks.client.get(f"{CONFIGMAPS}/a")).code == 404


async def test_a_denial_without_words_or_code(hooks: Webhook) -> None:
    await hooks.configure("Validating", hooks.hook("no", deny()))

    refused = await hooks.post(config_map("a"))

    assert refused.code == 400
    assert refused.json["message"] == 'admission webhook "no.example.com" denied the request without explanation'


async def test_a_webhook_is_asked_about_old_and_new_and_by_whom(hooks: Webhook) -> None:
    rule = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["configmaps"]}
    await hooks.configure("Validating", hooks.hook("see", allow(warnings=["seen"]), rules=[rule]))

    created = await hooks.post(config_map("a"))
    await hooks.client.send("PATCH", f"{CONFIGMAPS}/a", {"data": {"b": "2"}}, content_type=MERGE)
    await hooks.client.send("DELETE", f"{CONFIGMAPS}/a")

    asked = [request for _, request in hooks.asked]
    assert [request["operation"] for request in asked] == ["CREATE", "UPDATE", "DELETE"]
    assert [request["name"] for request in asked] == ["a"] * 3
    assert asked[0]["oldObject"] is None and asked[0]["object"]["data"] == {"a": "1"}
    assert asked[1]["oldObject"]["data"] == {"a": "1"} and asked[1]["object"]["data"] == {"a": "1", "b": "2"}
    assert asked[2]["object"] is None and asked[2]["oldObject"]["data"] == {"a": "1", "b": "2"}
    assert asked[0]["kind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
    assert asked[0]["resource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert "system:masters" in asked[0]["userInfo"]["groups"]
    assert created.headers["Warning"] == '299 - "seen"'


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"objectSelector": {"matchLabels": {"ask": "yes"}}}, ["labelled"]),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-public"}}}, []),
        (
            {"matchConditions": [{"name": "long", "expression": "object.metadata.name.size() > 3"}]},
            ["labelled", "other"],
        ),
        (
            {
                "matchConditions": [
                    {"name": "a", "expression": "object.nothing == 1"},
                    {"name": "b", "expression": "request.userInfo.username == 'nobody'"},
                ]
            },
            [],
        ),
    ],
)
async def test_selectors_and_conditions_say_whom_it_is_about(hooks: Webhook, more: Object, expected: list[str]) -> None:
    await hooks.configure("Validating", hooks.hook("see", allow(), **more))

    for obj in (config_map("a"), config_map("labelled", labels={"ask": "yes"}), config_map("other")):
        assert (await hooks.post(obj)).code == 201

    assert [request["name"] for _, request in hooks.asked] == expected


async def test_a_webhook_that_does_not_answer_refuses_unless_it_may_be_ignored(hooks: Webhook) -> None:
    nowhere = {"url": "https://localhost:1/", "caBundle": hooks.bundle}
    broken = hooks.hook("broken", lambda request: b"no json", failurePolicy="Ignore")
    await hooks.configure(
        "Validating", hooks.hook("gone", allow(), clientConfig=nowhere, failurePolicy="Ignore"), broken
    )
    assert (await hooks.post(config_map("a"))).code == 201

    await hooks.configure("Mutating", hooks.hook("needed", allow(), clientConfig=nowhere))
    refused = await hooks.post(config_map("b"))

    assert refused.code == 500
    start = 'Internal error occurred: failed calling webhook "needed.example.com": failed to call webhook: Post'
    assert refused.json["message"].startswith(start)


async def test_an_answer_that_answers_something_else_counts_for_nothing(hooks: Webhook) -> None:
    await hooks.configure("Validating", hooks.hook("odd", lambda request: {"uid": "other", "allowed": True}))

    refused = await hooks.post(config_map("a"))

    assert refused.code == 500 and 'expected response.uid="' in refused.json["message"]


async def test_a_certificate_of_somebody_else_is_not_trusted(hooks: Webhook, tmp_path: Path) -> None:
    other = base64.b64encode(Authority(tmp_path / "other", NOW).ca_pem).decode()
    hook = hooks.hook("see", allow())
    await hooks.configure("Validating", {**hook, "clientConfig": {**hook["clientConfig"], "caBundle": other}})

    refused = await hooks.post(config_map("a"))

    assert refused.code == 500 and "x509: " in refused.json["message"]
    assert hooks.asked == []


async def test_a_service_of_the_cluster_is_asked_at_an_endpoint_that_is_ready(hooks: Webhook) -> None:
    config = {"service": {"namespace": "default", "name": "hooks", "path": "see"}, "caBundle": hooks.bundle}
    hook = hooks.hook("see", allow())
    await hooks.configure("Validating", {**hook, "clientConfig": config})

    missing = await hooks.post(config_map("a"))
    await behind_service(hooks.client, "hooks", hooks.port)
    created = await hooks.post(config_map("a"))

    assert missing.code == 500
    asked = 'failed to call webhook: Post "https://hooks.default.svc:443/see?timeout=10s": service "hooks" not found'
    assert missing.json["message"].endswith(asked)
    assert created.code == 201 and [path for path, _ in hooks.asked] == ["/see"]


async def test_the_certificate_must_be_for_the_name_of_the_service(hooks: Webhook) -> None:
    config = {"service": {"namespace": "default", "name": "other"}, "caBundle": hooks.bundle}
    await hooks.configure("Validating", {**hooks.hook("see", allow()), "clientConfig": config})
    await behind_service(hooks.client, "other", hooks.port)

    refused = await hooks.post(config_map("a"))

    assert refused.code == 500 and "x509: " in refused.json["message"]
    assert hooks.asked == []


async def test_a_dry_run_asks_only_who_has_no_side_effects(hooks: Webhook) -> None:
    await hooks.configure("Validating", hooks.hook("pure", allow()))

    assert (await hooks.post(config_map("a"), "?dryRun=All")).code == 201
    assert [request["dryRun"] for _, request in hooks.asked] == [True]


# -- mutating ---------------------------------------------------------------------------------------------------------


async def test_webhooks_change_what_is_stored_one_after_the_other(hooks: Webhook) -> None:
    first = hooks.hook("first", patch(add("/data/first", "1")))
    second = hooks.hook(
        "second", lambda request: patch(add("/data/second", str(len(request["object"]["data"]))))(request)
    )
    await hooks.configure("Mutating", first, second)

    await hooks.post(config_map("a"))

    assert (await hooks.client.get(f"{CONFIGMAPS}/a")).json["data"] == {"a": "1", "first": "1", "second": "2"}
    assert [path for path, _ in hooks.asked] == ["/first", "/second"]


async def test_who_wants_to_see_what_others_changed_is_asked_again_once(hooks: Webhook) -> None:
    counting = hooks.hook(
        "counting", lambda request: patch(add("/data/count", str(len(request["object"]["data"]))))(request),
        reinvocationPolicy="IfNeeded",
    )  # fmt: skip
    await hooks.configure("Mutating", counting, hooks.hook("late", patch(add("/data/late", "x"))))

    await hooks.post(config_map("a"))

    assert (await hooks.client.get(f"{CONFIGMAPS}/a")).json["data"] == {"a": "1", "count": "3", "late": "x"}
    assert [path for path, _ in hooks.asked] == ["/counting", "/late", "/counting"]


async def test_what_a_webhook_makes_of_an_object_is_completed_and_judged_like_any_other(hooks: Webhook) -> None:
    pods = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
    container = {"name": "side", "image": "x"}
    await hooks.configure("Mutating", hooks.hook("inject", patch(add("/spec/containers/-", container)), rules=pods))
    path = "/api/v1/namespaces/default/pods"

    created = await hooks.client.send(
        "POST", path, {"metadata": {"generateName": "web-"}, "spec": {"containers": [{"name": "main", "image": "x"}]}}
    )
    twice = await hooks.client.send(
        "POST", path, {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "side", "image": "x"}]}}
    )

    side = created.json["spec"]["containers"][1]
    assert side["name"] == "side" and side["imagePullPolicy"] == "Always"
    assert created.json["metadata"]["name"].startswith("web-") and len(created.json["metadata"]["name"]) == 9
    assert twice.code == 422 and "Duplicate value" in twice.json["message"]


async def test_a_webhook_sees_the_version_it_asked_for(hooks: Webhook) -> None:
    rule = {"apiGroups": ["autoscaling"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["*"]}
    await hooks.configure("Validating", hooks.hook("old", allow(), rules=[rule]))
    spec = {"maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}

    created = await hooks.client.send(
        "POST",
        "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers",
        {"metadata": {"name": "web"}, "spec": spec},
    )

    ((_, request),) = hooks.asked
    assert created.code == 201
    assert request["object"]["apiVersion"] == "autoscaling/v1"
    assert request["kind"]["version"] == "v1" and request["requestKind"]["version"] == "v2"


async def test_custom_resources_have_webhooks_too(hooks: Webhook) -> None:
    rule = {"apiGroups": ["shop.example.com"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["widgets"]}
    await hooks.client.create(CRD_PATH, definition())
    await hooks.configure("Mutating", hooks.hook("paint", patch(add("/spec/color", "green")), rules=[rule]))

    created = await hooks.client.send("POST", "/apis/shop.example.com/v1/namespaces/default/widgets", widget("one"))

    assert created.code == 201 and created.json["spec"]["color"] == "green"


async def test_who_configures_admission_is_never_kept_from_it(hooks: Webhook) -> None:
    everything = [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}]
    await hooks.configure("Validating", hooks.hook("no", deny(message="never"), rules=everything))

    refused = await hooks.post(config_map("a"))
    removed = await hooks.client.send("DELETE", f"{GROUP}/validatingwebhookconfigurations/validating")

    assert refused.code == 400 and removed.code == 200
    assert (await hooks.post(config_map("a"))).code == 201


@pytest.mark.slow
async def test_many_writers_share_the_connections(hooks: Webhook) -> None:
    await hooks.configure("Mutating", hooks.hook("mark", patch(add("/data/marked", "1"))))

    answers = await asyncio.gather(*(hooks.post(config_map(f"m-{number}")) for number in range(60)))

    assert {answer.code for answer in answers} == {201}
    assert all(answer.json["data"]["marked"] == "1" for answer in answers)


# -- configurations ---------------------------------------------------------------------------------------------------


async def test_a_configuration_that_could_not_work_is_refused(hooks: Webhook) -> None:
    hook = hooks.hook("x", allow(), timeoutSeconds=31, sideEffects="Some", clientConfig={"url": "http://a/?b"})
    hook = {**hook, "name": "short", "matchConditions": [{"name": "c", "expression": "object."}]}

    refused = await hooks.client.send(
        "POST", f"{GROUP}/validatingwebhookconfigurations", {"metadata": {"name": "a"}, "webhooks": [hook]}
    )

    message = refused.json["message"]
    assert refused.code == 422
    for part in (
        'webhooks[0].name: Invalid value: "short": should be a domain with at least three segments separated by dots',
        "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
        'webhooks[0].sideEffects: Unsupported value: "Some"',
        "'https' is the only allowed URL scheme",
        'webhooks[0].matchConditions[0].expression: Invalid value: "object.": compilation failed: ERROR',
    ):
        assert part in message


# -- what passes through ----------------------------------------------------------------------------------------------


async def test_bindings_are_shown_to_webhooks_and_may_be_labelled_by_them(hooks: Webhook) -> None:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods/binding"]}
    only = {"rules": [rule]}
    labels = patch(add("/metadata/labels", {"rack": "7"}))
    await hooks.configure("Mutating", hooks.hook("label", labels, **only))
    await hooks.configure("Validating", hooks.hook("look", allow(), **only))
    world = hooks.client.world
    for name in ("a", "b"):
        await world.create("pods", pod(name))

    outcomes = await world.ask(Bind((Binding("default", "a", "n1"), Binding("default", "b", "n2"))))

    assert outcomes.errors == (b"", b"")
    bound = [await world.get("pods", name) for name in ("a", "b")]
    assert [each["metadata"]["labels"] for each in bound] == [{"rack": "7"}] * 2
    shown = [request for path, request in hooks.asked if path == "/look"]
    assert sorted(each["object"]["target"]["name"] for each in shown) == ["n1", "n2"]
    assert {(each["name"], each["subResource"], each["kind"]["kind"]) for each in shown} == {
        ("a", "binding", "Binding"),
        ("b", "binding", "Binding"),
    }
    assert all(each["object"]["metadata"]["labels"] == {"rack": "7"} for each in shown)


async def test_a_binding_that_a_webhook_denies_binds_nothing(hooks: Webhook) -> None:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods/binding"]}
    await hooks.configure("Validating", hooks.hook("no", deny(message="not today", code=403), rules=[rule]))
    world = hooks.client.world
    await world.create("pods", pod("a"))

    outcomes = await world.ask(Bind((Binding("default", "a", "n1"),)))

    assert "not today" in str(decode_error(outcomes.errors[0]))
    assert "nodeName" not in (await world.get("pods", "a"))["spec"]


async def test_webhooks_about_other_things_are_not_asked_about_bindings(hooks: Webhook) -> None:
    await hooks.configure("Validating", hooks.hook("no", deny()))
    world = hooks.client.world
    await world.create("pods", pod("a"))

    outcomes = await world.ask(Bind((Binding("default", "a", "n1"),)))

    assert outcomes.errors == (b"",) and not hooks.asked
