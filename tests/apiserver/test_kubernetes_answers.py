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
        ("DELETE", "/apis/apps/v1", None, 405, NOT_ALLOWED),
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
    assert list(answer.json) == ["kind", "apiVersion", "metadata", "status", "message", "reason", "details", "code"]


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
        (f"{MAPS}?resourceVersion=abc&limit=abc", 'strconv.ParseInt: parsing "abc": invalid syntax'),
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


# -- lists and tables -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "made", [{"apiVersion": "v1", "kind": "ConfigMap"}, {"kind": "ConfigMap", "apiVersion": "v1"}, {}]
)
async def test_a_list_says_of_what_kind_its_objects_are_and_they_do_not(api: Rest, made: dict[str, str]) -> None:
    await api.create(MAPS, {"metadata": {"name": "a"}, "data": {"b": "c"}, **made})

    lists = [(await api.get(f"{MAPS}{query}")).json for query in ("", "?limit=1", "?labelSelector=!x", "?pretty=true")]

    assert {each["kind"] for each in lists} == {"ConfigMapList"}
    assert [[*item] for each in lists for item in each["items"]] == [["metadata", "data"]] * 4
    assert (await api.get(f"{MAPS}/a")).json["kind"] == "ConfigMap"


async def cells(api: Rest, path: str) -> tuple[list[str], list[Any]]:
    """The columns, and the cells of the first row."""
    table = (await api.get(path, Accept="application/json;as=Table;v=v1;g=meta.k8s.io")).json
    return [column["name"] for column in table["columnDefinitions"]], table["rows"][0]["cells"]


