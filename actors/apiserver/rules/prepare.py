"""Before an object is stored: the server's own fields are set, and what the client may not set is put back.

The main endpoint owns everything but the status (of kinds that have a status endpoint); the status endpoint owns the
status alone, and those for ephemeral containers and for a resize these alone. `metadata.generation` counts the changes
of what a controller acts on, so that it can say how far it got.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from actors.apiserver.alike import REMEMBERED, again, exactly
from actors.apiserver.rules.allocated import keep_allocated, normalize_cluster_ips
from actors.apiserver.rules.job_selector import generate_selector, label_like_its_pods
from actors.apiserver.rules.label_keys import with_merged_keys
from actors.apiserver.rules.signing_requests import kept_apart
from actors.apiserver.rules.template_generation import begin_template_generation, count_template_generation
from actors.apiserver.schema.resources import Resource
from actors.apiserver.schema.types import DEFAULT_VERSION, minor_of
from protocols.objects import Object
from protocols.rules.certificate_signers import RESOURCE as SIGNING_REQUESTS
from protocols.rules.conditions import with_condition
from protocols.rules.quantity import InvalidQuantity
from protocols.rules.resources import qos_class
from protocols.rules.times import time_of

GENERATED_NAME_BASE_MAX = 58  # 63 less the five characters that follow

# Kinds with a spec whose generation Kubernetes leaves alone, and some without a spec that have a generation.
_UNCOUNTED = frozenset(
    {
        "certificatesigningrequests.certificates.k8s.io",
        "csinodes.storage.k8s.io",
        "horizontalpodautoscalers.autoscaling",
        "ipaddresses.networking.k8s.io",
        "leases.coordination.k8s.io",
        "limitranges",
        "namespaces",
        "nodes",
        "persistentvolumeclaims",
        "persistentvolumes",
        "resourceclaims.resource.k8s.io",
        "resourceclaimtemplates.resource.k8s.io",
        "resourcequotas",
        "servicecidrs.networking.k8s.io",
        "services",
        "volumeattachments.storage.k8s.io",
    }
)
_COUNTED_WHOLE = frozenset(
    {
        "endpointslices.discovery.k8s.io",
        "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        "podtemplates",
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
    }
)
# These have the first one, and those none until they change.
_NEVER_COUNTED_ON = "priorityclasses.scheduling.k8s.io"
_COUNTED_FROM_NONE = frozenset({"apiservices.apiregistration.k8s.io", "csidrivers.storage.k8s.io"})
# Annotations of a deployment are instructions to its controller.
_ANNOTATIONS_COUNT = "deployments.apps"

_FIRST_STATUS: dict[str, dict[str, Any]] = {
    "namespaces": {"phase": "Active"},
    "persistentvolumes": {"phase": "Pending"},
    "persistentvolumeclaims": {"phase": "Pending"},
    "services": {"loadBalancer": {}},
    "replicationcontrollers": {"replicas": 0},
    "replicasets.apps": {"replicas": 0},
    "statefulsets.apps": {"replicas": 0, "availableReplicas": 0},
    "daemonsets.apps": {
        "currentNumberScheduled": 0,
        "desiredNumberScheduled": 0,
        "numberMisscheduled": 0,
        "numberReady": 0,
    },
    "horizontalpodautoscalers.autoscaling": {"desiredReplicas": 0},
    "ingresses.networking.k8s.io": {"loadBalancer": {}},
    "poddisruptionbudgets.policy": {
        "currentHealthy": 0,
        "desiredHealthy": 0,
        "disruptionsAllowed": 0,
        "expectedPods": 0,
    },
    "volumeattachments.storage.k8s.io": {"attached": False},
}
# Kubelets register with a status.
_CREATED_WITH_STATUS = "nodes"
# What a write of the status may change of the metadata, too, as a real kube-apiserver lets it: of these kinds all that
# is anybody's to change, of others nothing. A deployment's controller tells the revision so, which is no change of it.
_METADATA = ("labels", "annotations", "finalizers", "ownerReferences")
_METADATA_BY_STATUS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            "nodes",
            "namespaces",
            "services",
            "persistentvolumes",
            "persistentvolumeclaims",
            "resourcequotas",
            "replicationcontrollers",
            "replicasets.apps",
            "statefulsets.apps",
            "daemonsets.apps",
            "jobs.batch",
            "cronjobs.batch",
            "horizontalpodautoscalers.autoscaling",
            "poddisruptionbudgets.policy",
            "ingresses.networking.k8s.io",
            "customresourcedefinitions.apiextensions.k8s.io",
        ),
        _METADATA,
    ),
    "deployments.apps": _METADATA[1:],
    "pods": _METADATA[:3],
}

_GATED = ("PodScheduled", "False", "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")

# Of groups of pods: what Kubernetes drops unless features are on that are alpha, and that nobody acts on here
# (TopologyAwareWorkloadScheduling, DRAWorkloadResourceClaims).
_OFF_BY_DEFAULT = {"schedulingConstraints", "resourceClaims"}

_SERVER_METADATA = (
    "resourceVersion",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "uid",
    "creationTimestamp",
    "generation",
)
_KEPT_METADATA = ("creationTimestamp", "generation")
# What is left out of them is taken as unchanged; what differs is refused later.
_TAKEN_AS_UNCHANGED = ("name", "namespace", "uid", "deletionTimestamp", "deletionGracePeriodSeconds")


def prepare_create(
    resource: Resource, obj: Object, *, now: float, uid: str, suffix: str, version: str = DEFAULT_VERSION
) -> Object:
    """A new object as it will be stored. `suffix` are the five characters of a generated name; `version` of Kubernetes
    is what is served."""
    metadata = {key: value for key, value in (obj.get("metadata") or {}).items() if key not in _SERVER_METADATA}
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"][:GENERATED_NAME_BASE_MAX] + suffix
    metadata["uid"] = uid
    metadata["creationTimestamp"] = time_of(now)
    created = {**_headed(resource, obj), "metadata": metadata}
    if _begins_at_one(resource, created):
        metadata["generation"] = 1
    _drop_unreadable_managed_fields(metadata)
    _first_status(resource, created, now)
    match resource.group_resource:
        case "namespaces":
            created["spec"] = {**(created.get("spec") or {}), "finalizers": ["kubernetes"]}
        case "services":
            normalize_cluster_ips(created, None)
        case "jobs.batch":
            generate_selector(created)
            label_like_its_pods(created)
        case "daemonsets.apps":
            begin_template_generation(created)
        case "podgroups.scheduling.k8s.io":
            created["spec"] = _without(_OFF_BY_DEFAULT, created.get("spec") or {})
        case "workloads.scheduling.k8s.io":
            _drop_from_templates(created)
        case "pods":
            created = with_merged_keys(created, minor_of(version))
    return created


def prepare_update(resource: Resource, old: Object, new: Object, subresource: str) -> Object:
    """What `new` makes of `old` through the main endpoint ("") or a subresource. Neither argument is changed."""
    updated = {**_headed(resource, new), "metadata": _kept_metadata(new, old)}
    if resource.group_resource == SIGNING_REQUESTS:
        updated = kept_apart(updated, old, subresource)
    elif subresource == "status":
        updated = _status_only(resource, updated, old)
    elif subresource == "ephemeralcontainers":
        updated = _ephemeral_only(updated, old)
    elif subresource == "resize":
        updated = _resources_only(updated, old)
    elif "status" in resource.subresources:
        _put_back(updated, old, "status")
    match resource.group_resource:
        case "namespaces" if subresource != "finalize":
            _put_back_in_spec(updated, old, "finalizers")
        case "services" if not subresource:
            normalize_cluster_ips(updated, old)
            keep_allocated(updated, old)
        case "jobs.batch" if not subresource:
            label_like_its_pods(updated)
        case "daemonsets.apps" if not subresource:
            count_template_generation(updated, old)
    if _counts_generations(resource, updated) and _acted_on_changed(resource, updated, old, subresource):
        updated["metadata"]["generation"] = (old.get("metadata") or {}).get("generation", 0) + 1
    return updated


def _headed(resource: Resource, obj: Object) -> Object:
    """apiVersion and kind first, as people expect to read them; the request's path already says what they are."""
    rest = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}
    return {"apiVersion": resource.api_version, "kind": resource.kind, **rest}


