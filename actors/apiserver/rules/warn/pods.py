"""What pods and their templates are warned of, in the order in which kube-apiserver says it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from actors.apiserver.rules import addresses, names
from actors.apiserver.rules.warn import deprecated
from actors.apiserver.rules.warn.amounts import whole
from actors.apiserver.rules.warn.paths import overlapping
from actors.apiserver.rules.warn.ports import ports
from protocols.objects import Object

Spec = dict[str, Any]

_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP = "container.seccomp.security.alpha.kubernetes.io/"
_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": 'non-functional in v1.16+; use the "priorityClassName" field instead',
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
}
_NO_SELECTOR = "a null labelSelector results in matching no pod"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_BYTES = ("memory", "ephemeral-storage")


def pod(obj: Object, old: Object | None) -> Iterator[str]:
    """Of a pod nothing is said once it is made."""
    if old is not None:
        return
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    for container in (obj.get("spec") or {}).get("containers") or ():
        if f"{_APPARMOR}{container.get('name')}" in annotations and _lacks(container, "appArmorProfile"):
            yield _apparmor("metadata", container["name"])
    yield from name(obj, "the Pod's hostname")
    yield from _pod("", obj, is_template=False)


def template(field: str, obj: Object) -> Iterator[str]:
    yield from _pod(f"{field}.", obj, is_template=True)


def name(obj: Object, used: str) -> Iterator[str]:
    """Pods are called by it, or begin with it."""
    problems = list(names.dns_label((obj.get("metadata") or {}).get("name") or ""))
    if problems:
        yield (
            f"metadata.name: this is used in {used}, which can result in surprising behavior; "
            f"a DNS label is recommended: [{' '.join(problems)}]"
        )


def _pod(field: str, obj: Object, *, is_template: bool) -> Iterator[str]:
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    spec, at, metadata = obj.get("spec") or {}, f"{field}spec", f"{field}metadata"
    yield from _places(at, spec)
    for key, text in _ANNOTATIONS.items():
        if key in annotations:
            yield f"{metadata}.annotations[{key}]: {text}"
    yield from _volumes(f"{at}.volumes", spec.get("volumes") or ())
    yield from _repeated(f"{at}.hostAliases", spec.get("hostAliases") or (), "ip")
    yield from _repeated(f"{at}.imagePullSecrets", spec.get("imagePullSecrets") or (), "name")
    for index, secret in enumerate(spec.get("imagePullSecrets") or ()):
        if not secret.get("name"):
            yield f'{at}.imagePullSecrets[{index}].name: invalid empty name ""'
    for resource in _BYTES:
        yield from whole(f"{at}.overhead", spec.get("overhead"), resource)
    if _SECCOMP_POD in annotations and not (spec.get("securityContext") or {}).get("seccompProfile"):
        yield _seccomp(metadata, _SECCOMP_POD)
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(kind) or ()):
            yield from _of_annotations(metadata, annotations, container, is_template=is_template)
            yield from _container(f"{at}.{kind}[{index}]", container)
    yield from ports(at, spec)
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        text = "must be >= 0; negative values are invalid and will be treated as 1"
        yield f"{at}.terminationGracePeriodSeconds: {text}"
    yield from _neighbours(f"{at}.affinity", spec.get("affinity") or {})
    for index, server in enumerate((spec.get("dnsConfig") or {}).get("nameservers") or ()):
        yield from addresses.ip_advice(f"{at}.dnsConfig.nameservers[{index}]", server)
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        yield from addresses.ip_advice(f"{at}.hostAliases[{index}].ip", alias.get("ip") or "")


def _places(field: str, spec: Spec) -> Iterator[str]:
    """Labels of nodes that have other names today."""
    for key in sorted(spec.get("nodeSelector") or ()):
        if text := deprecated.label(key):
            yield f"{field}.nodeSelector[{key}]: {text}"
    nodes, at = (spec.get("affinity") or {}).get("nodeAffinity") or {}, f"{field}.affinity.nodeAffinity"
    yield from deprecated.terms(
        f"{at}.{_REQUIRED}.nodeSelectorTerms", (nodes.get(_REQUIRED) or {}).get("nodeSelectorTerms")
    )
    for index, preferred in enumerate(nodes.get(_PREFERRED) or ()):
        yield from deprecated.term_keys(f"{at}.{_PREFERRED}[{index}].preference", preferred.get("preference") or {})
    for index, spread in enumerate(spec.get("topologySpreadConstraints") or ()):
        at, key = f"{field}.topologySpreadConstraints[{index}]", spread.get("topologyKey") or ""
        if text := deprecated.label(key):
            yield f"{at}.topologyKey: {key} is {text}"
        if spread.get("labelSelector") is None:
            yield f"{at}.labelSelector: {_NO_SELECTOR}"


def _volumes(field: str, listed: Sequence[Spec]) -> Iterator[str]:
    for index, volume in enumerate(listed):
        yield from deprecated.volume(f"{field}[{index}]", volume)
        claim = ((volume.get("ephemeral") or {}).get("volumeClaimTemplate") or {}).get("spec") or {}
        yield from claim_amounts(f"{field}[{index}].ephemeral.volumeClaimTemplate.spec", claim)
    for volume in listed:
        yield from overlapping(volume)


def claim_amounts(field: str, claim: Spec) -> Iterator[str]:
    resources = claim.get("resources") or {}
    yield from whole(f"{field}.resources.requests", resources.get("requests"), "storage")
    yield from whole(f"{field}.resources.limits", resources.get("limits"), "storage")


def _repeated(field: str, listed: Sequence[Spec], key: str) -> Iterator[str]:
    seen: set[str] = set()
    for index, entry in enumerate(listed):
        value = entry.get(key) or ""
        if value in seen:
            yield f'{field}[{index}].{key}: duplicate {key} "{value}"'
        seen.add(value)


def _of_annotations(metadata: str, annotations: Spec, container: Spec, *, is_template: bool) -> Iterator[str]:
    """What was said of a container in annotations, before there were fields for it."""
    title = container.get("name") or ""
    if f"{_SECCOMP}{title}" in annotations and _lacks(container, "seccompProfile"):
        yield _seccomp(metadata, f"{_SECCOMP}{title}")
    if is_template and f"{_APPARMOR}{title}" in annotations and _lacks(container, "appArmorProfile"):
        yield _apparmor(metadata, title)


def _container(field: str, container: Spec) -> Iterator[str]:
    resources = container.get("resources") or {}
    for resource in _BYTES:
        for kind in ("limits", "requests"):
            yield from whole(f"{field}.resources.{kind}", resources.get(kind), resource)
    seen: set[str] = set()
    for index, variable in enumerate(container.get("env") or ()):
        title = variable.get("name") or ""
        if title in seen and f"$({title})" not in (variable.get("value") or ""):
            yield f'{field}.env[{index}]: hides previous definition of "{title}", which may be dropped when using apply'
        seen.add(title)


def _neighbours(field: str, affinity: Spec) -> Iterator[str]:
    for kind in ("podAffinity", "podAntiAffinity"):
        chosen = affinity.get(kind) or {}
        for index, term in enumerate(chosen.get(_REQUIRED) or ()):
            if term.get("labelSelector") is None:
                yield f"{field}.{kind}.{_REQUIRED}[{index}].labelSelector: {_NO_SELECTOR}"
        for index, preferred in enumerate(chosen.get(_PREFERRED) or ()):
            if (preferred.get("podAffinityTerm") or {}).get("labelSelector") is None:
                yield f"{field}.{kind}.{_PREFERRED}[{index}].podAffinityTerm.labelSelector: {_NO_SELECTOR}"


def _lacks(container: Spec, profile: str) -> bool:
    return not (container.get("securityContext") or {}).get(profile)


def _seccomp(metadata: str, key: str) -> str:
    return f'{metadata}.annotations[{key}]: non-functional in v1.27+; use the "seccompProfile" field instead'


def _apparmor(metadata: str, container: str) -> str:
    key = f"{_APPARMOR}{container}"
    return f'{metadata}.annotations[{key}]: deprecated since v1.30; use the "appArmorProfile" field instead'
