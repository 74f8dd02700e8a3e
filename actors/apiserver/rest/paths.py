"""What a URL path is about: a resource, a collection, one object, one of its subresources, or something else."""

from __future__ import annotations

from typing import NamedTuple

from actors.apiserver.custom.served import Served
from actors.apiserver.schema.resources import Resource

WATCH = "watch"


class Target(NamedTuple):
    """`name` is empty for a collection. `watches`: it is asked for in the old way, by the path alone."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    watches: bool = False


def parse_path(served: Served, path: str) -> Target | None:
    """The target of /api/v1/... or /apis/<group>/<version>/...; None for what is no resource that there is.

    Before a parameter said so, what is to be watched stood behind /watch/; there are clients that ask so still.
    """
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        return _target(served, "", parts[1], parts[2:])
    if parts[0] == "apis" and len(parts) > 3:
        return _target(served, parts[1], parts[2], parts[3:])
    return None


def _target(served: Served, group: str, version: str, rest: list[str]) -> Target | None:
    if rest[0] == WATCH and len(rest) > 1:
        target = _target(served, group, version, rest[1:])
        return target._replace(watches=True) if target is not None and not target.subresource else None
    if rest[0] == "namespaces" and len(rest) > 2:
        within = served.by_path(group, version, rest[2])
        if within is not None and within.namespaced:
            return _sized(within, rest[1], rest[3:])
    resource = served.by_path(group, version, rest[0])
    if resource is None or (resource.namespaced and (len(rest) > 1 or "list" not in resource.verbs)):
        return None  # what lives in a namespace is not found without it, but in lists
    return _sized(resource, "", rest[1:])


def _sized(resource: Resource, namespace: str, rest: list[str]) -> Target | None:
    """Name and subresource, as far as there are any; only a proxy's path goes on, and is read where it is followed."""
    if len(rest) > 2 and rest[1] == "proxy":
        rest = rest[:2]
    if len(rest) > 2 or "" in rest:
        return None
    name, subresource = (*rest, "", "")[:2]
    if name and "get" not in resource.verbs:
        return None  # what is only asked, and kept nowhere, has no name
    return Target(resource, namespace, name, subresource)
