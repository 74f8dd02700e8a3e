"""What `kubectl get` shows: meta.k8s.io/v1 Tables with Kubernetes' columns, one table from resources to printers.

Priority 1 columns are those of `-o wide`; the server always sends them, the client chooses.
"""

from __future__ import annotations

from typing import Any, Literal

import orjson

from actors.apiserver.elapsed import Elapsed
from actors.apiserver.lists import Row
from actors.apiserver.schema.resources import Resource
from actors.apiserver.tables import (
    access,
    certificates,
    cluster,
    devices,
    flowcontrol,
    networking,
    policy,
    storage,
    workloads,
)
from actors.apiserver.tables.cells import Columns, Printer, age
from actors.apiserver.tables.pods import COLUMNS as POD_COLUMNS
from actors.apiserver.tables.pods import cells as pod_cells
from protocols.objects import Object, meta

__all__ = ["Include", "columns_of", "row", "table"]

Include = Literal["Metadata", "Object", "None"]

_PRINTERS: dict[str, Printer] = {
    "pods": Printer(POD_COLUMNS, pod_cells),
    "podtemplates": workloads.POD_TEMPLATE,
    "replicationcontrollers": workloads.REPLICATION_CONTROLLER,
    "deployments.apps": workloads.DEPLOYMENT,
    "replicasets.apps": workloads.REPLICA_SET,
    "statefulsets.apps": workloads.STATEFUL_SET,
    "daemonsets.apps": workloads.DAEMON_SET,
    "controllerrevisions.apps": workloads.CONTROLLER_REVISION,
    "jobs.batch": workloads.JOB,
    "cronjobs.batch": workloads.CRON_JOB,
    "services": networking.SERVICE,
    "endpoints": networking.ENDPOINTS,
    "endpointslices.discovery.k8s.io": networking.ENDPOINT_SLICE,
    "ingresses.networking.k8s.io": networking.INGRESS,
    "ingressclasses.networking.k8s.io": networking.INGRESS_CLASS,
    "networkpolicies.networking.k8s.io": networking.NETWORK_POLICY,
    "ipaddresses.networking.k8s.io": networking.IP_ADDRESS,
    "servicecidrs.networking.k8s.io": networking.SERVICE_CIDR,
    "nodes": cluster.NODE,
    "componentstatuses": cluster.COMPONENT_STATUS,
    "namespaces": cluster.NAMESPACE,
    "events": cluster.EVENT,
    "events.events.k8s.io": cluster.EVENT,
    "configmaps": cluster.CONFIG_MAP,
    "secrets": cluster.SECRET,
    "leases.coordination.k8s.io": cluster.LEASE,
    "runtimeclasses.node.k8s.io": cluster.RUNTIME_CLASS,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": policy.WEBHOOK_CONFIGURATION,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": policy.WEBHOOK_CONFIGURATION,
    "mutatingadmissionpolicies.admissionregistration.k8s.io": policy.MUTATING_POLICY,
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io": policy.ADMISSION_POLICY_BINDING,
    "validatingadmissionpolicies.admissionregistration.k8s.io": policy.ADMISSION_POLICY,
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": policy.ADMISSION_POLICY_BINDING,
    "apiservices.apiregistration.k8s.io": policy.API_SERVICE,
    "flowschemas.flowcontrol.apiserver.k8s.io": flowcontrol.FLOW_SCHEMA,
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": flowcontrol.PRIORITY_LEVEL,
    "roles.rbac.authorization.k8s.io": access.CREATED_AT,
    "clusterroles.rbac.authorization.k8s.io": access.CREATED_AT,
    "certificatesigningrequests.certificates.k8s.io": certificates.SIGNING_REQUEST,
    "limitranges": access.CREATED_AT,
    "rolebindings.rbac.authorization.k8s.io": access.ROLE_BINDING,
    "clusterrolebindings.rbac.authorization.k8s.io": access.ROLE_BINDING,
    "persistentvolumes": storage.PERSISTENT_VOLUME,
    "persistentvolumeclaims": storage.PERSISTENT_VOLUME_CLAIM,
    "storageclasses.storage.k8s.io": storage.STORAGE_CLASS,
    "volumeattachments.storage.k8s.io": storage.VOLUME_ATTACHMENT,
    "csinodes.storage.k8s.io": storage.CSI_NODE,
    "csidrivers.storage.k8s.io": storage.CSI_DRIVER,
    "csistoragecapacities.storage.k8s.io": access.CREATED_AT,
    "customresourcedefinitions.apiextensions.k8s.io": access.CREATED_AT,
    "volumeattributesclasses.storage.k8s.io": storage.VOLUME_ATTRIBUTES_CLASS,
    "resourceclaims.resource.k8s.io": devices.RESOURCE_CLAIM,
    "resourceslices.resource.k8s.io": devices.RESOURCE_SLICE,
    "horizontalpodautoscalers.autoscaling": policy.HORIZONTAL_POD_AUTOSCALER,
    "poddisruptionbudgets.policy": policy.POD_DISRUPTION_BUDGET,
    "resourcequotas": policy.RESOURCE_QUOTA,
    "priorityclasses.scheduling.k8s.io": policy.PRIORITY_CLASS,
}
_NAME_AND_AGE = Printer(Columns("Name", "Age"), lambda obj: [meta(obj).get("name", ""), age(obj)])

