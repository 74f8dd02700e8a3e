"""OpenAPI documents: whole, in agreement with each other, and with what kubectl looks for in them."""

from __future__ import annotations

import hashlib
import json

import pytest

from actors.apiserver.cache import Cache
from actors.apiserver.custom.served import Served
from actors.apiserver.schema.openapi_v2 import OpenApiV2
from actors.apiserver.schema.openapi_v3 import OpenApiV3
from actors.apiserver.schema.resources import by_kind
from actors.apiserver.schema.types import Types
from tests.apiserver.schema import gnostic_reader

TYPES = Types.load()
SERVED = Served(Cache(), TYPES)
V2, V3 = OpenApiV2(TYPES, SERVED), OpenApiV3(TYPES, SERVED)
INDEX = json.loads(V3.index().body)["paths"]
METHODS = ("get", "put", "post", "delete", "patch", "options", "head")


def v3(name):
    return json.loads(V3.document(name).body)


def references(value):
    """Everything that a document refers to; `$ref` may also be the name of a property."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for below in value.values():
            yield from references(below)
    elif isinstance(value, list):
        for below in value:
            yield from references(below)


def operations(document):
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def test_the_index_names_every_group_version_with_the_hash_of_its_document():
    assert set(INDEX) == {
        *("api", "apis", "version", ".well-known/openid-configuration", "openid/v1/jwks"),
        *(f"apis/{resource.group}" for resource in SERVED.builtin if resource.group),
        *(
            f"apis/{resource.api_version}" if resource.group else f"api/{resource.api_version}"
            for resource in SERVED.builtin
        ),
    }
    for name, entry in INDEX.items():
        page = V3.document(name)
        digest = hashlib.sha256(page.body).hexdigest().upper()
        assert entry["serverRelativeURL"] == f"/openapi/v3/{name}?hash={digest}"
        assert page.etag == f'"{digest}"'


def test_the_hashes_are_the_same_in_every_process_that_serves_the_same_version():
    assert OpenApiV3(Types.load(TYPES.version), SERVED).index() == V3.index()
    older = Types.load("1.33")
    assert OpenApiV3(older, Served(Cache(), older)).index() != V3.index()


def test_a_group_version_that_is_not_served_has_no_document():
    assert V3.document("apis/example.com/v1") is None


@pytest.mark.parametrize("name", INDEX)
def test_a_v3_document_refers_to_nothing_outside_itself(name):
    document = v3(name)
    known = {f"#/components/schemas/{component}" for component in document["components"].get("schemas", {})}

    assert set(references(document)) <= known


def test_the_v2_document_refers_to_nothing_outside_itself():
    document = json.loads(V2.json().body)

    assert set(references(document)) == {
        f"#/{of}/{name}" for of in ("definitions", "parameters") for name in document[of]
    }


@pytest.mark.parametrize("name", INDEX)
def test_every_patch_says_that_it_takes_field_validation_and_dry_run(name):
    patches = [each for _, _, each in operations(v3(name)) if each.get("x-kubernetes-action") == "patch"]

    for patch in patches:
        names = {parameter["name"] for parameter in patch["parameters"]}
        assert {"fieldValidation", "dryRun", "fieldManager", "force"} <= names


@pytest.mark.parametrize("resource", SERVED.builtin, ids=lambda resource: resource.group_resource)
def test_the_paths_of_a_resource_carry_its_verbs_and_its_kind(resource):
    prefix = "/apis" if resource.group else "/api"
    middle = "/namespaces/{namespace}" if resource.namespaced else ""
    collection = f"{prefix}/{resource.api_version}{middle}/{resource.plural}"
    expected = {
        (collection, "post"): "create",
        (collection, "get"): "list",
        (collection, "delete"): "deletecollection",
        (f"{collection}/{{name}}", "get"): "get",
        (f"{collection}/{{name}}", "put"): "update",
        (f"{collection}/{{name}}", "patch"): "patch",
        (f"{collection}/{{name}}", "delete"): "delete",
    }

    found = {
        (path, method): operation for path, method, operation in operations(v3(f"{prefix[1:]}/{resource.api_version}"))
    }

    for (path, method), verb in expected.items():
        assert ((path, method) in found) == (verb in resource.verbs)
        if (path, method) in found:
            kind = found[path, method]["x-kubernetes-group-version-kind"]
            assert kind == {"group": resource.group, "version": resource.version, "kind": resource.kind}
    for subresource in resource.subresources:
        assert any(path == f"{collection}/{{name}}/{subresource}" for path, _ in found)


def test_every_placeholder_of_a_path_is_a_parameter():
    for name in INDEX:
        for path, item in v3(name)["paths"].items():
            placeholders = [step[1:-1] for step in path.split("/") if step.startswith("{")]
            found = [each["name"] for each in item.get("parameters", []) if each["in"] == "path"]
            assert sorted(found) == sorted(placeholders)


def test_components_keep_kinds_and_merge_rules_and_lose_what_was_added():
    schemas = v3("apis/apps/v1")["components"]["schemas"]
    deployment, pod_spec = schemas["io.k8s.api.apps.v1.Deployment"], schemas["io.k8s.api.core.v1.PodSpec"]

    assert deployment["type"] == "object"
    assert deployment["x-kubernetes-group-version-kind"] == [{"group": "apps", "kind": "Deployment", "version": "v1"}]
    assert "enum" not in deployment["properties"]["kind"]
    assert deployment["properties"]["spec"]["allOf"] == [
        {"$ref": "#/components/schemas/io.k8s.api.apps.v1.DeploymentSpec"}
    ]
    assert pod_spec["properties"]["containers"]["x-kubernetes-patch-merge-key"] == "name"
    assert pod_spec["properties"]["nodeSelector"]["additionalProperties"] == {"type": "string"}
    assert '"null"' not in V3.document("apis/apps/v1").body.decode()


def test_a_number_or_a_string_is_said_in_the_words_of_each_version():
    int_or_string, quantity = (
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
        "io.k8s.apimachinery.pkg.api.resource.Quantity",
    )
    new, old = v3("api/v1")["components"]["schemas"], json.loads(V2.json().body)["definitions"]

    assert (new[int_or_string]["format"], new[int_or_string]["oneOf"]) == (
        "int-or-string", [{"type": "integer"}, {"type": "string"}],
    )  # fmt: skip
    assert new[quantity]["oneOf"] == [{"type": "string"}, {"type": "number"}]
    assert (old[int_or_string]["type"], old[int_or_string]["format"]) == ("string", "int-or-string")
    assert old[quantity]["type"] == "string"


def test_v2_and_v3_have_the_same_paths_and_definitions():
    old = json.loads(V2.json().body)
    new = [v3(name) for name in INDEX]

    assert set(old["paths"]) == {path for document in new for path in document["paths"]}
    assert set(old["definitions"]) == {name for document in new for name in document["components"].get("schemas", {})}
    assert [kind for name in old["definitions"] for kind in kinds(old["definitions"][name])]


def kinds(definition):
    found = definition.get("x-kubernetes-group-version-kind", [])
    return [kind for kind in found if by_kind(f"{kind['group']}/{kind['version']}".strip("/"), kind["kind"])]


@pytest.mark.slow
def test_the_protobuf_form_reads_back_as_the_json_form():
    assert gnostic_reader.read(V2.protobuf().body) == json.loads(V2.json().body)
