"""The HTTP API over TLS: what clients send and read, form by form."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from actors.apiserver.schema.protobuf import decode
from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.world import config_map, deployment, pod

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


# -- verbs ------------------------------------------------------------------------------------------------------------


async def test_an_object_lives_from_post_to_delete(api: Rest) -> None:
    created = await api.send("POST", MAPS, config_map("a"))
    read = await api.get(f"{MAPS}/a")
    replaced = await api.send("PUT", f"{MAPS}/a", {**read.json, "data": {"b": "2"}})
    patched = await api.send("PATCH", f"{MAPS}/a", {"data": {"c": "3"}}, content_type="application/merge-patch+json")
    deleted = await api.send("DELETE", f"{MAPS}/a")
    gone = await api.get(f"{MAPS}/a")

    assert (created.code, read.code, replaced.code, patched.code, deleted.code) == (201, 200, 200, 200, 200)
    assert created.json == read.json
    assert patched.json["data"] == {"b": "2", "c": "3"}
    assert deleted.json["status"] == "Success" and deleted.json["details"]["name"] == "a"
    assert (gone.code, gone.json["kind"], gone.json["reason"]) == (404, "Status", "NotFound")
    assert gone.json["message"] == 'configmaps "a" not found'
    assert gone.json["details"] == {"name": "a", "kind": "configmaps"}


async def test_an_answer_is_plain_json_by_exactly_that_name(api: Rest) -> None:
    answer = await api.get("/api/v1/namespaces/default")

    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json["metadata"]["name"] == "default"


async def test_a_list_joins_objects_and_pages(api: Rest) -> None:
    for name in "abc":
        await api.create(MAPS, config_map(name))

    first = (await api.get(f"{MAPS}?limit=2")).json
    second = (await api.get(f"{MAPS}?limit=2&continue={first['metadata']['continue']}")).json
    empty = (await api.get(f"{MAPS}?labelSelector=app%3Dnone")).json

    assert (first["kind"], first["apiVersion"]) == ("ConfigMapList", "v1")
    assert [item["metadata"]["name"] for item in first["items"] + second["items"]] == ["a", "b", "c"]
    assert first["metadata"]["remainingItemCount"] == 1 and "continue" not in second["metadata"]
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]
    assert empty["items"] == []


async def test_lists_of_other_selections_are_others(api: Rest) -> None:
    for name in "abc":
        await api.create(MAPS, config_map(name))
    then = (await api.get(MAPS)).json["metadata"]["resourceVersion"]
    await api.send("DELETE", f"{MAPS}/b")
    exact = f"{MAPS}?resourceVersion={then}&resourceVersionMatch=Exact"
    system = "/api/v1/namespaces/kube-system/configmaps"

    async def names(path: str) -> list[str]:
        return [item["metadata"]["name"] for item in (await api.get(path)).json["items"]]

    for _ in range(2):  # as they are found, and as they are kept
        assert await names(MAPS) == ["a", "c"]
        assert await names(f"{MAPS}?fieldSelector=metadata.name%3Dc") == ["c"]
        assert await names(f"{MAPS}?labelSelector=app%3Dnone") == []
        assert await names(exact) == ["a", "b", "c"]
        assert await names(f"{MAPS}?limit=1") == ["a"]
        assert "a" not in await names(system)
        assert (await api.get(f"{MAPS}?fieldSelector=spec.none%3Dc")).code == 400


async def test_apply_creates_with_201_and_then_answers_200(api: Rest) -> None:
    manifest = yaml.safe_dump(config_map("a")).encode()

    answers = [
        await api.send("PATCH", f"{MAPS}/a?fieldManager=tests", manifest, content_type="application/apply-patch+yaml")
        for _ in range(2)
    ]
    unnamed = await api.send("PATCH", f"{MAPS}/a", manifest, content_type="application/apply-patch+yaml")

    assert [answer.code for answer in answers] == [201, 200]
    assert answers[0].json == answers[1].json
    assert unnamed.code == 422 and "fieldManager" in unnamed.json["message"]


async def test_bindings_and_evictions_answer_with_success(api: Rest) -> None:
    await api.create(PODS, pod("a"))
    target = {"kind": "Node", "name": "n1"}

    bound = await api.send("POST", f"{PODS}/a/binding", {"metadata": {"name": "a"}, "target": target})
    evicted = await api.send("POST", f"{PODS}/a/eviction", {"metadata": {"name": "a"}})

    assert (bound.code, bound.json["status"]) == (evicted.code, evicted.json["status"]) == (201, "Success")
    assert (await api.get(f"{PODS}/a")).json["metadata"]["deletionTimestamp"]


async def test_a_binding_makes_nobody_the_owner_of_the_node_name(api: Rest) -> None:
    await api.create(PODS, pod("a"))
    before = (await api.get(f"{PODS}/a")).json["metadata"]["managedFields"]
    target = {"kind": "Node", "name": "n1"}

    await api.send("POST", f"{PODS}/a/binding", {"metadata": {"name": "a"}, "target": target})

    after = (await api.get(f"{PODS}/a")).json
    assert after["spec"]["nodeName"] == "n1"
    assert after["metadata"]["managedFields"] == before


async def test_delete_options_come_in_the_body_or_in_the_query(api: Rest) -> None:
    for name in "ab":
        await api.create(DEPLOYMENTS, deployment(name))

    body = await api.send("DELETE", f"{DEPLOYMENTS}/a", {"kind": "DeleteOptions", "propagationPolicy": "Foreground"})
    query = await api.send("DELETE", f"{DEPLOYMENTS}/b?propagationPolicy=Orphan")
    wrong = await api.send("DELETE", f"{DEPLOYMENTS}/b", {"propagationPolicy": "Sideways"})

    assert body.json["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert query.json["metadata"]["finalizers"] == ["orphan"]
    assert wrong.code == 422 and wrong.json["message"] == (
        'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "Sideways": '
        'supported values: "Foreground", "Background", "Orphan", "nil"'
    )


async def test_a_collection_is_deleted(api: Rest) -> None:
    for name in "ab":
        await api.create(MAPS, config_map(name))

    deleted = await api.send("DELETE", f"{MAPS}?fieldSelector=metadata.name%3Da")

    assert [item["metadata"]["name"] for item in deleted.json["items"]] == ["a"]
    assert [item["metadata"]["name"] for item in (await api.get(MAPS)).json["items"]] == ["b"]


async def test_what_is_a_dry_run_is_not_stored(api: Rest) -> None:
    dry = await api.send("POST", f"{MAPS}?dryRun=All", config_map("a"))
    wrong = await api.send("POST", f"{MAPS}?dryRun=Some", config_map("a"))

    assert dry.code == 201 and (await api.get(f"{MAPS}/a")).code == 404
    assert wrong.code == 422


# -- forms ------------------------------------------------------------------------------------------------------------


async def test_yaml_goes_in_and_comes_out(api: Rest) -> None:
    manifest = yaml.safe_dump(config_map("a")).encode()

    created = await api.send("POST", MAPS, manifest, content_type="application/yaml", Accept="application/yaml")

    assert created.headers["Content-Type"] == "application/yaml"
    assert yaml.safe_load(created.body)["data"] == {"a": "1"}


async def test_protobuf_bodies_are_read(api: Rest) -> None:
    """A Namespace as kubectl 1.32 sends it: an envelope, then metadata.name in field 1.1."""
    name = b"\x0a\x02pb"
    raw = b"\x0a" + bytes([len(name)]) + name
    kind = b"\x0a\x02v1\x12\x09Namespace"
    body = b"k8s\x00" + b"\x0a" + bytes([len(kind)]) + kind + b"\x12" + bytes([len(raw)]) + raw

    created = await api.send("POST", "/api/v1/namespaces", body, content_type="application/vnd.kubernetes.protobuf")

    assert created.code == 201 and created.json["metadata"]["name"] == "pb"


async def test_tables_and_bare_metadata_are_shown_to_who_asks_for_them(api: Rest) -> None:
    await api.create(PODS, pod("a"))

    table = (await api.get(PODS, Accept=TABLE)).json
    row = (await api.get(f"{PODS}/a", Accept=TABLE)).json
    accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    bare = (await api.get(PODS, Accept=accept)).json

    assert table["kind"] == row["kind"] == "Table"
    assert [column["name"] for column in table["columnDefinitions"]][:3] == ["Name", "Ready", "Status"]
    assert table["rows"][0]["cells"][:3] == row["rows"][0]["cells"][:3] == ["a", "0/1", "Pending"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    assert bare["kind"] == "PartialObjectMetadataList" and set(bare["items"][0]) == {"kind", "apiVersion", "metadata"}


async def test_big_answers_are_compressed_for_who_can_read_that(api: Rest) -> None:
    for number in range(2):
        await api.create(MAPS, {**config_map(f"c{number}"), "data": {"x": "y" * 900_000}})

    async with api.admin.get(api.base + MAPS, auto_decompress=False) as response:
        packed = await response.read()
    plain = await api.get(MAPS, Accept_Encoding="identity")

    assert response.headers["Content-Encoding"] == "gzip" and len(packed) < 20_000
    assert gzip.decompress(packed) == plain.body


@pytest.mark.slow
async def test_browsers_and_curl_get_it_indented(api: Rest) -> None:
    assert b'\n  "kind"' in (await api.get("/api/v1/namespaces/default", User_Agent="curl/8.0")).body
    assert b'\n  "kind"' in (await api.get("/api/v1/namespaces/default?pretty=true")).body
    assert b'\n  "kind"' not in (await api.get("/api/v1/namespaces/default?pretty=false", User_Agent="curl/8.0")).body


async def test_unknown_fields_are_ignored_warned_of_or_refused(api: Rest) -> None:
    odd = {**config_map("a"), "spce": 1}

    ignored = await api.send("POST", f"{MAPS}?fieldValidation=Ignore&dryRun=All", odd)
    warned = await api.send("POST", f"{MAPS}?dryRun=All", odd)
    refused = await api.send("POST", f"{MAPS}?fieldValidation=Strict&dryRun=All", odd)

    assert "Warning" not in ignored.headers
    assert warned.headers["Warning"] == '299 - "unknown field \\"spce\\""' and "spce" not in warned.json
    assert refused.code == 400 and 'strict decoding error: unknown field "spce"' in refused.json["message"]


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "path", "body", "content_type", "code", "words"),
    [
        ("GET", "/api/v1/gadgets", None, "", 404, "the server could not find the requested resource"),
        ("GET", "/api/v1/namespaces/default/pods/a/proxy/x", None, "", 404, "not found"),
        ("PUT", MAPS, config_map("a"), "application/json", 405, "does not allow this method"),
        ("POST", MAPS, b"{", "application/json", 400, "it is not JSON"),
        ("POST", MAPS, b"a: [", "application/yaml", 400, "it is not YAML"),
        ("POST", MAPS, b"nonsense", "application/vnd.kubernetes.protobuf", 400, "protobuf"),
        ("POST", MAPS, b"<a/>", "application/xml", 415, "accepted media types include"),
        ("POST", MAPS, [1], "application/json", 400, "cannot be handled as a ConfigMap"),
        ("POST", MAPS, b"", "application/json", 400, "it is not JSON"),
        ("PATCH", f"{MAPS}/a", {}, "application/json", 415, "415: Unsupported Media Type"),
        ("PATCH", f"{MAPS}/a", [], "application/json-patch+json", 404, "not found"),
        ("POST", MAPS, b'{"a":"' + b"x" * 3_200_000, "application/json", 413, "Request entity too large"),
        ("GET", f"{MAPS}?limit=many", None, "", 400, "invalid syntax"),
        ("GET", f"{MAPS}?resourceVersion=x", None, "", 400, "invalid resource version"),
        ("GET", f"{MAPS}?watch=1&sendInitialEvents=true", None, "", 422, "resourceVersionMatch"),
        ("POST", f"{MAPS}/a/exec?command=ls", None, "", 404, "could not find"),
        ("OPTIONS", MAPS, None, "", 405, "does not allow this method"),
    ],
)
async def test_refusals_are_statuses(
    api: Rest, method: str, path: str, body: object, content_type: str, code: int, words: str
) -> None:
    answer = await api.send(method, path, body, content_type=content_type)

    assert (answer.code, answer.json["code"], answer.json["kind"]) == (code, code, "Status"), answer.body
    assert words in answer.json["message"]


async def test_who_takes_nothing_but_protobuf_is_given_it(api: Rest) -> None:
    protobuf = "application/vnd.kubernetes.protobuf"
    made = await api.send("POST", MAPS, config_map("a"), Accept=protobuf)
    got = await api.get(f"{MAPS}/a", Accept=protobuf)
    listed = await api.get(MAPS, Accept=protobuf)
    either = await api.get(f"{MAPS}/a", Accept=f"{protobuf},application/json")
    gone = await api.send("DELETE", f"{MAPS}/a", Accept=protobuf)

    assert {each.headers["Content-Type"] for each in (made, got, listed, gone)} == {protobuf}
    assert either.headers["Content-Type"] == "application/json"
    assert made.code == 201 and decode(got.body) == decode(made.body) == either.json
    assert b"ConfigMapList" in listed.body and b"kube-root-ca.crt" not in made.body
    status = decode(gone.body)
    assert (status["kind"], status["status"], status["details"]["name"]) == ("Status", "Success", "a")


async def test_a_watch_in_protobuf_has_its_events_in_frames(api: Rest) -> None:
    protobuf = "application/vnd.kubernetes.protobuf;stream=watch"
    await api.create(MAPS, config_map("a"))
    where = f"{MAPS}?watch=1"
    async with api.watch(where) as beside, api.watch(where, Accept=protobuf) as watch:
        found = []
        for _ in range(2):
            size = int.from_bytes(await watch.response.content.readexactly(4), "big")
            assert size < 10_000
            event = await watch.response.content.readexactly(size)
            at = event.index(b"k8s\x00")
            found.append((event[2 : 2 + event[1]].decode(), decode(event[at:])["metadata"]["name"]))
            await api.send("DELETE", f"{MAPS}/a")

        assert await beside.names(2) == found

    assert watch.response.headers["Content-Type"] == protobuf
    assert found == [("ADDED", "a"), ("DELETED", "a")]


async def test_what_nobody_can_read_is_not_acceptable(api: Rest) -> None:
    assert (await api.get(MAPS, Accept="application/xml")).code == 406
    assert (await api.get(MAPS, Accept="application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1")).code == 406
    assert (await api.get(MAPS, Accept="application/vnd.kubernetes.protobuf, application/json;q=0.5")).code == 200


@pytest.mark.slow
async def test_yaml_that_multiplies_itself_is_refused(api: Rest) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    answer = await api.send("POST", MAPS, "\n".join(lines).encode(), content_type="application/yaml")

    assert answer.code == 400 and "excessive aliasing" in answer.json["message"]


# -- who asks ---------------------------------------------------------------------------------------------------------


async def test_callers_are_known_by_certificate_or_token(api: Rest) -> None:
    review = {"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"}
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"

    by_certificate = await api.send("POST", path, review)
    by_token = await api.send("POST", path, review, session=api.anonymous, Authorization="Bearer good")
    bad_token = await api.send("POST", path, review, session=api.anonymous, Authorization="Bearer bad")
    nobody = await api.send("POST", path, review, session=api.anonymous)

    groups = ["system:masters", "system:authenticated"]
    user = by_certificate.json["status"]["userInfo"]
    assert user.pop("extra").keys() == {"authentication.kubernetes.io/credential-id"}
    assert user == {"username": "kubernetes-admin", "groups": groups}
    assert by_token.json["status"]["userInfo"]["username"] == "robot"
    assert (bad_token.code, bad_token.json["message"]) == (401, "Unauthorized")
    assert nobody.code == 403 and 'User "system:anonymous" cannot create' in nobody.json["message"]


async def test_who_is_nobody_sees_health_and_version_only(api: Rest) -> None:
    codes = {
        path: (await api.send("GET", path, session=api.anonymous)).code
        for path in ("/healthz", "/livez", "/readyz", "/version", "/api", "/apis/apps/v1", "/openapi/v2", MAPS, "/")
    }

    assert [path for path, code in codes.items() if code == 200] == ["/healthz", "/livez", "/readyz", "/version"]
    assert {code for code in codes.values() if code != 200} == {403}


async def test_who_is_known_but_nobody_special_is_told_what_they_may_not(api: Rest) -> None:
    answer = await api.send("GET", PODS, session=api.anonymous, Authorization="Bearer good")

    assert answer.code == 403
    assert answer.json["message"] == (
        'pods is forbidden: User "robot" cannot list resource "pods" in API group "" in the namespace "default"'
    )


# -- documents --------------------------------------------------------------------------------------------------------


async def test_the_server_describes_itself(api: Rest) -> None:
    aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"

    assert (await api.get("/api")).json["kind"] == "APIVersions"
    assert (await api.get("/apis", Accept=aggregated)).json["kind"] == "APIGroupDiscoveryList"
    assert (await api.get("/apis/apps")).json["kind"] == "APIGroup"
    assert (await api.get("/apis/apps/v1")).json["groupVersion"] == "apps/v1"
    assert "apps/v1" in (await api.get("/openapi/v3")).body.decode()
    assert (await api.get("/openapi/v3/apis/apps/v1")).json["openapi"]
    assert (await api.get("/openapi/v2")).json["swagger"] == "2.0"
    assert (await api.get("/version")).json["gitVersion"].startswith("v1.")
    assert "/readyz" in (await api.get("/")).json["paths"]
    assert (await api.get("/apis/nothing")).code == 404


@pytest.mark.slow
async def test_gnostic_goes_out_under_a_name_that_clients_can_parse(api: Rest) -> None:
    answer = await api.get("/openapi/v2", Accept="application/com.github.proto-openapi.spec.v2@v1.0+protobuf")

    assert answer.headers["Content-Type"] == "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"


async def test_health_is_one_word_or_a_list(api: Rest) -> None:
    assert (await api.get("/readyz")).body == b"ok"
    assert (await api.get("/livez/ping")).body == b"ok"
    assert (await api.send("HEAD", "/livez/ping")).code == 200
    verbose = (await api.get("/readyz?verbose")).body.decode().splitlines()
    assert verbose[:5] == ["[+]ping ok", "[+]log ok", "[+]etcd ok", "[+]etcd-readiness ok", "[+]informer-sync ok"]
    assert verbose[-2:] == ["[+]shutdown ok", "readyz check passed"]
    assert (await api.get("/readyz/nothing")).code == 404
