"""What a pod says about nodes: selectors, affinity, tolerations, spreading; and the label selectors within."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import (
    FieldErrors,
    duplicate,
    forbidden,
    invalid_value,
    matches,
    not_supported,
    one_of,
    required,
)
from actors.apiserver.rules.go_values import in_go
from actors.apiserver.rules.validate.metadata import label_map

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_UNSATISFIABLE = ("DoNotSchedule", "ScheduleAnyway")
_INCLUSION_POLICIES = ("Honor", "Ignore")
_WEIGHT_MAX = 100
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def tolerations(field: str, listed: Sequence[dict[str, Any]]) -> FieldErrors:
    for index, toleration in enumerate(listed):
        yield from _toleration(f"{field}[{index}]", toleration)


def affinity(field: str, affinity: dict[str, Any]) -> FieldErrors:
    if affinity.get("nodeAffinity"):
        yield from _node_affinity(f"{field}.nodeAffinity", affinity["nodeAffinity"])
    for kind in ("podAffinity", "podAntiAffinity"):
        if affinity.get(kind):
            yield from _pod_affinity(f"{field}.{kind}", affinity[kind])


def spread_constraints(field: str, constraints: Sequence[dict[str, Any]]) -> FieldErrors:
    seen: set[tuple[Any, Any]] = set()
    for index, constraint in enumerate(constraints):
        where = f"{field}[{index}]"
        if constraint.get("maxSkew", 0) <= 0:
            yield invalid_value(f"{where}.maxSkew", constraint.get("maxSkew", 0), "must be greater than zero")
        if not constraint.get("topologyKey"):
            yield required(f"{where}.topologyKey", "can not be empty")
        unsatisfiable = constraint.get("whenUnsatisfiable") or ""
        if unsatisfiable not in _UNSATISFIABLE:
            yield not_supported(f"{where}.whenUnsatisfiable", unsatisfiable, _UNSATISFIABLE)
        pair = (constraint.get("topologyKey"), constraint.get("whenUnsatisfiable"))
        if pair in seen:
            yield duplicate(f"{where}.{{topologyKey, whenUnsatisfiable}}", f"{{{pair[0]}, {pair[1]}}}")
        seen.add(pair)
        yield from _spread_details(where, constraint)
        yield from _label_keys(where, constraint)
        yield from label_selector(f"{where}.labelSelector", constraint.get("labelSelector"))


def label_selector(field: str, selector: dict[str, Any] | None) -> FieldErrors:
    if not selector:
        return
    yield from label_map(f"{field}.matchLabels", selector.get("matchLabels"))
    for index, expression in enumerate(selector.get("matchExpressions") or ()):
        where = f"{field}.matchExpressions[{index}]"
        yield from _expression(where, expression)
        yield from _expression_values(where, expression)


def taints(field: str, listed: Sequence[dict[str, Any]]) -> FieldErrors:
    seen: set[tuple[Any, Any]] = set()
    for index, taint in enumerate(listed):
        where, key, value = f"{field}[{index}]", taint.get("key") or "", taint.get("value") or ""
        yield from matches(f"{where}.key", key, names.label_key(key))
        yield from matches(f"{where}.value", value, _joined(names.label_value(value)))
        yield from one_of(f"{where}.effect", taint.get("effect"), EFFECTS)
        if (key, taint.get("effect")) in seen:
            yield duplicate(where, in_go("core.v1.Taint", taint), "taints must be unique by key and effect pair")
        seen.add((key, taint.get("effect")))


def _spread_details(field: str, constraint: dict[str, Any]) -> FieldErrors:
    domains, action = constraint.get("minDomains"), constraint.get("whenUnsatisfiable") or ""
    if domains is not None and domains <= 0:
        yield invalid_value(f"{field}.minDomains", domains, "must be greater than zero")
    if domains is not None and action != "DoNotSchedule":
        detail = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
        yield invalid_value(f"{field}.minDomains", domains, detail)
    for policy in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
        if constraint.get(policy) is not None and constraint[policy] not in _INCLUSION_POLICIES:
            yield not_supported(f"{field}.{policy}", constraint[policy], _INCLUSION_POLICIES)


def _label_keys(field: str, term: dict[str, Any]) -> FieldErrors:
    """A pod's selectors have their keys' requirements already (`rules/label_keys.py`): a key that is met a second time
    was in the selector before. The field of that error is Kubernetes', which leaves `matchLabelKeys` out."""
    same, other = term.get("matchLabelKeys") or (), term.get("mismatchLabelKeys") or ()
    chosen = term.get("labelSelector")
    for name, keys in (("matchLabelKeys", same), ("mismatchLabelKeys", other)):
        if keys and chosen is None:
            yield forbidden(f"{field}.{name}", "must not be specified when labelSelector is not set")
            continue
        for index, key in enumerate(keys):
            yield from matches(f"{field}.{name}[{index}]", key, names.label_key(key))
    seen = set((chosen or {}).get("matchLabels") or ())
    places = {key: index for index, key in enumerate(same)}
    for expression in (chosen or {}).get("matchExpressions") or () if places else ():
        key = expression.get("key") or ""
        if key in places and key in seen:
            yield invalid_value(f"{field}[{places[key]}]", key, "exists in both matchLabelKeys and labelSelector")
        seen.add(key)
    for index, key in enumerate(same):
        if key in other:
            detail = "exists in both matchLabelKeys and mismatchLabelKeys"
            yield invalid_value(f"{field}.matchLabelKeys[{index}]", key, detail)


