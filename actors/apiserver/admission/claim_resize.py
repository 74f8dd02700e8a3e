"""PersistentVolumeClaimResize: a bound claim grows only where its class says that volumes can."""

from __future__ import annotations

from typing import Any

from actors.apiserver.admission.attributes import Attributes
from actors.apiserver.admission.stored import Stored
from protocols.objects import Object
from protocols.rules.quantity import parse_quantity

_CLASSES = "storageclasses.storage.k8s.io"


def validate(attributes: Attributes, stored: Stored) -> None:
    new, old = _asked(attributes.obj), _asked(attributes.old)
    bound = (attributes.old.get("status") or {}).get("phase") == "Bound"
    if not bound or new is None or old is None or parse_quantity(new) <= parse_quantity(old):
        return
    storage_class = stored.get(_CLASSES, (attributes.obj.get("spec") or {}).get("storageClassName") or "")
    if not (storage_class or {}).get("allowVolumeExpansion"):
        raise attributes.refusal(
            "only dynamically provisioned pvc can be resized and "
            "the storageclass that provisions the pvc must support resize"
        )


def _asked(claim: Object) -> Any:
    resources = (claim.get("spec") or {}).get("resources") or {}
    return (resources.get("requests") or {}).get("storage")
