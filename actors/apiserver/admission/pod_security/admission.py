"""PodSecurity admission: pods are refused or warned about, templates of pods only warned about.

A namespace that becomes stricter keeps its pods: whoever changes it is told which ones would not be let in now.
"""

from __future__ import annotations

from typing import Any

from actors.apiserver.admission.attributes import Attributes
from actors.apiserver.admission.pod_security.policy import PRIVILEGED, Standard, label_errors, policy_of
from actors.apiserver.admission.pod_security.standards import violations
from actors.apiserver.admission.pod_security.violation import containers
from actors.apiserver.admission.stored import Stored
from actors.apiserver.rules.field import invalid
from protocols.objects import Object, labels_of, name_of
from protocols.rules.owners import controller_uid

# Where the template of pods is: those with `spec.template`, and the others.
_TEMPLATES: dict[str, tuple[str, ...]] = {
    "podtemplates": ("template",),
    "replicationcontrollers": ("spec", "template"),
    "deployments.apps": ("spec", "template"),
    "replicasets.apps": ("spec", "template"),
    "statefulsets.apps": ("spec", "template"),
    "daemonsets.apps": ("spec", "template"),
    "jobs.batch": ("spec", "template"),
    "cronjobs.batch": ("spec", "jobTemplate", "spec", "template"),
}
WORKLOADS = tuple(_TEMPLATES)
_PREFIX = "pod-security.kubernetes.io/"
PODS_CHECKED_MAX = 3000


def validate_pod(attributes: Attributes, stored: Stored) -> None:
    labels = _labels(attributes, stored)
    if not labels and not attributes.old:
        attributes.annotate(f"{_PREFIX}enforce-policy", str(PRIVILEGED))
    if not labels or (attributes.old and not _is_significant(attributes.obj, attributes.old)):
        return
    policy = policy_of(labels)
    found = violations(policy.enforce, attributes.obj)
    attributes.annotate(f"{_PREFIX}enforce-policy", str(policy.enforce))
    _annotate(attributes, policy.audit, attributes.obj)
    if found:
        raise attributes.refusal(f'violates PodSecurity "{policy.enforce}": {_listed(found)}')
    _warn(attributes, policy.warn, attributes.obj)


def validate_workload(attributes: Attributes, stored: Stored) -> None:
    labels = _labels(attributes, stored)
    if not labels:
        return
    template: Any = attributes.obj
    for step in _TEMPLATES[attributes.resource.group_resource]:
        template = template.get(step) or {}
    _warn(attributes, policy_of(labels).warn, template)
    _annotate(attributes, policy_of(labels).audit, template)


def validate_namespace(attributes: Attributes, stored: Stored) -> None:
    labels, before = labels_of(attributes.obj), labels_of(attributes.old)
    errors = [*label_errors(labels)]
    if errors and errors != [*label_errors(before)]:
        raise invalid(attributes.resource, attributes.name, errors)
    new, old = policy_of(labels).enforce, policy_of(before).enforce
    if not attributes.old or new == old or new.level == "privileged":
        return
    if new.version == old.version and new.strictness <= old.strictness:
        return
    for warning in _existing(new, attributes.name, stored):
        attributes.warn(warning)


def _labels(attributes: Attributes, stored: Stored) -> dict[str, str]:
    """The labels that say something, {} for a namespace that asks nothing: most do not."""
    namespace = stored.get("namespaces", attributes.namespace)
    labels = labels_of(namespace) if namespace is not None else {}
    return labels if any(label.startswith("pod-security.kubernetes.io/") for label in labels) else {}


def _warn(attributes: Attributes, standard: Standard, pod: Object) -> None:
    found = violations(standard, pod) if standard.level != PRIVILEGED.level else []
    if found:
        attributes.warn(f'would violate PodSecurity "{standard}": {_listed(found)}')


def _annotate(attributes: Attributes, standard: Standard, pod: Object) -> None:
    if attributes.annotations is None or standard.level == PRIVILEGED.level:
        return
    if found := violations(standard, pod):
        attributes.annotate(f"{_PREFIX}audit-violations", f'would violate PodSecurity "{standard}": {_listed(found)}')


def _listed(found: list[Any]) -> str:
    return ", ".join(map(str, found))


def _is_significant(pod: Object, old: Object) -> bool:
    """Of what may be changed in a pod only images matter, and containers that were added."""
    return {(each["name"], each.get("image")) for each in containers(pod["spec"])} != {
        (each["name"], each.get("image")) for each in containers(old["spec"])
    }


def _existing(standard: Standard, namespace: str, stored: Stored) -> list[str]:
    pods = _one_of_each_owner_first([*stored.each("pods", namespace)])
    looked_at = pods[:PODS_CHECKED_MAX]
    by_reason: dict[str, list[str]] = {}
    for pod in looked_at:
        found = violations(standard, pod)
        if found:
            by_reason.setdefault(", ".join(each.reason for each in found), []).append(name_of(pod))
    warnings = []
    if len(looked_at) < len(pods):
        counted = f"the first {len(looked_at)} of {len(pods)} existing pods"
        warnings.append(f"new PodSecurity enforce level only checked against {counted}")
    if by_reason:
        warnings.append(
            f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{standard}"'
        )
    return warnings + sorted(f"{_named(names)}: {reason}" for reason, names in by_reason.items())


def _named(names: list[str]) -> str:
    others = len(names) - 1
    if not others:
        return names[0]
    return f"{min(names)} (and {others} other {'pod' if others == 1 else 'pods'})"


def _one_of_each_owner_first(pods: list[Object]) -> list[Object]:
    seen: set[str] = set()
    first: list[Object] = []
    again: list[Object] = []
    for pod in pods:
        owner = controller_uid(pod)
        (again if owner and owner in seen else first).append(pod)
        seen.add(owner)
    return first + again
