"""Where the volume of a claim is on this node. Pure: what the API has of claim and volume is an argument.

Here are hostPath and local volumes, and directories that the provisioner of this cluster made. Another volume needs a
driver, and is refused with a message that says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from actors.kubelet.env import ConfigError
from protocols.csi import DIRECTORY_DRIVER, node_of_volume
from protocols.objects import Object, name_of, namespace_of, uid_of
from protocols.rules.owners import controller_uid, is_deleting
from protocols.rules.volumes import ephemeral_claim_name, own_claims, why_not_own

_STATUSES = ("initContainerStatuses", "containerStatuses")


class Where(NamedTuple):
    """A path of the machine, or else a volume that the runtime keeps."""

    path: str = ""
    volume_id: str = ""


def claim_of(pod: Object, volume: Mapping[str, Any]) -> str | None:
    """The name of the claim behind a pod's volume; None: it is of another kind."""
    if (source := volume.get("persistentVolumeClaim")) is not None:
        return str(source["claimName"])
    return ephemeral_claim_name(pod, volume) if volume.get("ephemeral") is not None else None


def volume_of(pod: Object, claim: Object | None, name: str) -> str:
    """The name of the volume that the claim is bound to. Raises ConfigError, in the kubelet's words, when it is not."""
    about = f"error processing PVC {namespace_of(pod)}/{name}"
    if claim is None:
        message = f'failed to fetch PVC from API server: persistentvolumeclaims "{name}" not found'
        raise ConfigError(f"{about}: {message}")
    if f"{namespace_of(pod)}/{name}" in own_claims(pod) and controller_uid(claim) != uid_of(pod):
        raise ConfigError(f"{about}: {why_not_own(f'{namespace_of(pod)}/{name}', pod)}")
    if is_deleting(claim) and not _has_begun(pod):
        raise ConfigError(f"{about}: PVC is being deleted")
    phase, volume = (claim.get("status") or {}).get("phase") or "", claim["spec"].get("volumeName") or ""
    if phase != "Bound" or not volume:
        which = f"PVC {namespace_of(pod)}/{name}"
        raise ConfigError(f'{about}: {which} has non-bound phase ("{phase}") or empty pvc.Spec.VolumeName ("{volume}")')
    return str(volume)


def where(volume: Object | None, name: str, claim: Object | None, node: str) -> Where:
    """Raises ConfigError where the volume is not the claim's, not here, or of a kind that nobody here can mount."""
    if volume is None:
        raise ConfigError(f'failed to fetch PV {name} from API server: persistentvolumes "{name}" not found')
    owner = ((volume["spec"].get("claimRef")) or {}).get("uid")
    if claim is None or owner != uid_of(claim):
        raise ConfigError(f'PV {name} does not point to the PVC: its claimRef.uid is "{owner or ""}"')
    return _place(volume, node)


def _place(volume: Object, node: str) -> Where:
    spec = volume["spec"]
    for kind in ("hostPath", "local"):
        if (source := spec.get(kind)) is not None:
            return Where(path=str(source["path"]))
    source = spec.get("csi") or {}
    if source.get("driver") != DIRECTORY_DRIVER:
        kinds = source.get("driver") or "its kind"
        raise ConfigError(f'volume "{name_of(volume)}": this node has no driver for {kinds}')
    handle = str(source["volumeHandle"])
    if node_of_volume(handle) != node:
        raise ConfigError(f'volume "{name_of(volume)}" is a directory of node {node_of_volume(handle)}, not of {node}')
    return Where(volume_id=handle)


def _has_begun(pod: Object) -> bool:
    """It has its volumes already."""
    status = pod.get("status") or {}
    return any(each.get("containerID") for key in _STATUSES for each in status.get(key) or ())
