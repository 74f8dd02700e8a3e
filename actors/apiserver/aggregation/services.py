"""What an APIService says: who answers for a group version, and whether it can be asked.

Group versions that this server answers for itself have one too, made by the server (`local`). Reasons and messages of
the condition Available are kube-aggregator's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from actors.apiserver.schema.resources import Resource
from protocols.objects import Object, labels_of, name_of
from protocols.rules.api_services import AVAILABLE, SERVED, FarResource, is_available, is_of_another_server, served_by
from protocols.rules.conditions import with_condition

_MANAGED = "kube-aggregator.kubernetes.io/automanaged"
_AT_START, _ALWAYS = "onstart", "true"
_CUSTOM = (1_000, 100)
_ITSELF = "apiregistration.k8s.io"  # has none
# Of group versions, as a kube-apiserver has them: the greatest is looked through first.
_STABLE = 15
_GROUPS = {
    "": 18_000,
    "apps": 17_800,
    "events.k8s.io": 17_750,
    "authentication.k8s.io": 17_700,
    "authorization.k8s.io": 17_600,
    "autoscaling": 17_500,
    "batch": 17_400,
    "certificates.k8s.io": 17_300,
    "networking.k8s.io": 17_200,
    "policy": 17_100,
    "rbac.authorization.k8s.io": 17_000,
    "storage.k8s.io": 16_800,
    "admissionregistration.k8s.io": 16_700,
    "apiextensions.k8s.io": 16_700,
    "scheduling.k8s.io": 16_600,
    "coordination.k8s.io": 16_500,
    "node.k8s.io": 16_300,
    "discovery.k8s.io": 16_200,
    "resource.k8s.io": 16_200,
    "flowcontrol.apiserver.k8s.io": 16_100,
}
_VERSIONS = {
    "v1.": 1,
    "v2.autoscaling": 30,
    "v1.flowcontrol.apiserver.k8s.io": 21,
    "v1.resource.k8s.io": 21,
    "v1alpha2.scheduling.k8s.io": 9,
}


class Remote(NamedTuple):
    """An APIService with a service behind it."""

    name: str
    group: str
    version: str
    priority: tuple[int, int]  # of the group among groups, of the version in its group: the greater is preferred
    reference: dict[str, Any]
    bundle: str  # PEM in base64, "": whom the machine trusts
    insecure: bool
    available: bool
    resources: tuple[FarResource, ...]  # as it was last heard to serve

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}"


class Problem(NamedTuple):
    reason: str
    message: str


def remote_of(obj: Object) -> Remote | None:
    """None for one that this server answers for."""
    spec = obj.get("spec") or {}
    if not is_of_another_server(obj):
        return None
    return Remote(
        name_of(obj),
        spec.get("group") or "",
        spec.get("version") or "",
        (spec.get("groupPriorityMinimum") or 0, spec.get("versionPriority") or 0),
        spec["service"],
        spec.get("caBundle") or "",
        bool(spec.get("insecureSkipTLSVerify")),
        is_available(obj),
        served_by(obj),
    )


def local(resources: Iterable[Resource], now: float) -> dict[str, Object]:
    """The APIServices that there should be for what this server serves, by name."""
    made: dict[str, Object] = {}
    for resource in resources:
        name = f"{resource.version}.{resource.group}"
        if name not in made and resource.group != _ITSELF:
            made[name] = _local(name, resource, now)
    return made


def is_left_over(obj: Object, wanted: Iterable[str]) -> bool:
    """Whether it was made for a custom resource that is not served any more."""
    return labels_of(obj).get(_MANAGED) == _ALWAYS and name_of(obj) not in wanted


def problem_of(remote: Remote, service: Object | None, endpoints: Object | None) -> Problem | None:
    """Why it cannot be asked, as far as its Service and Endpoints tell."""
    name, namespace = remote.reference.get("name") or "", remote.reference.get("namespace") or ""
    where, port = f'service/{name} in "{namespace}"', remote.reference.get("port") or 443
    if service is None:
        return Problem("ServiceNotFound", f"{where} is not present")
    if service["spec"].get("type") == "ExternalName":
        return None
    ports = [each for each in service["spec"].get("ports") or () if each.get("port") == port]
    if not ports:
        return Problem("ServicePortError", f"{where} is not listening on port {port}")
    if endpoints is None:
        return Problem("EndpointsNotFound", f"cannot find endpoints for {where}")
    wanted = ports[0].get("name") or ""
    for subset in endpoints.get("subsets") or ():
        names = [each.get("name") or "" for each in subset.get("ports") or ()]
        if subset.get("addresses") and wanted in names:
            return None
    return Problem("MissingEndpoints", f'endpoints for {where} have no addresses with port name "{wanted}"')


def judged(obj: Object, problem: Problem | None, served: str, now: float) -> Object:
    """The APIService with what was found out about it. `served`: what is noted of it, where it was heard."""
    status = obj.get("status") or {}
    found = problem or Problem("Passed", "all checks passed")
    value = "False" if problem else "True"
    conditions = with_condition(status.get("conditions"), AVAILABLE, value, *found, now)
    metadata = obj["metadata"]
    if problem is None:
        metadata = {**metadata, "annotations": {**(metadata.get("annotations") or {}), SERVED: served}}
    return {**obj, "metadata": metadata, "status": {**status, "conditions": conditions}}


def _local(name: str, resource: Resource, now: float) -> Object:
    custom = resource.custom is not None
    group, version = _CUSTOM if custom else (_GROUPS[resource.group], _VERSIONS.get(name, _STABLE))
    obj: Object = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": name, "labels": {_MANAGED: _ALWAYS if custom else _AT_START}},
        "spec": {
            **({"group": resource.group} if resource.group else {}),
            "version": resource.version,
            "groupPriorityMinimum": group,
            "versionPriority": version,
        },
    }
    message = "Local APIServices are always available"
    return {**obj, "status": {"conditions": with_condition((), AVAILABLE, "True", "Local", message, now)}}
