"""A container's environment: literal values, and values taken from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import FieldErrors, invalid_value, matches, not_supported, required

_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef")
_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
_RESOURCES = (
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
)
_BYTES = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
# The units, and in which words they are listed for which resource.
_DIVISORS = {
    "cpu": ("cpu", ("1m", "1"), "1m and 1"),
    "memory": ("memory", _BYTES, ", ".join(_BYTES)),
    "ephemeral-storage": ("local ephemeral storage", _BYTES, ", ".join(_BYTES)),
    "hugepages": ("hugepages", _BYTES, ", ".join(_BYTES)),
}
_HUGEPAGES = ("limits.hugepages-", "requests.hugepages-")
# What can be said of pods in a field selector or reference at all.
_LABELS = (
    *_FIELDS,
    "metadata.annotations",
    "metadata.labels",
    "spec.restartPolicy",
    "spec.schedulerName",
    "status.phase",
    "status.nominatedNodeName",
)
_SUBSCRIPTED = re.compile(r"(metadata\.(?:labels|annotations))\['(.*)'\]")


def env(field: str, variables: Sequence[dict[str, Any]]) -> FieldErrors:
    for index, variable in enumerate(variables):
        where, name = f"{field}[{index}]", variable.get("name")
        if name:
            yield from matches(f"{where}.name", name, names.env_name(name))
        else:
            yield required(f"{where}.name")
        if variable.get("valueFrom") is not None:
            yield from _value_from(f"{where}.valueFrom", variable)


def env_from(field: str, sources: Sequence[dict[str, Any]]) -> FieldErrors:
    for index, source in enumerate(sources):
        where = f"{field}[{index}]"
        if source.get("prefix"):
            yield from matches(f"{where}.prefix", source["prefix"], names.env_name(source["prefix"]))
        given = [key for key in ("configMapRef", "secretRef") if source.get(key) is not None]
        if len(given) > 1:
            yield invalid_value(field, "", "may not have more than one field specified at a time")
        elif not given:
            yield invalid_value(field, "", "must specify one of: `configMapRef` or `secretRef`")
        for key in given:
            if source[key].get("name"):
                yield from _named(f"{where}.{key}.name", source[key]["name"])
            else:
                yield required(f"{where}.{key}.name")


def field_ref(field: str, reference: dict[str, Any], supported: tuple[str, ...] = _FIELDS) -> FieldErrors:
    """A field of the pod itself, or one label or annotation of it."""
    path = reference.get("fieldPath")
    if not path:
        yield required(f"{field}.fieldPath")
        return
    subscripted = _SUBSCRIPTED.fullmatch(path)
    if reference.get("apiVersion") not in (None, "v1"):
        detail = f"error converting fieldPath: unsupported pod version: {reference['apiVersion']}"
        yield invalid_value(f"{field}.fieldPath", path, detail)
    elif subscripted:
        yield from matches(field, subscripted[2], names.label_key(subscripted[2]))
    elif path not in _LABELS:
        problem = "does not support subscript" if "[" in path else "not supported"
        detail = f"error converting fieldPath: field label {problem}: {path}"
        yield invalid_value(f"{field}.fieldPath", path, detail)
    elif path not in supported:
        yield not_supported(f"{field}.fieldPath", path, supported)


def _value_from(field: str, variable: dict[str, Any]) -> FieldErrors:
    source = variable["valueFrom"]
    given = [key for key in _SOURCES if source.get(key) is not None]
    for key in given:
        yield from _source(f"{field}.{key}", key, source[key])
    if not given:
        detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
        yield invalid_value(field, "", detail)
    elif variable.get("value"):
        yield invalid_value(field, "", "may not be specified when `value` is not empty")
    elif len(given) > 1:
        yield invalid_value(field, "", "may not have more than one field specified at a time")


def _source(field: str, key: str, reference: dict[str, Any]) -> FieldErrors:
    if key == "fieldRef":
        yield from field_ref(field, reference)
    elif key == "resourceFieldRef":
        yield from resource_ref(field, reference)
    else:
        yield from _named(f"{field}.name", reference.get("name"))
        if not reference.get("key"):
            yield required(f"{field}.key")
        else:
            yield from matches(f"{field}.key", reference["key"], names.config_key(reference["key"]))


def resource_ref(field: str, reference: dict[str, Any]) -> FieldErrors:
    """What a container asks for or is limited to, counted in some unit."""
    resource, divisor = reference.get("resource") or "", reference.get("divisor") or "0"
    yield from _known_resource(field, resource)
    of = resource.partition(".")[2]
    if of.startswith("hugepages-"):
        of = "hugepages"
    if of in _DIVISORS and divisor not in ("0", *_DIVISORS[of][1]):
        what, _, listed = _DIVISORS[of]
        detail = f"only divisor's values {listed} are supported with the {what} resource"
        yield invalid_value(f"{field}.divisor", resource, detail)


def _known_resource(field: str, resource: str | None) -> FieldErrors:
    if not resource:
        yield required(f"{field}.resource")
    elif resource not in _RESOURCES and not resource.startswith(_HUGEPAGES):
        yield not_supported(f"{field}.resource", resource, _RESOURCES)


def _named(field: str, name: str | None) -> FieldErrors:
    yield from matches(field, name or "", names.dns_subdomain(name or ""))
