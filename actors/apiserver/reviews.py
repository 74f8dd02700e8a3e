"""Reviews: questions that are answered in the create itself and never stored. Who am I? May I? Is this token good?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.apiserver.access.attributes import Attributes
from actors.apiserver.access.authorizer import Authorizer
from actors.apiserver.access.review_selectors import ignored_selectors, selector_errors
from actors.apiserver.access.rules import document_of
from actors.apiserver.callers import Caller
from actors.apiserver.calls import Call
from actors.apiserver.rules.field import FieldError, FieldErrors, invalid_value, refusal
from actors.apiserver.tokens.authenticator import NO_TOKEN, TokenAuthenticator
from actors.apiserver.tokens.claims import NotValid
from actors.apiserver.tokens.discovery import ISSUER
from protocols.errors import BadRequest
from protocols.objects import Object
from protocols.rules.times import time_of


def answer_review(
    call: Call, obj: Object, authorizer: Authorizer, tokens: TokenAuthenticator, now: float
) -> Object | None:
    """The review with its status; None for a resource that is no review. Raises Invalid and BadRequest."""
    spec, caller = obj.get("spec") or {}, call.caller
    match call.resource.plural:
        case "selfsubjectreviews":
            status: dict[str, Any] = {"userInfo": user_info(caller)}
            obj = {**obj, "metadata": {"creationTimestamp": time_of(now)}}
        case "selfsubjectaccessreviews":
            _check(call, _attributes_errors(spec))
            status = _access(authorizer, caller, spec)
        case "subjectaccessreviews":
            _check(call, [*_attributes_errors(spec), *_subject_errors(spec)])
            status = _access(authorizer, _subject(spec), spec)
        case "localsubjectaccessreviews":
            _check(call, [*_attributes_errors(spec), *_subject_errors(spec), *_local_errors(spec, call.namespace)])
            status = _access(authorizer, _subject(spec), spec)
        case "selfsubjectrulesreviews":
            status = _rules(authorizer, caller, str(spec.get("namespace") or ""))
            obj = {**obj, "spec": {}}  # the question is not repeated
        case "tokenreviews":
            status = _token(spec, tokens)
        case _:
            return None
    return {**obj, "status": status}


def user_info(caller: Caller) -> dict[str, Any]:
    """authentication.k8s.io/v1 UserInfo."""
    extra = {key: list(values) for key, values in caller.extra}
    info = {"username": caller.user, "uid": caller.uid, "groups": list(caller.groups), "extra": extra}
    return {key: value for key, value in info.items() if value}


# -- may I? -----------------------------------------------------------------------------------------------------------


def _access(authorizer: Authorizer, caller: Caller, spec: Mapping[str, Any]) -> dict[str, Any]:
    decision = authorizer.decide(caller, _asked(spec))
    error = ignored_selectors(spec.get("resourceAttributes") or {})
    status = {"allowed": decision.allowed, "reason": decision.reason, "evaluationError": error}
    return {key: value for key, value in status.items() if value != ""}


def _asked(spec: Mapping[str, Any]) -> Attributes:
    about = spec.get("resourceAttributes")
    if about is None:
        path = spec.get("nonResourceAttributes") or {}
        return Attributes(path.get("verb") or "", path=path.get("path") or "")
    fields = ("verb", "group", "resource", "subresource", "namespace", "name")
    verb, group, resource, subresource, namespace, name = (str(about.get(field) or "") for field in fields)
    selector = _selector(about.get("fieldSelector") or {})
    return Attributes(verb, group, resource, subresource, namespace, name, fields=selector)


def _selector(about: Mapping[str, Any]) -> str:
    """As a request would have it; only what says that a field has one value makes anything allowed."""
    if raw := about.get("rawSelector"):
        return str(raw)
    pinned = (each for each in about.get("requirements") or () if each.get("operator") == "In")
    return ",".join(f"{each.get('key')}={each['values'][0]}" for each in pinned if len(each.get("values") or ()) == 1)


def _subject(spec: Mapping[str, Any]) -> Caller:
    """Whom somebody else asks about. Its groups are exactly those that are named."""
    extra = tuple((key.lower(), tuple(values or ())) for key, values in (spec.get("extra") or {}).items())
    return Caller(spec.get("user") or "", tuple(spec.get("groups") or ()), spec.get("uid") or "", extra)


def _attributes_errors(spec: Mapping[str, Any]) -> FieldErrors:
    about, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if about is not None and path is not None:
        yield invalid_value(
            "spec.nonResourceAttributes", _go(path), "cannot be specified in combination with resourceAttributes"
        )
    elif about is None and path is None:
        yield invalid_value(
            "spec.resourceAttributes",
            None,
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )
    if about is not None:
        yield from selector_errors(about)


def _subject_errors(spec: Mapping[str, Any]) -> FieldErrors:
    if not spec.get("user") and not spec.get("groups"):
        yield invalid_value("spec.user", "", "at least one of user or group must be specified")


def _local_errors(spec: Mapping[str, Any], namespace: str) -> FieldErrors:
    about = spec.get("resourceAttributes") or {}
    if spec.get("nonResourceAttributes") is not None:
        yield invalid_value(
            "spec.nonResourceAttributes", _go(spec["nonResourceAttributes"]), "disallowed on this kind of request"
        )
    elif spec.get("resourceAttributes") is not None and (about.get("namespace") or "") != namespace:
        yield invalid_value(
            "spec.resourceAttributes.namespace", about.get("namespace") or "", "must match metadata.namespace"
        )


def _go(path: Mapping[str, Any]) -> dict[str, Any]:
    """As Go prints the internal struct."""
    return {"Path": path.get("path") or "", "Verb": path.get("verb") or ""}


def _check(call: Call, errors: Any) -> None:
    """A review has no kind yet where Kubernetes looks at it, and its errors say none."""
    found: list[FieldError] = list(errors)
    if found:
        raise refusal(f".{call.resource.group}", call.resource.group, "", "", found)


def _rules(authorizer: Authorizer, caller: Caller, namespace: str) -> dict[str, Any]:
    if not namespace:
        raise BadRequest("no namespace on request")
    rules, error = authorizer.rules_for(caller, namespace)
    documents = [document_of(rule) for rule in rules]
    status: dict[str, Any] = {
        "resourceRules": [each for each in documents if "nonResourceURLs" not in each],
        "nonResourceRules": [each for each in documents if "nonResourceURLs" in each],
        "incomplete": bool(error),
    }
    return {**status, "evaluationError": error} if error else status


# -- is this token good? ----------------------------------------------------------------------------------------------


def _token(spec: Mapping[str, Any], tokens: TokenAuthenticator) -> dict[str, Any]:
    token, audiences = spec.get("token") or "", tuple(spec.get("audiences") or (ISSUER,))
    if not token:
        raise BadRequest("token is required for TokenReview in authentication")
    try:
        known = tokens.find(token, audiences)
    except NotValid as error:
        why = str(error)
        return {"user": {}, "error": why if why == NO_TOKEN else f"[{NO_TOKEN}, {why}]"}
    return {"authenticated": True, "user": user_info(known.caller), "audiences": known.audiences}
