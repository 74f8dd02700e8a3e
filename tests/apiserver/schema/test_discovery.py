"""Discovery: the legacy and the aggregated form say the same, and what clients look for is there."""

from __future__ import annotations

import pytest

from actors.apiserver.schema import discovery
from actors.apiserver.schema.resources import RESOURCES


def legacy_facts():
    versions = [("", version) for version in discovery.core_versions("10.0.0.1:6443")["versions"]]
    for group in discovery.group_list(RESOURCES)["groups"]:
        versions += [(group["name"], version["version"]) for version in group["versions"]]
    for group, version in versions:
        for entry in discovery.resource_list(RESOURCES, group, version)["resources"]:
            name, _, subresource = entry["name"].partition("/")
            kind = (entry.get("group", group), entry.get("version", version), entry["kind"])
            scope = "Namespaced" if entry["namespaced"] else "Cluster"
            names = (entry["singularName"], tuple(entry.get("shortNames", ())), tuple(entry.get("categories", ())))
            facts = ((), ()) if subresource else (scope, names)
            yield (group, version, name, subresource, kind, tuple(entry["verbs"]), *facts)


def aggregated_facts():
    for core in (True, False):
        for group in discovery.aggregated(RESOURCES, core)["items"]:
            for version in group["versions"]:
                for entry in version["resources"]:
                    at = (group["metadata"].get("name", ""), version["version"], entry["resource"])
                    names = tuple(entry.get("shortNames", ())), tuple(entry.get("categories", ()))
                    facts = (entry["scope"], (entry["singularResource"], *names))
                    yield (*at, "", kind_of(entry, at), tuple(entry["verbs"]), *facts)
                    for below in entry.get("subresources", ()):
                        yield (*at, below["subresource"], kind_of(below, at), tuple(below["verbs"]), (), ())


def kind_of(entry, at):
    kind = entry["responseKind"]
    return (*((kind["group"], kind["version"]) if kind["version"] else at[:2]), kind["kind"])


def test_both_forms_of_discovery_say_the_same_in_the_same_order():
    assert list(legacy_facts()) == list(aggregated_facts())


def test_every_resource_is_discovered_once():
    discovered = [(group, version, name) for group, version, name, below, *_ in legacy_facts() if not below]

    assert discovered == [(resource.group, resource.version, resource.plural) for resource in RESOURCES]


def test_a_scale_subresource_says_that_it_speaks_another_group():
    apps = discovery.resource_list(RESOURCES, "apps", "v1")["resources"]
    [scale] = [entry for entry in apps if entry["name"] == "deployments/scale"]
    [status] = [entry for entry in apps if entry["name"] == "deployments/status"]

    assert (scale["group"], scale["version"], scale["kind"]) == ("autoscaling", "v1", "Scale")
    assert "group" not in status


def test_a_group_document_names_its_versions_and_the_preferred_one():
    apps = {"groupVersion": "apps/v1", "version": "v1"}

    assert discovery.group(RESOURCES, "apps") == {
        "kind": "APIGroup", "apiVersion": "v1", "name": "apps", "versions": [apps], "preferredVersion": apps,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["", "example.com"])
def test_a_group_that_is_not_served_has_no_document(name):
    assert discovery.group(RESOURCES, name) is None


def test_a_version_that_is_not_served_has_no_document():
    assert discovery.resource_list(RESOURCES, "apps", "v1beta1") is None


@pytest.mark.parametrize("version", ["v2", "v2beta1"])
def test_the_aggregated_form_names_itself_to_the_letter(version):
    document = discovery.aggregated(RESOURCES, core=True, version=version)

    assert (document["kind"], document["apiVersion"]) == ("APIGroupDiscoveryList", f"apidiscovery.k8s.io/{version}")
    assert discovery.aggregated_content_type(version) == (
        f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
    )


def test_the_version_document_can_be_compared_by_clients():
    version = discovery.version_document("1.36", "0.1.0")

    assert (version["major"], version["minor"], version["gitVersion"]) == ("1", "36", "v1.36.0+actorkube-0.1.0")
