"""NamespaceLifecycle: content can only be created in a namespace that exists and is not on its way out."""

from __future__ import annotations

from actors.apiserver.admission.attributes import Attributes
from actors.apiserver.admission.stored import Stored
from actors.apiserver.answers import details
from actors.apiserver.schema.resources import find
from protocols.errors import Forbidden, NotFound
from protocols.rules.owners import is_deleting


def check_namespace(attributes: Attributes, stored: Stored) -> None:
    namespace = attributes.namespace
    found = stored.get("namespaces", namespace)
    if found is None:
        raise namespace_not_found(namespace)
    if is_deleting(found):
        refusal = attributes.refusal(
            f"unable to create new content in namespace {namespace} because it is being terminated"
        )
        message = f"namespace {namespace} is being terminated"
        cause = {"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}
        raise Forbidden(refusal.message, {**refusal.details, "causes": [cause]})


def namespace_not_found(namespace: str) -> NotFound:
    resource = find("namespaces")
    assert resource is not None
    return NotFound(f'namespaces "{namespace}" not found', details(resource, namespace))
