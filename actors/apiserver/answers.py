"""Refusals in Kubernetes' own sentences: kubectl shows them, and other clients look for words in them."""

from __future__ import annotations

from typing import Any

from actors.apiserver.schema.resources import Resource
from protocols.errors import AlreadyExists, Conflict, Forbidden, MethodNotAllowed, NotFound, ServerTimeout
from protocols.objects import Object, meta
from protocols.rules.owners import is_deleting


def details(resource: Resource, name: str) -> dict[str, Any]:
    """StatusDetails: for historical reasons `kind` is the resource's plural."""
    found = {"name": name, "group": resource.group, "kind": resource.plural}
    return {key: value for key, value in found.items() if value}


def not_found(resource: Resource, name: str) -> NotFound:
    return NotFound(f'{resource.group_resource} "{name}" not found', details(resource, name))


def already_exists(resource: Resource, name: str, wanted: Object, there: Object | None) -> AlreadyExists:
    """`there`: the one that has the name, where it is known. Who wants one generated is to try again."""
    message, about = f'{resource.group_resource} "{name}" already exists', details(resource, name)
    if there is not None and is_deleting(there):
        message = f"object is being deleted: {message}"
    if meta(wanted).get("generateName"):
        message += ", the server was not able to generate a unique name for the object"
        about["retryAfterSeconds"] = 1
    return AlreadyExists(message, about)


def conflict(resource: Resource, name: str, why: str) -> Conflict:
    message = f'Operation cannot be fulfilled on {resource.group_resource} "{name}": {why}'
    return Conflict(message, details(resource, name))


def modified(resource: Resource, name: str) -> Conflict:
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(resource, name, why)


def not_at_this_time(resource: Resource) -> ServerTimeout:
    """Others were quicker, again and again."""
    message = f"The POST operation against {resource.group_resource} could not be completed at this time, "
    return ServerTimeout(f"{message}please try again.", {**details(resource, ""), "retryAfterSeconds": 1})


def wrong_uid(resource: Resource, name: str, wanted: str, found: str) -> Conflict:
    why = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}"
    return conflict(resource, name, why)


def not_in_record(resource: Resource, name: str, what: str, wanted: str | int, found: str | int, why: str) -> Conflict:
    """Of what is deleted on a condition, which names the kind instead of the resource; namespaces say it otherwise."""
    message = f"the {what} in the precondition ({wanted}) does not match the {what} in record ({found}). {why}"
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    about = {**details(resource, name), "kind": resource.kind}
    return Conflict(f'Operation cannot be fulfilled on {kind} "{name}": {message}', about)


def wrong_revision(resource: Resource, name: str, wanted: str, found: int) -> Conflict:
    why = f"Precondition failed: ResourceVersion in precondition: {wanted}, ResourceVersion in object meta: {found}"
    return conflict(resource, name, why)


def forbidden(resource: Resource, name: str, why: str) -> Forbidden:
    named = f'{resource.group_resource} "{name}"' if name else resource.group_resource
    return Forbidden(f"{named} is forbidden: {why}", details(resource, name))


def method_not_allowed() -> MethodNotAllowed:
    return MethodNotAllowed("the server does not allow this method on the requested resource")
