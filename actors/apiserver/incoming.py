"""What a client sent, checked before anything is done with it: is it the right kind, of the right structure, and about
the object that the request names?
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from actors.apiserver.answers import conflict, wrong_uid
from actors.apiserver.calls import Call
from actors.apiserver.custom.embedded import check_embedded
from actors.apiserver.custom.names import DEFINITIONS
from actors.apiserver.custom.schemas import check_schemas
from actors.apiserver.custom.structural import prune
from actors.apiserver.custom.version import CustomVersion
from actors.apiserver.rules.field import invalid_value, refusal
from actors.apiserver.schema.check import Checked, cannot_be_handled, check, check_metadata
from actors.apiserver.schema.types import Types
from protocols.errors import BadRequest, InternalError, StatusError
from protocols.objects import Object, meta, name_of, namespace_of, uid_of

_SENT_MAX, _SHOWN_MAX = 4096, 30  # letters of an object in an error

# Says in which words an object is refused, for what is wrong with its structure.
Refuse = Callable[[str], StatusError]

_DIGITS_MAX = 100  # far more than a number of 64 bits has
_SCHEME = "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27"  # as Kubernetes calls it


def accept(types: Types, call: Call, obj: object, *, settled: bool = False, refuse: Refuse | None = None) -> Object:
    """The object of a create, update or patch, checked against the resource's type; it is then the call's. `settled`:
    nothing is to be said of its spec."""
    resource = call.resource
    if resource.custom is not None:
        return _accept_custom(types, call, obj, resource.custom, refuse)
    accepted = accept_kind(types, call, obj, resource.api_version, resource.kind, settled=settled, refuse=refuse)
    if resource.group_resource == DEFINITIONS:
        _pass(call, check_schemas(types, accepted), resource.api_version, resource.kind)
    return accepted


def accept_kind(
    types: Types,
    call: Call,
    obj: object,
    api_version: str,
    kind: str,
    *,
    settled: bool = False,
    refuse: Refuse | None = None,
) -> Object:
    """As `accept`, for subresources that speak a kind of their own (Scale, Binding, Eviction)."""
    obj = _of_kind(obj, api_version, kind)
    type = types.by_kind(api_version, kind)
    if type is None:
        raise InternalError(f"there is no type for {kind} of {api_version}")
    _pass(call, check(obj, type, settled=settled), api_version, kind, refuse)
    if call.sent is not None:
        call.sent(obj)
    _place(call, obj)
    _name_owners_once(call, meta(obj), patched=refuse is not None)
    return obj


def _accept_custom(types: Types, call: Call, obj: object, custom: CustomVersion, refuse: Refuse | None) -> Object:
    """The metadata is of the type that all objects have; of the rest, what the schema does not specify goes."""
    resource = call.resource
    obj = _of_custom_kind(call, obj)
    checked = check_metadata(types, obj)
    within = check_embedded(types, custom.node, obj)
    checked.errors += within.errors
    checked.unknown += [f'unknown field "{path}"' for path in prune(custom.node, obj)]
    checked.unknown += within.unknown
    _pass(call, checked, resource.api_version, resource.kind, refuse)
    if call.sent is not None:
        call.sent(obj)
    _place(call, obj)
    _name_owners_once(call, meta(obj), patched=refuse is not None)
    return obj


def _of_custom_kind(call: Call, obj: object) -> Object:
    """Nobody but the definition knows the kind, so it must be said. Raises BadRequest, Invalid for another one."""
    resource = call.resource
    if not isinstance(obj, dict):
        raise BadRequest(cannot_be_handled(resource.api_version, resource.kind, "the object is not a JSON object"))
    if not obj.get("kind"):
        sent = orjson.dumps(obj, default=str).decode()[:_SENT_MAX]
        short = f"{sent[:_SHOWN_MAX]} ..." if len(sent) > _SHOWN_MAX else sent
        missing = f"Object 'Kind' is missing in '{sent}' ({short})"
        raise BadRequest(f"the object provided is unrecognized (must be of type {resource.kind}): {missing}")
    version = str(obj.setdefault("apiVersion", ""))
    if version != resource.api_version:
        raise BadRequest(_wrong_kind(version, resource.kind, resource.api_version, resource.kind))
    if obj["kind"] != resource.kind:
        kind, name = str(obj["kind"]), str((obj.get("metadata") or {}).get("name") or "")
        error = invalid_value("kind", kind, f"must be {resource.kind}")
        raise refusal(f"{kind}.{resource.group}", resource.group, kind, name, [error])
    return obj


def _of_kind(obj: object, api_version: str, kind: str) -> Object:
    if not isinstance(obj, dict):
        raise BadRequest(cannot_be_handled(api_version, kind, "the object is not a JSON object"))
    given_version, given_kind = obj.setdefault("apiVersion", api_version), obj.setdefault("kind", kind)
    if (given_version, given_kind) != (api_version, kind):
        raise BadRequest(_wrong_kind(str(given_version), str(given_kind), api_version, kind))
    return obj


def _pass(call: Call, checked: Checked, api_version: str, kind: str, refuse: Refuse | None = None) -> None:
    problem = checked.problem(call.validation, call.repeated, patched=call.patched)
    if problem and refuse is not None:
        raise refuse(problem)
    if problem:
        raise BadRequest(cannot_be_handled(api_version, kind, problem))
    call.warnings += checked.warnings(call.validation)


def accept_options(types: Types, options: object) -> Object:
    """The DeleteOptions in the body of a DELETE; none are as good as empty ones."""
    if options is None:
        return {}
    if not isinstance(options, dict):
        raise BadRequest(cannot_be_handled("v1", "DeleteOptions", "the options are not a JSON object"))
    if options.get("kind", "DeleteOptions") != "DeleteOptions":
        version = options.get("apiVersion", "")
        raise BadRequest(f'no kind "{options["kind"]}" is registered for version "{version}" in scheme "{_SCHEME}"')
    type = types.by_kind("v1", "DeleteOptions")
    assert type is not None
    problem = check(options, type).problem("Ignore")
    if problem:
        raise BadRequest(problem)
    return options


def check_uid(call: Call, new: Object, old: Object) -> None:
    """Raises Conflict when the object that was sent is not the one that is stored now under its name."""
    if uid_of(new) and uid_of(new) != uid_of(old):
        raise wrong_uid(call.resource, call.name, uid_of(new), uid_of(old))


def check_applied_to_nothing(call: Call, patch: Object) -> None:
    """Raises Conflict when the patch means an object that is gone, BadRequest when it does not name what it creates."""
    if uid_of(patch):
        why = f"uid mismatch: the provided object specified uid {uid_of(patch)}, and no existing object was found"
        raise conflict(call.resource, call.name, why)
    if not name_of(patch):
        raise nameless(call.name)


def check_named_again(call: Call, body: object) -> None:
    """Of what is posted to an object: it names that object as well. Raises BadRequest."""
    metadata = body.get("metadata") if isinstance(body, dict) else None
    if isinstance(body, dict) and (metadata.get("name") if isinstance(metadata, dict) else None) != call.name:
        raise BadRequest(f"name in URL does not match name in {call.subresource.capitalize()} object")


def has_name(obj: Object) -> bool:
    """Also of what is not checked yet."""
    metadata = obj.get("metadata")
    return isinstance(metadata, dict) and bool(metadata.get("name"))


def nameless(name: str) -> BadRequest:
    """Of an object that the address alone names."""
    return BadRequest(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")


def revision_named(text: str | None) -> int:
    """The revision that a resourceVersion means; 0 for none. Raises BadRequest."""
    if not text:
        return 0
    is_number = text.isascii() and text.isdigit()
    if is_number and len(text) <= _DIGITS_MAX and int(text) < 2**64:
        return int(text)
    problem = f'strconv.ParseUint: parsing "{text}": {"value out of range" if is_number else "invalid syntax"}'
    raise BadRequest(f'invalid resource version: resourceVersion: Invalid value: "{text}": {problem}')


def _wrong_kind(given_version: str, given_kind: str, api_version: str, kind: str) -> str:
    if given_kind == kind:
        return f"the API version in the data ({given_version}) does not match the expected API version ({api_version})"
    version = given_version.rpartition("/")[2]
    return f'{given_kind} in version "{version}" cannot be handled as a {kind}: it is of another kind'


def _name_owners_once(call: Call, metadata: dict[str, Any], *, patched: bool) -> None:
    """An owner that is named again goes, and whoever sent it is told."""
    owners = metadata.get("ownerReferences") or ()
    if len(owners) < 2:
        return
    once: dict[bytes, Object] = {}
    again = []
    for owner in owners:
        if once.setdefault(orjson.dumps(owner, option=orjson.OPT_SORT_KEYS), owner) is not owner:
            again.append(str(owner.get("uid") or ""))
    if again:
        metadata["ownerReferences"] = list(once.values())
        when = " after mutating admission happens" if patched else ""
        call.warnings.append(
            f".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, "
            f"and may reject such requests as early as 1.24; please fix your requests; "
            f"duplicate UID(s) observed: {', '.join(again)}"
        )


def _place(call: Call, obj: Object) -> None:
    """Namespace and name: what the object leaves out, the request says; they must not say different things."""
    metadata = obj.setdefault("metadata", {})
    revision_named(metadata.get("resourceVersion"))
    if not call.resource.namespaced:
        metadata.pop("namespace", None)
    elif not call.namespace:
        raise BadRequest("an empty namespace may not be set during creation")
    elif namespace_of(obj) not in ("", call.namespace):
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    else:
        metadata["namespace"] = call.namespace
    if not call.name:
        call.name = name_of(obj) or str(meta(obj).get("generateName", ""))
    elif name_of(obj) not in ("", call.name):
        raise BadRequest(f"the name of the object ({name_of(obj)}) does not match the name on the URL ({call.name})")
    else:
        metadata["name"] = call.name
