"""The claims of a stateful set: made before their pod, kept when it goes, as long as nobody says otherwise.

What becomes of a claim is said by who owns it, and done by the garbage collector: nobody (it stays), the set (it goes
with the set), or, once a place is given up, the pod that was there (it goes with that pod).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from actorkube.kube import View, Views
from actorkube.kube.writes import Create, Update, Write
from actors.controllers.statefulset_events import claim_made, claim_not_made, claim_of_two, done
from actors.controllers.statefulset_pods import (
    API_VERSION,
    KIND,
    claim_keys,
    claim_name,
    claim_templates,
    pod_name,
    split_name,
)
from actors.controllers.volume_views import CLAIMS
from protocols.objects import Object, labels_of, meta, name_of, namespace_of, split_key, uid_of
from protocols.rules.owners import controller_reference, is_deleting, owner_references

HELD = "held"  # the summary's name in the view of claims
BY_CLAIMS = "claims"  # the index of sets: `namespace/template-set`, as their claims' names begin

Reference = dict[str, Any]


class Held(NamedTuple):
    """What decides here of a claim."""

    deleting: bool
    owners: list[Reference]


def held(claim: Object) -> Held:
    return Held(is_deleting(claim), owner_references(claim))


def by_claims(stateful_set: Object) -> list[str]:
    namespace, name = namespace_of(stateful_set), name_of(stateful_set)
    return [f"{namespace}/{name_of(each)}-{name}" for each in claim_templates(stateful_set)]


def sets_of_claim(claim: Object, views: Views) -> Iterator[str]:
    prefix, ordinal = split_name(name_of(claim))
    if ordinal >= 0:
        yield from views["statefulsets.apps"].keys(BY_CLAIMS, f"{namespace_of(claim)}/{prefix}")


class Place(NamedTuple):
    """Whose claims they are: a number in a set, its pod's uid ("" where there is none), and is it given up?"""

    stateful_set: Object
    ordinal: int
    pod_uid: str = ""
    given_up: bool = False

    @property
    def pod_name(self) -> str:
        return pod_name(self.stateful_set, self.ordinal)


def blocked_by(place: Place, claims: View) -> str:
    """Which claim keeps a new pod from this place, in words; "" for none: one that goes may not be used any more."""
    for key in claim_keys(place.stateful_set, place.ordinal):
        summary: Held | None = claims.summary(HELD, key)
        if summary is None:
            continue
        name = split_key(key)[1]
        if summary.deleting:
            return f"pvc {name} is being deleted"
        if _policy(place.stateful_set)[1] == "Delete" and _is_stale(summary.owners, "Pod", place.pod_name, ""):
            return f"pvc {name} is still that of an earlier pod"
    return ""


def completed(place: Place, claims: View) -> list[Write]:
    """Creates those that are not there, and sees to the owners of the others."""
    creations: list[Write] = []
    for template, key in zip(claim_templates(place.stateful_set), claim_keys(*place[:2]), strict=True):
        if key not in claims:
            creations.append(_creation(place, template))
    return [*creations, *owned(place, claims)]


def owned(place: Place, claims: View) -> list[Write]:
    """Gives those that are there to whom the retention policy says."""
    writes: list[Write] = []
    for key in claim_keys(place.stateful_set, place.ordinal):
        summary: Held | None = claims.summary(HELD, key)
        if summary is None or (wanted := owners_for(summary.owners, place)) == summary.owners:
            continue
        if _has_other_controller(summary.owners, place):
            writes.append(claim_of_two(place.stateful_set, split_key(key)[1]))
        claim = claims.get(key)
        assert claim is not None
        claim["metadata"]["ownerReferences"] = wanted
        writes.append(Update(CLAIMS, claim, announce=done(place.stateful_set, "update", place.pod_name)))
    return writes


def owners_for(owners: list[Reference], place: Place) -> list[Reference]:
    """Who should own a claim that has these owners; what somebody else arranged is left alone."""
    name, uid = name_of(place.stateful_set), uid_of(place.stateful_set)
    if _is_stale(owners, KIND, name, uid) or _is_stale(owners, "Pod", place.pod_name, place.pod_uid):
        return owners
    others = [each for each in owners if not _names(each, KIND, name) and not _names(each, "Pod", place.pod_name)]
    if _has_other_controller(owners, place):
        return others
    wanted = _owner(place)
    if wanted is None:
        return others
    is_so = len(others) == len(owners) - 1 and wanted in owners
    return owners if is_so else [*others, wanted]


def _owner(place: Place) -> Reference | None:
    when_deleted, when_scaled = _policy(place.stateful_set)
    if place.given_up and when_scaled == "Delete":
        pod = {"metadata": {"name": place.pod_name, "uid": place.pod_uid}}
        return controller_reference(pod, "v1", "Pod")
    return controller_reference(place.stateful_set, API_VERSION, KIND) if when_deleted == "Delete" else None


def _policy(stateful_set: Object) -> tuple[str, str]:
    """What happens to claims when the set is deleted, and when it is scaled down."""
    policy = stateful_set["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    return policy.get("whenDeleted") or "Retain", policy.get("whenScaled") or "Retain"


def _has_other_controller(owners: list[Reference], place: Place) -> bool:
    """Where all is retained it does not matter who controls a claim."""
    if _policy(place.stateful_set) == ("Retain", "Retain"):
        return False
    ours = (uid_of(place.stateful_set), place.pod_uid)
    return any(each.get("controller") and each["uid"] not in ours for each in owners)


def _is_stale(owners: list[Reference], kind: str, name: str, uid: str) -> bool:
    """It is that of an earlier one of that name."""
    return any(_names(each, kind, name) and each["uid"] != uid for each in owners)


def _names(owner: Reference, kind: str, name: str) -> bool:
    return (owner["apiVersion"], owner["kind"], owner["name"]) == (_VERSIONS[kind], kind, name)


_VERSIONS = {KIND: API_VERSION, "Pod": "v1"}


def _creation(place: Place, template: Object) -> Create:
    stateful_set = place.stateful_set
    name = claim_name(stateful_set, template, place.ordinal)
    selector = stateful_set["spec"].get("selector") or {}
    labels = {**labels_of(template), **(selector.get("matchLabels") or {})}
    owner = _owner(place)
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": namespace_of(stateful_set),
        **({"labels": labels} if labels else {}),
        **({"annotations": meta(template)["annotations"]} if meta(template).get("annotations") else {}),
        **({"ownerReferences": [owner]} if owner is not None else {}),
    }
    return Create(
        CLAIMS,
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template["spec"]},
        claim_made(stateful_set, name, place.pod_name),
        claim_not_made(stateful_set, name, place.pod_name),
    )
