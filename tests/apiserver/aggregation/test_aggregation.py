"""An API server behind the API server: over TLS in this process, found by its APIService, asked with a user's name."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from actors.apiserver.aggregation import keeper
from actors.apiserver.aggregation.swagger import part_of
from actors.apiserver.schema.openapi_v2 import PROTOBUF_CONTENT_TYPE
from tests.apiserver.aggregation.orchard import (
    APPLES,
    BASE,
    GROUP,
    KINDS,
    META,
    SERVICES,
    SWAGGER,
    WAIT_S,
    Orchard,
    api_service,
    apple,
    available,
)
from tests.apiserver.custom.widgets import CRD_PATH, definition
from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.spdy import client as spdy
from tests.apiserver.tls_server import Server, behind_service, serving

V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as made:
        yield made


@pytest.fixture
async def orchard(client: Rest, tmp_path: Path) -> AsyncIterator[tuple[Orchard, Server]]:
    made = Orchard()
    assert client.config.proxy_ca_file is not None
    names = "orchard.default.svc"
    async with serving(tmp_path / "orchard", made.serve, names, callers=client.config.proxy_ca_file) as server:
        yield made, server


@pytest.fixture
async def fruit(client: Rest, orchard: tuple[Orchard, Server]) -> Orchard:
    """It is registered, and available."""
    made, server = orchard
    await behind_service(client, "orchard", server.port)
    await client.create(SERVICES, api_service(server))
    await available(client, f"v1.{GROUP}", "True")
    return made


# -- of this server ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("v1.", {"version": "v1", "groupPriorityMinimum": 18000, "versionPriority": 1}),
        ("v1.apps", {"group": "apps", "version": "v1", "groupPriorityMinimum": 17800, "versionPriority": 15}),
        (
            "v2.autoscaling",
            {"group": "autoscaling", "version": "v2", "groupPriorityMinimum": 17500, "versionPriority": 30},
        ),
    ],
)
async def test_what_is_looked_through_first_is_as_in_kubernetes(client: Rest, name: str, spec: dict[str, Any]) -> None:
    await available(client, name, "True")

    assert (await client.get(f"{SERVICES}/{name}")).json["spec"] == spec


async def test_every_group_version_has_an_api_service_also_those_of_definitions(client: Rest) -> None:
    await available(client, "v1.", "True")
    accept = "application/json;as=Table;g=meta.k8s.io;v=v1"
    rows = (await client.get(SERVICES, Accept=accept)).json["rows"]

    await client.create(CRD_PATH, definition())
    condition = await available(client, "v1.shop.example.com", "True")
    made = (await client.get(f"{SERVICES}/v1.shop.example.com")).json

    shown = {row["cells"][0]: row["cells"][1:3] for row in rows}
    assert {"v1.", "v1.apps", "v2.autoscaling", "v1.autoscaling", "v1.events.k8s.io"} <= set(shown)
    assert "v1.apiregistration.k8s.io" not in shown
    assert all(cells == ["Local", "True"] for cells in shown.values())
    assert condition["reason"] == "Local"
    assert made["spec"] == {
        "group": "shop.example.com",
        "version": "v1",
        "groupPriorityMinimum": 1000,
        "versionPriority": 100,
    }
    assert made["metadata"]["labels"] == {"kube-aggregator.kubernetes.io/automanaged": "true"}


async def test_the_api_service_of_a_definition_ends_with_it(client: Rest) -> None:
    await client.create(CRD_PATH, definition())
    await available(client, "v1.shop.example.com", "True")

    async with client.watch(f"{SERVICES}?watch=true&timeoutSeconds=30") as watch, asyncio.timeout(WAIT_S):
        await client.send("DELETE", f"{CRD_PATH}/widgets.shop.example.com")
        while True:
            event = await watch.event()
            if event["type"] == "DELETED":
                break

    assert event["object"]["metadata"]["name"] == "v1.shop.example.com"
    assert (await client.get(f"{SERVICES}/v1.apps")).code == 200


# -- of another server ------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_request_is_passed_on_with_the_name_of_who_asks(client: Rest, fruit: Orchard) -> None:
    await _allow(client, "jane")

    listed = await client.by("jane", "GET", f"{APPLES}?limit=5", X_Remote_User="admin", X_Remote_Group="system:masters")
    refused = await client.by("good", "GET", APPLES)
    posted = await client.send("POST", APPLES, apple("gala"))
    missing = await client.get(f"{BASE}/pears")

    (first, second, _) = fruit.asked
    assert [item["metadata"]["name"] for item in listed.json["items"]] == ["boskoop", "elstar"]
    assert first.headers.getall("X-Remote-User") == ["jane"]
    assert first.headers.getall("X-Remote-Group") == ["team", "system:authenticated"]
    assert first.path_qs == f"{APPLES}?limit=5" and "Authorization" not in first.headers
    assert refused.code == 403 and 'cannot list resource "apples"' in refused.json["message"]
    assert posted.code == 201 and posted.json == apple("gala")
    assert second.headers["X-Remote-User"] == "kubernetes-admin"
    assert missing.code == 404 and missing.json["message"] == "no such fruit"


async def test_a_watch_passes_event_by_event(client: Rest, fruit: Orchard) -> None:
    async with client.watch(f"{APPLES}?watch=true") as watch:
        first = await watch.event()
        fruit.grown.set()
        second = await watch.event()

    names = [event["object"]["metadata"]["name"] for event in (first, second)]
    assert names == ["boskoop", "elstar"]


async def test_a_websocket_passes_through(client: Rest, fruit: Orchard) -> None:
    url = f"{client.base}{APPLES}/boskoop/shell"
    async with client.admin.ws_connect(url, protocols=("v5.channel.k8s.io",)) as socket:
        await socket.send_bytes(b"abc")
        answers = [await socket.receive_bytes(timeout=WAIT_S)]
        await socket.send_bytes(bytes(range(256)) * 400)
        answers.append(await socket.receive_bytes(timeout=WAIT_S))
        assert socket.protocol == "v5.channel.k8s.io"

    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.admin.ws_connect(f"{url}?closed=1")

    assert answers == [b"cba", (bytes(range(256)) * 400)[::-1]]
    assert refused.value.status == 403
    assert fruit.asked[0].headers["X-Remote-User"] == "kubernetes-admin"


async def test_spdy_passes_through(client: Rest, fruit: Orchard) -> None:
    path, large = f"{APPLES}/boskoop/shell", b"boskoop " * 25_000
    protocols = ("v5.channel.k8s.io", "v4.channel.k8s.io")

    code, connection = await spdy.upgrade(client.base, path, client.context, *protocols)
    assert code == 101
    connection.send(connection.talk.syn(1, streamtype="stdin"), connection.talk.syn(3, streamtype="error"))
    connection.send(spdy.data(1, b"abc", fin=True))
    await connection.until(b"ABC")
    connection.send(spdy.data(3, large, fin=True), spdy.goaway())
    async with asyncio.timeout(WAIT_S):
        heard = await connection.rest()
    await connection.close()

    assert heard.data[3] == large.upper()
    assert fruit.asked[0].headers["X-Remote-User"] == "kubernetes-admin"
    assert fruit.asked[0].headers.getall("X-Stream-Protocol-Version") == [*protocols]


async def test_who_does_not_speak_it_refuses_in_its_own_words(client: Rest, fruit: Orchard) -> None:
    path = f"{APPLES}/boskoop/shell"

    code, connection = await spdy.upgrade(client.base, path, client.context, "v9.channel.k8s.io")
    await connection.close()
    closed, other = await spdy.upgrade(client.base, f"{path}?closed=1", client.context, "v4.channel.k8s.io")
    await other.close()

    assert (code, closed) == (500, 403)


@pytest.mark.slow
async def test_openapi_v2_has_its_part(client: Rest, fruit: Orchard) -> None:
    document = (await client.get("/openapi/v2")).json
    encoded = await client.get("/openapi/v2", Accept=PROTOBUF_CONTENT_TYPE)

    definitions = document["definitions"]
    assert f"{BASE}/namespaces/{{namespace}}/apples" in document["paths"]
    assert "not its own" not in str(document["paths"]["/apis/apps/v1/deployments"])
    assert definitions["com.example.Apple"]["properties"]["metadata"]["$ref"] == f"#/definitions/{META}_v2"
    assert [*definitions[f"{META}_v2"]["properties"]] == ["name"]
    assert "labels" in definitions[META]["properties"]
    assert "com.example.Pear" not in definitions
    assert b"com.example.AppleList" in encoded.body


def test_a_part_that_cannot_be_read_is_left_out() -> None:
    paths = {f"{BASE}/apples": {"get": "?"}, f"{BASE}0/pears": {}}

    assert part_of(SWAGGER, f"{GROUP}/v1")["paths"].keys() == {f"{BASE}/namespaces/{{namespace}}/apples"}
    assert part_of({"paths": paths}, f"{GROUP}/v1") == {}
    assert part_of(SWAGGER, f"{GROUP}/v2") == part_of([], f"{GROUP}/v1") == part_of({"paths": 1}, f"{GROUP}/v1") == {}


@pytest.mark.slow
async def test_discovery_and_openapi_show_it_beside_what_is_served_here(client: Rest, fruit: Orchard) -> None:
    groups = (await client.get("/apis")).json["groups"]
    group = (await client.get(f"/apis/{GROUP}")).json
    kinds = (await client.get(BASE)).json
    aggregated = (await client.get("/apis", Accept=V2)).json["items"]
    index = (await client.get("/openapi/v3")).json["paths"]
    document = (await client.get(f"/openapi/v3/apis/{GROUP}/v1")).json

    version = {"groupVersion": f"{GROUP}/v1", "version": "v1"}
    assert {"name": GROUP, "versions": [version], "preferredVersion": version} in groups
    assert group["kind"] == "APIGroup" and group["preferredVersion"] == version
    assert kinds["resources"] == KINDS
    (shown,) = (item for item in aggregated if item["metadata"]["name"] == GROUP)
    (served,) = shown["versions"]
    assert served["freshness"] == "Current"
    (resource,) = served["resources"]
    assert resource["resource"] == "apples" and resource["scope"] == "Namespaced" and resource["shortNames"] == ["ap"]
    assert [below["subresource"] for below in resource["subresources"]] == ["status"]
    assert f"apis/{GROUP}/v1" in index and "apis/apps/v1" in index
    assert document["info"]["title"] == "fruit"


async def test_it_is_unavailable_while_its_server_does_not_answer(client: Rest, fruit: Orchard) -> None:
    fruit.down = True
    await _touch(client)
    condition = await available(client, f"v1.{GROUP}", "False")
    refused = await client.get(APPLES)
    aggregated = (await client.get("/apis", Accept=V2)).json["items"]

    fruit.down = False
    await _touch(client)
    await available(client, f"v1.{GROUP}", "True")

    assert condition["reason"] == "FailedDiscoveryCheck" and "bad status from" in condition["message"]
    assert refused.code == 503 and refused.json["reason"] == "ServiceUnavailable"
    (stale,) = (item["versions"][0] for item in aggregated if item["metadata"]["name"] == GROUP)
    assert stale["freshness"] == "Stale" and stale["resources"][0]["resource"] == "apples"
    assert (await client.get(APPLES)).code == 200


@pytest.mark.slow
async def test_a_server_is_asked_again_after_a_while(
    client: Rest, orchard: tuple[Orchard, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, server = orchard
    made.down = True
    monkeypatch.setattr(keeper, "EVERY_S", 0.05)
    await behind_service(client, "orchard", server.port)
    await client.create(SERVICES, api_service(server))
    await available(client, f"v1.{GROUP}", "False")
    async with asyncio.timeout(WAIT_S):
        while made.refused < 10:  # its own writes wake whoever looks only a few times
            await asyncio.sleep(0.01)

    made.down = False

    assert (await available(client, f"v1.{GROUP}", "True"))["reason"] == "Passed"


async def test_what_is_missing_is_said_and_noticed_when_it_comes(client: Rest, orchard: tuple[Orchard, Server]) -> None:
    _, server = orchard
    await client.create(SERVICES, api_service(server))
    missing = await available(client, f"v1.{GROUP}", "False")
    refused = await client.get(APPLES)

    await behind_service(client, "orchard", server.port)
    passed = await available(client, f"v1.{GROUP}", "True")

    assert missing["reason"] == "ServiceNotFound"
    assert missing["message"] == 'service/orchard in "default" is not present'
    assert refused.code == 503
    assert passed["message"] == "all checks passed"


async def test_a_certificate_of_somebody_else_is_not_believed(client: Rest, orchard: tuple[Orchard, Server]) -> None:
    made, server = orchard
    assert client.config.ca_file is not None
    await behind_service(client, "orchard", server.port)
    await client.create(SERVICES, api_service(server, caBundle=None))

    condition = await available(client, f"v1.{GROUP}", "False")

    assert condition["reason"] == "FailedDiscoveryCheck" and "certificate verify failed" in condition["message"]
    assert made.asked == []


async def test_no_client_of_the_cluster_passes_for_the_api_server(
    client: Rest, orchard: tuple[Orchard, Server]
) -> None:
    made, server = orchard
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    pki = client.config.ca_file.parent if client.config.ca_file is not None else Path()
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")

    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.ClientError):
            async with session.get(f"https://localhost:{server.port}{APPLES}", headers={"X-Remote-User": "root"}):
                pass

    assert made.asked == []


async def test_servers_behind_read_whom_to_believe(client: Rest) -> None:
    path = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
    data = (await client.get(path)).json["data"]

    assert client.config.proxy_ca_file is not None and client.config.ca_file is not None
    assert data["requestheader-client-ca-file"] == client.config.proxy_ca_file.read_text()
    assert data["client-ca-file"] == client.config.ca_file.read_text() != data["requestheader-client-ca-file"]
    assert data["requestheader-allowed-names"] == '["front-proxy-client"]'
    assert data["requestheader-username-headers"] == '["X-Remote-User"]'


async def test_an_api_service_that_could_not_work_is_refused(client: Rest) -> None:
    spec = {"group": GROUP, "version": "v1", "groupPriorityMinimum": 30_000, "versionPriority": 0, "caBundle": "YQ=="}

    refused = await client.send("POST", SERVICES, {"metadata": {"name": "v2.fruit"}, "spec": spec})

    assert refused.code == 422
    for part in (
        f'must be `spec.version+"."+spec.group`: "v1.{GROUP}"',
        "spec.groupPriorityMinimum: Invalid value: 30000: must be positive and less than 20000",
        "spec.versionPriority: Invalid value: 0: must be positive and less than 1000",
        "local APIServices may not have a caBundle",
    ):
        assert part in refused.json["message"]


async def _touch(client: Rest) -> None:
    """Something about it changes: it is looked at again."""
    patch = {"metadata": {"annotations": {"touched": str(asyncio.get_running_loop().time())}}}
    path = f"{SERVICES}/v1.{GROUP}"
    await client.send("PATCH", path, patch, content_type="application/merge-patch+json")


async def _allow(client: Rest, user: str) -> None:
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    rule = {"apiGroups": [GROUP], "resources": ["apples"], "verbs": ["list"]}
    await client.create(f"{rbac}/clusterroles", {"metadata": {"name": "apples"}, "rules": [rule]})
    subject = {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
    reference = {"kind": "ClusterRole", "name": "apples", "apiGroup": "rbac.authorization.k8s.io"}
    binding = {"metadata": {"name": "apples"}, "subjects": [subject], "roleRef": reference}
    await client.create(f"{rbac}/clusterrolebindings", binding)
