"""The resource table: what it says about well-known kinds, and that its look-ups agree."""

from __future__ import annotations

import pytest

from actors.apiserver.schema.resources import (
    RESOURCES,
    by_kind,
    by_path,
    find,
    subresource_kind,
    subresource_verbs,
)  # fmt: skip


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.group_resource)
def test_every_look_up_finds_a_resource_by_its_own_names(resource):
    newest = next(each for each in RESOURCES if each.group_resource == resource.group_resource)
    assert resource.alias or find(resource.group_resource) is newest
    assert by_path(resource.group, resource.version, resource.plural) is resource
    assert by_kind(resource.api_version, resource.kind) is resource


def test_a_row_reads_as_kubectl_api_resources_shows_it():
    deployments = find("deployments.apps")

    assert deployments is not None
    assert deployments.api_version == "apps/v1"
    assert (deployments.kind, deployments.list_kind, deployments.singular) == (
        "Deployment", "DeploymentList", "deployment",
    )  # fmt: skip
    assert (deployments.short_names, deployments.categories, deployments.namespaced) == (("deploy",), ("all",), True)
    assert deployments.subresources == ("scale", "status")


def test_the_core_group_has_no_name():
    pods = find("pods")

    assert pods is not None
    assert (pods.group, pods.api_version, pods.group_resource) == ("", "v1", "pods")


def test_both_kinds_of_events_are_stored_as_one():
    assert {find("events").storage, find("events.events.k8s.io").storage} == {"events"}


def test_every_alias_names_a_resource_that_stores_itself():
    stores = [find(resource.storage) for resource in RESOURCES]

    assert all(store is not None and store.storage == store.group_resource for store in stores)


def test_reviews_bindings_and_the_health_of_components_are_not_stored():
    answered_at_once = {resource.plural for resource in RESOURCES if not resource.stored}

    assert answered_at_once == {
        "bindings", "tokenreviews", "selfsubjectreviews", "subjectaccessreviews", "localsubjectaccessreviews",
        "selfsubjectaccessreviews", "selfsubjectrulesreviews", "componentstatuses",
    }  # fmt: skip


def test_a_namespace_collection_cannot_be_deleted():
    assert "deletecollection" not in find("namespaces").verbs


def test_no_two_resources_that_kubectl_shows_share_a_short_name():
    names = [name for resource in RESOURCES if not resource.alias for name in resource.short_names]

    assert len(names) == len(set(names))


def test_a_subresource_speaks_its_own_kind_or_that_of_its_resource():
    deployments = find("deployments.apps")

    assert subresource_kind(deployments, "scale") == ("autoscaling", "v1", "Scale")
    assert subresource_kind(deployments, "status") == ("apps", "v1", "Deployment")
    assert subresource_verbs("status") == ("get", "patch", "update")
    assert subresource_verbs("eviction") == ("create",)


def test_what_is_not_served_is_not_found():
    assert find("widgets.example.com") is None
    assert by_path("apps", "v1beta1", "deployments") is None
    assert by_kind("v1", "Deployment") is None
