"""Pod affinity as values: which pods a term selects, and in which topology they count.

Selectors are tuples of requirements, so that equal terms are equal values and share one count. None selects nothing,
an empty tuple everything, as in Kubernetes' LabelSelector.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from protocols.objects import Object, labels_of, namespace_of
from protocols.rules.selectors import InvalidSelector, Operator, Requirement, labels_match, selector_requirements

Selector = tuple[Requirement, ...] | None


class PodSelector(NamedTuple):
    """Pods of these namespaces, or of namespaces that `namespace_selector` selects, with labels as `labels` asks."""

    namespaces: frozenset[str]
    namespace_selector: Selector
    labels: Selector

    def selects(self, namespace: str, namespace_labels: Mapping[str, str], labels: Mapping[str, str]) -> bool:
        if namespace not in self.namespaces and not matches(self.namespace_selector, namespace_labels):
            return False
        return matches(self.labels, labels)


class Term(NamedTuple):
    topology_key: str
    pods: PodSelector


class Wish(NamedTuple):
    """A preferred term; the weight of anti-affinity is negative."""

    weight: int
    term: Term


class PodTerms(NamedTuple):
    """`error`: the pod asks for something that cannot be understood, and is refused for that."""

    required: tuple[Term, ...] = ()
    required_anti: tuple[Term, ...] = ()
    wishes: tuple[Wish, ...] = ()
    error: str = ""


NO_TERMS = PodTerms()


def pod_terms(pod: Object) -> PodTerms:
    affinity = (pod.get("spec") or {}).get("affinity") or {}
    towards, away = affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}
    if not towards and not away:
        return NO_TERMS
    required, preferred = ("requiredDuringScheduling", "preferredDuringScheduling")
    later = "IgnoredDuringExecution"
    try:
        return PodTerms(
            tuple(_term(term, pod) for term in towards.get(required + later) or ()),
            tuple(_term(term, pod) for term in away.get(required + later) or ()),
            (*_wishes(towards.get(preferred + later), pod, 1), *_wishes(away.get(preferred + later), pod, -1)),
        )
    except (InvalidSelector, KeyError) as error:
        return PodTerms(error=f"invalid pod affinity: {error}")


def selector(value: Mapping[str, Any] | None) -> Selector:
    """Raises InvalidSelector."""
    return None if value is None else tuple(sorted(set(selector_requirements(value))))


def matches(chosen: Selector, labels: Mapping[str, str]) -> bool:
    return chosen is not None and labels_match(chosen, labels)


def with_label_keys(
    chosen: Selector, keys: Iterable[str], labels: Mapping[str, str], negated: bool = False
) -> Selector:
    """matchLabelKeys, mismatchLabelKeys: pods that have (or have not) the same value of these labels as this pod.

    Mostly the API server has put that into the selector when the pod was created, with the labels of then; so it is
    not done again. Before 1.34 it does not for spread constraints."""
    if chosen is None:
        return None
    operator: Operator = "notin" if negated else "in"
    merged = {each.key for each in chosen if each.operator == operator and len(each.values) == 1}
    same = (Requirement(key, operator, (labels[key],)) for key in keys if key in labels and key not in merged)
    return tuple(sorted({*chosen, *same}))


def _wishes(entries: Iterable[Mapping[str, Any]] | None, pod: Object, sign: int) -> Iterable[Wish]:
    return (Wish(sign * entry.get("weight", 0), _term(entry["podAffinityTerm"], pod)) for entry in entries or ())


def _term(term: Mapping[str, Any], pod: Object) -> Term:
    labels = selector(term.get("labelSelector"))
    labels = with_label_keys(labels, term.get("matchLabelKeys") or (), labels_of(pod))
    labels = with_label_keys(labels, term.get("mismatchLabelKeys") or (), labels_of(pod), negated=True)
    namespaces, by_label = frozenset(term.get("namespaces") or ()), selector(term.get("namespaceSelector"))
    if not namespaces and by_label is None:
        namespaces = frozenset((namespace_of(pod),))
    return Term(term["topologyKey"], PodSelector(namespaces, by_label, labels))
