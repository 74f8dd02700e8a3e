"""AdmissionReview v1: what a webhook is asked, and what its answer means."""

from __future__ import annotations

import base64
import binascii
from typing import Any, NamedTuple

import orjson

from actors.apiserver.admission.attributes import Attributes, Operation
from actors.apiserver.callers import Caller
from actors.apiserver.conversions import Conversions
from actors.apiserver.scale import scale_of
from actors.apiserver.schema.resources import Resource, subresource_kind
from actors.apiserver.versions import to_served
from protocols import errors
from protocols.errors import StatusError
from protocols.objects import Object, decode_object, encode_object

API_VERSION = "admission.k8s.io/v1"
_OPTIONS = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}


class Reply(NamedTuple):
    """`patch`: JSON patch operations, None for none."""

    allowed: bool
    patch: list[dict[str, Any]] | None
    warnings: list[str]
    annotations: dict[str, str]
    status: dict[str, Any]


class BadReply(Exception):
    """It is no AdmissionReview that answers what was asked."""


async def request_of(attributes: Attributes, resource: Resource, uid: str, conversions: Conversions) -> Object:
    """What is asked about a change, its objects in the version of `resource`."""
    requested, subresource = attributes.requested, attributes.subresource
    asked: Object = {
        "uid": uid,
        "kind": _kind(resource, subresource),
        "resource": _gvr(resource),
        "requestKind": _kind(requested, subresource),
        "requestResource": _gvr(requested),
        "name": attributes.name
        if attributes.operation != "CREATE"
        else str(attributes.obj["metadata"].get("name", "")),
        "operation": attributes.operation,
        "userInfo": _user(attributes.caller),
        "object": await _shown(attributes.obj, resource, subresource, conversions),
        "oldObject": await _shown(attributes.old, resource, subresource, conversions),
        "dryRun": attributes.dry_run,
        "options": _options(attributes.operation),
    }
    if subresource:
        asked["subResource"] = asked["requestSubResource"] = subresource
    if attributes.namespace:
        asked["namespace"] = attributes.namespace
    return asked


def _options(operation: Operation) -> Object | None:
    kind = _OPTIONS.get(operation)
    return {"kind": kind, "apiVersion": "meta.k8s.io/v1"} if kind else None


def _user(caller: Caller) -> Object:
    user: Object = {"username": caller.user, "groups": list(caller.groups)}
    if caller.uid:
        user["uid"] = caller.uid
    if caller.extra:
        user["extra"] = {name: list(values) for name, values in caller.extra}
    return user


def review(request: Object) -> bytes:
    return orjson.dumps({"kind": "AdmissionReview", "apiVersion": API_VERSION, "request": request})


def reply_of(body: bytes, uid: str) -> Reply:
    """Raises BadReply."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadReply(f"couldn't decode the response: {error}") from None
    if not isinstance(answer, dict) or (answer.get("kind"), answer.get("apiVersion")) != (
        "AdmissionReview",
        API_VERSION,
    ):
        raise BadReply(f"expected webhook response of {API_VERSION}, Kind=AdmissionReview")
    response = answer.get("response")
    if not isinstance(response, dict):
        raise BadReply("webhook response was absent")
    if response.get("uid") != uid:
        raise BadReply(f'expected response.uid="{uid}", got "{response.get("uid")}"')
    warnings = [str(each) for each in response.get("warnings") or ()]
    annotations = {str(key): str(value) for key, value in (response.get("auditAnnotations") or {}).items()}
    return Reply(response.get("allowed") is True, _patch(response), warnings, annotations, response.get("status") or {})


def denied(name: str, status: dict[str, Any]) -> StatusError:
    """The refusal, with the code that the webhook gave, as far as Kubernetes has an answer of that code."""
    said = status.get("message") or status.get("reason")
    text = f'admission webhook "{name}" denied the request' + (f": {said}" if said else " without explanation")
    code = status.get("code")
    return _BY_CODE.get(code if isinstance(code, int) else 0, errors.BadRequest)(text)


async def _shown(obj: Object, resource: Resource, subresource: str, conversions: Conversions) -> Object | None:
    """An object in the version of `resource`, or the Scale of it; a copy, and None for nothing."""
    if not obj:
        return None
    copy = decode_object(encode_object(obj))
    version = obj.get("metadata", {}).get("resourceVersion")
    if version:
        copy["metadata"]["resourceVersion"] = version
    copy = await conversions.converted(resource, copy)
    return scale_of(resource, copy) if subresource == "scale" else to_served(resource, copy)


def _patch(response: dict[str, Any]) -> list[dict[str, Any]] | None:
    if not response.get("patch"):
        return None
    if response.get("patchType") != "JSONPatch":
        raise BadReply(
            f'webhook returned response.patch but not response.patchType="JSONPatch", got {response.get("patchType")!r}'
        )
    try:
        patch = orjson.loads(base64.b64decode(response["patch"], validate=True))
    except (binascii.Error, ValueError, TypeError):
        raise BadReply("response.patch is no JSON patch in base64") from None
    if not isinstance(patch, list):
        raise BadReply("response.patch is no list of operations")
    return patch


def _kind(resource: Resource, subresource: str) -> dict[str, str]:
    group, version, kind = subresource_kind(resource, subresource)
    return {"group": group, "version": version, "kind": kind}


def _gvr(resource: Resource) -> dict[str, str]:
    return {"group": resource.group, "version": resource.version, "resource": resource.plural}


_BY_CODE: dict[int, type[StatusError]] = {
    each.code: each
    for each in (
        errors.BadRequest,
        errors.Unauthorized,
        errors.Forbidden,
        errors.NotFound,
        errors.MethodNotAllowed,
        errors.Conflict,
        errors.RequestEntityTooLarge,
        errors.Invalid,
        errors.TooManyRequests,
        errors.InternalError,
        errors.ServiceUnavailable,
    )
}
