"""Flow schemas and priority levels: whom they match, how they queue; those that every cluster has stay as they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from actors.apiserver.flowcontrol.defaults import EXEMPT, LEVELS, MANDATORY, SCHEMAS, mandatory
from actors.apiserver.rules import names
from actors.apiserver.rules.field import (
    FieldErrors,
    duplicate,
    forbidden,
    invalid_value,
    matches,
    not_supported,
    required,
)
from protocols.objects import Object, name_of

_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")
_KINDS = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}
_PRECEDENCE_MAX = 10_000
_QUEUES_MAX = 10_000_000
_HASH_BITS = 60  # that hands are dealt from


def flow_schema(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    precedence = spec.get("matchingPrecedence") or 0
    if precedence <= 0:
        yield invalid_value("spec.matchingPrecedence", precedence, "must be a positive value")
    if precedence > _PRECEDENCE_MAX:
        detail = f"must not be greater than {_PRECEDENCE_MAX}"
        yield invalid_value("spec.matchingPrecedence", precedence, detail)
    if precedence == 1 and name_of(obj) != EXEMPT:
        detail = "only the schema named 'exempt' may have matchingPrecedence 1"
        yield invalid_value("spec.matchingPrecedence", precedence, detail)
    method = spec.get("distinguisherMethod")
    if method is not None and method.get("type") not in ("ByNamespace", "ByUser"):
        yield not_supported("spec.distinguisherMethod.type", method.get("type") or "", ("ByNamespace", "ByUser"))
    level = (spec.get("priorityLevelConfiguration") or {}).get("name") or ""
    if not level:
        yield required("spec.priorityLevelConfiguration.name", "must reference a priority level")
    else:
        yield from matches("spec.priorityLevelConfiguration.name", level, names.dns_subdomain(level))
    for index, rule in enumerate(spec.get("rules") or ()):
        yield from _rule(f"spec.rules[{index}]", rule)
    yield from _fixed(SCHEMAS, obj)
    yield from _conditions(obj)


def priority_level(obj: Object, old: Object | None) -> FieldErrors:
    spec, name = obj.get("spec") or {}, name_of(obj)
    kind = spec.get("type") or ""
    if (kind == "Exempt") != (name == EXEMPT):
        yield invalid_value("spec.type", kind, "type must be 'Exempt' if and only if name is 'exempt'")
    exempt, limited = spec.get("exempt"), spec.get("limited")
    match kind:
        case "Exempt":
            if limited is not None:
                yield forbidden("spec.limited", "must be nil if the type is not Limited")
            yield from _shares("spec.exempt", exempt or {})
        case "Limited":
            if exempt is not None:
                yield forbidden("spec.exempt", "must be nil if the type is Limited")
            if limited is None:
                yield required("spec.limited", "must not be empty when type is Limited")
            else:
                yield from _limited("spec.limited", limited)
        case _:
            yield not_supported("spec.type", kind, ("Exempt", "Limited"))
    yield from _fixed(LEVELS, obj)
    yield from _conditions(obj)


def _rule(field: str, rule: Mapping[str, Any]) -> FieldErrors:
    subjects = rule.get("subjects") or ()
    if not subjects:
        yield required(f"{field}.subjects", "subjects must contain at least one value")
    for index, subject in enumerate(subjects):
        yield from _subject(f"{field}.subjects[{index}]", subject)
    resources, paths = rule.get("resourceRules") or (), rule.get("nonResourceRules") or ()
    if not resources and not paths:
        yield required(field, "at least one of resourceRules and nonResourceRules has to be non-empty")
    for index, each in enumerate(resources):
        yield from _resource_rule(f"{field}.resourceRules[{index}]", each)
    for index, each in enumerate(paths):
        where = f"{field}.nonResourceRules[{index}]"
        yield from _verbs(where, each)
        yield from _words(where, each, "nonResourceURLs", "nonResourceURLs must contain at least one value", _path)


def _subject(field: str, subject: Mapping[str, Any]) -> FieldErrors:
    kind = subject.get("kind") or ""
    if kind not in _KINDS:
        yield not_supported(f"{field}.kind", kind, tuple(sorted(_KINDS)))
        return
    own = _KINDS[kind]
    for other, word in _KINDS.items():
        if word != own and subject.get(word) is not None:
            yield forbidden(f"{field}.{word}", f"{word} is forbidden when subject kind is not '{other}'")
    about = subject.get(own)
    if about is None:
        yield required(f"{field}.{own}", f"{own} is required when subject kind is '{kind}'")
        return
    name = about.get("name") or ""
    if not name:
        yield required(f"{field}.{own}.name")
    if kind != "ServiceAccount":
        return
    if name and name != "*":
        yield from matches(f"{field}.{own}.name", name, names.dns_subdomain(name))
    namespace = about.get("namespace") or ""
    if namespace:
        yield from matches(f"{field}.{own}.namespace", namespace, names.dns_label(namespace))
    else:
        yield required(f"{field}.{own}.namespace", "must specify namespace for service account")


def _resource_rule(field: str, rule: Mapping[str, Any]) -> FieldErrors:
    yield from _verbs(field, rule)
    yield from _words(field, rule, "apiGroups", "resource rules must supply at least one api group")
    yield from _words(field, rule, "resources", "resource rules must supply at least one resource")
    if rule.get("namespaces") or not rule.get("clusterScope"):
        missing = "resource rules that are not cluster scoped must supply at least one namespace"
        yield from _words(field, rule, "namespaces", missing, _namespace)


def _verbs(field: str, rule: Mapping[str, Any]) -> FieldErrors:
    verbs = rule.get("verbs") or ()
    yield from _words(field, rule, "verbs", "verbs must contain at least one value")
    if "*" not in verbs and not set(verbs) <= set(_VERBS):
        yield not_supported(f"{field}.verbs", list(verbs), _VERBS)


def _words(
    field: str,
    rule: Mapping[str, Any],
    key: str,
    missing: str,
    problems: Callable[[str], Iterable[str]] = lambda word: (),
) -> FieldErrors:
    """A star stands alone."""
    words = rule.get(key) or ()
    if not words:
        yield required(f"{field}.{key}", missing)
    elif "*" in words:
        if len(words) > 1:
            others = {"apiGroups": "api groups", "nonResourceURLs": "non-resource URLs"}.get(key, key)
            yield invalid_value(f"{field}.{key}", list(words), f"if '*' is present, must not specify other {others}")
    else:
        for index, word in enumerate(words):
            yield from matches(f"{field}.{key}[{index}]", word, problems(word))


def _namespace(word: str) -> Iterable[str]:
    return (f"each member of this list must be '*' or a DNS-1123 label; {each}" for each in names.dns_label(word))


def _path(path: str) -> Iterable[str]:
    if not path:
        yield "must not be empty"
    elif not path.startswith("/"):
        yield "must start with slash"
    elif " " in path:
        yield "must not contain white-space"
    elif "//" in path:
        yield "must not contain double slash"
    elif "*" in path.removesuffix("/*"):
        yield "wildcard can only do suffix matching"


def _limited(field: str, limited: Mapping[str, Any]) -> FieldErrors:
    yield from _shares(field, limited)
    borrowing = limited.get("borrowingLimitPercent")
    if borrowing is not None and borrowing < 0:
        yield invalid_value(f"{field}.borrowingLimitPercent", borrowing, "if specified, must be a non-negative integer")
    response = limited.get("limitResponse") or {}
    kind, queuing, where = response.get("type") or "", response.get("queuing"), f"{field}.limitResponse"
    if kind not in ("Queue", "Reject"):
        yield not_supported(f"{where}.type", kind, ("Queue", "Reject"))
    elif kind == "Reject" and queuing is not None:
        yield forbidden(f"{where}.queuing", "must be nil if limited.limitResponse.type is not Limited")
    elif kind == "Queue" and queuing is None:
        yield required(f"{where}.queuing", "must not be empty if limited.limitResponse.type is Limited")
    elif queuing is not None:
        yield from _queuing(f"{where}.queuing", queuing)


def _shares(field: str, part: Mapping[str, Any]) -> FieldErrors:
    shares, lendable = part.get("nominalConcurrencyShares") or 0, part.get("lendablePercent") or 0
    if shares < 0:
        yield invalid_value(f"{field}.nominalConcurrencyShares", shares, "must be a non-negative integer")
    if not 0 <= lendable <= 100:
        yield invalid_value(f"{field}.lendablePercent", lendable, "must be between 0 and 100, inclusive")


def _queuing(field: str, queuing: Mapping[str, Any]) -> FieldErrors:
    for key in ("queueLengthLimit", "queues", "handSize"):
        if queuing[key] <= 0:
            yield invalid_value(f"{field}.{key}", queuing[key], "must be positive")
    queues, hand = queuing["queues"], queuing["handSize"]
    if queues > _QUEUES_MAX:
        yield invalid_value(f"{field}.queues", queues, f"must not be greater than {_QUEUES_MAX}")
    if queues <= 0 or hand <= 0:
        return
    bits = math.ceil(math.log2(queues) * hand)
    if hand > queues:
        yield invalid_value(f"{field}.handSize", hand, f"should not be greater than queues ({queues})")
    elif bits > _HASH_BITS:
        detail = (
            f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {_HASH_BITS}"
        )
        yield invalid_value(f"{field}.handSize", hand, detail)


def _fixed(group_resource: str, obj: Object) -> FieldErrors:
    """The level `exempt` may have other numbers, but is the same otherwise."""
    name = name_of(obj)
    if name not in MANDATORY:
        return
    spec, fixed = obj.get("spec") or {}, mandatory(group_resource, name)["spec"]
    if name == EXEMPT and group_resource == LEVELS:
        spec, fixed = {**spec, "exempt": None}, {**fixed, "exempt": None}
    if _content(spec) != _content(fixed):
        yield invalid_value("spec", obj.get("spec") or {}, f"spec of '{name}' must equal the fixed value")


def _content(value: Any) -> Any:
    """Without what says nothing."""
    if isinstance(value, dict):
        return {key: found for key, each in value.items() if (found := _content(each)) not in (None, "", 0, [], {})}
    return [_content(each) for each in value] if isinstance(value, list) else value


def _conditions(obj: Object) -> FieldErrors:
    seen: set[str] = set()
    for index, condition in enumerate((obj.get("status") or {}).get("conditions") or ()):
        where, kind = f"status.conditions[{index}].type", condition.get("type") or ""
        if kind in seen:
            yield duplicate(where, kind)
        if not kind:
            yield required(where, "must not be empty")
        seen.add(kind)
