"""ServiceAccount: a pod runs as an account, which must be there, and each of its containers finds the account's token.

The token comes in a projected volume, where client libraries look for it. Its name follows from the account's
(Kubernetes draws it), so pods of one template stay alike, for the scheduler and whoever else looks at a template once.
Source: "Managing Service Accounts" of Kubernetes' reference; KEP-1205 for the volume.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from actors.apiserver.admission.attributes import Attributes
from actors.apiserver.admission.stored import Stored
from protocols.objects import Object, meta
from protocols.rules.names import suffix
from protocols.rules.pods import MIRROR

DEFAULT = "default"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
ROOT_CA = "kube-root-ca.crt"
_ACCOUNTS = "serviceaccounts"
_PREFIX = "kube-api-access-"
_SECONDS = 3607  # the odd seconds tell such a token from one that somebody asked for, as in Kubernetes


def default(attributes: Attributes, stored: Stored) -> None:
    """A pod that names no account runs as `default`. All of it, where no tokens are signed."""
    if MIRROR in _annotations(attributes.obj):
        return
    spec = attributes.obj.setdefault("spec", {})
    name = spec.get("serviceAccountName") or spec.get("serviceAccount") or DEFAULT
    spec["serviceAccountName"] = spec["serviceAccount"] = name


def complete(attributes: Attributes, stored: Stored) -> None:
    """The account, its token, and its secrets for registries. Raises Forbidden for an account that is not there."""
    if MIRROR in _annotations(attributes.obj):
        _check_mirror(attributes)
        return
    default(attributes, stored)
    spec = attributes.obj["spec"]
    account = stored.get(_ACCOUNTS, _account_key(attributes))
    if account is None:
        name = spec["serviceAccountName"]
        missing = f'serviceaccount "{name}" not found'
        raise attributes.refusal(f"error looking up service account {attributes.namespace}/{name}: {missing}")
    if _wants_token(spec, account):
        _mount_token(spec, _volume_name(_account_key(attributes)))
    if not spec.get("imagePullSecrets") and (secrets := account.get("imagePullSecrets")):
        spec["imagePullSecrets"] = [{"name": each.get("name", "")} for each in secrets]


def comes_early(attributes: Attributes, stored: Stored) -> bool:
    """Whether its namespace is so new that the account `default` is still being made."""
    if MIRROR in _annotations(attributes.obj) or not _account_key(attributes).endswith(f"/{DEFAULT}"):
        return False
    namespace = stored.get("namespaces", attributes.namespace)
    if namespace is None or "deletionTimestamp" in meta(namespace):
        return False
    return stored.get(_ACCOUNTS, _account_key(attributes)) is None


@lru_cache(1024)
def _volume_name(account: str) -> str:
    return _PREFIX + suffix(account)


def _account_key(attributes: Attributes) -> str:
    spec = attributes.obj.get("spec") or {}
    return f"{attributes.namespace}/{spec.get('serviceAccountName') or spec.get('serviceAccount') or DEFAULT}"


def _annotations(pod: Object) -> dict[str, str]:
    return meta(pod).get("annotations") or {}


def _check_mirror(attributes: Attributes) -> None:
    spec = attributes.obj.get("spec") or {}
    if spec.get("serviceAccountName") or spec.get("serviceAccount"):
        raise attributes.refusal("a mirror pod may not reference service accounts")
    volumes = spec.get("volumes") or ()
    if any(volume.get("secret") is not None for volume in volumes):
        raise attributes.refusal("a mirror pod may not reference secrets")
    for part in (part for volume in volumes for part in (volume.get("projected") or {}).get("sources") or ()):
        if part.get("serviceAccountToken") is not None:
            raise attributes.refusal("a mirror pod may not use ServiceAccountToken volume projections")


def _wants_token(spec: dict[str, Any], account: Object) -> bool:
    """The pod's word counts before the account's."""
    for says in (spec.get("automountServiceAccountToken"), account.get("automountServiceAccountToken")):
        if says is not None:
            return bool(says)
    return True


def _mount_token(spec: dict[str, Any], new_name: str) -> None:
    volumes = spec.get("volumes") or []
    there = next((volume["name"] for volume in volumes if str(volume.get("name")).startswith(_PREFIX)), None)
    name = there or new_name
    without = [container for container in _containers(spec) if not _mounts_token(container)]
    for container in without:
        mount = {"name": name, "readOnly": True, "mountPath": MOUNT_PATH}
        container["volumeMounts"] = [*(container.get("volumeMounts") or ()), mount]
    if without and there is None:
        spec["volumes"] = [*volumes, {"name": name, "projected": _projected()}]


def _containers(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from spec.get("initContainers") or ()
    yield from spec.get("containers") or ()


def _mounts_token(container: dict[str, Any]) -> bool:
    return any(mount.get("mountPath") == MOUNT_PATH for mount in container.get("volumeMounts") or ())


def _projected() -> dict[str, Any]:
    field = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    return {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": _SECONDS, "path": "token"}},
            {"configMap": {"name": ROOT_CA, "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
        ],
        "defaultMode": 0o644,
    }
