"""Operations and schemas as a kube-apiserver 1.36.2 describes them, in both versions of OpenAPI."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actors.apiserver.cache import Cache
from actors.apiserver.custom.served import Served
from actors.apiserver.schema.openapi_paths import identifier, tag_of
from actors.apiserver.schema.openapi_v2 import OpenApiV2
from actors.apiserver.schema.openapi_v3 import KEPT_BYTES_MAX, OpenApiV3
from actors.apiserver.schema.types import Types, served_versions

TYPES = Types.load("1.36")
SERVED = Served(Cache(), TYPES)
V3 = OpenApiV3(TYPES, SERVED)
SWAGGER: dict[str, Any] = json.loads(OpenApiV2(TYPES, SERVED).json().body)

PODS, POD = "/api/v1/namespaces/{namespace}/pods", "/api/v1/namespaces/{namespace}/pods/{name}"
DEPLOYMENT = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
REQUEST = "/apis/certificates.k8s.io/v1/certificatesigningrequests/{name}"
LISTED = "allowWatchBookmarks continue fieldSelector labelSelector limit resourceVersion resourceVersionMatch"
LISTED += " sendInitialEvents timeoutSeconds watch"
WRITTEN, STREAMS = "dryRun fieldManager fieldValidation", "stderr stdin stdout tty"
DELETED = "dryRun gracePeriodSeconds orphanDependents propagationPolicy"


@pytest.mark.parametrize(
    ("path", "method", "id", "description", "parameters", "answers"),
    [
        (PODS, "get", "listCoreV1NamespacedPod", "list or watch objects of kind Pod", LISTED, "200:PodList"),
        ("/api/v1/pods", "get", "listCoreV1PodForAllNamespaces", "list or watch objects of kind Pod", LISTED, ""),
        (PODS, "post", "createCoreV1NamespacedPod", "create a Pod", f"{WRITTEN} body", "200:Pod 201:Pod 202:Pod"),
        (
            PODS,
            "delete",
            "deleteCoreV1CollectionNamespacedPod",
            "delete collection of Pod",
            f"{' '.join(LISTED.split()[1:-1])} {DELETED} body",
            "200:Status",
        ),
        (POD, "get", "readCoreV1NamespacedPod", "read the specified Pod", "", "200:Pod"),
        (POD, "put", "replaceCoreV1NamespacedPod", "replace the specified Pod", f"{WRITTEN} body", "200:Pod 201:Pod"),
        (
            POD,
            "patch",
            "patchCoreV1NamespacedPod",
            "partially update the specified Pod",
            f"{WRITTEN} force body",
            "200:Pod 201:Pod",
        ),
        (POD, "delete", "deleteCoreV1NamespacedPod", "delete a Pod", f"{DELETED} body", "200:Pod 202:Pod"),
        (
            DEPLOYMENT,
            "delete",
            "deleteAppsV1NamespacedDeployment",
            "delete a Deployment",
            f"{DELETED} body",
            "200:Status",
        ),
        (
            f"{POD}/exec",
            "post",
            "connectCoreV1PostNamespacedPodExec",
            "connect POST requests to exec of Pod",
            f"command container {STREAMS}",
            "200:string",
        ),
        (
            f"{POD}/proxy/{{path}}",
            "options",
            "connectCoreV1OptionsNamespacedPodProxyWithPath",
            "connect OPTIONS requests to proxy of Pod",
            "path path",
            "200:string",
        ),
        (
            f"{POD}/log",
            "get",
            "readCoreV1NamespacedPodLog",
            "read log of the specified Pod",
            "container follow insecureSkipTLSVerifyBackend limitBytes previous sinceSeconds stream tailLines "
            "timestamps",
            "200:string",
        ),
        (
            f"{POD}/eviction",
            "post",
            "createCoreV1NamespacedPodEviction",
            "create eviction of a Pod",
            f"{WRITTEN} body",
            "200:Eviction 201:Eviction 202:Eviction",
        ),
        (
            f"{DEPLOYMENT}/scale",
            "get",
            "readAppsV1NamespacedDeploymentScale",
            "read scale of the specified Deployment",
            "",
            "200:Scale",
        ),
        (
            f"{REQUEST}/approval",
            "put",
            "replaceCertificatesV1CertificateSigningRequestApproval",
            "replace approval of the specified CertificateSigningRequest",
            f"{WRITTEN} body",
            "",
        ),
        (
            "/api/v1/namespaces/{name}/finalize",
            "put",
            "replaceCoreV1NamespaceFinalize",
            "replace finalize of the specified Namespace",
            f"{WRITTEN} body",
            "200:Namespace 201:Namespace",
        ),
        (
            "/api/v1/watch/pods",
            "get",
            "watchCoreV1PodListForAllNamespaces",
            "watch individual changes to a list of Pod. deprecated: use the 'watch' parameter with a list operation "
            "instead.",
            LISTED,
            "200:WatchEvent",
        ),
        (
            "/api/v1/watch/nodes/{name}",
            "get",
            "watchCoreV1Node",
            "watch changes to an object of kind Node. deprecated: use the 'watch' parameter with a list operation "
            "instead, filtered to a single item with the 'fieldSelector' parameter.",
            LISTED,
            "200:WatchEvent",
        ),
        (
            "/api/v1/componentstatuses",
            "get",
            "listCoreV1ComponentStatus",
            "list objects of kind ComponentStatus",
            LISTED,
            "200:ComponentStatusList",
        ),
        ("/apis/events.k8s.io/v1/namespaces/{namespace}/events", "post", "", "create an Event", f"{WRITTEN} body", ""),
        ("/api/v1/namespaces/{namespace}/endpoints", "post", "", "create Endpoints", f"{WRITTEN} body", ""),
        ("/apis/node.k8s.io/v1/runtimeclasses", "post", "", "create a RuntimeClass", f"{WRITTEN} body", ""),
        ("/api/", "get", "getCoreAPIVersions", "get available API versions", None, "200:APIVersions"),
        ("/api/v1/", "get", "getCoreV1APIResources", "get available resources", None, "200:APIResourceList"),
        ("/apis/apps/", "get", "getAppsAPIGroup", "get information of a group", None, "200:APIGroup"),
        ("/version/", "get", "getCodeVersion", "get the version information for this server", None, "200:Info"),
    ],
)
def test_what_an_operation_is(
    path: str, method: str, id: str, description: str, parameters: str | None, answers: str
) -> None:
    item = SWAGGER["paths"][path]
    operation = item[method]
    given = [_spelled_out(each) for each in (*operation.get("parameters", ()), *item.get("parameters", ()))]
    at = [each["name"] for each in given if each["name"] not in ("name", "namespace", "pretty")]
    found = {f"{code}:{_answer(each['schema'])}" for code, each in operation["responses"].items() if "schema" in each}

    assert id in ("", operation["operationId"]) and operation["description"] == description
    assert sorted(at) == sorted((parameters or "").split())
    assert set(answers.split()) <= found and operation["responses"]["401"] == {"description": "Unauthorized"}
    connects = operation.get("x-kubernetes-action") == "connect"
    assert ("pretty" in {each["name"] for each in given}) == (parameters is not None and not connects)


def _spelled_out(parameter: dict[str, Any]) -> dict[str, Any]:
    name = parameter.get("$ref", "").removeprefix("#/parameters/")
    return dict(SWAGGER["parameters"][name] if name else parameter)


def _answer(schema: dict[str, str]) -> str:
    return schema.get("type") or schema["$ref"].rpartition(".")[2]


def test_no_two_operations_have_one_id() -> None:
    ids = [
        operation["operationId"]
        for item in SWAGGER["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    ]

    assert len(set(ids)) == len(ids) > 800


@pytest.mark.parametrize(
    ("path", "method", "consumes", "produces"),
    [
        (PODS, "get", ["*/*"], 5),
        (PODS, "post", ["*/*"], 3),
        (f"{POD}/exec", "get", ["*/*"], 1),
        (f"{POD}/log", "get", ["*/*"], 4),
        ("/api/v1/watch/pods", "get", ["*/*"], 5),
        (
            POD,
            "patch",
            [
                *("application/json-patch+json", "application/merge-patch+json"),
                *("application/strategic-merge-patch+json", "application/apply-patch+yaml"),
            ],
            3,
        ),
    ],
)
def test_in_which_forms_an_operation_speaks(path: str, method: str, consumes: list[str], produces: int) -> None:
    operation = SWAGGER["paths"][path][method]
    body = json.loads(V3.document("api/v1").body)["paths"][path][method]  # type: ignore[union-attr]

    assert (operation["consumes"], len(operation["produces"])) == (consumes, produces)
    assert sorted(body["responses"]["200"]["content"]) == sorted(operation["produces"])
    if "requestBody" in body:
        assert sorted(body["requestBody"]["content"]) == sorted(consumes)


@pytest.mark.parametrize(
    ("group", "tag", "in_id"),
    [
        *(("", "core", "Core"), ("storage.k8s.io", "storage", "Storage")),
        ("rbac.authorization.k8s.io", "rbacAuthorization", "RbacAuthorization"),
        *(("my-shop2.example.io", "myShop2ExampleIo", "MyShop2ExampleIo"), ("2a.b-c.x.io", "ABCXIo", "ABCXIo")),
    ],
)
def test_the_names_of_groups(group: str, tag: str, in_id: str) -> None:
    assert (tag_of(group), identifier(tag_of(group))) == (tag, in_id)


# -- schemas ----------------------------------------------------------------------------------------------------------

POD_SPEC, CONTAINER = "io.k8s.api.core.v1.PodSpec", "io.k8s.api.core.v1.Container"


@pytest.mark.parametrize(
    ("definition", "field", "words"),
    [
        (POD_SPEC, "restartPolicy", ["Always", "Never", "OnFailure"]),
        (CONTAINER, "imagePullPolicy", ["Always", "IfNotPresent", "Never"]),
        ("io.k8s.api.core.v1.PersistentVolumeClaimSpec", "volumeMode", ["Block", "Filesystem"]),
        ("io.k8s.api.networking.v1.HTTPIngressPath", "pathType", ["Exact", "ImplementationSpecific", "Prefix"]),
        (POD_SPEC, "nodeName", None),
    ],
)
def test_the_words_that_a_field_may_be(definition: str, field: str, words: list[str] | None) -> None:
    both = [SWAGGER["definitions"], _components("apis/apps/v1") | _components("apis/networking.k8s.io/v1")]

    for definitions in both:
        if definition in definitions:
            assert definitions[definition]["properties"][field].get("enum") == words


def test_the_words_that_an_item_may_be() -> None:
    modes = SWAGGER["definitions"]["io.k8s.api.core.v1.PersistentVolumeSpec"]["properties"]["accessModes"]

    assert modes["items"]["enum"] == ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]


@pytest.mark.parametrize(
    ("definition", "field", "default"),
    [
        *((CONTAINER, "name", ""), (CONTAINER, "image", None), (CONTAINER, "securityContext", None)),
        *((CONTAINER, "resources", {}), (POD_SPEC, "nodeName", None), (POD_SPEC, "containers", None)),
        *(("io.k8s.api.core.v1.ContainerPort", "protocol", "TCP"), ("io.k8s.api.apps.v1.Deployment", "spec", {})),
        *(
            ("io.k8s.api.apps.v1.DeploymentSpec", "selector", None),
            ("io.k8s.api.apps.v1.DeploymentList", "metadata", {}),
        ),
        *(
            ("io.k8s.api.core.v1.ContainerPort", "containerPort", 0),
            ("io.k8s.api.apps.v1.DeploymentSpec", "template", {}),
        ),
    ],
)
def test_what_a_field_is_without_being_said(definition: str, field: str, default: object) -> None:
    assert _components("apis/apps/v1")[definition]["properties"][field].get("default") == default
    assert "default" not in SWAGGER["definitions"][definition]["properties"][field]


@pytest.mark.parametrize(
    ("name", "groups"), [("api/v1", [""]), ("apis/apps/v1", ["", "apps"]), ("apis/autoscaling/v2", ["", "autoscaling"])]
)
def test_what_all_groups_have_is_of_the_documents_own(name: str, groups: list[str]) -> None:
    kinds = _components(name)["io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent"]["x-kubernetes-group-version-kind"]

    assert [kind["group"] for kind in kinds] == groups


def _components(name: str) -> dict[str, Any]:
    page = V3.document(name)
    assert page is not None
    return dict(json.loads(page.body)["components"]["schemas"])


# -- documents --------------------------------------------------------------------------------------------------------


def test_documents_are_kept_up_to_a_bound_and_built_again_as_they_were() -> None:
    index = json.loads(V3.index().body)["paths"]

    pages = {name: V3.document(name) for name in index}

    assert sum(len(page.body) for page in pages.values() if page) > KEPT_BYTES_MAX
    assert sum(len(page.body) for page in V3._kept.values()) <= KEPT_BYTES_MAX
    for name, page in pages.items():
        assert page is not None and index[name]["serverRelativeURL"] == f"/openapi/v3/{name}?hash={page.hash}"


@pytest.mark.slow
@pytest.mark.parametrize("version", served_versions())
def test_every_version_has_its_documents(version: str) -> None:
    types = Types.load(version)
    served = Served(Cache(), types)

    swagger = json.loads(OpenApiV2(types, served).json().body)
    index = json.loads(OpenApiV3(types, served).index().body)["paths"]

    assert swagger["info"]["version"] == version and len(index) > 30
