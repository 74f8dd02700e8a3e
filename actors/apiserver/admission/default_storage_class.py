"""DefaultStorageClass: a claim that names no class gets the default one; one that names "" wants none."""

from __future__ import annotations

from actors.apiserver.admission.attributes import Attributes
from actors.apiserver.admission.default_class import default_class
from actors.apiserver.admission.stored import Stored
from protocols.objects import meta, name_of

_CLASSES = "storageclasses.storage.k8s.io"
_OLD_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
_MARKS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")


def default(attributes: Attributes, stored: Stored) -> None:
    spec = attributes.obj.setdefault("spec", {})
    annotations = meta(attributes.obj).get("annotations") or {}
    if spec.get("storageClassName") is not None or _OLD_ANNOTATION in annotations:
        return
    found = default_class(stored.of(_CLASSES), *_MARKS)
    if found is not None:
        spec["storageClassName"] = name_of(found)