async def test_tables_show_what_kubernetes_shows(api: Rest) -> None:
    await api.create("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "a"}})
    default = {"ingressclass.kubernetes.io/is-default-class": "true"}
    classes, capacities = "/apis/networking.k8s.io/v1/ingressclasses", "/apis/storage.k8s.io/v1/csistoragecapacities"
    await api.create(classes, {"metadata": {"name": "i", "annotations": default}, "spec": {"controller": "a/b"}})
    capacity = {"metadata": {"name": "c"}, "storageClassName": "s"}
    await api.create("/apis/storage.k8s.io/v1/namespaces/default/csistoragecapacities", capacity)
    system = {"architecture": "amd64", "kernelVersion": "6.1", "operatingSystem": "linux"}
    await api.create("/api/v1/nodes", {"metadata": {"name": "n"}, "status": {"nodeInfo": system}})

    assert await cells(api, "/api/v1/namespaces/default/serviceaccounts") == (["Name", "Age"], ["a", "0s"])
    assert (await cells(api, classes))[1][0] == "i (default)"
    assert (await cells(api, capacities))[0] == ["Name", "Created At"]
    assert "6.1 (amd64)" in (await cells(api, "/api/v1/nodes"))[1]


async def test_an_autoscaler_of_the_old_version_shows_its_metrics(api: Rest) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
    spec = {"scaleTargetRef": target, "maxReplicas": 3, "targetCPUUtilizationPercentage": 70}
    scalers = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
    await api.create(scalers, {"metadata": {"name": "a"}, "spec": spec})

    assert (await cells(api, scalers))[1][2] == "cpu: <unknown>/70%"


async def test_the_exempt_level_has_no_share_to_show(api: Rest) -> None:
    levels = "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations"

    assert (await cells(api, f"{levels}/exempt"))[1][:3] == ["exempt", "Exempt", "<none>"]


# -- who owns which fields --------------------------------------------------------------------------------------------


async def owned(api: Rest, path: str, obj: dict[str, Any]) -> Any:
    made = await api.create(path, obj)
    [entry] = made["metadata"]["managedFields"]
    return entry["fieldsV1"]


async def test_what_is_allocated_belongs_to_nobody(api: Rest) -> None:
    spec = {"type": "NodePort", "selector": {"a": "b"}, "ports": [{"port": 80}]}
    fields = await owned(api, "/api/v1/namespaces/default/services", {"metadata": {"name": "s"}, "spec": spec})

    assert list(fields) == ["f:spec"]
    assert sorted(fields["f:spec"]) == [
        "f:externalTrafficPolicy", "f:internalTrafficPolicy", "f:ports", "f:selector", "f:sessionAffinity", "f:type",
    ]  # fmt: skip
    assert fields["f:spec"]["f:ports"] == {
        ".": {},
        'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}, "f:protocol": {}, "f:targetPort": {}},
    }


async def test_what_admission_adds_belongs_to_nobody_however_many_pods_are_alike(api: Rest) -> None:
    spec = {"containers": [{"name": "c", "image": "i"}]}
    found = [await owned(api, PODS, {"metadata": {"name": f"p{n}"}, "spec": spec}) for n in range(6)]

    assert found == [found[0]] * 6
    assert found[0] == {
        "f:spec": {
            "f:containers": {
                'k:{"name":"c"}': {
                    ".": {},
                    "f:image": {},
                    "f:imagePullPolicy": {},
                    "f:name": {},
                    "f:resources": {},
                    "f:terminationMessagePath": {},
                    "f:terminationMessagePolicy": {},
                }
            },
            "f:dnsPolicy": {},
            "f:enableServiceLinks": {},
            "f:restartPolicy": {},
            "f:schedulerName": {},
            "f:securityContext": {},
            "f:terminationGracePeriodSeconds": {},
        }
    }


CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
ATTACHMENT = {"attacher": "a", "nodeName": "n", "source": {"persistentVolumeName": "v"}}
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


@pytest.mark.parametrize(
    ("path", "spec", "field", "has_itself"),
    [
        ("/api/v1/namespaces/default/persistentvolumeclaims", CLAIM, "resources", False),
        ("/apis/networking.k8s.io/v1/namespaces/default/networkpolicies", {"podSelector": {}}, "podSelector", None),
        ("/apis/storage.k8s.io/v1/volumeattachments", ATTACHMENT, "source", False),
        (
            "/api/v1/namespaces/default/replicationcontrollers",
            {"selector": {"a": "b"}, "template": TEMPLATE},
            "template",
            True,
        ),
    ],
)
async def test_what_is_always_there_is_owned_by_nobody_itself(
    api: Rest, path: str, spec: dict[str, Any], field: str, has_itself: bool | None
) -> None:
    fields = (await owned(api, path, {"metadata": {"name": "a"}, "spec": spec}))["f:spec"].get(f"f:{field}")

    assert (None if fields is None else "." in fields) == has_itself


async def apply(api: Rest, path: str, manager: str, obj: Any) -> Any:
    return await api.send("PATCH", f"{path}?fieldManager={manager}", obj, content_type="application/apply-patch+yaml")


async def test_who_applies_what_is_there_already_has_no_time_and_comes_first(api: Rest) -> None:
    applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"b": "c"}}

    await apply(api, f"{MAPS}/a", "first", applied)
    answer = await apply(api, f"{MAPS}/a", "second", applied)

    entries = answer.json["metadata"]["managedFields"]
    assert [(each["manager"], "time" in each) for each in entries] == [("second", False), ("first", True)]


@pytest.mark.parametrize(
    ("applied", "message"),
    [
        ({"apiVersion": "v1", "kind": "Pod"}, "invalid object type: /v1, Kind=Pod"),
        ({"apiVersion": "apps/v9", "kind": "ConfigMap"}, "invalid object type: apps/v9, Kind=ConfigMap"),
        ({"kind": "ConfigMap"}, "invalid object type: /, Kind=ConfigMap"),
        (
            {"apiVersion": "v1", "kind": "ConfigMap", "foo": 1},
            "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .foo: field not declared in schema",
        ),
    ],
)
async def test_what_cannot_be_applied_is_said(api: Rest, applied: dict[str, Any], message: str) -> None:
    answer = await apply(api, f"{MAPS}/a", "m", {**applied, "metadata": {"name": "a"}})

    assert (answer.code, answer.json["message"]) == (400, message)


