"""The cloud's service controller: gives a Service of type LoadBalancer its address, and takes it back at the end.

The finalizer is there before the address is, so an address is never lost: a Service goes only after its was released.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from actorkube.kube.controller import Controller, Views, Watches
from actorkube.kube.view import View
from actorkube.kube.writes import Event, Patch, RequeueAfter, Update, Write, reference_to
from actors.cloud.provider import Provider
from protocols.objects import Object, key_of, meta, name_of, namespace_of, uid_of
from protocols.rules.owners import is_deleting

FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
_BY_IP = "load-balancer-ip"
_RETRY_S = 30.0


def service_controller(provider: Provider) -> Controller:
    def reconcile(key: str, views: Views, now: float) -> Sequence[Write]:
        service = views["services"].get(key)
        if service is None:
            return ()
        if not wants_load_balancer(service):
            return release(service)
        if FINALIZER not in _finalizers(service):
            return (with_finalizers(service, [*_finalizers(service), FINALIZER]),)
        return ensure(service, provider, taken_ips(key, views["services"]))

    watches = Watches(
        "services",
        keys=_own_key_and_sharers,
        indexes={_BY_IP: ingress_ips},
        summaries={"cloud-service": summarise},
        when="cloud-service",
    )
    # One worker: the next service must see which address this one got.
    return Controller("service-lb-controller", (watches,), reconcile, workers=1)


def summarise(service: Object) -> Any:
    """What decides here."""
    spec = service.get("spec") or {}
    wanted = (wants_load_balancer(service), spec.get("loadBalancerIP"))
    return (*wanted, _finalizers(service), (service.get("status") or {}).get("loadBalancer"))


def wants_load_balancer(service: Object) -> bool:
    """A Service with a loadBalancerClass is somebody else's."""
    spec = service.get("spec") or {}
    return spec.get("type") == "LoadBalancer" and not spec.get("loadBalancerClass") and not is_deleting(service)


def ingress_ips(service: Object) -> Iterable[str]:
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return [entry["ip"] for entry in ingress if entry.get("ip")]


def taken_ips(key: str, services: View) -> set[str]:
    """The addresses that belong to other services; one that several have is the first's by key."""
    return {ip for ip in services.values(_BY_IP) if min(services.keys(_BY_IP, ip)) != key}


def _own_key_and_sharers(service: Object, views: Views) -> list[str]:
    sharers = [key for ip in ingress_ips(service) for key in views["services"].keys(_BY_IP, ip)]
    return [key_of(service), *sharers]


def ensure(service: Object, provider: Provider, taken: set[str]) -> Sequence[Write]:
    """The address it has stays, as long as it is nobody else's and the one asked for."""
    about, has = reference_to(service, "v1", "Service"), list(ingress_ips(service))
    asked = (service.get("spec") or {}).get("loadBalancerIP")
    if has and not taken.intersection(has) and asked in (None, "", *has):
        return ()
    ip = provider.load_balancer_ip(service, taken)
    if ip is None:
        why = f"the {provider.name} provider has no address {asked or 'left'} for {key_of(service)}"
        failed = Event(about, "Warning", "SyncLoadBalancerFailed", f"Error syncing load balancer: {why}")
        return (failed, RequeueAfter(_RETRY_S))
    ensured = Event(about, "Normal", "EnsuredLoadBalancer", "Ensured load balancer")
    return (_set_ingress(service, [{"ip": ip, "ipMode": "VIP"}], ensured),)


def release(service: Object) -> Sequence[Write]:
    """Not a load balancer (any more): no address, then no finalizer."""
    if FINALIZER not in _finalizers(service):
        return ()
    if list(ingress_ips(service)):
        return (_set_ingress(service, None),)
    deleted = Event(reference_to(service, "v1", "Service"), "Normal", "DeletedLoadBalancer", "Deleted load balancer")
    remaining = [finalizer for finalizer in _finalizers(service) if finalizer != FINALIZER]
    return (with_finalizers(service, remaining, deleted),)


def with_finalizers(service: Object, finalizers: list[str], announce: Event | None = None) -> Update:
    return Update("services", {**service, "metadata": {**meta(service), "finalizers": finalizers}}, announce=announce)


def _set_ingress(service: Object, ingress: list[dict[str, str]] | None, announce: Event | None = None) -> Patch:
    patch = {"metadata": {"uid": uid_of(service)}, "status": {"loadBalancer": {"ingress": ingress}}}
    return Patch("services", namespace_of(service), name_of(service), patch, subresource="status", announce=announce)


def _finalizers(service: Object) -> list[str]:
    return meta(service).get("finalizers") or []
