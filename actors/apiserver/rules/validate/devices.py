"""Classes of devices, and claims of some (resource.k8s.io/v1): what is asked for, by which expressions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import (
    IMMUTABLE,
    FieldErrors,
    forbidden,
    invalid_value,
    matches,
    not_supported,
    required,
    too_long,
)
from actors.apiserver.rules.go_values import in_go
from actors.apiserver.rules.validate.claims import template_metadata
from actors.apiserver.rules.validate.device_parts import (
    configuration,
    each,
    each_once,
    fully_qualified,
    label,
    name_of,
    tolerations,
)
from protocols.objects import Object
from protocols.rules.resources import is_extended

REQUESTS_MAX = CONSTRAINTS_MAX = CONFIG_MAX = _SELECTORS_MAX = 32
_ALTERNATIVES_MAX = 8
_EXPRESSION_BYTES_MAX = 10 * 1024
_MODES = ("All", "ExactCount")
_ONE_KIND = "exactly one of `exactly` or `firstAvailable` is required"
_ONE_ATTRIBUTE = 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'
_REQUEST_NAME = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"


def device_class(obj: Object, old: Object | None) -> FieldErrors:
    """Expressions and configuration that stay as they are are not judged again."""
    spec, before = obj.get("spec") or {}, (old or {}).get("spec") or {}
    if old is None or spec.get("selectors") != before.get("selectors"):
        yield from each("spec.selectors", spec.get("selectors"), _SELECTORS_MAX, _selector)
    if old is None or spec.get("config") != before.get("config"):
        yield from each("spec.config", spec.get("config"), CONFIG_MAX, configuration)
    extended = spec.get("extendedResourceName")
    if extended is not None and not _is_extended_name(extended):
        yield invalid_value("spec.extendedResourceName", extended, "must be a valid extended resource name")


def resource_claim(obj: Object, old: Object | None) -> FieldErrors:
    yield from _unchanged_or(obj, old, lambda spec: _claim("spec.devices", spec.get("devices") or {}))


def resource_claim_template(obj: Object, old: Object | None) -> FieldErrors:
    yield from _unchanged_or(obj, old, _template)


def request_names(devices: Object) -> dict[str, set[str]]:
    """The names of a claim's requests, each with those of its alternatives."""
    return {
        name_of(request): {name_of(each) for each in request.get("firstAvailable") or ()}
        for request in devices.get("requests") or ()
    }


def request_reference(field: str, name: str, known: dict[str, set[str]]) -> FieldErrors:
    """`gpu`, or `gpu/small` for one of its alternatives."""
    parts = name.split("/")
    if len(parts) > 2:
        yield invalid_value(field, name, _REQUEST_NAME)
        return
    for part in parts:
        yield from label(field, part)
    if parts[0] not in known or not set(parts[1:]) <= known[parts[0]]:
        yield invalid_value(field, name, _REQUEST_NAME)


def request_references(field: str, listed: list[str] | None, known: dict[str, set[str]]) -> FieldErrors:
    yield from each_once(field, listed, REQUESTS_MAX, lambda where, name: request_reference(where, name, known))


def _unchanged_or(obj: Object, old: Object | None, judge: Any) -> FieldErrors:
    spec = obj.get("spec") or {}
    if old is None:
        yield from judge(spec)
    elif spec != (old.get("spec") or {}):
        yield invalid_value("spec", in_go(f"resource.v1.{obj['kind']}Spec", spec), IMMUTABLE)


def _template(spec: Object) -> FieldErrors:
    yield from template_metadata("spec.metadata", spec.get("metadata") or {})
    yield from _claim("spec.spec.devices", (spec.get("spec") or {}).get("devices") or {})


def _claim(field: str, devices: Object) -> FieldErrors:
    known = request_names(devices)
    yield from each_once(f"{field}.requests", devices.get("requests"), REQUESTS_MAX, _request, name_of)
    yield from each(
        f"{field}.constraints",
        devices.get("constraints"),
        CONSTRAINTS_MAX,
        lambda where, constraint: _constraint(where, constraint, known),
    )
    yield from each(
        f"{field}.config",
        devices.get("config"),
        CONFIG_MAX,
        lambda where, config: _claim_configuration(where, config, known),
    )


def _request(field: str, request: Object) -> FieldErrors:
    yield from label(f"{field}.name", request.get("name"))
    exactly, alternatives = request.get("exactly"), request.get("firstAvailable") or []
    if exactly is None and not alternatives:
        yield required(field, _ONE_KIND)
    elif exactly is not None and alternatives:
        yield invalid_value(field, None, f"{_ONE_KIND}, but multiple fields are set")
    elif exactly is not None:
        yield from _exact(f"{field}.exactly", exactly)
    else:
        yield from each_once(f"{field}.firstAvailable", alternatives, _ALTERNATIVES_MAX, _alternative, name_of)


def _alternative(field: str, request: Object) -> FieldErrors:
    yield from label(f"{field}.name", request.get("name"))
    yield from _exact(field, request)


def _exact(field: str, request: Object) -> FieldErrors:
    name, mode, count = request.get("deviceClassName"), request.get("allocationMode"), request.get("count") or 0
    if not name:
        yield required(f"{field}.deviceClassName")
    else:
        yield from matches(f"{field}.deviceClassName", name, names.dns_subdomain(name))
    yield from each(f"{field}.selectors", request.get("selectors"), _SELECTORS_MAX, _selector)
    if mode == "All" and count:
        yield invalid_value(f"{field}.count", count, "must not be specified when allocationMode is 'All'")
    elif mode == "ExactCount" and count <= 0:
        yield invalid_value(f"{field}.count", count, "must be greater than zero")
    elif mode not in _MODES:
        yield not_supported(f"{field}.allocationMode", mode or "", _MODES)
    yield from tolerations(f"{field}.tolerations", request.get("tolerations"))


def _selector(field: str, selector: Object) -> FieldErrors:
    if selector.get("cel") is None:
        yield required(f"{field}.cel")
        return
    where, text = f"{field}.cel.expression", selector["cel"].get("expression") or ""
    if len(text.encode()) > _EXPRESSION_BYTES_MAX:
        yield too_long(where, _EXPRESSION_BYTES_MAX)
        return
    from actors.apiserver.cel.device_selectors import TOO_EXPENSIVE, problem  # cel-cpp: loaded with the first of them

    found = problem(text)
    if found is TOO_EXPENSIVE:
        yield forbidden(where, found)
    elif found:
        yield invalid_value(where, text, found)


def _constraint(field: str, constraint: Object, known: dict[str, set[str]]) -> FieldErrors:
    yield from request_references(f"{field}.requests", constraint.get("requests"), known)
    chosen: Iterable[str] = [key for key in ("matchAttribute", "distinctAttribute") if constraint.get(key) is not None]
    if not chosen:
        yield required(field, _ONE_ATTRIBUTE)
    for key in chosen:
        yield from fully_qualified(f"{field}.{key}", constraint[key])
        break  # the first is the one that counts


def _claim_configuration(field: str, config: Object, known: dict[str, set[str]]) -> FieldErrors:
    yield from request_references(f"{field}.requests", config.get("requests"), known)
    yield from configuration(field, config)


def _is_extended_name(name: str) -> bool:
    """And one that a quota can count."""
    return is_extended(name) and not list(names.label_key(f"requests.{name}"))
