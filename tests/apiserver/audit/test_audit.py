"""What stands in the audit log after requests of people and of actors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from actors.apiserver.audit.config import AuditConfig, LogFile
from actors.apiserver.audit.policy import read_policy
from protocols.api import Bind, Binding
from protocols.objects import Object
from tests.apiserver.aggregation import orchard
from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.tls_server import behind_service, serving
from tests.apiserver.world import config_map, pod

MAPS = "/api/v1/namespaces/default/configmaps"


class Audited:
    def __init__(self, client: Rest, path: Path) -> None:
        self.client = client
        self._path = path

    async def events(self, count: int, **wanted: Any) -> list[Object]:
        """Those with such fields, as soon as there are so many."""
        async with asyncio.timeout(20):
            while True:
                lines = self._path.read_text().splitlines() if self._path.exists() else []
                found = [each for line in lines if wanted.items() <= (each := json.loads(line)).items()]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.005)


@asynccontextmanager
async def audited(directory: Path, *rules: Object, **fields: Any) -> AsyncIterator[Audited]:
    log = directory / "audit.log"
    policy = read_policy({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [*rules], **fields})
    async with rest(directory, audit=AuditConfig(policy, LogFile(log))) as client:
        yield Audited(client, log)


async def test_a_request_is_written_when_it_comes_and_when_it_ends(tmp_path: Path) -> None:
    async with audited(tmp_path, {"level": "RequestResponse", "resources": [{"resources": ["configmaps"]}]}) as here:
        answer = await here.client.send("POST", MAPS, config_map("a"), Audit_ID="my-id")
        received, complete = await here.events(2, auditID="my-id")

    assert answer.headers["Audit-Id"] == "my-id"
    assert (received["stage"], complete["stage"]) == ("RequestReceived", "ResponseComplete")
    assert "requestObject" not in received and "responseStatus" not in received
    assert complete["verb"] == "create" and complete["requestURI"] == MAPS
    assert complete["user"]["username"] == "kubernetes-admin" and "system:masters" in complete["user"]["groups"]
    assert complete["objectRef"] == {
        "resource": "configmaps",
        "namespace": "default",
        "name": "a",
        "apiVersion": "v1",
    }
    assert complete["responseStatus"] == {"metadata": {}, "code": 201}
    assert complete["requestObject"]["data"] == complete["responseObject"]["data"] == {"a": "1"}
    assert complete["annotations"]["authorization.k8s.io/decision"] == "allow"
    assert complete["sourceIPs"] == ["127.0.0.1"]


async def test_each_level_writes_as_much_as_it_says(tmp_path: Path) -> None:
    rules = (
        {"level": "None", "verbs": ["delete"]},
        {"level": "Metadata", "verbs": ["get"]},
        {"level": "Request", "verbs": ["create"], "resources": [{"resources": ["configmaps"]}]},
    )
    async with audited(tmp_path, *rules, omitStages=["RequestReceived"]) as here:
        await here.client.send("POST", MAPS, config_map("a"))
        await here.client.get(f"{MAPS}/a")
        await here.client.send("DELETE", f"{MAPS}/a")
        await here.client.get("/version")
        (created,) = await here.events(1, verb="create", requestURI=MAPS)
        (read,) = await here.events(1, verb="get", requestURI=f"{MAPS}/a")
        await here.events(1, requestURI="/version")
        everything = await here.events(0)

    assert created["level"] == "Request" and "requestObject" in created and "responseObject" not in created
    assert read["level"] == "Metadata" and "requestObject" not in read and "responseObject" not in read
    assert not [event for event in everything if event["verb"] == "delete" or event["stage"] == "RequestReceived"]


@pytest.mark.slow
async def test_a_patch_is_written_as_it_came_and_managed_fields_are_left_out_on_request(tmp_path: Path) -> None:
    rule = {"level": "RequestResponse", "verbs": ["patch"], "omitManagedFields": True}
    async with audited(tmp_path, rule) as here:
        await here.client.send("POST", MAPS, config_map("a"))
        await here.client.send("PATCH", f"{MAPS}/a", {"data": {"b": "2"}}, content_type="application/merge-patch+json")
        (event,) = await here.events(1, stage="ResponseComplete")

    assert event["requestObject"] == {"data": {"b": "2"}}
    assert event["responseObject"]["data"] == {"a": "1", "b": "2"}
    assert "managedFields" not in event["responseObject"]["metadata"]


async def test_who_may_not_is_written_with_the_refusal_and_who_stands_in_for_whom_too(tmp_path: Path) -> None:
    async with audited(tmp_path, {"level": "Metadata"}, omitStages=["RequestReceived"]) as here:
        await here.client.by("jane", "GET", "/api/v1/secrets")
        await here.client.get("/api/v1/secrets", Impersonate_User="bob")
        (refused,) = await here.events(1, requestURI="/api/v1/secrets", user=user("jane", "team"))
        admins = [each for each in await here.events(2, requestURI="/api/v1/secrets") if "impersonatedUser" in each]

    assert refused["responseStatus"]["code"] == 403 and refused["responseStatus"]["reason"] == "Forbidden"
    assert refused["annotations"]["authorization.k8s.io/decision"] == "forbid"
    assert admins[0]["user"]["username"] == "kubernetes-admin"
    assert admins[0]["impersonatedUser"]["username"] == "bob"


async def test_a_token_that_is_no_good_is_written_too(tmp_path: Path) -> None:
    async with audited(tmp_path, {"level": "Metadata"}) as here:
        answer = await here.client.by("wrong", "GET", MAPS)
        (event,) = await here.events(1, requestURI=MAPS)

    assert answer.code == 401 and "Audit-Id" in answer.headers
    assert event["stage"] == "ResponseStarted" and event["responseStatus"]["code"] == 401


async def test_a_watch_is_written_when_it_starts_and_when_it_ends(tmp_path: Path) -> None:
    path = f"{MAPS}?watch=true"
    async with audited(tmp_path, {"level": "Metadata", "verbs": ["watch"]}) as here:
        async with here.client.watch(path):
            started = await here.events(2, requestURI=path)
        events = await here.events(3, requestURI=path)

    assert [event["stage"] for event in started] == ["RequestReceived", "ResponseStarted"]
    assert events[-1]["stage"] == "ResponseComplete" and events[-1]["responseStatus"]["code"] == 200


async def test_what_actors_ask_is_written_as_if_it_had_come_over_rest(tmp_path: Path) -> None:
    rule = {"level": "Request", "resources": [{"resources": ["configmaps"]}]}
    async with audited(tmp_path, rule, omitStages=["RequestReceived"]) as here:
        await here.client.world.create("configmaps", config_map("by-message"))
        (event,) = await here.events(1, verb="create")

    assert event["user"]["username"] == "system:admin" and event["responseStatus"]["code"] == 201
    assert event["requestURI"] == MAPS
    assert event["requestObject"]["data"] == {"a": "1"}


async def test_bindings_of_one_message_are_written_one_by_one(tmp_path: Path) -> None:
    async with audited(tmp_path, {"level": "Metadata"}, omitStages=["RequestReceived"]) as here:
        await here.client.world.create("pods", pod("a"))
        bindings = Bind((Binding("default", "a", "n1"), Binding("default", "nobody", "n1")))
        outcomes = await here.client.world.ask(bindings)
        pods = "/api/v1/namespaces/default/pods"
        (done,) = await here.events(1, requestURI=f"{pods}/a/binding")
        (refused,) = await here.events(1, requestURI=f"{pods}/nobody/binding")

    assert [bool(error) for error in outcomes.errors] == [False, True]
    assert (done["verb"], done["responseStatus"]["code"]) == ("create", 201)
    assert refused["responseStatus"]["code"] == 404


async def test_admission_says_in_the_log_which_standard_a_pod_was_held_to(tmp_path: Path) -> None:
    modes = {"enforce": "baseline", "audit": "restricted"}
    labels = {f"pod-security.kubernetes.io/{mode}": level for mode, level in modes.items()}
    async with audited(tmp_path, {"level": "Metadata", "resources": [{"resources": ["pods"]}]}) as here:
        await here.client.create("/api/v1/namespaces", {"metadata": {"name": "strict", "labels": labels}})
        await here.client.create("/api/v1/namespaces/strict/pods", pod("a", "strict"))
        (event,) = await here.events(1, stage="ResponseComplete", verb="create")

    assert event["annotations"]["pod-security.kubernetes.io/enforce-policy"] == "baseline:latest"
    assert event["annotations"]["pod-security.kubernetes.io/audit-violations"].startswith(
        'would violate PodSecurity "restricted:latest": '
    )


async def test_a_bug_that_ends_a_request_is_written_as_a_panic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with audited(tmp_path, {"level": "Metadata"}) as here:
        monkeypatch.setattr("actors.apiserver.rest.verbs.decode_body", lambda *_: 1 / 0)
        await here.client.send("POST", MAPS, config_map("a"))
        (event,) = await here.events(1, stage="Panic")

    assert event["responseStatus"]["code"] == 500


async def test_without_a_policy_there_is_no_audit(tmp_path: Path) -> None:
    async with rest(tmp_path) as client:
        answer = await client.send("POST", MAPS, config_map("a"), Audit_ID="my-id")

    assert answer.code == 201 and "Audit-Id" not in answer.headers


def user(name: str, *groups: str) -> Object:
    return {"username": name, "groups": [*groups, "system:authenticated"]}


async def test_a_connection_to_another_api_server_is_written_when_it_begins(tmp_path: Path) -> None:
    rule = {"level": "Metadata", "resources": [{"group": orchard.GROUP}]}
    async with audited(tmp_path, rule) as here:
        fruit, ca = orchard.Orchard(), here.client.config.proxy_ca_file
        async with serving(tmp_path / "orchard", fruit.serve, "orchard.default.svc", callers=ca) as server:
            await behind_service(here.client, "orchard", server.port)
            await here.client.create(orchard.SERVICES, orchard.api_service(server))
            await orchard.available(here.client, f"v1.{orchard.GROUP}", "True")
            url = f"{here.client.base}{orchard.APPLES}/boskoop/shell"
            async with here.client.admin.ws_connect(url, protocols=("v5.channel.k8s.io",)):
                begun = await here.events(2, verb="get")
            over = await here.events(3, verb="get")

    assert [event["stage"] for event in over] == ["RequestReceived", "ResponseStarted", "ResponseComplete"]
    assert [event["stage"] for event in begun] == ["RequestReceived", "ResponseStarted"]
    assert over[1]["responseStatus"]["code"] == 101 and over[1]["objectRef"]["apiGroup"] == orchard.GROUP


# -- as a kube-apiserver 1.36.2 was seen to write it ------------------------------------------------------------------

EVERYTHING = {"level": "RequestResponse", "resources": [{"group": ""}, {"group": "authentication.k8s.io"}]}


async def test_what_a_request_is_about_is_known_as_soon_as_it_comes(tmp_path: Path) -> None:
    async with audited(tmp_path, EVERYTHING) as here:
        await here.client.get(f"{MAPS}/a", Audit_ID="read")
        await here.client.by("jane", "GET", MAPS, Audit_ID="refused")
        events = [*await here.events(2, auditID="read"), *await here.events(2, auditID="refused")]

    assert [event["objectRef"]["apiVersion"] for event in events] == ["v1"] * 4


async def test_what_is_sent_is_written_as_it_is_understood(tmp_path: Path) -> None:
    sent = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i:1"}], "nope": 1}}
    async with audited(tmp_path, EVERYTHING, omitStages=["RequestReceived"]) as here:
        await here.client.send("POST", "/api/v1/namespaces/default/pods", sent)
        await here.client.send("POST", "/api/v1/namespaces/default/secrets", {**sent, "stringData": {"a": "b"}})
        pods, secrets = await here.events(2, verb="create")

    pod, secret = pods["requestObject"], secrets["requestObject"]
    assert (pod["kind"], pod["apiVersion"], pod["spec"]["restartPolicy"]) == ("Pod", "v1", "Always")
    assert "nope" not in pod["spec"] and "namespace" not in pod["metadata"]
    assert (secret["data"], "stringData" in secret) == ({"a": "Yg=="}, False)
    assert pods["annotations"]["pod-security.kubernetes.io/enforce-policy"] == "privileged:latest"


@pytest.mark.parametrize(
    ("method", "path", "metadata", "about"),
    [
        ("POST", MAPS, {"name": "A B"}, {"name": "A B"}),
        ("POST", f"{MAPS}?dryRun=All", {"generateName": "a-"}, {}),
        ("PUT", f"{MAPS}/a", {"name": "a", "uid": "u", "resourceVersion": "1"}, {"uid": "u", "resourceVersion": "1"}),
    ],
)
async def test_an_object_says_what_a_request_is_about_where_its_url_does_not(
    tmp_path: Path, method: str, path: str, metadata: Any, about: Any
) -> None:
    async with audited(tmp_path, EVERYTHING, omitStages=["RequestReceived"]) as here:
        await here.client.send(method, path, {"metadata": metadata})
        (event,) = await here.events(1)

    named = {"name": "a"} if method == "PUT" else {}
    there = {"resource": "configmaps", "namespace": "default", "apiVersion": "v1", **named}
    assert event["objectRef"] == {**there, **about}


async def test_what_is_gone_is_written_with_what_its_client_was_told(tmp_path: Path) -> None:
    async with audited(tmp_path, EVERYTHING, omitStages=["RequestReceived"]) as here:
        uid = (await here.client.create(MAPS, config_map("a")))["metadata"]["uid"]
        await here.client.send("DELETE", f"{MAPS}/a", {"propagationPolicy": "Background"})
        (event,) = await here.events(1, verb="delete")

    details = {"name": "a", "kind": "configmaps", "uid": uid}
    assert event["responseStatus"] == {"metadata": {}, "status": "Success", "details": details, "code": 200}
    internal = {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/__internal"}
    assert event["requestObject"] == {"propagationPolicy": "Background", **internal}


async def test_nobody_shows_a_token_that_is_no_good(tmp_path: Path) -> None:
    async with audited(tmp_path, EVERYTHING) as here:
        await here.client.by("wrong", "GET", MAPS)
        (event,) = await here.events(1)

    assert (event["stage"], event["user"]) == ("ResponseStarted", {})
    assert event["responseObject"]["message"] == event["responseStatus"]["message"] == "Unauthorized"


@pytest.mark.parametrize("path", ["pods/a/log", "pods/a/exec?command=ls", "services/a/proxy/x"])
async def test_what_would_last_has_begun_even_where_nothing_comes_of_it(tmp_path: Path, path: str) -> None:
    async with audited(tmp_path, EVERYTHING) as here:
        await here.client.get(f"/api/v1/namespaces/default/{path}", Audit_ID="it")
        stages = [event["stage"] for event in await here.events(3, auditID="it")]

    assert stages == ["RequestReceived", "ResponseStarted", "ResponseComplete"]


async def test_a_token_is_written_with_its_id_and_what_is_deprecated_as_that(tmp_path: Path) -> None:
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    async with audited(tmp_path, EVERYTHING, omitStages=["RequestReceived"]) as here:
        await here.client.create(accounts, {"metadata": {"name": "a"}})
        token = (await here.client.create(f"{accounts}/a/token", {}))["status"]["token"]
        await here.client.get("/api/v1/componentstatuses")
        shown = {"spec": {"token": token}}
        review = await here.client.create("/apis/authentication.k8s.io/v1/tokenreviews", shown)
        made, asked = [(await here.events(1, verb=verb))[-1] for verb in ("create", "list")]
        issued = [
            each for each in await here.events(3, verb="create") if each["objectRef"].get("subresource") == "token"
        ]

    told = review["status"]["user"]["extra"]["authentication.kubernetes.io/credential-id"]
    assert [issued[0]["annotations"]["authentication.kubernetes.io/issued-credential-id"]] == told
    assert asked["annotations"]["k8s.io/deprecated"] == "true" and "k8s.io/deprecated" not in made["annotations"]


async def test_who_is_refused_before_it_is_known_who_asks_is_nobody(tmp_path: Path) -> None:
    async with audited(tmp_path, EVERYTHING) as here:
        await here.client.get(f"{MAPS}?timeout=abc")
        (event,) = await here.events(1)

    assert (event["stage"], event["user"], event["responseStatus"]["code"]) == ("ResponseStarted", {}, 400)
    assert event["objectRef"]["resource"] == "configmaps"


async def test_who_forwards_says_for_whom(tmp_path: Path) -> None:
    forwarded = {"X-Forwarded-For": "10.0.0.1, 10.0.0.2", "X-Real-Ip": "10.0.0.9"}
    async with audited(tmp_path, EVERYTHING, omitStages=["RequestReceived"]) as here:
        await here.client.get(MAPS, **forwarded)
        (event,) = await here.events(1)

    assert event["sourceIPs"] == ["10.0.0.1", "10.0.0.2", "10.0.0.9", "127.0.0.1"]