_SCALE = ("autoscaling/v1", "Scale")  # what the subresource of that name shows

_COMPLETED = {
    phase: [{"type": "Completed", "status": "True", "reason": phase, "message": message}]
    for phase, message in {
        "Succeeded": "The pod has completed successfully.",
        "Failed": "The pod failed.",
    }.items()
}


def table(
    resource: Resource,
    objects: list[Object],
    *,
    now: float,
    include: Include = "Metadata",
    revision: str = "",
) -> Object:
    """The objects as a Table. `include` says how much of each object goes with its row (`includeObject`)."""
    is_scale = bool(objects) and (objects[0].get("apiVersion"), objects[0].get("kind")) == _SCALE
    printer = workloads.SCALE if is_scale else _printer(resource)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": revision} if revision else {},
        "columnDefinitions": printer.columns.definitions,
        "rows": [
            {
                "cells": [cell.text(now) if isinstance(cell, Elapsed) else cell for cell in printer.cells(obj)],
                "object": _included(obj, include),
                **_conditions(resource, obj),
            }
            for obj in objects
        ],
    }


def row(resource: Resource, obj: Object, include: Include) -> Row:
    """The object's row, at whatever time."""
    pieces, times = [b'{"cells":['], []
    for index, cell in enumerate(_printer(resource).cells(obj)):
        comma = b"," if index else b""
        if isinstance(cell, Elapsed):
            pieces[-1] += comma + b'"'
            pieces.append(b'"')
            times.append(cell)
        else:
            pieces[-1] += comma + orjson.dumps(cell)
    rest = orjson.dumps({"object": _included(obj, include), **_conditions(resource, obj)})
    pieces[-1] += b"]," + rest[1:]
    return Row(tuple(pieces), tuple(times))


def columns_of(resource: Resource) -> list[dict[str, Any]]:
    return _printer(resource).columns.definitions


def _printer(resource: Resource) -> Printer:
    if resource.custom is not None:
        return resource.custom.printer
    return _PRINTERS.get(resource.group_resource, _NAME_AND_AGE)


def _included(obj: Object, include: Include) -> Object | None:
    match include:
        case "Object":
            return obj
        case "None":
            return None
        case _:
            return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": meta(obj)}


def _conditions(resource: Resource, obj: Object) -> Object:
    """Rows of pods that are over say so, for clients that hide them."""
    if resource.group_resource != "pods":
        return {}
    conditions = _COMPLETED.get((obj.get("status") or {}).get("phase") or "")
    return {"conditions": conditions} if conditions else {}
