"""DefaultIngressClass: an ingress that names no class gets the default one."""

from __future__ import annotations

from actors.apiserver.admission.attributes import Attributes
from actors.apiserver.admission.default_class import default_class
from actors.apiserver.admission.stored import Stored
from protocols.objects import meta, name_of

_CLASSES = "ingressclasses.networking.k8s.io"
_OLD_ANNOTATION = "kubernetes.io/ingress.class"
_MARK = "ingressclass.kubernetes.io/is-default-class"


def default(attributes: Attributes, stored: Stored) -> None:
    spec = attributes.obj.setdefault("spec", {})
    annotations = meta(attributes.obj).get("annotations") or {}
    if spec.get("ingressClassName") is not None or _OLD_ANNOTATION in annotations:
        return
    found = default_class(stored.of(_CLASSES), _MARK)
    if found is not None:
        spec["ingressClassName"] = name_of(found)
