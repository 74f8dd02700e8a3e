"""Which objects a pod leads its node to: what the node needs to run it. Pure.

Source: kube-apiserver's node authoriser (KEP-279), which follows the same references.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from protocols.objects import Object, name_of, namespace_of

CLAIMS, CONFIG_MAPS, SECRETS, ACCOUNTS = "persistentvolumeclaims", "configmaps", "secrets", "serviceaccounts"
RESOURCE_CLAIMS = "resourceclaims.resource.k8s.io"
# Where the kinds of volumes name a Secret, by the names of the fields.
_SECRETS_OF_VOLUMES = (
    ("secret", "secretName"),
    ("azureFile", "secretName"),
    *(
        (kind, "secretRef", "name")
        for kind in ("cephfs", "cinder", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos")
    ),
    ("csi", "nodePublishSecretRef", "name"),
)
# And those of persistent volumes, which may lie in another namespace than the claim.
_SECRETS_OF_PERSISTENT = (
    *((kind, "secretRef") for kind in ("cephfs", "cinder", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos")),
    ("csi", "nodePublishSecretRef"),
    ("csi", "nodeStageSecretRef"),
    ("csi", "nodeExpandSecretRef"),
)


class Thing(NamedTuple):
    """A group resource, a namespace ("": none), a name."""

    resource: str
    namespace: str
    name: str


def references(pod: Object) -> frozenset[Thing]:
    namespace = namespace_of(pod)
    return frozenset(Thing(resource, namespace, name) for resource, name in _named(pod) if name)


def volume_secrets(volume: Object, claim_namespace: str) -> frozenset[Thing]:
    """The Secrets by which a node mounts a persistent volume that is bound to a claim of this namespace."""
    spec, found = volume.get("spec") or {}, []
    for path in _SECRETS_OF_PERSISTENT:
        reference = _at(spec, path)
        if isinstance(reference, Mapping) and reference.get("name"):
            found.append(Thing(SECRETS, reference.get("namespace") or claim_namespace, str(reference["name"])))
    azure = spec.get("azureFile") or {}
    if azure.get("secretName"):
        found.append(Thing(SECRETS, azure.get("secretNamespace") or claim_namespace, str(azure["secretName"])))
    return frozenset(found)


def _named(pod: Object) -> Iterator[tuple[str, str]]:
    spec = pod.get("spec") or {}
    yield ACCOUNTS, str(spec.get("serviceAccountName") or "")
    for secret in spec.get("imagePullSecrets") or ():
        yield SECRETS, str(secret.get("name") or "")
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(field) or ():
            yield from _of_container(container)
    for volume in spec.get("volumes") or ():
        yield from _of_volume(volume, name_of(pod))
    for claim in (*(spec.get("resourceClaims") or ()), *((pod.get("status") or {}).get("resourceClaimStatuses") or ())):
        yield RESOURCE_CLAIMS, str(claim.get("resourceClaimName") or "")


def _of_container(container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for each in container.get("envFrom") or ():
        yield CONFIG_MAPS, _name(each.get("configMapRef"))
        yield SECRETS, _name(each.get("secretRef"))
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        yield CONFIG_MAPS, _name(source.get("configMapKeyRef"))
        yield SECRETS, _name(source.get("secretKeyRef"))


def _of_volume(volume: Mapping[str, Any], pod: str) -> Iterator[tuple[str, str]]:
    yield CONFIG_MAPS, _name(volume.get("configMap"))
    for path in _SECRETS_OF_VOLUMES:
        yield SECRETS, str(_at(volume, path) or "")
    for part in (volume.get("projected") or {}).get("sources") or ():
        yield CONFIG_MAPS, _name(part.get("configMap"))
        yield SECRETS, _name(part.get("secret"))
    yield CLAIMS, str((volume.get("persistentVolumeClaim") or {}).get("claimName") or "")
    if volume.get("ephemeral") is not None:
        yield CLAIMS, f"{pod}-{volume.get('name')}"


def _name(reference: Mapping[str, Any] | None) -> str:
    return str((reference or {}).get("name") or "")


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for field in path:
        value = value.get(field) if isinstance(value, Mapping) else None
    return value
