"""Discovery with what other servers serve: documents of this server, and what those have said of themselves.

A group version is named whether its server answers or not, as Kubernetes does it; one whose server does not answer is
`Stale` in aggregated discovery, with what it served when it was asked last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from actors.apiserver.aggregation.remotes import Said
from actors.apiserver.aggregation.services import Remote
from actors.apiserver.schema.page import Page

Document = dict[str, Any]


def with_groups(document: Document, remotes: Sequence[Remote]) -> Document:
    """/apis"""
    groups = {group["name"]: group for group in document["groups"]}
    for remote in remotes:
        groups[remote.group] = _with_version(groups.get(remote.group), remote)
    return {**document, "groups": [*groups.values()]}


def with_versions(document: Document | None, name: str, remotes: Sequence[Remote]) -> Document | None:
    """/apis/<group>"""
    for remote in remotes:
        if remote.group == name:
            head = {"kind": "APIGroup", "apiVersion": "v1"}
            document = {**head, **_with_version(document, remote)}
    return document


def with_items(document: Document, remotes: Sequence[Remote], said: Mapping[str, Said]) -> Document:
    """/apis for a client that accepts APIGroupDiscoveryList."""
    items = {item["metadata"].get("name", ""): item for item in document["items"]}
    for remote in remotes:
        if remote.name in said:
            item = items.get(remote.group) or {"metadata": {"name": remote.group}, "versions": []}
            versions = [each for each in item["versions"] if each["version"] != remote.version]
            items[remote.group] = {**item, "versions": [*versions, _version(remote, said[remote.name])]}
    return {**document, "items": [*items.values()]}


def with_pages(index: Page, remotes: Sequence[Remote], said: Mapping[str, Said]) -> Page:
    """/openapi/v3: their documents have the same place here."""
    others = {f"apis/{each.api_version}": said[each.name].openapi for each in remotes if each.name in said}
    urls = {name: {"serverRelativeURL": url} for name, url in others.items() if url.startswith("/openapi/v3/")}
    if not urls:
        return index
    paths = {**orjson.loads(index.body)["paths"], **urls}
    return Page.of(orjson.dumps({"paths": paths}))


def _with_version(group: Document | None, remote: Remote) -> Document:
    version = {"groupVersion": remote.api_version, "version": remote.version}
    if group is None:
        return {"name": remote.group, "versions": [version], "preferredVersion": version}
    return group if version in group["versions"] else {**group, "versions": [*group["versions"], version]}


def _version(remote: Remote, said: Said) -> Document:
    entries = {each["name"]: _entry(each, remote) for each in said.resources if "/" not in each["name"]}
    for each in said.resources:
        plural, slash, subresource = each["name"].partition("/")
        if slash and plural in entries:
            below = {"subresource": subresource, "responseKind": _kind(each, remote), "verbs": each.get("verbs") or []}
            entries[plural].setdefault("subresources", []).append(below)
    freshness = "Current" if remote.available else "Stale"
    return {"version": remote.version, "resources": [*entries.values()], "freshness": freshness}


def _entry(resource: Document, remote: Remote) -> Document:
    entry: Document = {
        "resource": resource["name"],
        "responseKind": _kind(resource, remote),
        "scope": "Namespaced" if resource.get("namespaced") else "Cluster",
        "singularResource": resource.get("singularName") or "",
        "verbs": resource.get("verbs") or [],
    }
    return entry | {key: resource[key] for key in ("shortNames", "categories") if resource.get(key)}


def _kind(resource: Document, remote: Remote) -> Document:
    return {
        "group": resource.get("group") or remote.group,
        "version": resource.get("version") or remote.version,
        "kind": resource.get("kind") or "",
    }
