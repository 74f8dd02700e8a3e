"""What a request asks to do, read from its method and URL alone: that is decided on before anything else is looked at.

Kubernetes' RequestInfo: a path of the form /api/... or /apis/<group>/... is about a resource, whether there is one or
not. So who may not ask is not told either whether it exists.
"""

from __future__ import annotations

from actors.apiserver.access.attributes import Attributes, name_selected
from actors.apiserver.rest.params import Params
from actors.apiserver.rest.paths import WATCH

_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_OF_NAMESPACES = ("finalize", "status")
_COLLECTION = {"get": "list", "delete": "deletecollection"}


def attributes_of(method: str, path: str, params: Params) -> Attributes:
    parts = [part for part in path.split("/") if part]
    if len(parts) < 3 or parts[0] not in ("api", "apis") or (parts[0] == "apis" and len(parts) < 4):
        return Attributes(method.lower(), path=path)
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    namespace, verb = "", _VERBS.get(method, "")
    if rest[0] == WATCH and len(rest) > 1:
        verb, rest = "watch", rest[1:]
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _OF_NAMESPACES:
            rest = rest[2:]
    resource, name, subresource = [*rest, "", ""][:3]
    if verb == "get" and not name and params.flag("watch"):
        verb = "watch"
    if not name and verb in ("get", "delete", "watch"):
        verb = _COLLECTION.get(verb, verb)
        fields = params.text("fieldSelector")
        # Whoever lists by metadata.name asks about one object: a rule that names it is enough.
        name = name_selected(fields) if verb != "deletecollection" else ""
        return Attributes(verb, group, resource, subresource, namespace, name, fields=fields)
    return Attributes(verb, group, resource, subresource, namespace, name)
