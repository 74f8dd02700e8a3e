"""Whom a service stands for: the pods that its selector matches, and the ports of each that its ports lead to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from actorkube.kube import View, Views
from actors.controllers.indexes import labelled, services_selecting
from actors.controllers.pod_summary import POD, Belonging, PodSummary
from protocols.objects import Object, labels_of, namespace_of
from protocols.rules.selectors import map_matches

HEADLESS_LABEL = "service.kubernetes.io/headless"


class TargetPort(NamedTuple):
    name: str
    protocol: str
    number: int
    app_protocol: str = ""


def services_of_pod(pod: Belonging, views: Views) -> Iterator[str]:
    return services_selecting(pod.namespace, pod.labels, views["services"])


def selector_of(service: Object) -> dict[str, str]:
    """Empty for a service whose endpoints are somebody else's business: no selector, or a name outside the cluster."""
    spec = service.get("spec") or {}
    return {} if spec.get("type") == "ExternalName" else spec.get("selector") or {}


def selected_pods(service: Object, pods: View) -> list[PodSummary]:
    """The pods that match, have an address and are not over; oldest first."""
    selector = selector_of(service)
    candidates = (pods.summary(POD, key) for key in labelled(namespace_of(service), selector, pods))
    chosen = [pod for pod in candidates if pod.ips and not pod.terminated and map_matches(selector, pod.labels)]
    return sorted(chosen, key=lambda pod: (pod.created, pod.key))


def target_ports(service: Object, pod: PodSummary) -> tuple[TargetPort, ...]:
    """Where the service's ports lead in this pod; a name that the pod does not have leads nowhere."""
    ports = (service.get("spec") or {}).get("ports") or ()
    resolved = ((port, _number(port, pod)) for port in ports)
    return tuple(
        TargetPort(port.get("name") or "", port.get("protocol") or "TCP", number, port.get("appProtocol") or "")
        for port, number in resolved
        if number is not None
    )


def families_of(service: Object) -> list[str]:
    """The address families that the service publishes, its first one first."""
    spec = service.get("spec") or {}
    if spec.get("ipFamilies"):
        return list(spec["ipFamilies"])
    return ["IPv6" if ":" in (spec.get("clusterIP") or "") else "IPv4"]


def address_in(pod: PodSummary, family: str) -> str | None:
    return next((ip for ip in pod.ips if (":" in ip) == (family == "IPv6")), None)


def hostname_for(service: Object, pod: PodSummary) -> str:
    """The name under which a headless service publishes this pod, "" for none."""
    hostname, _, subdomain = pod.hostname.partition(".")
    return hostname if subdomain == (service["metadata"]["name"]) else ""


def inherited_labels(service: Object) -> dict[str, str]:
    labels = {key: value for key, value in labels_of(service).items() if key != HEADLESS_LABEL}
    return {**labels, **({HEADLESS_LABEL: ""} if is_headless(service) else {})}


def is_headless(service: Object) -> bool:
    return (service.get("spec") or {}).get("clusterIP") in (None, "", "None")


def publishes_not_ready(service: Object) -> bool:
    return bool((service.get("spec") or {}).get("publishNotReadyAddresses"))


def has_ports(service: Object) -> bool:
    return bool((service.get("spec") or {}).get("ports"))


def pod_reference(pod: PodSummary) -> dict[str, Any]:
    return {"kind": "Pod", "namespace": pod.namespace, "name": pod.name, "uid": pod.uid}


def _number(port: dict[str, Any], pod: PodSummary) -> int | None:
    target = port.get("targetPort") or port["port"]
    if isinstance(target, int) or target.isdigit():
        return int(target)
    protocol = port.get("protocol") or "TCP"
    return next((p.number for p in pod.ports if p.name == target and p.protocol == protocol), None)