def _begins_at_one(resource: Resource, obj: Object) -> bool:
    name = resource.group_resource
    return name == _NEVER_COUNTED_ON or (_counts_generations(resource, obj) and name not in _COUNTED_FROM_NONE)


def _counts_generations(resource: Resource, obj: Object) -> bool:
    if resource.custom is not None:
        return True
    return ("spec" in obj and resource.group_resource not in _UNCOUNTED) or resource.group_resource in _COUNTED_WHOLE


def _acted_on_changed(resource: Resource, new: Object, old: Object, subresource: str) -> bool:
    if resource.custom is not None:
        own = {"apiVersion", "metadata", "status"} if "status" in resource.subresources else {"apiVersion", "metadata"}
        return _without(own, new) != _without(own, old)
    if resource.group_resource in _COUNTED_WHOLE:
        return _without({"metadata"}, new) != _without({"metadata"}, old)
    if resource.group_resource == _ANNOTATIONS_COUNT and not subresource and _annotations(new) != _annotations(old):
        return True
    return bool(new.get("spec") != old.get("spec"))


def _drop_unreadable_managed_fields(metadata: dict[str, Any]) -> None:
    """An apply that creates comes with its managedFields; anything that is not their form is dropped, not stored."""
    entries = metadata.get("managedFields")
    readable = [
        entry
        for entry in entries or ()
        if isinstance(entry, dict)
        and entry.get("fieldsType") == "FieldsV1"
        and entry.get("operation") in ("Apply", "Update")
        and isinstance(entry.get("fieldsV1"), dict)
    ]
    if readable:
        metadata["managedFields"] = readable
    else:
        metadata.pop("managedFields", None)