async def test_the_annotation_of_client_side_apply_is_kept_as_kubectl_writes_it(api: Rest) -> None:
    annotation = "kubectl.kubernetes.io/last-applied-configuration"
    applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"b": "d"}}
    await api.create(MAPS, {"metadata": {"name": "a", "annotations": {annotation: "{}"}}, "data": {"b": "d"}})

    answer = await apply(api, f"{MAPS}/a", "kubectl", applied)

    kept = answer.json["metadata"]["annotations"][annotation]
    assert kept == '{"apiVersion":"v1","data":{"b":"d"},"kind":"ConfigMap","metadata":{"name":"a"}}\n'


# -- the rest ---------------------------------------------------------------------------------------------------------


async def test_a_system_priority_class_stays(api: Rest) -> None:
    classes = "/apis/scheduling.k8s.io/v1/priorityclasses"

    answer = await api.send("DELETE", f"{classes}/system-cluster-critical")

    assert (answer.code, answer.json["message"]) == (
        403,
        'priorityclasses.scheduling.k8s.io "system-cluster-critical" is forbidden: '
        "this is a system priority class and cannot be deleted",
    )


async def test_who_asks_who_it_is_is_told_when_it_asked(api: Rest) -> None:
    answer = await api.send("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})

    assert "creationTimestamp" in answer.json["metadata"]


@pytest.mark.parametrize(
    ("resource", "condition", "message"),
    [
        (
            "configmaps",
            {"uid": "no"},
            'fulfilled on ConfigMap "a": the UID in the precondition (no) does not match the UID in record (',
        ),
        (
            "configmaps",
            {"resourceVersion": "1"},
            'on ConfigMap "a": the ResourceVersion in the precondition (1) does not match the ResourceVersion in ',
        ),
        ("namespaces", {"uid": "no"}, 'on namespaces "a": Precondition failed: UID in precondition: no, UID in '),
    ],
)
async def test_what_is_not_in_record_is_not_deleted(
    api: Rest, resource: str, condition: dict[str, str], message: str
) -> None:
    path = MAPS if resource == "configmaps" else "/api/v1/namespaces"
    await api.create(path, {"metadata": {"name": "a"}})

    answer = await api.send("DELETE", f"{path}/a", {"preconditions": condition})

    assert (answer.code, answer.json["reason"]) == (409, "Conflict")
    assert message in answer.json["message"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("type", "patch"),
    [
        ("json-patch", [{"op": "replace", "path": "", "value": {}}]),
        ("json-patch", [{"op": "remove", "path": "/metadata/name"}]),
        ("merge-patch", {"metadata": None}),
        ("strategic-merge-patch", {"$patch": "delete"}),
        ("strategic-merge-patch", {"$patch": "replace", "data": {"a": "b"}}),
        ("strategic-merge-patch", {"metadata": {"$patch": "delete"}}),
    ],
)
async def test_no_patch_takes_an_objects_name_away(api: Rest, type: str, patch: Any) -> None:
    await api.send("POST", MAPS, config_map("a"))

    answer = await api.send("PATCH", f"{MAPS}/a", patch, content_type=f"application/{type}+json")

    said = "the name of the object (a based on URL) was undeterminable: name must be provided"
    assert (answer.code, answer.json["reason"], answer.json["message"]) == (400, "BadRequest", said)
    assert (await api.get(f"{MAPS}/a")).json["data"] == {"a": "1"}


SAYS_TWICE = (
    b'{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "bar": 1}, "spec": {"foo": 1, "foo": 2,'
    b' "containers": [{"name": "c", "image": "i", "baz": 1, "image": "j"}]}}'
)


@pytest.mark.slow
async def test_what_is_unknown_is_warned_of_before_what_is_said_twice_and_who_is_refused_for_it_is_not_warned(
    api: Rest,
) -> None:
    warned = await api.send("POST", f"{PODS}?dryRun=All", SAYS_TWICE, content_type=JSON)
    refused = await api.send("POST", f"{PODS}?dryRun=All&fieldValidation=Strict", SAYS_TWICE, content_type=JSON)

    unknown = [
        f'299 - "unknown field \\"{field}\\""' for field in ("metadata.bar", "spec.foo", "spec.containers[0].baz")
    ]
    twice = '299 - "duplicate field \\"spec.containers[0].image\\""'
    assert warned.headers.getall("Warning") == [*unknown, twice]
    assert (refused.code, refused.headers.getall("Warning", [])) == (400, [])
