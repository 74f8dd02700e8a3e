"""What workloads, what is between pods and networks, and some others are warned of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from actors.apiserver.rules import addresses
from actors.apiserver.rules.warn import deprecated
from actors.apiserver.rules.warn.pods import claim_amounts, name, template
from protocols.objects import Object

_OF_PODS = "Pod names and hostnames"
_MANY_COMPLETIONS, _MANY_PODS = 100_000, 10_000
_TOO_MANY = (
    "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, "
    "Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
)
_HINTS, _MODE = "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"
_USELESS = {  # where there is no address of the cluster's
    "loadBalancerIP": "loadBalancerIP",
    "externalIPs": "externalIPs",
    "sessionAffinity": "SessionAffinity",
}
_CLASS = "kubernetes.io/ingress.class"
_MOUNTABLE = "kubernetes.io/enforce-mountable-secrets"


def pod_template_object(obj: Object, old: Object | None) -> Iterator[str]:
    if _is_new(obj, old):
        yield from template("template", obj.get("template") or {})


def of_replicas(obj: Object, old: Object | None) -> Iterator[str]:
    if old is None:
        yield from name(obj, _OF_PODS)
    yield from daemon_set(obj, old)


def daemon_set(obj: Object, old: Object | None) -> Iterator[str]:
    if _is_new(obj, old):
        yield from template("spec.template", (obj.get("spec") or {}).get("template") or {})


def stateful_set(obj: Object, old: Object | None) -> Iterator[str]:
    yield from daemon_set(obj, old)
    spec = obj.get("spec") or {}
    for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
        yield from claim_amounts(f"spec.volumeClaimTemplates[{index}]", claim.get("spec") or {})
    if (spec.get("revisionHistoryLimit") or 0) < 0:
        text = "a negative value retains all historical revisions; a value >= 0 is recommended"
        yield f"spec.revisionHistoryLimit: {text}"


def job(obj: Object, old: Object | None) -> Iterator[str]:
    if old is None:
        yield from name(obj, _OF_PODS)
    if _is_new(obj, old):
        yield from _job("spec", obj.get("spec") or {})


def cron_job(obj: Object, old: Object | None) -> Iterator[str]:
    if old is None:
        yield from name(obj, _OF_PODS)
    if _is_new(obj, old):
        yield from _job("spec.jobTemplate.spec", ((obj.get("spec") or {}).get("jobTemplate") or {}).get("spec") or {})


def service(obj: Object, old: Object | None) -> Iterator[str]:
    spec, annotations = obj.get("spec") or {}, (obj.get("metadata") or {}).get("annotations") or {}
    if _HINTS in annotations:
        yield f"annotation {_HINTS} is deprecated, please use {_MODE} instead"
    if spec.get("clusterIP") == "None":
        for key, title in _USELESS.items():
            if spec.get(key) not in (None, "", [], "None"):
                yield f"spec.{title} is ignored for headless services"
    else:
        yield from _addresses("spec.clusterIPs", spec.get("clusterIPs"))
        yield from _addresses("spec.externalIPs", spec.get("externalIPs"))
        if spec.get("externalIPs"):
            yield "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
    yield from addresses.ip_advice("spec.loadBalancerIP", spec.get("loadBalancerIP") or "")
    for index, network in enumerate(spec.get("loadBalancerSourceRanges") or ()):
        yield from addresses.cidr_advice(f"spec.loadBalancerSourceRanges[{index}]", network)
    if spec.get("externalName") and spec.get("type") != "ExternalName":
        yield 'spec.externalName is ignored when spec.type is not "ExternalName"'
    if spec.get("trafficDistribution") == "PreferClose":
        yield 'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'


def endpoint_slice(obj: Object, old: Object | None) -> Iterator[str]:
    if old is None and obj.get("addressType") == "FQDN":
        yield "spec.addressType: FQDN endpoints are deprecated"


def ingress(obj: Object, old: Object | None) -> Iterator[str]:
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    if _CLASS in annotations and (obj.get("spec") or {}).get("ingressClassName") is None and old is None:
        yield f"annotation \"{_CLASS}\" is deprecated, please use 'spec.ingressClassName' instead"


def network_policy(obj: Object, old: Object | None) -> Iterator[str]:
    spec = obj.get("spec") or {}
    for kind, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(kind) or ()):
            for number, peer in enumerate(rule.get(peers) or ()):
                block, at = peer.get("ipBlock") or {}, f"spec.{kind}[{index}].{peers}[{number}].ipBlock"
                yield from addresses.cidr_advice(f"{at}.cidr", block.get("cidr") or "")
                for place, network in enumerate(block.get("except") or ()):
                    yield from addresses.cidr_advice(f"{at}.except[{place}]", network)


def node(obj: Object, old: Object | None) -> Iterator[str]:
    if (obj.get("spec") or {}).get("externalID"):
        yield "spec.externalID: this field is deprecated, and is unused by Kubernetes"


def runtime_class(obj: Object, old: Object | None) -> Iterator[str]:
    for key in sorted((obj.get("scheduling") or {}).get("nodeSelector") or ()):
        if text := deprecated.label(key):
            yield f"scheduling.nodeSelector: {text}"


def service_account(obj: Object, old: Object | None) -> Iterator[str]:
    new, before = ((each or {}).get("metadata", {}).get("annotations") or {} for each in (obj, old))
    if _MOUNTABLE in new and new[_MOUNTABLE] != before.get(_MOUNTABLE):
        text = "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
        yield f"metadata.annotations[{_MOUNTABLE}]: {text}"


def _addresses(field: str, listed: list[str] | None) -> Iterator[str]:
    for index, address in enumerate(listed or ()):
        yield from addresses.ip_advice(f"{field}[{index}]", address)


def _job(field: str, spec: dict[str, Any]) -> Iterator[str]:
    is_indexed = spec.get("completionMode") == "Indexed"
    many = (spec.get("completions") or 0) > _MANY_COMPLETIONS and (spec.get("parallelism") or 0) > _MANY_PODS
    if is_indexed and many:
        yield f"{field}: {_TOO_MANY}"
    yield from template(f"{field}.template", spec.get("template") or {})


def _is_new(obj: Object, old: Object | None) -> bool:
    """Whether its spec is, or parts of it."""
    return old is None or obj["metadata"].get("generation") != old["metadata"].get("generation")
