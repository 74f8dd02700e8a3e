"""StorageObjectInUseProtection: claims and volumes are protected from their first moment (KEP-1054)."""

from __future__ import annotations

from actors.apiserver.admission.attributes import Attributes
from actors.apiserver.admission.stored import Stored
from protocols.objects import meta
from protocols.rules.volumes import CLAIM_PROTECTION, VOLUME_PROTECTION

_FINALIZERS = {"persistentvolumeclaims": CLAIM_PROTECTION, "persistentvolumes": VOLUME_PROTECTION}


def protect(attributes: Attributes, stored: Stored) -> None:
    finalizers = meta(attributes.obj).get("finalizers") or []
    wanted = _FINALIZERS[attributes.resource.group_resource]
    if wanted not in finalizers:
        attributes.obj["metadata"]["finalizers"] = [*finalizers, wanted]
