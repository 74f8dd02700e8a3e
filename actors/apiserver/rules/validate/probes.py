"""Probes and lifecycle hooks: exactly one handler each, and numbers that make sense."""

from __future__ import annotations

from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import (
    FieldErrors,
    forbidden,
    invalid_value,
    matches,
    not_negative,
    not_supported,
    required,
)

_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_PROBE_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_LIFECYCLE_HANDLERS = ("exec", "httpGet", "tcpSocket", "sleep")
_SCHEMES = ("HTTP", "HTTPS")


def probes(field: str, container: dict[str, Any], spec: dict[str, Any]) -> FieldErrors:
    for kind in _PROBES:
        if container.get(kind) is not None:
            yield from _probe(f"{field}.{kind}", kind, container[kind], spec)


def lifecycle(field: str, hooks: dict[str, Any] | None, spec: dict[str, Any]) -> FieldErrors:
    for moment in ("postStart", "preStop"):
        if (hooks or {}).get(moment) is not None:
            assert hooks is not None
            yield from _handler(f"{field}.{moment}", hooks[moment], _LIFECYCLE_HANDLERS, spec)


def _probe(field: str, kind: str, probe: dict[str, Any], spec: dict[str, Any]) -> FieldErrors:
    yield from _handler(field, probe, _PROBE_HANDLERS, spec)
    for number in _NUMBERS:
        yield from not_negative(f"{field}.{number}", probe.get(number))
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        yield invalid_value(f"{field}.terminationGracePeriodSeconds", grace, "must be greater than 0")
    if grace is not None and kind == "readinessProbe":
        yield invalid_value(f"{field}.terminationGracePeriodSeconds", grace, "must not be set for readinessProbes")
    if kind != "readinessProbe" and probe.get("successThreshold") != 1:
        yield invalid_value(f"{field}.successThreshold", probe.get("successThreshold"), "must be 1")


def _handler(field: str, handler: dict[str, Any], kinds: tuple[str, ...], spec: dict[str, Any]) -> FieldErrors:
    given = [kind for kind in kinds if handler.get(kind) is not None]
    if not given:
        yield required(field, "must specify a handler type")
        return
    for kind in given[1:]:
        yield forbidden(f"{field}.{kind}", "may not specify more than 1 handler type")
    yield from _action(f"{field}.{given[0]}", given[0], handler[given[0]], spec)


def _action(field: str, kind: str, action: dict[str, Any], spec: dict[str, Any]) -> FieldErrors:
    match kind:
        case "exec":
            if not action.get("command"):
                yield required(f"{field}.command")
        case "httpGet":
            yield from _http_get(field, action)
        case "tcpSocket" | "grpc":
            yield from matches(f"{field}.port", action.get("port", 0), names.port_number_or_name(action.get("port", 0)))
        case "sleep":
            grace = spec.get("terminationGracePeriodSeconds") or 0
            if not 0 <= action.get("seconds", 0) <= grace:
                detail = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
                yield invalid_value(field, action.get("seconds", 0), detail)


def _http_get(field: str, action: dict[str, Any]) -> FieldErrors:
    if not action.get("path"):
        yield required(f"{field}.path")
    yield from matches(f"{field}.port", action.get("port", 0), names.port_number_or_name(action.get("port", 0)))
    if action.get("scheme") not in _SCHEMES:
        yield not_supported(f"{field}.scheme", action.get("scheme"), _SCHEMES)
    for header in action.get("httpHeaders") or ():
        name = header.get("name") or ""
        yield from matches(f"{field}.httpHeaders", name, names.header_name(name))
