"""The endpoints controller: one Endpoints object a service, as older clients read it (slices are what proxies read).

Addresses are grouped as Kubernetes repacks them: each port has a set of ready and a set of other addresses; ports with
the same sets share a subset.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from actorkube.kube import Controller, Views, Watches
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
from protocols.objects import Object, labels_of, meta, name_of, namespace_of
from protocols.rules.owners import is_deleting

RESOURCE = "endpoints"
MANAGED_LABEL = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
ADDRESSES_MAX = 1000
SPACING_S = 0.05
REST_PER_POD_S = 0.001  # each write carries every address: a service of 1,000 pods is written once a second at most

Address = dict[str, Any]
Subset = dict[str, Any]


def controller() -> Controller:
    return Controller(
        "endpoints-controller",
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
            Watches(RESOURCE),
        ),
        reconcile,
        spacing_s=SPACING_S,
    )


def reconcile(key: str, views: Views, now: float) -> list[Write]:
    service, endpoints = views["services"].get(key), views[RESOURCE].get(key)
    if service is None:
        is_ours = endpoints is not None and labels_of(endpoints).get(MANAGED_LABEL) == MANAGER
        return [delete(RESOURCE, endpoints)] if is_ours and endpoints is not None else []
    if is_deleting(service) or not selector_of(service):
        return []
    pods = selected_pods(service, views["pods"])
    wanted = wanted_endpoints(service, pods, endpoints)
    rest = Rest(len(pods) * REST_PER_POD_S)
    if endpoints is not None and wanted["metadata"] == meta(endpoints):
        if wanted.get("subsets", []) == (endpoints.get("subsets") or []):
            return [rest]
    shown = [(pod, pod.ready or publishes_not_ready(service)) for pod in pods]
    published = _published(endpoints) if endpoints is not None else None
    written = with_trigger_time(wanted, trigger_time(service, shown, published, views["pods"]))
    return [rest, Create(RESOURCE, written) if endpoints is None else Update(RESOURCE, written)]


def _published(endpoints: Object) -> dict[str, bool]:
    """Whether the pods that are there are so as ready, by their uids."""
    return {
        (address.get("targetRef") or {}).get("uid") or "": field == "addresses"
        for subset in endpoints.get("subsets") or ()
        for field in ("notReadyAddresses", "addresses")
        for address in subset.get(field) or ()
    }


def wanted_endpoints(service: Object, pods: Iterable[PodSummary], old: Object | None) -> Object:
    """The Endpoints as they should be, based on what is there."""
    family = families_of(service)[0]
    by_port: dict[TargetPort | None, tuple[list[Address], list[Address]]] = {}
    count = 0
    for pod, address in _addresses(service, pods, family):
        count += 1
        if count > ADDRESSES_MAX:
            break
        for port in target_ports(service, pod) or (None,):
            ready, waiting = by_port.setdefault(port, ([], []))
            (ready if pod.ready or publishes_not_ready(service) else waiting).append(address)
    obj = {"apiVersion": "v1", "kind": "Endpoints", **(old or {}), "subsets": subsets(by_port)}
    obj["metadata"] = _metadata(service, old, count > ADDRESSES_MAX)
    if not obj["subsets"]:
        del obj["subsets"]
    return obj


def _addresses(service: Object, pods: Iterable[PodSummary], family: str) -> Iterator[tuple[PodSummary, Address]]:
    """Pods that are going are published only by who asks for addresses that are not ready."""
    for pod in sorted(pods, key=lambda pod: address_in(pod, family) or ""):
        address = address_in(pod, family)
        if address is None or (pod.deleting and not publishes_not_ready(service)):
            continue
        if has_ports(service) and not target_ports(service, pod):
            continue
        optional = {"hostname": hostname_for(service, pod), "nodeName": pod.node}
        yield pod, {"ip": address, "targetRef": pod_reference(pod), **{k: v for k, v in optional.items() if v}}


def subsets(by_port: dict[TargetPort | None, tuple[list[Address], list[Address]]]) -> list[Subset]:
    """Ports with the same addresses together, in a fixed order."""
    merged: dict[tuple[tuple[str, ...], ...], Subset] = {}
    for port, (ready, waiting) in sorted(by_port.items(), key=lambda item: item[0] or TargetPort("", "", 0)):
        identity = tuple(tuple(address["ip"] for address in addresses) for addresses in (ready, waiting))
        subset = merged.setdefault(identity, {"addresses": ready, "notReadyAddresses": waiting, "ports": []})
        if port is not None:
            subset["ports"].append(_port(port))
    return [{field: value for field, value in subset.items() if value} for subset in merged.values()]


def _port(port: TargetPort) -> dict[str, Any]:
    named = {"name": port.name} if port.name else {}
    return {**named, "port": port.number, "protocol": port.protocol} | (
        {"appProtocol": port.app_protocol} if port.app_protocol else {}
    )


def _metadata(service: Object, old: Object | None, over_capacity: bool) -> dict[str, Any]:
    metadata: dict[str, Any] = (
        dict(meta(old)) if old else {"name": name_of(service), "namespace": namespace_of(service)}
    )
    metadata["labels"] = {**inherited_labels(service), MANAGED_LABEL: MANAGER}
    annotations = {k: v for k, v in (metadata.pop("annotations", None) or {}).items() if k != OVER_CAPACITY}
    if over_capacity:
        annotations[OVER_CAPACITY] = "truncated"
    return {**metadata, **({"annotations": annotations} if annotations else {})}
