"""POST .../serviceaccounts/NAME/token: a token for an account, as `kubectl create token` and kubelets ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from actors.apiserver.answers import not_found
from actors.apiserver.rules.field import FieldErrors, invalid_value
from actors.apiserver.schema.resources import Resource, find
from actors.apiserver.tokens.claims import Lookup, claims_of
from actors.apiserver.tokens.discovery import ISSUER
from protocols.errors import BadRequest, Conflict
from protocols.objects import Object, meta, name_of, namespace_of, uid_of
from protocols.rules.pods import node_of
from protocols.rules.times import time_of

if TYPE_CHECKING:
    from actors.apiserver.tokens.issuer import Issuer

_SECONDS_DEFAULT, _SECONDS_MIN, _SECONDS_MAX = 3600, 600, 1 << 32
_BOUND = {("v1", "Pod"): "pods", ("v1", "Secret"): "secrets", ("v1", "Node"): "nodes"}


def fill(request: Object) -> None:
    """What a TokenRequest means by what it leaves out."""
    spec = request.setdefault("spec", {})
    if spec.get("expirationSeconds") is None:
        spec["expirationSeconds"] = _SECONDS_DEFAULT
    spec["audiences"] = spec.get("audiences") or [ISSUER]


def errors(request: Object) -> FieldErrors:
    seconds = request["spec"]["expirationSeconds"]
    if seconds < _SECONDS_MIN:
        yield invalid_value("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    if seconds > _SECONDS_MAX:
        yield invalid_value("spec.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")


def answer(request: Object, account: Object, issuer: Issuer, lookup: Lookup, now: float, token_id: str) -> Object:
    """The request with its status. Raises NotFound, Conflict and BadRequest about what it is to be bound to."""
    spec = request["spec"]
    bound = dict(_bound(spec.get("boundObjectRef"), account, lookup))
    claims = claims_of(account, bound, spec["audiences"], spec["expirationSeconds"], now, token_id)
    metadata = {"name": name_of(account), "namespace": namespace_of(account), "creationTimestamp": time_of(now)}
    spec.setdefault("boundObjectRef", None)
    status = {"token": issuer.sign(claims), "expirationTimestamp": time_of(claims["exp"])}
    return {**request, "metadata": metadata, "status": status}


def _bound(reference: dict[str, Any] | None, account: Object, lookup: Lookup) -> Iterator[tuple[str, Object]]:
    if reference is None:
        return
    version, kind = reference.get("apiVersion") or "", reference.get("kind") or ""
    plural = _BOUND.get((version or "v1", kind))
    if plural is None:
        shown = version if "/" in version else f"/{version}"
        raise BadRequest(f"cannot bind token to object of type {shown}, Kind={kind}")
    if not reference.get("name"):
        raise BadRequest("Name parameter required.")
    obj = _found(plural, namespace_of(account), reference, lookup)
    if kind == "Pod":
        if (obj.get("spec") or {}).get("serviceAccountName") != name_of(account):
            raise BadRequest(
                f'cannot bind token for serviceaccount "{name_of(account)}" to pod running with different '
                "serviceaccount name."
            )
        node = lookup("nodes", node_of(obj)) if node_of(obj) else None
        if node is not None:
            yield "node", node
    yield kind.lower(), obj


def _found(plural: str, namespace: str, reference: dict[str, Any], lookup: Lookup) -> Object:
    name, uid = str(reference.get("name") or ""), reference.get("uid")
    found = lookup(plural, name if plural == "nodes" else f"{namespace}/{name}")
    resource = _resource(plural)
    if found is None or ("deletionTimestamp" in meta(found) and plural == "secrets"):
        raise not_found(resource, name)
    if uid and uid != uid_of(found):
        why = (
            f"the UID in the bound object reference ({uid}) does not match the UID in record. "
            "The object might have been deleted and then recreated"
        )
        raise Conflict(f'Operation cannot be fulfilled on {resource.kind} "{name}": {why}', _about(resource, name))
    return found


def _about(resource: Resource, name: str) -> dict[str, Any]:
    return {"name": name, "kind": resource.kind}


def _resource(plural: str) -> Resource:
    resource = find(plural)
    assert resource is not None, plural
    return resource
