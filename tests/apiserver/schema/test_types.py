"""Structural types: against the definitions themselves, read slowly and as a whole, and by what merging needs."""

from __future__ import annotations

import json

import pytest

from actors.apiserver.schema.resources import RESOURCES, find
from actors.apiserver.schema.types import Types, installed_versions

TYPES = Types.load()


def of(group_resource):
    return TYPES.of(find(group_resource))


def everything_reached(types):
    """Every type below the resources, once each."""
    waiting = [types.of(resource) for resource in RESOURCES if types.has(resource)]
    reached = {}
    while waiting:
        here = waiting.pop()
        if id(here) not in reached:
            reached[id(here)] = here
            waiting += here.fields.values()
            waiting += [here.items] if here.kind == "array" else [here.values] if here.kind == "map" else []
    return list(reached.values())


def test_fields_and_merge_rules_are_those_of_the_definitions():
    definitions = {type_.name: json.loads(TYPES.raw(type_.name)) for type_ in everything_reached(TYPES) if type_.name}
    for name, schema in definitions.items():
        type_ = TYPES.definition(name)
        properties = schema.get("properties", {})

        assert list(type_.fields) == list(properties), name
        assert list(type_.required) == schema.get("required", []), name
        for field, place in properties.items():
            found = type_.fields[field]
            target = definitions[place["$ref"].removeprefix("#/$defs/")] if "$ref" in place else place
            expected = {**target, **{key: value for key, value in place.items() if key.startswith("x-")}}
            assert found.patch_strategy == expected.get("x-kubernetes-patch-strategy", ""), (name, field)
            assert found.patch_merge_key == expected.get("x-kubernetes-patch-merge-key", ""), (name, field)
            assert found.list_type == expected.get("x-kubernetes-list-type", ""), (name, field)
            assert list(found.list_map_keys) == expected.get("x-kubernetes-list-map-keys", []), (name, field)
            assert found.map_type == expected.get("x-kubernetes-map-type", ""), (name, field)


def test_containers_merge_by_name_and_their_ports_by_port_and_protocol():
    containers = of("pods").at(["spec", "containers"])

    assert (containers.kind, containers.patch_strategy, containers.patch_merge_key) == ("array", "merge", "name")
    assert (containers.list_type, containers.list_map_keys) == ("map", ("name",))
    assert containers.items.fields["ports"].list_map_keys == ("containerPort", "protocol")


def test_a_merge_rule_may_belong_to_the_place_and_not_to_the_type():
    strategy = of("deployments.apps").at(["spec", "strategy"])

    assert strategy.patch_strategy == "retainKeys"
    assert TYPES.definition(strategy.name).patch_strategy == ""
    assert strategy.fields["rollingUpdate"] is TYPES.definition(strategy.name).fields["rollingUpdate"]


def test_kinds_that_json_alone_does_not_tell_apart():
    ports = of("services").at(["spec", "ports"]).items.fields
    limits = of("pods").at(["spec", "containers", "resources", "limits"])

    assert ports["targetPort"].kind == "int-or-string"
    assert (ports["port"].kind, ports["port"].format) == ("integer", "int32")
    assert (limits.kind, limits.values.kind) == ("map", "quantity")
    assert of("secrets").fields["data"].values.format == "byte"
    assert of("leases.coordination.k8s.io").at(["spec", "renewTime"]).format == "micro-time"
    assert of("pods").at(["metadata", "creationTimestamp"]).format == "date-time"
    assert of("pods").at(["metadata", "managedFields", "fieldsV1"]).kind == "any"
    assert of("controllerrevisions.apps").fields["data"].kind == "any"
    assert of("pods").at(["spec", "nodeSelector"]).map_type == "atomic"


def test_a_definition_is_shared_by_all_that_refer_to_it():
    of_pod, of_template = of("pods").fields["spec"], of("deployments.apps").at(["spec", "template", "spec"])

    assert of_pod is of_template


def test_kinds_without_a_resource_of_their_own_have_types_too():
    for api_version, kind in [
        ("autoscaling/v1", "Scale"), ("policy/v1", "Eviction"), ("authentication.k8s.io/v1", "TokenRequest"),
        ("v1", "DeleteOptions"), ("apps/v1", "DeleteOptions"), ("v1", "Status"),
    ]:  # fmt: skip
        assert TYPES.by_kind(api_version, kind) is not None, kind

    assert TYPES.by_kind("apps/v1", "Widget") is None


def test_descriptions_are_there_for_a_kind_and_for_its_fields():
    assert of("pods").describe().startswith("Pod is a collection of containers")
    assert of("pods").describe("spec").startswith("Specification of the desired behavior")
    assert of("pods").at(["metadata", "labels"]).describe() == ""


@pytest.mark.parametrize("version", [version for version in installed_versions() if int(version.split(".")[1]) >= 33])
def test_every_recent_version_has_all_our_resources(version):
    assert len(everything_reached(Types.load(version))) > 1000


def test_a_version_that_is_not_installed_is_refused_with_those_that_are():
    with pytest.raises(LookupError, match=r"no API definitions for version 1\.1: there are 1\.\d+, "):
        Types.load("1.1")
