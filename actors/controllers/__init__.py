"""The controllers: one file each, all of them values, all run by `ControllerActor(controllers())`.

`ALL` makes them by name. Those that run in one actor share their views; a list of names runs some of them elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from actorkube.kube.controller import Controller
from actors.controllers import (
    deployment,
    endpoints,
    endpointslice,
    garbage_collector,
    namespace,
    node_lifecycle,
    pod_gc,
    replicaset,
    root_ca,
    service_account,
    taint_eviction,
)
from actors.controllers.settings import Settings

ROOT_CA = "root-ca-certificate-publisher"

ALL: dict[str, Callable[[Settings], Controller]] = {
    "deployment": lambda settings: deployment.controller(),
    "endpoints": lambda settings: endpoints.controller(),
    "endpointslice": lambda settings: endpointslice.controller(),
    "garbage-collector": lambda settings: garbage_collector.controller(),
    "namespace": lambda settings: namespace.controller(),
    "node-lifecycle": node_lifecycle.controller,
    "pod-garbage-collector": pod_gc.controller,
    "replicaset": lambda settings: replicaset.controller(),
    ROOT_CA: lambda settings: root_ca.controller(settings.root_ca),
    "service-account": lambda settings: service_account.controller(),
    "taint-eviction": lambda settings: taint_eviction.controller(),
}


def controllers(names: Sequence[str] = tuple(ALL), **settings: Any) -> list[Controller]:
    """The named controllers (all, if none is named), set up as the fields of `Settings` say.

    Without a `root_ca` there is nothing to publish, and nobody to do it.
    """
    configured = Settings(**settings)
    return [ALL[name](configured) for name in names if configured.root_ca or name != ROOT_CA]
