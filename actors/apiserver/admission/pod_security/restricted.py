"""The restricted level, beyond baseline: current hardening practice, which a pod must ask for itself."""

from __future__ import annotations

from typing import Any

from actors.apiserver.admission.pod_security.baseline import Annotations, has_own_users
from actors.apiserver.admission.pod_security.baseline import seccomp as baseline_seccomp
from actors.apiserver.admission.pod_security.violation import (
    Spec,
    Violation,
    containers,
    culprits,
    named,
    plural,
    quoted,
    security,
    setters,
    use,
)

_VOLUMES = (
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
)
# What else a volume can be; how it is named when it is none of them is Kubernetes' too.
_OTHER_VOLUMES = (
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
)


def allow_privilege_escalation(annotations: Annotations, spec: Spec, version: int) -> Violation | None:
    if version < 8 or _is_windows(spec, version):
        return None
    bad = culprits(spec, lambda container: security(container).get("allowPrivilegeEscalation") is not False)
    if not bad:
        return None
    detail = f"{named(bad)} must set securityContext.allowPrivilegeEscalation=false"
    return Violation("allowPrivilegeEscalation != false", detail)


def capabilities(annotations: Annotations, spec: Spec, version: int) -> Violation | None:
    if _is_windows(spec, version):
        return None
    keeping = culprits(spec, lambda container: "ALL" not in _capabilities(container, "drop"))
    adding = culprits(spec, lambda container: bool(_capabilities(container, "add") - {"NET_BIND_SERVICE"}))
    details = []
    if keeping:
        details.append(f'{named(keeping)} must set securityContext.capabilities.drop=["ALL"]')
    if adding:
        added = {each for container in containers(spec) for each in _capabilities(container, "add")}
        words = quoted(sorted(added - {"NET_BIND_SERVICE"}))
        details.append(f"{named(adding)} must not include {words} in securityContext.capabilities.add")
    return Violation("unrestricted capabilities", "; ".join(details)) if details else None


def restricted_volumes(annotations: Annotations, spec: Spec, version: int) -> Violation | None:
    bad = [
        volume
        for volume in spec.get("volumes") or ()
        if not any(volume.get(allowed) is not None for allowed in _VOLUMES)
    ]
    if not bad:
        return None
    names, types = [volume["name"] for volume in bad], sorted({_type_of(volume) for volume in bad})
    detail = f"{named(names, 'volume')} {use(names)} {plural('restricted volume type', types)} {quoted(types)}"
    return Violation("restricted volume types", detail)


def run_as_non_root(annotations: Annotations, spec: Spec, version: int) -> Violation | None:
    if version >= 35 and has_own_users(spec):
        return None
    bad = setters(spec, lambda context: context.get("runAsNonRoot") is False)
    if bad:
        detail = f"{' and '.join(bad)} must not set securityContext.runAsNonRoot=false"
        return Violation("runAsNonRoot != true", detail)
    silent = culprits(spec, lambda container: security(container).get("runAsNonRoot") is None)
    if not silent or security(spec).get("runAsNonRoot"):
        return None
    return Violation("runAsNonRoot != true", f"pod or {named(silent)} must set securityContext.runAsNonRoot=true")


def run_as_user(annotations: Annotations, spec: Spec, version: int) -> Violation | None:
    if version < 23 or (version >= 35 and has_own_users(spec)):
        return None
    bad = setters(spec, lambda context: context.get("runAsUser") == 0)
    return Violation("runAsUser=0", f"{' and '.join(bad)} must not set runAsUser=0") if bad else None


def seccomp(annotations: Annotations, spec: Spec, version: int) -> Violation | None:
    if _is_windows(spec, version):
        return None
    found = baseline_seccomp(annotations, spec, version)
    if found is not None or security(spec).get("seccompProfile") is not None:
        return found
    silent = culprits(spec, lambda container: security(container).get("seccompProfile") is None)
    if not silent:
        return None
    words = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return Violation("seccompProfile", f"pod or {named(silent)} {words}")


def _is_windows(spec: Spec, version: int) -> bool:
    return version >= 25 and (spec.get("os") or {}).get("name") == "windows"


def _capabilities(container: dict[str, Any], which: str) -> set[str]:
    return {*((security(container).get("capabilities") or {}).get(which) or ())}


def _type_of(volume: dict[str, Any]) -> str:
    return next((each for each in _OTHER_VOLUMES if volume.get(each) is not None), "unknown")
