"""Reviews: questions that are answered in the create itself and never stored. Who am I? May I? Is this token good?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.apiserver.callers import AUTHENTICATED, Caller, allowed
from actors.apiserver.custom.served import Served
from actors.apiserver.schema.resources import Resource
from protocols.objects import Object

_ALL = ["*"]


def answer_review(
    resource: Resource, obj: Object, caller: Caller, by_token: Callable[[str], Caller | None], served: Served
) -> Object | None:
    """The review with its status; None for a resource that is no review."""
    spec = obj.get("spec") or {}
    match resource.plural:
        case "selfsubjectreviews":
            status: dict[str, Any] = {"userInfo": _user_info(caller)}
        case "selfsubjectaccessreviews":
            status = _access(caller, spec, served)
        case "subjectaccessreviews" | "localsubjectaccessreviews":
            groups = (*(spec.get("groups") or ()), AUTHENTICATED)
            status = _access(Caller(spec.get("user") or "", groups), spec, served)
        case "selfsubjectrulesreviews":
            status = _rules(caller)
        case "tokenreviews":
            status = _token(spec, by_token)
        case _:
            return None
    return {**obj, "status": status}


def _user_info(caller: Caller) -> dict[str, Any]:
    return {"username": caller.user, "groups": list(caller.groups)}


def _access(caller: Caller, spec: dict[str, Any], served: Served) -> dict[str, Any]:
    attributes = spec.get("resourceAttributes")
    if attributes is None:
        permitted = caller.authenticated
    else:
        group, plural = attributes.get("group") or "", attributes.get("resource") or ""
        permitted = allowed(caller, served.find(f"{plural}.{group}" if group else plural))
    return {"allowed": permitted} if permitted else {"allowed": False, "reason": "RBAC is not evaluated yet"}


def _rules(caller: Caller) -> dict[str, Any]:
    if not caller.trusted:
        return {"resourceRules": [], "nonResourceRules": [], "incomplete": False}
    return {
        "resourceRules": [{"verbs": _ALL, "apiGroups": _ALL, "resources": _ALL}],
        "nonResourceRules": [{"verbs": _ALL, "nonResourceURLs": _ALL}],
        "incomplete": False,
    }


def _token(spec: dict[str, Any], by_token: Callable[[str], Caller | None]) -> dict[str, Any]:
    caller = by_token(spec.get("token") or "")
    if caller is None:
        return {"authenticated": False, "error": "invalid bearer token"}
    return {"authenticated": True, "user": _user_info(caller)}
