"""What an object says that is allowed and hardly meant: whoever writes it is told so in Warning headers.

One table from resources to what is warned of, as that of the rules (rules/validate): `warn(obj, old)` yields sentences,
`old` is the stored object on updates. Who changes something else is not told again of a template.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from actors.apiserver.rules.warn import definitions, kinds, pods, storage
from actors.apiserver.schema.resources import Resource
from protocols.objects import Object

Warn = Callable[[Object, Object | None], Iterator[str]]

_WARN: dict[str, Warn] = {
    "pods": pods.pod,
    "podtemplates": kinds.pod_template_object,
    "replicationcontrollers": kinds.of_replicas,
    "deployments.apps": kinds.of_replicas,
    "replicasets.apps": kinds.of_replicas,
    "statefulsets.apps": kinds.stateful_set,
    "daemonsets.apps": kinds.daemon_set,
    "jobs.batch": kinds.job,
    "cronjobs.batch": kinds.cron_job,
    "services": kinds.service,
    "endpointslices.discovery.k8s.io": kinds.endpoint_slice,
    "ingresses.networking.k8s.io": kinds.ingress,
    "networkpolicies.networking.k8s.io": kinds.network_policy,
    "nodes": kinds.node,
    "runtimeclasses.node.k8s.io": kinds.runtime_class,
    "serviceaccounts": kinds.service_account,
    "persistentvolumes": storage.persistent_volume,
    "persistentvolumeclaims": storage.persistent_volume_claim,
    "storageclasses.storage.k8s.io": storage.storage_class,
    "customresourcedefinitions.apiextensions.k8s.io": definitions.definition,
    "csidrivers.storage.k8s.io": storage.csi_driver,
}


def warnings(resource: Resource, obj: Object, old: Object | None = None) -> Iterator[str]:
    """Of an object that is as it must be. Subresources leave alone what is warned of."""
    warn = _WARN.get(resource.group_resource)
    if warn is not None:
        yield from warn(obj, old)
