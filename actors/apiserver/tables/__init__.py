"""What `kubectl get` shows: meta.k8s.io/v1 Tables with Kubernetes' columns, one table from resources to printers.

Priority 1 columns are those of `-o wide`; the server always sends them, the client chooses.
"""

from __future__ import annotations

from typing import Any, Literal

from actors.apiserver.schema.resources import Resource
from actors.apiserver.tables import access, cluster, networking, policy, storage, workloads
from actors.apiserver.tables.cells import Columns, Printer, age
from actors.apiserver.tables.pods import COLUMNS as POD_COLUMNS
from actors.apiserver.tables.pods import cells as pod_cells
from protocols.objects import Object, meta

__all__ = ["Include", "table"]

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
    "nodes": cluster.NODE,
    "namespaces": cluster.NAMESPACE,
    "events": cluster.EVENT,
    "events.events.k8s.io": cluster.EVENT,
    "configmaps": cluster.CONFIG_MAP,
    "secrets": cluster.SECRET,
    "leases.coordination.k8s.io": cluster.LEASE,
    "runtimeclasses.node.k8s.io": cluster.RUNTIME_CLASS,
    "serviceaccounts": access.SERVICE_ACCOUNT,
    "roles.rbac.authorization.k8s.io": access.CREATED_AT,
    "clusterroles.rbac.authorization.k8s.io": access.CREATED_AT,
    "limitranges": access.CREATED_AT,
    "rolebindings.rbac.authorization.k8s.io": access.ROLE_BINDING,
    "clusterrolebindings.rbac.authorization.k8s.io": access.ROLE_BINDING,
    "persistentvolumes": storage.PERSISTENT_VOLUME,
    "persistentvolumeclaims": storage.PERSISTENT_VOLUME_CLAIM,
    "storageclasses.storage.k8s.io": storage.STORAGE_CLASS,
    "volumeattachments.storage.k8s.io": storage.VOLUME_ATTACHMENT,
    "csinodes.storage.k8s.io": storage.CSI_NODE,
    "csidrivers.storage.k8s.io": storage.CSI_DRIVER,
    "csistoragecapacities.storage.k8s.io": storage.CSI_STORAGE_CAPACITY,
    "horizontalpodautoscalers.autoscaling": policy.HORIZONTAL_POD_AUTOSCALER,
    "poddisruptionbudgets.policy": policy.POD_DISRUPTION_BUDGET,
    "resourcequotas": policy.RESOURCE_QUOTA,
    "priorityclasses.scheduling.k8s.io": policy.PRIORITY_CLASS,
}
_NAME_AND_AGE = Printer(Columns("Name", "Age"), lambda obj, now: [meta(obj).get("name", ""), age(obj, now)])

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
    printer = _PRINTERS.get(resource.group_resource, _NAME_AND_AGE)
    if resource.custom is not None:
        printer = resource.custom.printer
    rows = [{"cells": printer.cells(obj, now), "object": _included(obj, include)} for obj in objects]
    if resource.group_resource == "pods":
        _mark_completed(rows, objects)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": revision} if revision else {},
        "columnDefinitions": printer.columns.definitions,
        "rows": rows,
    }


def _included(obj: Object, include: Include) -> Object | None:
    match include:
        case "Object":
            return obj
        case "None":
            return None
        case _:
            return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": meta(obj)}


def _mark_completed(rows: list[dict[str, Any]], objects: list[Object]) -> None:
    """Rows of pods that are over say so, for clients that hide them."""
    for row, obj in zip(rows, objects, strict=True):
        phase = (obj.get("status") or {}).get("phase")
        if phase in _COMPLETED:
            row["conditions"] = _COMPLETED[phase]
