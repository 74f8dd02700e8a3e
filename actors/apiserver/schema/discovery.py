"""Discovery: the documents by which a client learns what the API serves, all made from the resources that are served.

There are two forms. The legacy one is a document per group version (kr8s, kopf and the JavaScript client need it); the
aggregated one says the same in two documents, so that a cold `kubectl get` takes 3 requests instead of 39.
"""

from __future__ import annotations

import base64
import hashlib
import platform
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from actors.apiserver.schema.resources import Resource, find, subresource_kind, subresource_verbs

Document = dict[str, Any]
AggregatedVersion = Literal["v2", "v2beta1"]


def core_versions(server_address: str) -> Document:
    """/api"""
    by_client = [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": by_client}


def group_list(resources: Sequence[Resource]) -> Document:
    """/apis"""
    groups = [_group(name, served) for name, served in _groups(resources) if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(resources: Sequence[Resource], name: str) -> Document | None:
    """/apis/<group>"""
    own = [resource for resource in resources if resource.group == name]
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, own)} if name and own else None


def resource_list(resources: Sequence[Resource], group: str, version: str) -> Document | None:
    """/api/v1 and /apis/<group>/<version>"""
    own = [resource for resource in resources if (resource.group, resource.version) == (group, version)]
    if not own:
        return None
    entries = [entry for resource in own for entry in _legacy_entries(resource)]
    head = {"kind": "APIResourceList"} if not group else {"kind": "APIResourceList", "apiVersion": "v1"}
    return {**head, "groupVersion": own[0].api_version, "resources": entries}


def aggregated(resources: Sequence[Resource], core: bool, version: AggregatedVersion = "v2") -> Document:
    """/api (core) and /apis for a client that accepts `as=APIGroupDiscoveryList` of apidiscovery.k8s.io."""
    items = [_aggregated_group(name, served) for name, served in _groups(resources) if core == (name == "")]
    kind = "APIGroupDiscoveryList"
    return {"kind": kind, "apiVersion": f"apidiscovery.k8s.io/{version}", "metadata": {}, "items": items}


def aggregated_content_type(version: AggregatedVersion, media_type: str = "application/json") -> str:
    """The Content-Type of `aggregated`; clients compare it to the letter."""
    return f"{media_type};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"


_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # as Go names them, and whoever picks a binary by it


def version_document(api_version: str, build: str) -> Document:
    """/version: which Kubernetes API this is ("1.36"), and which build of ActorKube serves it."""
    major, _, minor = api_version.partition(".")
    return {
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": str(int(minor) - 1),
        "gitVersion": f"v{api_version}.0+actorkube-{build}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": f"{platform.python_implementation()} {platform.python_version()}",
        "compiler": "none",
        "platform": f"{sys.platform}/{_ARCHITECTURES.get(platform.machine(), platform.machine())}",
    }


def _groups(resources: Sequence[Resource]) -> Iterator[tuple[str, list[Resource]]]:
    """Groups in the order of the resources, which is the order in which kubectl resolves short names."""
    groups: dict[str, list[Resource]] = {}
    for resource in resources:
        groups.setdefault(resource.group, []).append(resource)
    yield from groups.items()


def _group(name: str, resources: list[Resource]) -> Document:
    by_version = {resource.version: resource.api_version for resource in resources}
    versions = [{"groupVersion": api_version, "version": version} for version, api_version in by_version.items()]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _legacy_entries(resource: Resource) -> Iterator[Document]:
    entry: Document = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.stored:
        entry["storageVersionHash"] = storage_version_hash(resource)
    yield entry
    for subresource in resource.subresources:
        yield _legacy_subresource(resource, subresource)


def storage_version_hash(resource: Resource) -> str:
    """By which a client notices that objects are kept in another version: those that nobody converted are rewritten."""
    kept = resource.custom.storage if resource.custom is not None else find(resource.storage) or resource
    named = f"{kept.group}/{kept.version}/{kept.kind}"
    return base64.b64encode(hashlib.sha256(named.encode()).digest()[:8]).decode()


def _legacy_subresource(resource: Resource, subresource: str) -> Document:
    group, version, kind = subresource_kind(resource, subresource)
    own = (group, version) == (resource.group, resource.version)
    return {
        "name": f"{resource.plural}/{subresource}",
        "singularName": "",
        "namespaced": resource.namespaced,
        **({} if own else {"group": group, "version": version}),
        "kind": kind,
        "verbs": list(subresource_verbs(subresource)),
    }


def _aggregated_group(name: str, resources: list[Resource]) -> Document:
    by_version: dict[str, list[Resource]] = {}
    for resource in resources:
        by_version.setdefault(resource.version, []).append(resource)
    versions = [
        {"version": version, "resources": [_aggregated_entry(resource) for resource in served], "freshness": "Current"}
        for version, served in by_version.items()
    ]
    return {"metadata": {"name": name} if name else {}, "versions": versions}


def _aggregated_entry(resource: Resource) -> Document:
    entry: Document = {
        "resource": resource.plural,
        "responseKind": _kind(resource, resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = [_aggregated_subresource(resource, name) for name in resource.subresources]
    return entry


def _aggregated_subresource(resource: Resource, subresource: str) -> Document:
    return {
        "subresource": subresource,
        "responseKind": _kind(resource, *subresource_kind(resource, subresource)),
        "verbs": list(subresource_verbs(subresource)),
    }


def _kind(resource: Resource, group: str, version: str, kind: str) -> Document:
    """A built-in kind's group and version are left out where they are those of the document, as Kubernetes does it."""
    if resource.custom is None and (group, version) == (resource.group, resource.version):
        group = version = ""
    return {"group": group, "version": version, "kind": kind}
