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
# The core group is looked through first, then the others in the order of their table, then custom ones.
_CORE, _FIRST, _STEP, _CUSTOM = (18_000, 1), 17_900, 100, (1_000, 100)
_STABLE = 15


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
    groups: dict[str, int] = {}
    for resource in resources:
        name = f"{resource.version}.{resource.group}"
        place = groups.setdefault(resource.group, len(groups))
        if name not in made:
            made[name] = _local(name, resource, place, now)
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


def _local(name: str, resource: Resource, place: int, now: float) -> Object:
    custom = resource.custom is not None
    group, version = _CUSTOM if custom else _CORE if not resource.group else (_FIRST - _STEP * place, _STABLE)
    obj: Object = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": name, "labels": {_MANAGED: _ALWAYS if custom else _AT_START}},
        "spec": {
            "group": resource.group,
            "version": resource.version,
            "groupPriorityMinimum": group,
            "versionPriority": version,
        },
    }
    message = "Local APIServices are always available"
    return {**obj, "status": {"conditions": with_condition((), AVAILABLE, "True", "Local", message, now)}}
