"""The resource claim controller: makes claims of devices from the templates that pods name, says who uses a claim no
more, and takes its devices back when nobody does (KEP-4381).

A claim that is made for a pod is called after pod and entry, belongs to the pod, and is named in the pod's status; the
scheduler allocates devices to it, and reserves it for the pod. What is here the other way round: a pod that is done
uses no claim, a claim that has lost its last user has no devices, and one that was made for a pod that is done goes.

Keys: `pod/NAMESPACE/NAME` and `claim/NAMESPACE/NAME`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import NamedTuple

from actorkube.kube import Controller, Views, Watches
from actorkube.kube.alike import BELONGS, Joined, looks_at
from actorkube.kube.writes import Confirm, Create, Event, Patch, Update, UpdateStatus, Write, delete, reference_to
from actors.controllers.pod_summary import placed_on
from protocols.objects import Object, key_of, meta, name_of, namespace_of, split_key, uid_of
from protocols.rules.device_claims import (
    CLAIMS,
    TEMPLATES,
    USERS_MAX,
    WantedClaim,
    allocation_of,
    claims_wanted,
    is_protected,
    is_user,
    owning_pod,
    protected,
    users_of,
    with_user,
    with_users,
    without_devices,
)
from protocols.rules.names import child_name
from protocols.rules.owners import controller_reference, is_deleting
from protocols.rules.pods import is_terminated, node_of

POD_CLAIM_NAME = "resource.kubernetes.io/pod-claim-name"  # an annotation: for which entry of the pod it was made
_BASE_MAX = 57  # of a name, with room for what makes it unique
_USES = "device claims"  # a summary and an index of pods
_BY_OWNER = "pod that it was made for"


def controller() -> Controller:
    return Controller(
        "resourceclaim-controller",
        (
            Watches(
                "pods",
                keys_of_pod,
                indexes={_USES: _named_by},
                summaries={_USES: uses},
                when=_USES,
                told_by=_USES,
            ),
            Watches(CLAIMS, keys_of_claim, indexes={_BY_OWNER: _owner}, may_be_absent=True),
            Watches(TEMPLATES, pods_of_template, may_be_absent=True),
        ),
        reconcile,
    )


def reconcile(key: str, views: Views, now: float) -> list[Write]:
    kind, _, key = key.partition("/")
    if kind == "pod":
        pod = views["pods"].get(key)
        return _look_after_pod(pod, views) if pod is not None else []
    claim = views[CLAIMS].get(key)
    return _look_after_claim(claim, views) if claim is not None else []


# -- who looks again --------------------------------------------------------------------------------------------------


class Uses(NamedTuple):
    """What a pod with claims says that decides here."""

    key: str
    claims: tuple[WantedClaim, ...]
    placed: bool
    done: bool
    deleting: bool


@looks_at("spec.resourceClaims")
def _entries(pod: Object) -> list[Object] | None:
    return (pod.get("spec") or {}).get("resourceClaims") or None


class _Status(NamedTuple):
    terminated: bool
    made: list[Object]


@looks_at("status")
def _status(pod: Object) -> _Status:
    return _Status(is_terminated(pod), (pod.get("status") or {}).get("resourceClaimStatuses") or [])


@looks_at(*BELONGS)
def _is_deleting(pod: Object) -> bool:
    return is_deleting(pod)


def _uses(key: str, uid: str, entries: list[Object] | None, status: _Status, node: str, deleting: bool) -> Uses | None:
    if entries is None:
        return None
    pod = {
        "metadata": {"namespace": split_key(key)[0]},
        "spec": {"resourceClaims": entries},
        "status": {"resourceClaimStatuses": status.made},
    }
    done = status.terminated or (deleting and not node)
    return Uses(key, claims_wanted(pod), bool(node), done, deleting)


uses = Joined(_uses, _entries, _status, placed_on, _is_deleting)


def _filed(key: str, uid: str, entries: list[Object] | None, status: _Status) -> tuple[str, ...]:
    """Under the claims that it names, and the templates."""
    found = _uses(key, uid, entries, status, "", False)
    if found is None:
        return ()
    claims = (claim.key for claim in found.claims if claim.key)
    templates = (f"template {split_key(key)[0]}/{claim.template}" for claim in found.claims if claim.template)
    return tuple(dict.fromkeys((*claims, *templates)))


_named_by = Joined(_filed, _entries, _status)


def _owner(claim: Object) -> tuple[str, ...]:
    owner = owning_pod(claim)
    return (owner[1],) if owner is not None else ()


def keys_of_pod(pod: Uses | None, views: Views) -> list[str]:
    if pod is None:
        return []
    return [f"pod/{pod.key}", *(f"claim/{claim.key}" for claim in pod.claims if claim.key)]


def keys_of_claim(claim: Object, views: Views) -> Iterator[str]:
    yield f"claim/{key_of(claim)}"
    for key in views["pods"].keys(_USES, key_of(claim)):
        yield f"pod/{key}"
    if (owner := owning_pod(claim)) is not None:
        yield f"pod/{namespace_of(claim)}/{owner[0]}"


def pods_of_template(template: Object, views: Views) -> Iterator[str]:
    return (f"pod/{key}" for key in views["pods"].keys(_USES, f"template {key_of(template)}"))


# -- a pod ------------------------------------------------------------------------------------------------------------


def _look_after_pod(pod: Object, views: Views) -> list[Write]:
    if is_deleting(pod) or _is_done(pod):
        return []
    made: dict[str, str] = {}
    writes: list[Write] = []
    for wanted in claims_wanted(pod):
        if not wanted.template or _has_claim(pod, wanted, views):
            continue
        found = _made_before(pod, wanted, views)
        if found is None:
            template = views[TEMPLATES].get(f"{namespace_of(pod)}/{wanted.template}")
            if template is None:
                return [*writes, *_named(pod, made), _lament(pod, wanted, _no_template(wanted.template))]
            claim = _claim_for(pod, wanted, template, views)
            found = name_of(claim)
            writes.append(Create(CLAIMS, claim, lament=_lament(pod, wanted, f"create ResourceClaim {found}: ")))
        made[wanted.entry] = found
    return [*writes, *_named(pod, made), *_reserved(pod, views)]


def _has_claim(pod: Object, wanted: WantedClaim, views: Views) -> bool:
    """One that somebody else made, or that is for another pod, is not the pod's."""
    claim = views[CLAIMS].entry(wanted.key) if wanted.key else None
    return claim is not None and (owning_pod(claim.peek()) or ("", ""))[1] == uid_of(pod)


