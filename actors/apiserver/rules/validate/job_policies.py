"""What a Job makes of pods that fail, of indexes, and of success: limits for each index, and its three policies."""

from __future__ import annotations

from typing import Any

from actors.apiserver.rules.field import (
    OMITTED,
    FieldErrors,
    duplicate,
    invalid_value,
    matches,
    not_negative,
    not_supported,
    required,
    too_long,
    too_many,
)
from actors.apiserver.rules.names import label_key

Spec = dict[str, Any]

_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_OPERATORS = ("In", "NotIn")
_STATUSES = ("False", "True", "Unknown")
_REPLACEMENTS = ("Failed", "TerminatingOrFailed")
_RULES_MAX = 20
_PATTERNS_MAX = 20
_EXIT_CODES_MAX = 255
_PARALLELISM_MAX = 100_000  # of an indexed job, and its failed indexes
_COMPLETIONS_SOFT_MAX = 100_000  # beyond, with limits for each index, less of the others is allowed
_REST_MAX = 10_000
_INDEXES_BYTES_MAX = 64 * 1024


def limits_of_indexes(field: str, spec: Spec) -> FieldErrors:
    for key in ("backoffLimitPerIndex", "maxFailedIndexes"):
        yield from not_negative(f"{field}.{key}", spec.get(key))
    is_indexed = spec.get("completionMode") == "Indexed"
    if is_indexed and spec.get("completions") is not None:
        yield from _sizes(field, spec)
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        yield required(f"{field}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    if is_indexed:
        return
    for key in ("backoffLimitPerIndex", "maxFailedIndexes", "successPolicy"):
        if spec.get(key) is not None:
            yield invalid_value(f"{field}.{key}", spec[key], "requires indexed completion mode")


def policies(field: str, spec: Spec) -> FieldErrors:
    if spec.get("podFailurePolicy") is not None:
        yield from _failure_policy(f"{field}.podFailurePolicy", spec)
    yield from _replacement_policy(f"{field}.podReplacementPolicy", spec)
    if spec.get("successPolicy") is not None and _completions_of_indexes(spec) is not None:
        yield from _success_policy(f"{field}.successPolicy", spec)


def _completions_of_indexes(spec: Spec) -> int | None:
    completions: int | None = spec.get("completions") if spec.get("completionMode") == "Indexed" else None
    return completions


def _sizes(field: str, spec: Spec) -> FieldErrors:
    completions, most = spec["completions"], spec.get("maxFailedIndexes")
    parallelism = spec.get("parallelism") or 0
    if parallelism > _PARALLELISM_MAX:
        detail = f"must be less than or equal to {_PARALLELISM_MAX} when completion mode is Indexed"
        yield invalid_value(f"{field}.parallelism", parallelism, detail)
    if most is not None and most > completions:
        yield invalid_value(f"{field}.maxFailedIndexes", most, "must be less than or equal to completions")
    if most is not None and most > _PARALLELISM_MAX:
        yield invalid_value(f"{field}.maxFailedIndexes", most, f"must be less than or equal to {_PARALLELISM_MAX}")
    if completions <= _COMPLETIONS_SOFT_MAX or spec.get("backoffLimitPerIndex") is None:
        return
    if most is None:
        yield required(
            f"{field}.maxFailedIndexes", f"must be specified when completions is above {_COMPLETIONS_SOFT_MAX}"
        )
    for key, value in (("parallelism", parallelism), ("maxFailedIndexes", most or 0)):
        if value > _REST_MAX:
            above = f"when completions are above {_COMPLETIONS_SOFT_MAX} and used with backoff limit per index"
            yield invalid_value(f"{field}.{key}", value, f"must be less than or equal to {_REST_MAX} {above}")


def _replacement_policy(field: str, spec: Spec) -> FieldErrors:
    policy = spec.get("podReplacementPolicy")
    supported = ("Failed",) if spec.get("podFailurePolicy") is not None else _REPLACEMENTS
    if policy is not None and policy not in supported:
        yield not_supported(field, policy, supported)


# -- failures ---------------------------------------------------------------------------------------------------------


def _failure_policy(field: str, spec: Spec) -> FieldErrors:
    pod = (spec.get("template") or {}).get("spec") or {}
    rules = spec["podFailurePolicy"].get("rules") or ()
    if len(rules) > _RULES_MAX:
        yield too_many(f"{field}.rules", len(rules), _RULES_MAX)
    names = {c.get("name") for c in (*(pod.get("containers") or ()), *(pod.get("initContainers") or ()))}
    for position, rule in enumerate(rules):
        yield from _failure_rule(f"{field}.rules[{position}]", rule, spec, names)


def _failure_rule(field: str, rule: Spec, spec: Spec, names: set[Any]) -> FieldErrors:
    action = rule.get("action")
    if action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
        yield invalid_value(f"{field}.action", action, "requires the backoffLimitPerIndex to be set")
    yield from _choice(f"{field}.action", action, _ACTIONS)
    codes, patterns = rule.get("onExitCodes"), rule.get("onPodConditions") or ()
    if codes is not None:
        yield from _exit_codes(f"{field}.onExitCodes", codes, names)
    if len(patterns) > _PATTERNS_MAX:
        yield too_many(f"{field}.onPodConditions", len(patterns), _PATTERNS_MAX)
    for position, pattern in enumerate(patterns):
        here = f"{field}.onPodConditions[{position}]"
        yield from matches(f"{here}.type", pattern.get("type") or "", label_key(pattern.get("type") or ""))
        yield from _choice(f"{here}.status", pattern.get("status"), _STATUSES)
    if codes is not None and patterns:
        yield invalid_value(field, OMITTED, "specifying both OnExitCodes and OnPodConditions is not supported")
    if codes is None and not patterns:
        yield invalid_value(field, OMITTED, "specifying one of OnExitCodes and OnPodConditions is required")


def _exit_codes(field: str, codes: Spec, names: set[Any]) -> FieldErrors:
    operator, values = codes.get("operator"), codes.get("values") or []
    yield from _choice(f"{field}.operator", operator, _OPERATORS)
    if codes.get("containerName") is not None and codes["containerName"] not in names:
        detail = "must be one of the container or initContainer names in the pod template"
        yield invalid_value(f"{field}.containerName", codes["containerName"], detail)
    if not values:
        yield invalid_value(f"{field}.values", values, "at least one value is required")
    elif len(values) > _EXIT_CODES_MAX:
        yield too_many(f"{field}.values", len(values), _EXIT_CODES_MAX)
    seen: set[int] = set()
    for position, value in enumerate(values):
        if operator == "In" and value == 0:
            yield invalid_value(f"{field}.values[{position}]", value, "must not be 0 for the In operator")
        if value in seen:
            yield duplicate(f"{field}.values[{position}]", value)
        seen.add(value)
    if values != sorted(values):
        yield invalid_value(f"{field}.values", values, "must be ordered")


def _choice(field: str, value: Any, supported: tuple[str, ...]) -> FieldErrors:
    if not value:
        quoted = " ".join(f'"{choice}"' for choice in supported)
        yield required(field, f"valid values: [{quoted}]")
    elif value not in supported:
        yield not_supported(field, value, supported)


# -- success ----------------------------------------------------------------------------------------------------------


def _success_policy(field: str, spec: Spec) -> FieldErrors:
    rules = spec["successPolicy"].get("rules") or ()
    if not rules:
        yield required(f"{field}.rules", "at least one rules must be specified when the successPolicy is specified")
    if len(rules) > _RULES_MAX:
        yield too_many(f"{field}.rules", len(rules), _RULES_MAX)
    for position, rule in enumerate(rules):
        yield from _success_rule(f"{field}.rules[{position}]", rule, spec["completions"])


def _success_rule(field: str, rule: Spec, completions: int) -> FieldErrors:
    indexes, count = rule.get("succeededIndexes"), rule.get("succeededCount")
    if indexes is None and count is None:
        yield required(field, "at least one of succeededCount or succeededIndexes must be specified")
    total = 0
    if indexes is not None:
        if len(indexes) > _INDEXES_BYTES_MAX:
            yield too_long(f"{field}.succeededIndexes", _INDEXES_BYTES_MAX)
        try:
            total = _total_of(indexes, completions)
        except ValueError as error:
            yield invalid_value(f"{field}.succeededIndexes", indexes, f"error parsing succeededIndexes: {error}")
    if count is None:
        return
    yield from not_negative(f"{field}.succeededCount", count)
    if count > completions:
        detail = f"must be less than or equal to {completions} (the number of specified completions)"
        yield invalid_value(f"{field}.succeededCount", count, detail)
    if indexes is not None and count > total:
        detail = (
            f"must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
        )
        yield invalid_value(f"{field}.succeededCount", count, detail)


def _total_of(text: str, completions: int) -> int:
    """How many indexes an ordered list of them has; ValueError in Kubernetes' words where it is none."""
    total, last = 0, -1
    for part in text.split(",") if text else ():
        ends = part.split("-")
        if len(ends) > 2:
            rule = "an index interval can have at most two parts separated by '-'"
            raise ValueError(f'the fragment "{part}" violates the requirement that {rule}')
        interval: list[int] = []
        for end in ends:
            last = _index(end, completions, last)
            interval.append(last)
        total += interval[-1] - interval[0] + 1
    return total


def _index(text: str, completions: int, last: int) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f'cannot convert string to integer for index: "{text}"')
    if int(text) >= completions:
        raise ValueError(f'too large index: "{text}"')
    if int(text) <= last:
        raise ValueError(f"non-increasing order, previous: {last}, current: {int(text)}")
    return int(text)