def _toleration(field: str, toleration: dict[str, Any]) -> FieldErrors:
    key, value = toleration.get("key") or "", toleration.get("value") or ""
    operator, effect = toleration.get("operator") or "", toleration.get("effect") or ""
    if key:
        yield from matches(f"{field}.key", key, names.label_key(key))
    elif operator != "Exists":
        detail = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        yield invalid_value(f"{field}.operator", operator, detail)
    if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        yield invalid_value(f"{field}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
    if operator in ("", "Equal"):
        yield from matches(f"{field}.operator", value, _joined(names.label_value(value)))
    elif operator != "Exists":
        yield not_supported(f"{field}.operator", operator, ("Equal", "Exists"))
    elif value:
        yield invalid_value(f"{field}.operator", value, "value must be empty when `operator` is 'Exists'")
    if effect and effect not in EFFECTS:
        yield not_supported(f"{field}.effect", effect, EFFECTS)


def _node_affinity(field: str, affinity: dict[str, Any]) -> FieldErrors:
    needed = affinity.get(_REQUIRED)
    if needed is not None:
        yield from node_selector(f"{field}.{_REQUIRED}", needed)
    for index, term in enumerate(affinity.get(_PREFERRED) or ()):
        where = f"{field}.{_PREFERRED}[{index}]"
        yield from _weight(where, term)
        yield from _node_term(f"{where}.preference", term.get("preference") or {})


def node_selector(field: str, selector: dict[str, Any]) -> FieldErrors:
    terms = selector.get("nodeSelectorTerms") or ()
    if not terms:
        yield required(f"{field}.nodeSelectorTerms", "must have at least one node selector term")
    for index, term in enumerate(terms):
        yield from _node_term(f"{field}.nodeSelectorTerms[{index}]", term)


def _node_term(field: str, term: dict[str, Any]) -> FieldErrors:
    for index, expression in enumerate(term.get("matchExpressions") or ()):
        where = f"{field}.matchExpressions[{index}]"
        if expression.get("operator") in ("Gt", "Lt"):
            if len(expression.get("values") or ()) != 1:
                detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
                yield required(f"{where}.values", detail)
        else:
            yield from _expression(where, expression)
        yield from _expression_values(where, expression)
    for index, expression in enumerate(term.get("matchFields") or ()):
        yield from _node_field(f"{field}.matchFields[{index}]", expression)


def _node_field(field: str, expression: dict[str, Any]) -> FieldErrors:
    if expression.get("operator") not in ("In", "NotIn"):
        yield invalid_value(f"{field}.operator", expression.get("operator"), "not a valid selector operator")
    elif len(expression.get("values") or ()) != 1:
        detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        yield required(f"{field}.values", detail)
    if expression.get("key") != "metadata.name":
        yield invalid_value(f"{field}.key", expression.get("key"), "not a valid field selector key")


def _pod_affinity(field: str, affinity: dict[str, Any]) -> FieldErrors:
    for index, term in enumerate(affinity.get(_REQUIRED) or ()):
        yield from _pod_term(f"{field}.{_REQUIRED}[{index}]", term)
    for index, term in enumerate(affinity.get(_PREFERRED) or ()):
        where = f"{field}.{_PREFERRED}[{index}]"
        yield from _weight(where, term)
        yield from _pod_term(f"{where}.podAffinityTerm", term.get("podAffinityTerm") or {})


def _pod_term(field: str, term: dict[str, Any]) -> FieldErrors:
    yield from label_selector(f"{field}.labelSelector", term.get("labelSelector"))
    yield from label_selector(f"{field}.namespaceSelector", term.get("namespaceSelector"))
    for namespace in term.get("namespaces") or ():
        yield from matches(f"{field}.namespace", namespace, names.dns_label(namespace))
    yield from _label_keys(field, term)
    topology = term.get("topologyKey") or ""
    if not topology:
        yield required(f"{field}.topologyKey", "can not be empty")
    yield from matches(f"{field}.topologyKey", topology, names.label_key(topology))


def _weight(field: str, term: dict[str, Any]) -> FieldErrors:
    weight = term.get("weight", 0)
    if not 1 <= weight <= _WEIGHT_MAX:
        yield invalid_value(f"{field}.weight", weight, f"must be in the range 1-{_WEIGHT_MAX}")


def _expression(field: str, expression: dict[str, Any]) -> FieldErrors:
    operator, values = expression.get("operator") or "", expression.get("values") or ()
    if operator in ("In", "NotIn"):
        if not values:
            yield required(f"{field}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator not in ("Exists", "DoesNotExist"):
        yield invalid_value(f"{field}.operator", operator, "not a valid selector operator")
    elif values:
        yield forbidden(f"{field}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")


def _expression_values(field: str, expression: dict[str, Any]) -> FieldErrors:
    key = expression.get("key") or ""
    yield from matches(f"{field}.key", key, names.label_key(key))
    for index, value in enumerate(expression.get("values") or ()):
        yield from matches(f"{field}.values[{index}]", value, names.label_value(value))


def _joined(problems: Iterable[str]) -> list[str]:
    listed = list(problems)
    return [";".join(listed)] if listed else []
