"""Which kinds are to be replaced by others, and what a client is told that still asks for them.

The versions are those in the `prerelease-lifecycle-gen` comments of k8s.io/api; the sentence is kube-apiserver's.
"""

from __future__ import annotations

from typing import NamedTuple

from actors.apiserver.schema.resources import Resource

_FLOW = "flowcontrol.apiserver.k8s.io"


class _Deprecated(NamedTuple):
    """`since` and `until` are minor versions; it is served before `until`, 0 being no plan to end it."""

    since: int
    until: int = 0
    instead: str = ""


_DEPRECATED = {
    ("v1", "ComponentStatus"): _Deprecated(19),
    ("v1", "Endpoints"): _Deprecated(33, instead="discovery.k8s.io/v1 EndpointSlice"),
    **{
        (f"{_FLOW}/{version}", kind): _Deprecated(since, until, f"{_FLOW}/{instead} {kind}")
        for kind in ("FlowSchema", "PriorityLevelConfiguration")
        for version, since, until, instead in (("v1beta2", 26, 29, "v1beta3"), ("v1beta3", 29, 32, "v1"))
    },
}


def removed_release(resource: Resource) -> str:
    """In which release it goes ("1.32"); "" where that is not known."""
    found = _DEPRECATED.get((resource.api_version, resource.kind)) if resource.custom is None else None
    return f"1.{found.until}" if found is not None and found.until else ""


def deprecation(resource: Resource, version: str) -> str:
    """What to warn of in this version of Kubernetes ("1.36"); "" for nothing."""
    if resource.custom is not None:
        return resource.custom.warning
    found = _DEPRECATED.get((resource.api_version, resource.kind))
    if found is None or int(version.partition(".")[2]) < found.since:
        return ""
    end = f", unavailable in v1.{found.until}+" if found.until else ""
    instead = f"; use {found.instead}" if found.instead else ""
    return f"{resource.api_version} {resource.kind} is deprecated in v1.{found.since}+{end}{instead}"
