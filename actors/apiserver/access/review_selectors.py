"""The selectors of an access review: what may not stand in them, and what an authorizer cannot make anything of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import FieldErrors, forbidden, invalid_value, matches, required
from protocols.rules.selectors import InvalidSelector, parse_field_selector, parse_label_selector

_SELECTORS = ("fieldSelector", "labelSelector")
_WITH_VALUES, _WITHOUT = ("In", "NotIn"), ("Exists", "DoesNotExist")


def selector_errors(about: Mapping[str, Any]) -> FieldErrors:
    """`about`: resourceAttributes."""
    for name in _SELECTORS:
        if about.get(name) is not None:
            yield from _errors(f"spec.resourceAttributes.{name}", about[name], labels=name == "labelSelector")


def ignored_selectors(about: Mapping[str, Any]) -> str:
    """As the error of an evaluation; "" where all count."""
    ignored = [name for name in _SELECTORS if about.get(name) and not _is_readable(name, about[name])]
    return ", ".join(f"spec.resourceAttributes.{name} ignored due to parse error" for name in ignored)


def _errors(field: str, selector: Mapping[str, Any], *, labels: bool) -> FieldErrors:
    raw, requirements = selector.get("rawSelector"), selector.get("requirements")
    if raw and requirements:
        yield invalid_value(f"{field}.rawSelector", raw, "may not specified at the same time as requirements")
    if not raw and not requirements:
        why = f"when {field} is specified, requirements or rawSelector is required"
        yield required(f"{field}.requirements", why)
    for index, requirement in enumerate(requirements or ()):
        yield from _requirement_errors(f"{field}.requirements[{index}]", requirement, labels=labels)


def _requirement_errors(field: str, requirement: Mapping[str, Any], *, labels: bool) -> FieldErrors:
    key, operator, values = (requirement.get(name) or "" for name in ("key", "operator", "values"))
    if not labels and not key:
        yield required(f"{field}.key", "must be specified")
    if operator in _WITH_VALUES and not values:
        yield required(f"{field}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    if operator in _WITHOUT and values:
        yield forbidden(f"{field}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
    if labels:
        yield from matches(f"{field}.key", key, names.label_key(key))


def _is_readable(name: str, selector: Mapping[str, Any]) -> bool:
    try:
        if raw := selector.get("rawSelector"):
            (parse_label_selector if name == "labelSelector" else parse_field_selector)(raw)
    except InvalidSelector:
        return False
    return all(_is_meant(name, each) for each in selector.get("requirements") or ())


def _is_meant(name: str, requirement: Mapping[str, Any]) -> bool:
    """A field has one value: it is that, or it is not."""
    operator = requirement.get("operator")
    if name == "labelSelector":
        return operator in (*_WITH_VALUES, *_WITHOUT)
    return operator in _WITH_VALUES and len(requirement.get("values") or ()) == 1
