"""Access to devices that others have (`adminAccess`) is for namespaces that carry a label (KEP-5018).

It is asked for once, when a claim or a template is made: what they ask for never changes.
"""

from __future__ import annotations

from collections.abc import Iterable

from actors.apiserver.admission.attributes import Attributes
from actors.apiserver.admission.stored import Stored
from actors.apiserver.rules.field import forbidden, invalid
from protocols.objects import Object, labels_of

LABEL = "resource.kubernetes.io/admin-access"


def validate_claim(attributes: Attributes, stored: Stored) -> None:
    _validate(attributes, attributes.obj.get("spec") or {}, stored)


def validate_template(attributes: Attributes, stored: Stored) -> None:
    _validate(attributes, (attributes.obj.get("spec") or {}).get("spec") or {}, stored)


def _validate(attributes: Attributes, spec: Object, stored: Stored) -> None:
    requests: Iterable[Object] = (spec.get("devices") or {}).get("requests") or ()
    asking = [n for n, request in enumerate(requests) if (request.get("exactly") or {}).get("adminAccess")]
    if not asking or labels_of(stored.get("namespaces", attributes.namespace) or {}).get(LABEL) == "true":
        return
    why = f"admin access to devices requires the `{LABEL}: true` label on the containing namespace"
    error = forbidden(f"spec.devices.requests[{asking[0]}].adminAccess", why)
    raise invalid(attributes.resource, attributes.name, [error])
