"""The endpoint slice controller: who answers for a service now, in slices of at most a hundred.

An endpoint stays in the slice it is in; a slice is written only when something in it changed. New endpoints go where
something is written anyway, then into the fullest slice that has room for all of them, and only then into new slices.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from actorkube.kube import Controller, View, Views, Watches
from actorkube.kube.controller import no_keys
from actorkube.kube.writes import Create, Rest, Update, Write, delete
from actors.controllers.indexes import (
    BY_LABEL,
    BY_SELECTOR,
    SELECTOR,
    by_label,
    by_service_selector,
    service_selector,
)
from actors.controllers.pod_summary import BELONGING, POD, PodSummary, belonging, summarise_pod
from actors.controllers.targets import (
    TargetPort,
    address_in,
    families_of,
    has_ports,
    hostname_for,
    inherited_labels,
    pod_reference,
    publishes_not_ready,
    selected_pods,
    selector_of,
    services_of_pod,
    target_ports,
)
from actors.controllers.trigger_time import trigger_time, with_trigger_time
from protocols.objects import Object, labels_of, meta, name_of, namespace_of, uid_of
from protocols.rules.names import child_name
from protocols.rules.owners import controller_reference, is_deleting

RESOURCE = "endpointslices.discovery.k8s.io"
SERVICE_LABEL = "kubernetes.io/service-name"
MANAGED_LABEL = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
ZONE_LABEL = "topology.kubernetes.io/zone"
BY_SERVICE = "service"
ZONE = "zone"
ENDPOINTS_MAX = 100
SPACING_S = 0.05
REST_PER_ENDPOINT_S = 0.0005  # a service of 1,000 pods is looked at twice a second at most

Endpoint = dict[str, Any]


def controller() -> Controller:
    return Controller(
        "endpointslice-controller",
        (
            Watches("services", indexes={BY_SELECTOR: by_service_selector}, summaries={SELECTOR: service_selector}),
            Watches(
                "pods",
                services_of_pod,
                indexes={BY_LABEL: by_label},
                summaries={POD: summarise_pod, BELONGING: belonging},
                when=POD,
                told_by=BELONGING,
            ),
            Watches(RESOURCE, service_of_slice, indexes={BY_SERVICE: by_service}),
            Watches("nodes", no_keys, summaries={ZONE: zone_of}),
        ),
        reconcile,
        spacing_s=SPACING_S,
    )


def by_service(slice_: Object) -> tuple[str, ...]:
    """The service whose slice it is, if it is one of ours."""
    labels = labels_of(slice_)
    is_ours = labels.get(MANAGED_LABEL) == MANAGER and SERVICE_LABEL in labels
    return (f"{namespace_of(slice_)}/{labels[SERVICE_LABEL]}",) if is_ours else ()


def service_of_slice(slice_: Object, views: Views) -> tuple[str, ...]:
    return by_service(slice_)


def zone_of(node: Object) -> str:
    return labels_of(node).get(ZONE_LABEL, "")


class Group(NamedTuple):
    """Endpoints that may share a slice: one address family, the same ports."""

    family: str
    ports: tuple[TargetPort, ...]


def reconcile(key: str, views: Views, now: float) -> list[Write]:
    service = views["services"].get(key)
    if service is None or is_deleting(service) or not selector_of(service):
        return []
    slices = [s for s in views[RESOURCE].by_index(BY_SERVICE, key) if not is_deleting(s)]
    existing: dict[Group, list[Object]] = {}
    for each in slices:
        existing.setdefault(group_of(each), []).append(each)
    names = _free_names(service, views[RESOURCE])
    pods = selected_pods(service, views["pods"])
    wanted = wanted_endpoints(service, pods, views["nodes"])
    writes: list[Write] = []
    for group, endpoints in wanted.items():
        writes += _fill(service, group, endpoints, existing.get(group, []), names)
    writes += [delete(RESOURCE, s) for group, stale in existing.items() if group not in wanted for s in stale]
    writes.sort(key=lambda write: not isinstance(write, Update | Create))  # what is no longer needed goes last
    if any(isinstance(write, Update | Create) for write in writes):
        writes = _with_times(writes, service, pods, slices, views["pods"])
    return [Rest(sum(map(len, wanted.values())) * REST_PER_ENDPOINT_S), *writes]


def _with_times(
    writes: list[Write], service: Object, pods: list[PodSummary], slices: list[Object], view: View
) -> list[Write]:
    published = {
        uid: bool(endpoint["conditions"].get("serving"))
        for each in slices
        for uid, endpoint in _endpoints(each).items()
    }
    shown = [(pod, pod.ready) for pod in pods]
    time = trigger_time(service, shown, published if slices else None, view)
    return [
        dataclasses.replace(write, obj=with_trigger_time(write.obj, time))
        if isinstance(write, Update | Create)
        else write
        for write in writes
    ]


# -- what there should be ---------------------------------------------------------------------------------------------


def wanted_endpoints(service: Object, pods: list[PodSummary], nodes: View) -> dict[Group, dict[str, Endpoint]]:
    """The endpoints of each group by pod uid. A family without any has one empty group: its placeholder slice."""
    wanted: dict[Group, dict[str, Endpoint]] = {}
    for family in families_of(service):
        groups = _groups(service, family, pods, nodes)
        wanted |= groups or {Group(family, ()): {}}
    return wanted


def _groups(service: Object, family: str, pods: list[PodSummary], nodes: View) -> dict[Group, dict[str, Endpoint]]:
    groups: dict[Group, dict[str, Endpoint]] = {}
    for pod in pods:
        address, ports = address_in(pod, family), target_ports(service, pod)
        if address is not None and (ports or not has_ports(service)):
            zone = nodes.summary(ZONE, pod.node) or ""
            group = groups.setdefault(Group(family, ports), {})
            group[pod.uid] = endpoint(service, pod, address, zone)
    return groups


def endpoint(service: Object, pod: PodSummary, address: str, zone: str) -> Endpoint:
    ready = publishes_not_ready(service) or (pod.ready and not pod.deleting)
    optional = {"hostname": hostname_for(service, pod), "nodeName": pod.node, "zone": zone}
    return {
        "addresses": [address],
        "conditions": {"ready": ready, "serving": pod.ready, "terminating": pod.deleting},
        "targetRef": pod_reference(pod),
        **{field: value for field, value in optional.items() if value},
    }


# -- what there is, and how to get from here to there -----------------------------------------------------------------


def group_of(slice_: Object) -> Group:
    ports = tuple(
        TargetPort(p.get("name") or "", p.get("protocol") or "TCP", p.get("port") or 0, p.get("appProtocol") or "")
        for p in slice_.get("ports") or ()
    )
    return Group(str(slice_.get("addressType")), ports)


def _fill(
    service: Object, group: Group, wanted: Mapping[str, Endpoint], slices: list[Object], names: Iterator[str]
) -> list[Write]:
    contents = packed(wanted, [_endpoints(each) for each in slices])
    writes: list[Write] = []
    for each, endpoints in zip(slices, contents, strict=False):
        desired = {**each, **_body(service, group, endpoints), "metadata": _metadata(service, meta(each))}
        if not endpoints and (wanted or each is not slices[0]):
            writes.append(delete(RESOURCE, each))
        elif desired["metadata"] != meta(each) or endpoints != (each.get("endpoints") or []):
            writes.append(Update(RESOURCE, desired))
    additional = contents[len(slices) :] or ([[]] if not slices else [])
    for endpoints in additional:
        metadata = _metadata(service, {"name": next(names), "namespace": namespace_of(service)})
        metadata["generateName"] = f"{name_of(service)}-"
        metadata["ownerReferences"] = [controller_reference(service, "v1", "Service")]
        writes.append(Create(RESOURCE, {**_body(service, group, endpoints), "metadata": metadata}))
    return writes


def packed(wanted: Mapping[str, Endpoint], slices: list[dict[str, Endpoint]]) -> list[list[Endpoint]]:
    """The endpoints of each slice, existing ones first and in their order, new ones after them."""
    placed: dict[str, None] = {}
    kept: list[list[Endpoint]] = []
    for each in slices:
        staying = [uid for uid in each if uid in wanted and uid not in placed]
        placed.update(dict.fromkeys(staying))
        kept.append([wanted[uid] for uid in staying])
    new = [endpoint for uid, endpoint in wanted.items() if uid not in placed]
    changed = [k for k, old in zip(kept, slices, strict=True) if k != list(old.values())]
    for room in sorted(changed, key=len, reverse=True):
        count = ENDPOINTS_MAX - len(room)
        room += new[:count]
        new = new[count:]
    rest = len(new) % ENDPOINTS_MAX
    chunks = [new[start : start + ENDPOINTS_MAX] for start in range(0, len(new), ENDPOINTS_MAX)]
    fitting = [k for k in kept if rest and len(k) + rest <= ENDPOINTS_MAX]
    if fitting:
        max(fitting, key=len).extend(chunks.pop())
    return [*kept, *chunks]


def _endpoints(slice_: Object) -> dict[str, Endpoint]:
    """By the uid of the pod; an endpoint without one is not ours and gets lost."""
    return {(e.get("targetRef") or {}).get("uid") or f"?{i}": e for i, e in enumerate(slice_.get("endpoints") or ())}


def _body(service: Object, group: Group, endpoints: list[Endpoint]) -> Object:
    ports = [
        {"name": p.name, "protocol": p.protocol, "port": p.number, **({"appProtocol": p.app_protocol} if p[3] else {})}
        for p in group.ports
    ]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "addressType": group.family,
        "endpoints": endpoints,
        "ports": ports,
    }


def _metadata(service: Object, old: Mapping[str, Any]) -> dict[str, Any]:
    labels = {**inherited_labels(service), SERVICE_LABEL: name_of(service), MANAGED_LABEL: MANAGER}
    return {**old, "labels": labels}


def _free_names(service: Object, slices: View) -> Iterator[str]:
    namespace, number = namespace_of(service), 0
    while True:
        name = child_name(name_of(service), f"{uid_of(service)}/{number}")
        number += 1
        key = f"{namespace}/{name}"
        if key not in slices and not slices.was_used(key):
            yield name
