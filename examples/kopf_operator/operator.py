"""An operator written with kopf: whoever labels a ConfigMap `mirror` gets a copy of it, kept up to date.

kopf run -A examples/kopf_operator/operator.py
"""

from __future__ import annotations

import os
from typing import Any

import kopf
from kubernetes import client, config


@kopf.on.login()
def login(**arguments: Any) -> Any:
    return kopf.login_with_kubeconfig(**arguments)  # $KUBECONFIG as it is now, not as it was when clients were imported


@kopf.on.startup()
def connect(settings: kopf.OperatorSettings, **_: Any) -> None:
    config.load_kube_config(os.environ.get("KUBECONFIG"))
    settings.posting.enabled = False


@kopf.on.create("configmaps", labels={"mirror": kopf.PRESENT})
@kopf.on.update("configmaps", labels={"mirror": kopf.PRESENT})
def mirror(name: str, namespace: str, body: kopf.Body, labels: kopf.Labels, **_: Any) -> None:
    copy = client.V1ConfigMap(metadata=client.V1ObjectMeta(name=labels["mirror"]), data=dict(body.get("data") or {}))
    core = client.CoreV1Api()
    try:
        core.create_namespaced_config_map(namespace, copy)
    except client.ApiException as refusal:
        if refusal.status != 409:
            raise
        core.replace_namespaced_config_map(labels["mirror"], namespace, copy)
