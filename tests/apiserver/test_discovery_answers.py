"""What a kube-apiserver 1.36.2 was seen to say about itself: discovery in its forms, health, and who answers at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actors.apiserver.schema import protobuf
from actors.apiserver.schema.protobuf_encode import encode
from protocols.objects import Object
from tests.apiserver.custom.widgets import CRD_PATH, definition
from tests.apiserver.rest_client import Rest, rest

pytestmark = pytest.mark.slow  # a server for each answer

PROTOBUF = "application/vnd.kubernetes.protobuf"
AGGREGATED = "g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
ONLY = "only the following media types are accepted: "
LISTED = "406: Not Acceptable\n\nAvailable representations: "
KINDS = "application/json, application/yaml, application/vnd.kubernetes.protobuf"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


# -- who answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api", "/version", "/livez", "/nope", "/api/v1/pods", "/openapi/v3", "/metrics"])
async def test_nobody_is_told_which_software_answers(api: Rest, path: str) -> None:
    answers = [await api.get(path), await api.by("", "GET", path)]

    assert [answer.headers.get("Server") for answer in answers] == [None, None]


async def test_who_speaks_no_http_is_not_told_either(api: Rest) -> None:
    reader, writer = await asyncio.open_connection("localhost", api.config.address[1], ssl=api.context)
    writer.write(b"HELLO?\r\n\r\n")

    answer = await reader.read()

    writer.close()
    assert b" 400 Bad Request" in answer and b"aiohttp" not in answer


async def test_what_nobody_may_see_is_not_guessed_at(api: Rest) -> None:
    """A browser is not to look into a refusal for what it might be."""
    answers = [await api.by("", "GET", path) for path in ("/api", "/livez/ping", "/api/v1/pods")]

    assert [(each.code, each.headers["X-Content-Type-Options"]) for each in answers] == [(403, "nosniff")] * 3


# -- paths and methods ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "code"),
    [
        *(("/api/", 200), ("/apis/", 200), ("/apis/apps/", 200), ("/apis/apps/v1/", 200), ("/version/", 200)),
        *(("/apis//", 404), ("/openapi/v2/", 404), ("/openapi/v3/", 404), ("/livez/", 404), ("/healthz/", 404)),
        *(("/healthzz", 404), ("/livezz", 404), ("/apish", 404)),
    ],
)
async def test_what_a_slash_too_many_means(api: Rest, path: str, code: int) -> None:
    assert (await api.get(path)).code == code


@pytest.mark.parametrize(
    ("path", "code"),
    [
        *(("/api", 405), ("/api/v1", 405), ("/apis/apps/v1", 405), ("/version", 405)),
        *(("/.well-known/openid-configuration", 405), ("/openid/v1/jwks", 405)),
        *(("/apis", 200), ("/apis/apps", 200), ("/apis/shop.example.com", 200), ("/apis/shop.example.com/v1", 200)),
        *(("/", 200), ("/openapi/v3", 200), ("/livez", 200)),
    ],
)
async def test_where_the_method_does_not_matter(api: Rest, path: str, code: int) -> None:
    await api.create(CRD_PATH, definition())

    assert [(await api.send(method, path)).code for method in ("POST", "OPTIONS", "DELETE")] == [code] * 3


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        *(("GET", "/api/v1/bindings", 404), ("POST", "/api/v1/bindings", 404)),
        ("POST", "/apis/authorization.k8s.io/v1/localsubjectaccessreviews", 404),
        *((method, "/apis/authentication.k8s.io/v1/tokenreviews/x", 404) for method in ("GET", "POST", "DELETE")),
        *((method, "/apis/authentication.k8s.io/v1/tokenreviews", 405) for method in ("GET", "DELETE")),
        *((method, "/apis/apps/v1/namespaces/default/deployments", 405) for method in ("PUT", "PATCH")),
        *(("GET", "/index.html", 200), ("GET", "/debug/api_priority_and_fairness/nope", 404)),
    ],
)
async def test_where_there_is_nothing_and_where_it_is_not_allowed(api: Rest, method: str, path: str, code: int) -> None:
    answer = await api.send(method, path)

    assert (answer.code, answer.body == b"404 page not found\n") == (code, path.startswith("/debug"))


# -- forms ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "accept", "message"),
    [
        *(("/api", accept, LISTED) for accept in ("text/plain", "application/cbor", "application/*", "junk")),
        *(("/apis/apps/v1", accept, LISTED) for accept in ("text/html", "application/*")),
        *(("/api", TABLE, ONLY), ("/api/v1", f"application/json;{AGGREGATED}", ONLY)),
        *(("/apis", accept, ONLY) for accept in ("text/plain", "application/cbor", TABLE)),
        ("/apis", f"application/json;{AGGREGATED.replace('v2', 'v1')}", ONLY),
        *(("/apis/apps", "text/plain", ONLY), ("/apis/shop.example.com/v1", "text/plain", ONLY)),
    ],
)
async def test_discovery_in_a_form_that_there_is_not(api: Rest, path: str, accept: str, message: str) -> None:
    await api.create(CRD_PATH, definition())

    answer = await api.get(path, Accept=accept)

    assert (answer.code, answer.json["message"]) == (406, message + KINDS)


@pytest.mark.parametrize("path", ["/apis/nope", "/apis/nope/v1", "/apis/apps/v2", "/nope"])
async def test_what_there_is_not_is_not_there_in_any_form(api: Rest, path: str) -> None:
    assert (await api.get(path, Accept="text/html")).code == 404


async def test_a_list_may_be_a_stream(api: Rest) -> None:
    answers = [await api.get(path, Accept="text/html") for path in ("/api/v1/nodes", "/api/v1/nodes/n")]

    assert [answer.json["message"].removeprefix(LISTED + KINDS) for answer in answers] == [f", {STREAMS}", ""]


@pytest.mark.parametrize(
    ("path", "accept", "content_type"),
    [
        *(("/apis", "application/*", "application/json"), ("/api", "junk,*/*", "application/json")),
        *(("/api", "application/yaml", "application/yaml"), ("/api", PROTOBUF, PROTOBUF)),
        ("/apis", f"{TABLE},application/yaml", "application/yaml"),
        ("/api/", f"application/json;{AGGREGATED}", f"application/json;{AGGREGATED}"),
        ("/apis", f"{PROTOBUF};{AGGREGATED}", f"{PROTOBUF};{AGGREGATED}"),
        ("/apis", f"application/json;{AGGREGATED}, application/json", f"application/json;{AGGREGATED}"),
        ("/apis", f"application/json, application/json;{AGGREGATED};q=0.5", f"application/json;{AGGREGATED}"),
        ("/api", f"application/json;{AGGREGATED};profile=nopeer", f"application/json;{AGGREGATED}"),
        ("/api", f"application/yaml;{AGGREGATED}", f"application/yaml;{AGGREGATED}"),
        (
            "/api",
            f"application/json;{AGGREGATED.replace('v2', 'v2beta1')}, application/json;{AGGREGATED}",
            f"application/json;{AGGREGATED}",
        ),
    ],
)
async def test_discovery_in_a_form_that_there_is(api: Rest, path: str, accept: str, content_type: str) -> None:
    answer = await api.get(path, Accept=accept)

    assert (answer.code, answer.headers["Content-Type"]) == (200, content_type)


@pytest.mark.parametrize(
    ("path", "params"),
    [
        *(("/api", ""), ("/apis", ""), ("/api/v1", ""), ("/apis/apps", ""), ("/apis/apps/v1", "")),
        *(("/api", f";{AGGREGATED}"), ("/apis", f";{AGGREGATED}")),
    ],
)
async def test_discovery_says_the_same_in_protobuf(api: Rest, path: str, params: str) -> None:
    found = await api.get(path, Accept=PROTOBUF + params)

    in_json = (await api.get(path, Accept=f"application/json{params}")).json
    assert _said(protobuf.decode(found.body)) == _said(in_json)


@pytest.mark.parametrize(
    ("document", "body"),
    [
        (
            {
                "kind": "APIVersions",
                "versions": ["v1"],
                "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "192.0.2.2:39987"}],
            },
            b'k8s\0\n\x0f\n\0\x12\x0bAPIVersions\x12"\n\x02v1\x12\x1c\n\t0.0.0.0/0\x12\x0f192.0.2.2:39987\x1a\0"\0',
        ),
        (
            {
                "kind": "APIGroup",
                "apiVersion": "v1",
                "name": "apps",
                "versions": [{"groupVersion": "apps/v1", "version": "v1"}],
                "preferredVersion": {"groupVersion": "apps/v1", "version": "v1"},
            },
            b"k8s\0\n\x0e\n\x02v1\x12\x08APIGroup"
            b'\x12$\n\x04apps\x12\r\n\x07apps/v1\x12\x02v1\x1a\r\n\x07apps/v1\x12\x02v1\x1a\0"\0',
        ),
    ],
)
def test_the_bytes_of_discovery_in_protobuf(document: Object, body: bytes) -> None:
    assert encode(document) == body


def _said(value: Any) -> Any:
    """Without what says nothing."""
    if isinstance(value, dict):
        return {key: _said(each) for key, each in value.items() if each not in ("", {}, [])}
    return [_said(each) for each in value] if isinstance(value, list) else value


# -- forms of objects -------------------------------------------------------------------------------------------------

MAPS = "/api/v1/namespaces/default/configmaps"
WIDGETS = "/apis/shop.example.com/v1/widgets"
METADATA, METADATA_LIST = (f";as=PartialObjectMetadata{what};g=meta.k8s.io;v=v1" for what in ("", "List"))
STREAMS = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"


@pytest.mark.parametrize(
    ("path", "accept", "message"),
    [
        (
            MAPS,
            f"application/json{METADATA}",
            "PartialObjectMetadata, but the requested object is a list (*core.{}List)",
        ),
        (
            WIDGETS,
            f"application/json{METADATA}",
            ", but the requested object is a list (*unstructured.UnstructuredList)",
        ),
        (
            f"{MAPS}/m",
            f"application/json{METADATA_LIST}",
            "you requested PartialObjectMetadataList, but the requested object is not a list (*core.ConfigMap)",
        ),
        (f"{MAPS}?watch=true", "application/yaml", f"{ONLY}{STREAMS}"),
        (f"{WIDGETS}?watch=true", "application/yaml;as=Table;g=meta.k8s.io;v=v1", f"{ONLY}{STREAMS}"),
    ],
)
async def test_what_is_not_shown_in_another_form(api: Rest, path: str, accept: str, message: str) -> None:
    await api.create(CRD_PATH, definition())
    await api.create(MAPS, {"metadata": {"name": "m"}})

    answer = await api.get(path, Accept=accept)

    assert answer.code == 406 and message.format("ConfigMap") in answer.body.decode().replace("\n  ", " ")


@pytest.mark.parametrize("path", [MAPS, f"{MAPS}/m", WIDGETS])
async def test_metadata_in_protobuf(api: Rest, path: str) -> None:
    await api.create(CRD_PATH, definition())
    await api.create(MAPS, {"metadata": {"name": "m", "labels": {"a": "b"}}, "data": {"k": "v"}})
    form = METADATA if path.endswith("/m") else METADATA_LIST

    found = await api.get(path, Accept=f"{PROTOBUF}{form}")

    in_json = (await api.get(path, Accept=f"application/json{form}")).json
    assert (found.code, found.headers["Content-Type"]) == (200, PROTOBUF)
    assert (
        found.body == encode(in_json)
        and f"PartialObjectMetadata{'' if form == METADATA else 'List'}" == in_json["kind"]
    )


async def test_a_watch_of_metadata_in_protobuf(api: Rest) -> None:
    await api.create(MAPS, {"metadata": {"name": "m"}, "data": {"k": "v"}})

    found = await api.get(f"{MAPS}?watch=true&timeoutSeconds=1", Accept=f"{PROTOBUF}{METADATA}")

    assert found.headers["Content-Type"] == f"{PROTOBUF};stream=watch"
    assert b"PartialObjectMetadata" in found.body and b"ADDED" in found.body


# -- health -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "check",
    ["ping", "shutdown", "informer-sync", "poststarthook/rbac/bootstrap-roles", "poststarthook/crd-informer-synced"],
)
async def test_a_check_by_itself_says_ok_and_no_more(api: Rest, check: str) -> None:
    answer = await api.get(f"/readyz/{check}?verbose&exclude={check}")

    assert (answer.code, answer.body, "X-Content-Type-Options" in answer.headers) == (200, b"ok", False)


# -- deletions --------------------------------------------------------------------------------------------------------

CORE = "/api/v1/namespaces/default"
STORAGE = "/apis/storage.k8s.io/v1"


@pytest.mark.parametrize(
    ("collection", "given", "told"),
    [
        (f"{CORE}/serviceaccounts", {}, "ServiceAccount"),
        (f"{CORE}/services", {"spec": {"ports": [{"port": 80}]}}, "Service"),
        (f"{CORE}/resourcequotas", {}, "ResourceQuota"),
        (f"{STORAGE}/storageclasses", {"provisioner": "example.com/disk"}, "StorageClass"),
        (f"{STORAGE}/csinodes", {"spec": {"drivers": []}}, "CSINode"),
        ("/apis/resource.k8s.io/v1/deviceclasses", {"spec": {}}, "DeviceClass"),
        (f"{CORE}/configmaps", {}, "Status"),
        ("/apis/apps/v1/namespaces/default/controllerrevisions", {"revision": 1, "data": {}}, "Status"),
    ],
)
async def test_what_tells_that_something_is_gone(api: Rest, collection: str, given: dict[str, Any], told: str) -> None:
    await api.create(collection, {"metadata": {"name": "it"}, **given})

    answers = [await api.send("DELETE", f"{collection}/it{query}") for query in ("?dryRun=All", "")]

    assert [(answer.code, answer.json["kind"]) for answer in answers] == [(200, told)] * 2


# -- OpenAPI ----------------------------------------------------------------------------------------------------------

GNOSTIC = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"


@pytest.mark.parametrize(
    ("path", "accept", "code", "content_type"),
    [
        ("/openapi/v2", GNOSTIC, 200, GNOSTIC.replace("@", ".")),
        ("/openapi/v2", f"application/json;q=0.1,{GNOSTIC}", 200, GNOSTIC.replace("@", ".")),
        *(("/openapi/v2", accept, 406, None) for accept in ("text/html", "application/yaml", PROTOBUF)),
        *(("/openapi/v3/apis/apps/v1", accept, 406, None) for accept in ("text/html", "application/yaml", GNOSTIC)),
        ("/openapi/v3/apis/apps/v1", "text/plain,*/*;q=0.1", 200, "application/json"),
        ("/openapi/v3/apis/apps/v1", "application/*", 200, "application/json"),
        ("/openapi/v3", "text/html", 200, "application/json"),
    ],
)
async def test_openapi_in_the_forms_that_there_are(
    api: Rest, path: str, accept: str, code: int, content_type: str | None
) -> None:
    answer = await api.get(path, Accept=accept)

    assert (answer.code, answer.headers.get("Content-Type"), bool(answer.body)) == (code, content_type, code == 200)


async def test_who_has_a_document_by_its_hash_may_keep_it_as_long_again(api: Rest) -> None:
    url = (await api.get("/openapi/v3")).json["paths"]["apis/apps/v1"]["serverRelativeURL"]
    first = await api.get(url)

    again = await api.get(url, If_None_Match=first.headers["ETag"])

    assert (again.code, again.headers["Cache-Control"]) == (304, "public, immutable") and "Expires" in again.headers