def _drop_from_templates(workload: Object) -> None:
    spec = workload.get("spec") or {}
    if spec.get("podGroupTemplates"):
        templates = [_without(_OFF_BY_DEFAULT, template) for template in spec["podGroupTemplates"]]
        workload["spec"] = {**spec, "podGroupTemplates": templates}


def _first_status(resource: Resource, created: Object, now: float) -> None:
    if "status" not in resource.subresources or resource.group_resource == _CREATED_WITH_STATUS:
        return
    if resource.custom is not None:
        created.pop("status", None)
    elif resource.group_resource == "pods":
        created["status"] = {"phase": "Pending", "qosClass": _qos_class(created)}
        if (created.get("spec") or {}).get("schedulingGates"):
            created["status"]["conditions"] = with_condition([], *_GATED, now)
    else:
        created["status"] = {**_FIRST_STATUS.get(resource.group_resource, {})}
        if resource.group_resource == "persistentvolumes":
            created["status"]["lastPhaseTransitionTime"] = time_of(now)


def _qos_class(pod: Object) -> str:
    """It follows from what is asked for, and pods of one template ask for the same."""
    spec = pod.get("spec") or {}
    asks: list[object] = [spec.get("resources")]
    for field in ("initContainers", "containers"):
        asks.append([container.get("resources") for container in spec.get(field) or ()])
    encoded = exactly(asks)
    return _qos_class_like(encoded) if encoded is not None else _qos_class_asking(*asks)


@lru_cache(REMEMBERED)
def _qos_class_like(encoded: bytes) -> str:
    return _qos_class_asking(*again(encoded))


def _qos_class_asking(pod: Any, *containers: Any) -> str:
    init, main = ([{"resources": asked} for asked in each] for each in containers)
    try:
        return qos_class({"spec": {"resources": pod, "initContainers": init, "containers": main}})
    except InvalidQuantity:
        return "BestEffort"  # validation refuses the pod, and says where