def _made_before(pod: Object, wanted: WantedClaim, views: Views) -> str | None:
    """The name of a claim for this entry that the pod's status does not tell of yet."""
    for key in views[CLAIMS].keys(_BY_OWNER, uid_of(pod)):
        entry = views[CLAIMS].entry(key)
        claim = entry.peek() if entry is not None else {}
        if (meta(claim).get("annotations") or {}).get(POD_CLAIM_NAME) == wanted.entry and not is_deleting(claim):
            return name_of(claim)
    return None


def _claim_for(pod: Object, wanted: WantedClaim, template: Object, views: Views) -> Object:
    spec = template.get("spec") or {}
    said = meta(spec)
    metadata = {
        "name": _free_name(pod, wanted, views),
        "namespace": namespace_of(pod),
        "annotations": {**(said.get("annotations") or {}), POD_CLAIM_NAME: wanted.entry},
        "ownerReferences": [controller_reference(pod, "v1", "Pod")],
    }
    if said.get("labels"):
        metadata["labels"] = said["labels"]
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": metadata,
        "spec": spec.get("spec") or {},
    }


def _free_name(pod: Object, wanted: WantedClaim, views: Views) -> str:
    """After pod and entry, which are cut in proportion where both are too long; and never a name that was used."""
    name, entry = name_of(pod), wanted.entry
    length = len(name) + len(entry) + 2
    if length > _BASE_MAX:
        name, entry = name[: len(name) * _BASE_MAX // length], entry[: len(entry) * _BASE_MAX // length]
    claims = views[CLAIMS]
    names = (child_name(f"{name}-{entry}", f"{uid_of(pod)}/{wanted.entry}/{number}") for number in count())
    keys = ((each, f"{namespace_of(pod)}/{each}") for each in names)
    return next(each for each, key in keys if key not in claims and not claims.was_used(key))


def _named(pod: Object, made: dict[str, str]) -> Sequence[Write]:
    """The pod's status tells of its claims."""
    if not made:
        return ()
    others = [
        each for each in (pod.get("status") or {}).get("resourceClaimStatuses") or () if each.get("name") not in made
    ]
    statuses = [*others, *({"name": entry, "resourceClaimName": name} for entry, name in made.items())]
    patch = {"metadata": {"uid": uid_of(pod)}, "status": {"resourceClaimStatuses": statuses}}
    return (Patch("pods", namespace_of(pod), name_of(pod), patch, subresource="status"),)


def _reserved(pod: Object, views: Views) -> Iterator[Write]:
    """Who was placed by somebody else than our scheduler uses claims that have devices all the same."""
    for wanted in claims_wanted(pod) if node_of(pod) else ():
        claim = views[CLAIMS].get(wanted.key) if wanted.key else None
        if claim is None or (wanted.own and not _has_claim(pod, wanted, views)):
            return
        may = allocation_of(claim) is not None and not is_deleting(claim) and len(users_of(claim)) < USERS_MAX
        if may and not is_user(claim, uid_of(pod)):
            yield UpdateStatus(CLAIMS, with_user(claim, pod))


def _lament(pod: Object, wanted: WantedClaim, why: str) -> Event:
    text = f"PodResourceClaim {wanted.entry}: {why}"
    return Event(reference_to(pod, "v1", "Pod"), "Warning", "FailedResourceClaimCreation", text)


def _no_template(name: str) -> str:
    return f'resource claim template "{name}": resourceclaimtemplate.resource.k8s.io "{name}" not found'


# -- a claim ----------------------------------------------------------------------------------------------------------


def _look_after_claim(claim: Object, views: Views) -> list[Write]:
    users = users_of(claim)
    if any(user.get("resource") != "pods" or user.get("apiGroup") for user in users):
        return []  # somebody else's, and up to them
    left = [user for user in users if not _is_over(claim, user, views)]
    writes: list[Write] = []
    if len(left) < len(users):
        writes += [*_surely_gone(claim, users, views), _released(claim, left)]
    elif not left and is_deleting(claim) and is_protected(claim) and allocation_of(claim) is not None:
        writes.append(_released(claim, left))
    elif not left and is_protected(claim) and allocation_of(claim) is None and not _is_awaited(claim, views):
        writes.append(Update(CLAIMS, protected(claim, False)))
    if not left and not is_deleting(claim):
        writes += _deleted(claim, views)
    return writes


def _released(claim: Object, left: list[Object]) -> Write:
    """For those who are left. The devices are free when nobody is: the next user may be better off with others, and so
    may another claim (only of what was used before: who allocates need not have reserved at once)."""
    now_for = with_users(claim, left)
    return UpdateStatus(CLAIMS, now_for if left or not is_protected(claim) else without_devices(now_for))


def _is_over(claim: Object, user: Object, views: Views) -> bool:
    entry = views["pods"].entry(f"{namespace_of(claim)}/{user['name']}")
    return entry is None or entry.uid != user["uid"] or _is_done(entry.peek())


def _surely_gone(claim: Object, users: list[Object], views: Views) -> Iterator[Write]:
    """A view may lag behind a pod that was made a moment ago, so the API server itself is asked."""
    for user in users:
        key = f"{namespace_of(claim)}/{user['name']}"
        entry = views["pods"].entry(key)
        if (entry is None or entry.uid != user["uid"]) and not views["pods"].is_gone(user["uid"]):
            yield Confirm("pods", namespace_of(claim), user["name"], user["uid"], gone=True)


def _is_awaited(claim: Object, views: Views) -> bool:
    """The scheduler may be about to give it devices, and writes the finalizer before it does."""
    if is_deleting(claim):
        return False
    users = (views["pods"].summary(_USES, key) for key in views["pods"].keys(_USES, key_of(claim)))
    return any(not (user.placed or user.done or user.deleting) for user in users if user is not None)


def _deleted(claim: Object, views: Views) -> Sequence[Write]:
    """If it was made for a pod that is done, or another has that name. Where none has, it is up to the garbage
    collector: the pod may not be seen yet."""
    owner = owning_pod(claim)
    entry = views["pods"].entry(f"{namespace_of(claim)}/{owner[0]}") if owner is not None else None
    if owner is None or entry is None:
        return ()
    if entry.uid != owner[1]:
        return Confirm("pods", namespace_of(claim), *owner, gone=True), delete(CLAIMS, claim)
    return (delete(CLAIMS, claim),) if _is_done(entry.peek()) else ()


def _is_done(pod: Object) -> bool:
    """None of its containers runs, nor ever will."""
    return is_terminated(pod) or (is_deleting(pod) and not node_of(pod))
