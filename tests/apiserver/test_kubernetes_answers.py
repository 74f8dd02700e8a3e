"""Answers that a kube-apiserver 1.36.2 gave to these requests, word for word; ours gives the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.world import config_map, pod

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"
JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
UNKNOWN_FIELD = 'is not a known field selector: only "metadata.name", "metadata.namespace"'
NOT_ALLOWED = "the server does not allow this method on the requested resource"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "path", "code", "words"),
    [
        ("GET", "/nope", 404, "404 page not found\n"),
        ("GET", "/apis/nope", 404, "404 page not found\n"),
        ("GET", "/apis/nope/v1/things", 404, "404 page not found\n"),
        ("GET", "/livez/nope", 404, "404 page not found\n"),
        ("GET", "/livez", 200, "ok"),
        ("POST", "/healthz", 200, "ok"),
    ],
)
async def test_what_is_not_of_the_api_is_answered_in_plain_text(
    api: Rest, method: str, path: str, code: int, words: str
) -> None:
    answer = await api.send(method, path)

    assert (answer.code, answer.body.decode()) == (code, words)
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "path", "body", "code", "message"),
    [
        ("GET", "/api/v2", None, 404, "the server could not find the requested resource"),
        ("GET", "/apis/apps/v9", None, 404, "the server could not find the requested resource"),
        ("PUT", "/apis/apps/v9", {}, 404, "the server could not find the requested resource"),
        ("POST", "/api/v1", {}, 405, NOT_ALLOWED),
        ("DELETE", "/apis", None, 405, NOT_ALLOWED),
        ("PATCH", "/version", {}, 405, NOT_ALLOWED),
        ("PUT", "/apis/authentication.k8s.io/v1/tokenreviews", {}, 405, NOT_ALLOWED),
        ("DELETE", f"{PODS}/a/log", None, 405, NOT_ALLOWED),
        ("OPTIONS", MAPS, None, 405, NOT_ALLOWED),
        ("POST", "/api/v1/pods", {}, 405, NOT_ALLOWED),
        ("POST", "/api/v1/configmaps", {"metadata": {"name": "a", "namespace": "default"}}, 405, NOT_ALLOWED),
    ],
)
async def test_a_path_of_the_api_is_refused_with_a_status(
    api: Rest, method: str, path: str, body: Any, code: int, message: str
) -> None:
    answer = await api.send(method, path, body)

    assert (answer.code, answer.json["message"]) == (code, message)
    assert list(answer.json) == ["kind", "apiVersion", "metadata", "status", "message", "reason", "code"]


async def test_nothing_is_deleted_in_all_namespaces_at_once(api: Rest) -> None:
    await api.create(MAPS, config_map("a"))

    answer = await api.send("DELETE", "/api/v1/configmaps")

    assert (answer.code, answer.json["message"]) == (405, NOT_ALLOWED)
    assert (await api.get(f"{MAPS}/a")).code == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("accept", "code", "said"),
    [
        ("text/plain", 406, f"406: Not Acceptable\n\nAvailable representations: {JSON}, {YAML}, {PROTOBUF}"),
        ("nope", 406, f"406: Not Acceptable\n\nAvailable representations: {JSON}, {YAML}, {PROTOBUF}"),
        (f"{JSON};as=Table", 406, f"only the following media types are accepted: {JSON}, {YAML}, {PROTOBUF}"),
        (f"{JSON};as=Nope;v=v1;g=meta.k8s.io", 406, f"only the following media types are accepted: {JSON}, {YAML}"),
        (f"text/plain, {JSON}", 404, 'configmaps "a" not found'),
    ],
)
async def test_what_is_accepted_is_said(api: Rest, accept: str, code: int, said: str) -> None:
    answer = await api.get(f"{MAPS}/a", Accept=accept)

    assert answer.code == code
    assert answer.json["message"].startswith(said)


@pytest.mark.parametrize("accept", [YAML, PROTOBUF])
async def test_who_reads_one_form_alone_is_refused_in_it(api: Rest, accept: str) -> None:
    answer = await api.get(f"{MAPS}/a", Accept=accept)

    assert (answer.code, answer.headers["Content-Type"]) == (404, accept)
    assert b'configmaps "a" not found' in answer.body


async def test_who_is_refused_is_warned_as_well(api: Rest) -> None:
    wrong = {**pod("a"), "spec": {"containers": [{"name": "c", "image": "i", "foo": 1}], "restartPolicy": "Zz"}}

    answer = await api.send("POST", PODS, wrong)

    assert answer.code == 422
    assert answer.headers["Warning"] == '299 - "unknown field \\"spec.containers[0].foo\\""'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            f"{MAPS}?resourceVersion=abc",
            'invalid resource version: resourceVersion: Invalid value: "abc": '
            'strconv.ParseUint: parsing "abc": invalid syntax',
        ),
        (f"{MAPS}?resourceVersion=abc&continue=x", "specifying resource version is not allowed when using continue"),
        (f"{MAPS}?fieldSelector=data=x", f'"data" {UNKNOWN_FIELD}'),
        (f"{PODS}?fieldSelector=foo=x", "field label not supported: foo"),
        ("/apis/batch/v1/jobs?fieldSelector=foo=x", 'field label "foo" not supported for Job'),
        (
            "/apis/resource.k8s.io/v1/resourceslices?fieldSelector=foo=x",
            "field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: foo",
        ),
        ("/api/v1/nodes?fieldSelector=metadata.namespace=x", "field label not supported: metadata.namespace"),
        ("/apis/apps/v1/replicasets?fieldSelector=status.replicas=1", f'"status.replicas" {UNKNOWN_FIELD}'),
        (f"{EVENTS}?fieldSelector=involvedObject.name=x", "field label not supported: involvedObject.name"),
        ("/api/v1/events?fieldSelector=source.component=x", "field label not supported: source.component"),
        (
            f"{MAPS}?includeObject=zz",
            'Unable to convert to Table as requested: includeObject: Invalid value: "zz": '
            "must be 'Metadata', 'Object', 'None', or empty",
        ),
    ],
)
async def test_what_cannot_be_selected_by_is_said(api: Rest, path: str, message: str) -> None:
    answer = await api.get(path)

    assert (answer.code, answer.json["message"]) == (400, message)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "found"),
    [
        (f"{EVENTS}?fieldSelector=regarding.name=p", 1),
        (f"{EVENTS}?fieldSelector=reportingController=c/d", 1),
        (f"{EVENTS}?fieldSelector=regarding.kind=Node", 0),
        ("/api/v1/events?fieldSelector=involvedObject.name=p,source=c/d", 1),
        ("/api/v1/events?fieldSelector=source=other", 0),
        ("/apis/certificates.k8s.io/v1/certificatesigningrequests?fieldSelector=spec.signerName=a.b/c", 0),
    ],
)
async def test_events_are_selected_by_the_names_of_their_version(api: Rest, path: str, found: int) -> None:
    event = {"metadata": {"name": "e"}, "regarding": {"kind": "Pod", "name": "p", "namespace": "default"}}
    event |= {"reason": "R", "action": "A", "type": "Normal", "eventTime": "2026-11-29T00:00:00.000000Z"}
    await api.create(EVENTS, {**event, "reportingController": "c/d", "reportingInstance": "i"})

    assert len((await api.get(path)).json["items"]) == found


async def test_discovery_names_groups_and_resources_in_kubernetes_order(api: Rest) -> None:
    groups = [group["name"] for group in (await api.get("/apis")).json["groups"]]
    core = [each["name"] for each in (await api.get("/api/v1")).json["resources"]]

    assert groups[:6] == [
        "apiregistration.k8s.io", "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io",
        "autoscaling",
    ]  # fmt: skip
    assert core == sorted(core)


@pytest.mark.parametrize(
    ("path", "name", "hash"),
    [
        ("/api/v1", "configmaps", "qFsyl6wFWjQ="),
        ("/apis/apps/v1", "deployments", "8aSe+NMegvE="),
        ("/apis/events.k8s.io/v1", "events", "r2yiGXH7wu8="),
        ("/apis/autoscaling/v1", "horizontalpodautoscalers", "qwQve8ut294="),
        ("/api/v1", "bindings", None),
        ("/apis/apps/v1", "deployments/scale", None),
    ],
)
async def test_discovery_tells_in_which_version_a_kind_is_kept(api: Rest, path: str, name: str, hash: str) -> None:
    resources = {each["name"]: each for each in (await api.get(path)).json["resources"]}

    assert resources[name].get("storageVersionHash") == hash


async def test_aggregated_discovery_may_be_kept_by_anybody(api: Rest) -> None:
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    answer = await api.get("/api", Accept=accept)
    [core] = answer.json["items"]
    pods = next(each for each in core["versions"][0]["resources"] if each["resource"] == "pods")
    kinds = {each["subresource"]: each["responseKind"] for each in pods["subresources"]}

    assert answer.headers["Cache-Control"] == "public"
    assert core["metadata"] == {}
    assert pods["responseKind"] == {"group": "", "version": "", "kind": "Pod"}
    assert kinds["eviction"] == {"group": "policy", "version": "v1", "kind": "Eviction"}