def _kept_metadata(new: Object, old: Object) -> dict[str, Any]:
    metadata, before = {**(new.get("metadata") or {})}, old.get("metadata") or {}
    for key in _KEPT_METADATA:
        _put_back(metadata, before, key)
    for key in _TAKEN_AS_UNCHANGED:
        if not metadata.get(key) and key in before:
            metadata[key] = before[key]
    metadata.pop("selfLink", None)
    for key in _METADATA:  # what is taken from them to the last is no more said than where there never was any
        if key in metadata and not metadata[key]:
            del metadata[key]
    return metadata


def _status_only(resource: Resource, new: Object, old: Object) -> Object:
    metadata = {**(old.get("metadata") or {})}
    for key in ("resourceVersion", "managedFields"):
        _put_back(metadata, new["metadata"], key)
    for key in _METADATA_BY_STATUS.get(resource.group_resource, ()):
        _put_back(metadata, new["metadata"], key)
    updated = {**old, "metadata": metadata}
    _put_back(updated, new, "status")
    if resource.group_resource == "pods":
        updated["status"] = _pod_status(updated.get("status") or {}, old.get("status") or {})
    elif resource.group_resource in _FIRST_STATUS:  # what is left out is nothing, and says so
        updated["status"] = {**_FIRST_STATUS[resource.group_resource], **(updated.get("status") or {})}
    return updated


def _pod_status(status: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Its class is not the status' to say, and older clients know one address only."""
    if "qosClass" in before:
        status = {"qosClass": before["qosClass"], **status}
    ip, ips = status.get("podIP"), status.get("podIPs")
    if ip and (not ips or ips[0].get("ip") != ip):
        return {**status, "podIPs": [{"ip": ip}]}
    if ips and not ip:
        return {**status, "podIP": ips[0].get("ip")}
    return status


def _ephemeral_only(new: Object, old: Object) -> Object:
    spec = {**old["spec"]}
    _put_back(spec, new.get("spec") or {}, "ephemeralContainers")
    return {**old, "metadata": _written_by(new, old), "spec": spec}


def _resources_only(new: Object, old: Object) -> Object:
    """The old pod with what the new one says of the resources of its containers. Where there are others, that is left
    to be refused."""
    spec = {**old["spec"]}
    for field in ("containers", "initContainers"):
        given = (new.get("spec") or {}).get(field) or ()
        asked = {container.get("name"): container for container in given}
        if [*asked] != [container["name"] for container in spec.get(field) or ()]:
            spec[field] = [*given]
        elif field in spec:
            spec[field] = [_resized(container, asked.get(container["name"])) for container in spec[field] or ()]
    return {**old, "metadata": _written_by(new, old), "spec": spec}


def _resized(container: dict[str, Any], asked: dict[str, Any] | None) -> dict[str, Any]:
    if asked is None:
        return container
    resized = {**container}
    for key in ("resources", "resizePolicy"):
        _put_back(resized, asked, key)
    return resized


def _written_by(new: Object, old: Object) -> dict[str, Any]:
    """The old metadata, with what says of the new one which revision it was made from, and by whom."""
    metadata = {**(old.get("metadata") or {})}
    for key in ("resourceVersion", "managedFields"):
        _put_back(metadata, new["metadata"], key)
    return metadata


def _put_back_in_spec(new: Object, old: Object, key: str) -> None:
    spec = {**(new.get("spec") or {})}
    _put_back(spec, old.get("spec") or {}, key)
    new["spec"] = spec


def _put_back(target: dict[str, Any], source: dict[str, Any], key: str) -> None:
    """The source's value, or its absence."""
    if key in source:
        target[key] = source[key]
    else:
        target.pop(key, None)


def _annotations(obj: Object) -> dict[str, str]:
    return (obj.get("metadata") or {}).get("annotations") or {}


def _without(fields: set[str], obj: Object) -> Object:
    return {key: value for key, value in obj.items() if key not in fields}
