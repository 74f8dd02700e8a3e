"""The controllers: one file each, all of them values, all run by `ControllerActor(controllers())`.

`ALL` makes them by name. Those that run in one actor share their views; a list of names runs some of them elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from actorkube.kube.controller import Controller
from actors.controllers import (
    bootstrap_signer,
    certificate_cleaner,
    certificate_signing,
    clusterrole_aggregation,
    cronjob,
    daemonset,
    deployment,
    directory_provisioner,
    disruption,
    endpoints,
    endpointslice,
    ephemeral_volume,
    garbage_collector,
    hpa,
    job,
    namespace,
    node_lifecycle,
    persistent_volume,
    pod_gc,
    replicaset,
    resourceclaim,
    root_ca,
    service_account,
    statefulset,
    taint_eviction,
    token_cleaner,
    ttl_after_finished,
    volume_protection,
)
from actors.controllers.settings import Settings

SIGNING = "certificatesigningrequest-signing"
ROOT_CA = "root-ca-certificate-publisher"

ALL: dict[str, Callable[[Settings], Controller]] = {
    "bootstrap-signer": lambda settings: bootstrap_signer.controller(),
    "certificatesigningrequest-cleaner": lambda settings: certificate_cleaner.controller(),
    SIGNING: lambda settings: certificate_signing.controller(settings.signer()),
    "clusterrole-aggregation": lambda settings: clusterrole_aggregation.controller(),
    "cronjob": lambda settings: cronjob.controller(),
    "daemonset": lambda settings: daemonset.controller(),
    "deployment": lambda settings: deployment.controller(),
    "directory-provisioner": lambda settings: directory_provisioner.controller(),
    "disruption": lambda settings: disruption.controller(),
    "endpoints": lambda settings: endpoints.controller(),
    "endpointslice": lambda settings: endpointslice.controller(),
    "ephemeral-volume": lambda settings: ephemeral_volume.controller(),
    "garbage-collector": lambda settings: garbage_collector.controller(),
    "horizontalpodautoscaler": hpa.controller,
    "job": lambda settings: job.controller(),
    "namespace": lambda settings: namespace.controller(),
    "node-lifecycle": node_lifecycle.controller,
    "persistentvolume-binder": lambda settings: persistent_volume.controller(),
    "persistentvolume-protection": lambda settings: volume_protection.volume_controller(),
    "persistentvolumeclaim-protection": lambda settings: volume_protection.claim_controller(),
    "pod-garbage-collector": pod_gc.controller,
    "replicaset": lambda settings: replicaset.controller(replicaset.REPLICA_SET),
    "replicationcontroller": lambda settings: replicaset.controller(replicaset.REPLICATION_CONTROLLER),
    "resourceclaim": lambda settings: resourceclaim.controller(),
    ROOT_CA: lambda settings: root_ca.controller(settings.root_ca),
    "service-account": lambda settings: service_account.controller(),
    "statefulset": lambda settings: statefulset.controller(),
    "taint-eviction": lambda settings: taint_eviction.controller(),
    "token-cleaner": lambda settings: token_cleaner.controller(),
    "ttl-after-finished": lambda settings: ttl_after_finished.controller(),
}


def controllers(names: Sequence[str] = tuple(ALL), **settings: Any) -> list[Controller]:
    """The named controllers (all, if none is named), set up as the fields of `Settings` say.

    Without a `root_ca` there is nothing to publish, and without `sign` nobody who signs: then those are left out.
    """
    configured = Settings(**settings)
    idle = {name for name, given in ((ROOT_CA, configured.root_ca), (SIGNING, configured.sign)) if not given}
    return [ALL[name](configured) for name in names if name not in idle]
