"""What a stateful set's users are told, in Kubernetes' words. A complaint ends where the error's text begins."""

from __future__ import annotations

from typing import Literal

from actorkube.kube.writes import Event, reference_to
from protocols.objects import Object, name_of

Verb = Literal["create", "update", "delete"]


def done(stateful_set: Object, verb: Verb, pod: str) -> Event:
    return _normal(stateful_set, verb, f"{verb.title()} Pod {pod} in StatefulSet {name_of(stateful_set)} successful")


def failed(stateful_set: Object, verb: Verb, pod: str, why: str = "") -> Event:
    text = f"{verb.title()} Pod {pod} in StatefulSet {name_of(stateful_set)} failed error: {why}"
    return _warning(stateful_set, f"Failed{verb.title()}", text)


def claim_made(stateful_set: Object, claim: str, pod: str) -> Event:
    text = f"Create Claim {claim} Pod {pod} in StatefulSet {name_of(stateful_set)} success"
    return _normal(stateful_set, "create", text)


def claim_not_made(stateful_set: Object, claim: str, pod: str) -> Event:
    text = f"Create Claim {claim} for Pod {pod} in StatefulSet {name_of(stateful_set)} failed error: "
    return _warning(stateful_set, "FailedCreate", text)


def claim_of_two(stateful_set: Object, claim: str) -> Event:
    text = (
        f"PersistentVolumeClaim {claim} has a conflicting OwnerReference that acts as a manging controller, "  # sic
        "the retention policy is ignored for this claim"
    )
    return _warning(stateful_set, "ConflictingController", text)


def _normal(stateful_set: Object, verb: Verb, text: str) -> Event:
    return Event(reference_to(stateful_set, "apps/v1", "StatefulSet"), "Normal", f"Successful{verb.title()}", text)


def _warning(stateful_set: Object, reason: str, text: str) -> Event:
    return Event(reference_to(stateful_set, "apps/v1", "StatefulSet"), "Warning", reason, text)
