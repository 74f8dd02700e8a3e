"""Tokens of a pod's service account, for its projected volumes: asked for once, and again long before they end.

As the kubelet's token manager: a token is renewed when a fifth of its time is left, or it is a day old. Pure: what the
API server answers is an argument.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from protocols.objects import Object, name_of, namespace_of, uid_of
from protocols.rules.times import seconds_of

_SHARE_USED_MAX = 0.8
_AGE_MAX_S = 24 * 3600.0
_SECONDS = 3600


class TokenWanted(NamedTuple):
    """`audience` "": the API server itself."""

    audience: str
    seconds: int

    @property
    def source(self) -> tuple[str, str]:
        """Where its content stands among what the pod's volumes are made of."""
        return "serviceaccounts/token", f"{self.seconds} {self.audience}"


class Token(NamedTuple):
    text: str
    begin: float
    end: float

    def is_due(self, now: float) -> bool:
        """Whether it is time for another one."""
        return now - self.begin >= min(_AGE_MAX_S, _SHARE_USED_MAX * (self.end - self.begin))


def tokens_wanted(volumes: Sequence[Mapping[str, Any]]) -> Iterator[TokenWanted]:
    """What has to be asked for before the volumes' files can be made."""
    for volume in volumes:
        for part in (volume.get("projected") or {}).get("sources") or ():
            if (projection := part.get("serviceAccountToken")) is not None:
                yield token_wanted(projection)


def token_wanted(projection: Mapping[str, Any]) -> TokenWanted:
    return TokenWanted(str(projection.get("audience") or ""), int(projection.get("expirationSeconds") or _SECONDS))


def account_of(pod: Object) -> str:
    return str(pod["spec"].get("serviceAccountName") or "default")


def token_request(pod: Object, wanted: TokenWanted) -> Object:
    """A TokenRequest for the pod's account; the token ends with the pod."""
    bound = {"kind": "Pod", "apiVersion": "v1", "name": name_of(pod), "uid": uid_of(pod)}
    spec: dict[str, Any] = {"expirationSeconds": wanted.seconds, "boundObjectRef": bound}
    if wanted.audience:
        spec["audiences"] = [wanted.audience]
    metadata = {"name": account_of(pod), "namespace": namespace_of(pod)}
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": metadata, "spec": spec}


def token_of(answer: Object, now: float) -> Token:
    status = answer["status"]
    return Token(status["token"], now, seconds_of(status["expirationTimestamp"]))
