"""The cluster itself: nodes, namespaces, what happens in it, and small stored things."""

from __future__ import annotations

from typing import Any

from actors.apiserver.elapsed import UNKNOWN, since
from actors.apiserver.tables.cells import (
    NONE,
    Columns,
    Printer,
    age,
    name_of_row,
)
from protocols.objects import Object, labels_of
from protocols.rules.conditions import find_condition

_ROLE_LABEL = "node-role.kubernetes.io/"
_OLD_ROLE_LABEL = "kubernetes.io/role"


def _node(obj: Object) -> list[Any]:
    status = obj.get("status") or {}
    system = status.get("nodeInfo") or {}
    return [
        name_of_row(obj),
        _node_status(obj, status),
        ",".join(sorted(_roles(obj))) or NONE,
        age(obj),
        system.get("kubeletVersion") or "",
        _address(status, "InternalIP"),
        _address(status, "ExternalIP"),
        system.get("osImage") or UNKNOWN,
        _kernel(system),
        system.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _kernel(system: dict[str, str]) -> str:
    kernel, architecture = system.get("kernelVersion") or UNKNOWN, system.get("architecture")
    return f"{kernel} ({architecture})" if architecture else kernel


def _component_status(obj: Object) -> list[Any]:
    healthy = find_condition(obj.get("conditions"), "Healthy") or {}
    shown = {"True": "Healthy", "": "Unknown"}.get(healthy.get("status") or "", "Unhealthy")
    return [name_of_row(obj), shown, healthy.get("message") or "", healthy.get("error") or ""]


def _namespace(obj: Object) -> list[Any]:
    return [name_of_row(obj), (obj.get("status") or {}).get("phase") or "", age(obj)]


def _event(obj: Object) -> list[Any]:
    """Events of both APIs: the core one counts and has two times, the newer one has a series and an event time."""
    first = since(obj.get("firstTimestamp") or obj.get("deprecatedFirstTimestamp") or obj.get("eventTime"))
    last_time, count = obj.get("lastTimestamp") or obj.get("deprecatedLastTimestamp"), obj.get("count")
    last = since(last_time) if last_time else first
    series = obj.get("series")
    if series:
        last, count = since(series.get("lastObservedTime")), series.get("count")
    return [
        last,
        obj.get("type") or "",
        obj.get("reason") or "",
        _involved(obj),
        _object(obj).get("fieldPath") or "",
        _source(obj),
        (obj.get("message") or obj.get("note") or "").strip(),
        first,
        count or obj.get("deprecatedCount") or 1,
        name_of_row(obj),
    ]


def _config_map(obj: Object) -> list[Any]:
    return [name_of_row(obj), len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), age(obj)]


def _secret(obj: Object) -> list[Any]:
    return [name_of_row(obj), obj.get("type") or "", len(obj.get("data") or ()), age(obj)]


def _lease(obj: Object) -> list[Any]:
    return [name_of_row(obj), (obj.get("spec") or {}).get("holderIdentity") or "", age(obj)]


def _runtime_class(obj: Object) -> list[Any]:
    return [name_of_row(obj), obj.get("handler") or "", age(obj)]


NODE = Printer(
    Columns(
        "Name",
        "Status",
        "Roles",
        "Age",
        "Version",
        "+Internal-IP",
        "+External-IP",
        "+OS-Image",
        "+Kernel-Version",
        "+Container-Runtime",
    ),
    _node,
)
COMPONENT_STATUS = Printer(Columns("Name", "Status", "Message", "Error"), _component_status)
NAMESPACE = Printer(Columns("Name", "Status", "Age"), _namespace)
EVENT = Printer(
    Columns(
        "Last Seen",
        "Type",
        "Reason",
        "Object",
        "+Subobject",
        "+Source",
        "Message",
        "+First Seen",
        "+Count",
        "+Name",
    ),
    _event,
)
CONFIG_MAP = Printer(Columns("Name", "Data", "Age"), _config_map)
SECRET = Printer(Columns("Name", "Type", "Data", "Age"), _secret)
LEASE = Printer(Columns("Name", "Holder", "Age"), _lease)
RUNTIME_CLASS = Printer(Columns("Name", "Handler", "Age"), _runtime_class)


def _node_status(obj: Object, status: dict[str, Any]) -> str:
    ready = find_condition(status.get("conditions"), "Ready")
    shown = "Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"
    return f"{shown},SchedulingDisabled" if (obj.get("spec") or {}).get("unschedulable") else shown


def _roles(obj: Object) -> set[str]:
    labels = labels_of(obj)
    roles = {key.removeprefix(_ROLE_LABEL) for key in labels if key.startswith(_ROLE_LABEL)}
    return (roles | {labels.get(_OLD_ROLE_LABEL) or ""}) - {""}


def _address(status: dict[str, Any], kind: str) -> str:
    addresses = status.get("addresses") or ()
    return next((entry.get("address") or "" for entry in addresses if entry.get("type") == kind), NONE)


def _object(obj: Object) -> dict[str, Any]:
    return obj.get("involvedObject") or obj.get("regarding") or {}


def _involved(obj: Object) -> str:
    about = _object(obj)
    kind = (about.get("kind") or "").lower()
    return f"{kind}/{about['name']}" if about.get("name") else kind


def _source(obj: Object) -> str:
    source = obj.get("source") or obj.get("deprecatedSource") or {}
    component = source.get("component") or obj.get("reportingComponent") or obj.get("reportingController") or ""
    host = source.get("host") or obj.get("reportingInstance")
    return f"{component}, {host}" if host else component
