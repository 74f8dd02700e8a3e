"""Who asks a component, and may he? A client certificate of the cluster says who; of a token, and of what anybody may,
the API server is asked (TokenReview, SubjectAccessReview), as Kubernetes' components do it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from actorkube.kube.client import Client
from protocols.errors import Answer, AskError, Forbidden, InternalError, StatusError, Unauthorized
from protocols.objects import Object

TOKEN_REVIEWS = "tokenreviews.authentication.k8s.io"
ACCESS_REVIEWS = "subjectaccessreviews.authorization.k8s.io"
_AUTHENTICATED = "system:authenticated"
_MASTERS = "system:masters"


class User(NamedTuple):
    name: str
    groups: tuple[str, ...]
    uid: str = ""
    extra: Mapping[str, Any] = {}


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


async def authenticate(client: Client, certificate: Mapping[str, Any], authorization: str) -> User:
    """`certificate` is verified and as `ssl` tells it, empty where none was shown; it counts before a token, and nobody
    is anonymous. Raises Unauthorized for a token that is no good."""
    if (user := certified(certificate)) is not None:
        return user
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return ANONYMOUS
    review = await _ask(client, TOKEN_REVIEWS, "authentication.k8s.io/v1", "TokenReview", {"token": token.strip()})
    status = review.get("status") or {}
    if not status.get("authenticated"):
        raise Unauthorized("Unauthorized")
    told = status.get("user") or {}
    return User(
        str(told.get("username") or ""),
        tuple(told.get("groups") or ()),
        str(told.get("uid") or ""),
        told.get("extra") or {},
    )


def certified(certificate: Mapping[str, Any]) -> User | None:
    """CN is the user, each O a group."""
    names = [pair for part in certificate.get("subject", ()) for pair in part]
    user = next((value for key, value in names if key == "commonName"), "")
    groups = tuple(value for key, value in names if key == "organizationName")
    return User(user, (*groups, _AUTHENTICATED)) if user else None


async def permit(client: Client, user: User, verb: str, path: str) -> None:
    """Raises Forbidden, in Kubernetes' words; nobody is asked about who may everything."""
    if _MASTERS in user.groups:
        return
    spec = {
        "user": user.name,
        "groups": list(user.groups),
        "nonResourceAttributes": {"verb": verb, "path": path},
        **({"uid": user.uid} if user.uid else {}),
        **({"extra": dict(user.extra)} if user.extra else {}),
    }
    review = await _ask(client, ACCESS_REVIEWS, "authorization.k8s.io/v1", "SubjectAccessReview", spec)
    if not (review.get("status") or {}).get("allowed"):
        raise Forbidden(f'forbidden: User "{user.name}" cannot {verb} path "{path}"')


async def _ask(client: Client, resource: str, version: str, kind: str, spec: dict[str, Any]) -> Object:
    """Raises InternalError where the API server does not say: then nobody gets in."""
    try:
        return await client.create(resource, {"apiVersion": version, "kind": kind, "metadata": {}, "spec": spec})
    except StatusError as error:
        raise InternalError(f"Internal error occurred: {error.message}") from None
    except (Answer, AskError) as error:
        raise InternalError(f"Internal error occurred: the API server does not answer: {error}") from None
