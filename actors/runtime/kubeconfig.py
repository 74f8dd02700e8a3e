"""A container that has its account's token is given a kubeconfig, for a process pod has no file system of its own.

Client libraries look for the token at an absolute path, which is the machine's here. They all take a kubeconfig as
well, and find this one in the container's home. It names the files of the volume, so it never has to change.
"""

from __future__ import annotations

import posixpath

import msgspec

from actors.runtime.ledger import Container

PATH = ".kube/config"
_MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"


def kubeconfig(container: Container) -> bytes | None:
    """As JSON, which is YAML too. None: it has no token, or nobody told it where the API server is."""
    config = container.config
    mounts = (mount for mount in config.mounts if posixpath.normpath(mount.container_path) == _MOUNT_PATH)
    mount, host = next(mounts, None), config.envs.get("KUBERNETES_SERVICE_HOST")
    port = config.envs.get("KUBERNETES_SERVICE_PORT")
    if mount is None or not host or not port:
        return None
    server = f"https://{f'[{host}]' if ':' in host else host}:{port}"
    cluster = {"server": server, "certificate-authority": f"{mount.host_path}/ca.crt"}
    context = {"cluster": "in-cluster", "user": "pod", "namespace": container.sandbox.config.metadata.namespace}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "in-cluster", "cluster": cluster}],
        "users": [{"name": "pod", "user": {"tokenFile": f"{mount.host_path}/token"}}],
        "contexts": [{"name": "in-cluster", "context": context}],
        "current-context": "in-cluster",
    }
    return msgspec.json.encode(document)
