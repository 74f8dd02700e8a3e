"""AdmissionReview v1: what a webhook is asked, and what its answer means."""

from __future__ import annotations

import base64
import binascii
from typing import Any, NamedTuple

import orjson

from actors.apiserver.admission.attributes import Attributes
from actors.apiserver.callers import Caller
from actors.apiserver.conversions import Conversions
from actors.apiserver.scale import scale_of
from actors.apiserver.schema.resources import Resource, subresource_kind
from actors.apiserver.versions import to_served
from protocols.errors import AdmissionRefusal, StatusError
from protocols.objects import Object, decode_object, encode_object

API_VERSION = "admission.k8s.io/v1"
_OLDER = "admission.k8s.io/v1beta1"
_INVALID, _FAILED = "received invalid webhook response: ", "failed to call webhook: "
_CODE_MIN, _CODE_MAX = 400, 599  # of a refusal
_OPTIONS = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}


class Reply(NamedTuple):
    """`patch`: JSON patch operations, None for none."""

    allowed: bool
    patch: list[dict[str, Any]] | None
    warnings: list[str]
    annotations: dict[str, str]
    status: dict[str, Any]


class BadReply(Exception):
    """It is no AdmissionReview that answers what was asked. The message is what Kubernetes says after the name."""


async def request_of(attributes: Attributes, resource: Resource, uid: str, conversions: Conversions) -> Object:
    """What is asked about a change, its objects in the version of `resource`."""
    requested, subresource = attributes.requested, attributes.subresource
    asked: Object = {
        "uid": uid,
        "kind": _kind(resource, subresource),
        "resource": _gvr(resource),
        "requestKind": _kind(requested, subresource),
        "requestResource": _gvr(requested),
        "name": _name(attributes),
        "operation": attributes.operation,
        "userInfo": _user(attributes.caller),
        "object": await _shown(attributes.obj, resource, subresource, conversions, attributes.old),
        "oldObject": await _shown(attributes.old, resource, subresource, conversions),
        "dryRun": attributes.dry_run,
        "options": _options(attributes),
    }
    if subresource:
        asked["subResource"] = asked["requestSubResource"] = subresource
    namespace = attributes.name if resource.group_resource == "namespaces" else attributes.namespace
    if namespace:
        asked["namespace"] = namespace
    return asked


def _name(attributes: Attributes) -> str:
    """What the request named: no webhook changes that for those who are asked after it."""
    if attributes.operation != "CREATE" or attributes.named:
        return attributes.name
    return str(attributes.obj["metadata"].get("name", ""))


def _options(attributes: Attributes) -> Object | None:
    kind = _OPTIONS.get(attributes.operation)
    return {"kind": kind, "apiVersion": "meta.k8s.io/v1", **attributes.options} if kind else None


def _user(caller: Caller) -> Object:
    user: Object = {"username": caller.user, "groups": list(caller.groups)}
    if caller.uid:
        user["uid"] = caller.uid
    if caller.extra:
        user["extra"] = {name: list(values) for name, values in caller.extra}
    return user


def review(request: Object) -> bytes:
    return orjson.dumps({"kind": "AdmissionReview", "apiVersion": API_VERSION, "request": request})


def reply_of(body: bytes, uid: str, *, mutates: bool) -> Reply:
    """`mutates`: whether it may answer with a patch. Raises BadReply."""
    response = _decoded(body).get("response")
    if not isinstance(response, dict):
        raise BadReply(f"{_INVALID}webhook response was absent")
    if response.get("uid") != uid:
        raise BadReply(f'{_INVALID}expected response.uid="{uid}", got "{response.get("uid")}"')
    for name in ("patch", "patchType"):
        if response.get(name) and not mutates:
            raise BadReply(f"{_INVALID}validating webhook may not return response.{name}")
    warnings = [str(each) for each in response.get("warnings") or ()]
    annotations = {str(key): str(value) for key, value in (response.get("auditAnnotations") or {}).items()}
    return Reply(response.get("allowed") is True, _patch(response), warnings, annotations, response.get("status") or {})


def _decoded(body: bytes) -> dict[str, Any]:
    if not body:
        raise BadReply(f"{_FAILED}0-length response with status code: 200 and content type: application/json")
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadReply(f"{_FAILED}couldn't get version/kind; json parse error: {error}") from None
    if not isinstance(answer, dict):
        raise BadReply(f"{_FAILED}couldn't get version/kind; json parse error: it is no object")
    version, kind = answer.get("apiVersion"), answer.get("kind")
    if (version, kind) == (_OLDER, "AdmissionReview"):
        of, to = "v1beta1.AdmissionReview", "v1.AdmissionReview"
        raise BadReply(f"{_FAILED}converting ({of}) to ({to}): unknown conversion")
    if (version, kind) != (API_VERSION, "AdmissionReview"):
        raise BadReply(f'{_FAILED}no kind "{kind}" is registered for version "{version}"')
    return answer


def denied(name: str, status: dict[str, Any]) -> StatusError:
    """The refusal, with the code, the reason and the details that the webhook gave."""
    said = status.get("message") or status.get("reason")
    text = f'admission webhook "{name}" denied the request' + (f": {said}" if said else " without explanation")
    code, details = status.get("code"), status.get("details")
    given = dict(details) if isinstance(details, dict) else {}
    if isinstance(code, int) and _CODE_MIN <= code <= _CODE_MAX:
        given["code"] = code
    if status.get("reason"):
        given["reason"] = str(status["reason"])
    return AdmissionRefusal(text, given)


async def _shown(
    obj: Object, resource: Resource, subresource: str, conversions: Conversions, old: Object | None = None
) -> Object | None:
    """An object in the version of `resource`, or the Scale of it; a copy, and None for nothing. An update has the
    revision of the `old` one."""
    if not obj:
        return None
    copy = decode_object(encode_object(obj))
    version = obj.get("metadata", {}).get("resourceVersion") or (old or {}).get("metadata", {}).get("resourceVersion")
    if version:
        copy["metadata"]["resourceVersion"] = version
    copy = await conversions.converted(resource, copy)
    return scale_of(resource, copy) if subresource == "scale" else to_served(resource, copy)


def _patch(response: dict[str, Any]) -> list[dict[str, Any]] | None:
    encoded, type = response.get("patch"), response.get("patchType")
    if not encoded and not type:
        return None
    if not encoded or not type:
        there, missing = ("patch", "patchType") if encoded else ("patchType", "patch")
        raise BadReply(f"{_INVALID}webhook returned response.{there} but not response.{missing}")
    try:
        text = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise BadReply(f"{_FAILED}illegal base64 data") from None
    try:
        patch = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadReply(f"received undecodable patch in webhook response: {error}") from None
    if not isinstance(patch, list):
        raise BadReply("received undecodable patch in webhook response: it is no list of operations")
    if patch and type != "JSONPatch":
        raise BadReply(f"unsupported patch type: {type}")
    return patch


def _kind(resource: Resource, subresource: str) -> dict[str, str]:
    group, version, kind = subresource_kind(resource, subresource)
    return {"group": group, "version": version, "kind": kind}


def _gvr(resource: Resource) -> dict[str, str]:
    return {"group": resource.group, "version": resource.version, "resource": resource.plural}
