"""Protection: a claim that a pod uses, and a volume that a claim has, are not gone before that is over.

Both get a finalizer when they are made (admission; here for those that lack it), which goes when they are to go and
nobody uses them any more (StorageObjectInUseProtection). That no pod does is asked of the API server itself: a view may
lag behind a pod that was bound a moment ago. Later ones are refused: by the scheduler, and by kubelets, which look at
the claim.
"""

from __future__ import annotations

from collections.abc import Iterator

from actorkube.kube import Controller, Views, Watches
from actorkube.kube.writes import ConfirmNone, Update, Write
from actors.controllers.volume_views import BY_CLAIM, CLAIMS, VOLUMES, ClaimsOfPod, by_claim_of_pod, claims_of_pod
from protocols.objects import Object, meta, namespace_of
from protocols.rules.owners import is_deleting
from protocols.rules.pods import node_of
from protocols.rules.volumes import CLAIM_PROTECTION, VOLUME_PROTECTION

_NEEDED = "protection"  # a summary: what decides here


def claim_controller() -> Controller:
    return Controller(
        "pvc-protection-controller",
        (
            Watches(CLAIMS, summaries={_NEEDED: claim_protection}, when=_NEEDED),
            Watches(
                "pods",
                claims_to_go,
                indexes={BY_CLAIM: by_claim_of_pod},
                summaries={BY_CLAIM: claims_of_pod},
                when=BY_CLAIM,
                told_by=BY_CLAIM,
            ),
        ),
        protect_claim,
    )


def volume_controller() -> Controller:
    watches = Watches(VOLUMES, summaries={_NEEDED: volume_protection}, when=_NEEDED)
    return Controller("pv-protection-controller", (watches,), protect_volume)


def claim_protection(claim: Object) -> tuple[bool, bool]:
    """Is it to go, is it protected?"""
    return is_deleting(claim), CLAIM_PROTECTION in _finalizers(claim)


def volume_protection(volume: Object) -> tuple[bool, bool, bool]:
    """Is it to go, is it protected, does somebody have it?"""
    is_bound = (volume.get("status") or {}).get("phase") == "Bound"
    return is_deleting(volume), VOLUME_PROTECTION in _finalizers(volume), is_bound


def claims_to_go(pod: ClaimsOfPod, views: Views) -> Iterator[str]:
    for key in pod.claims:
        if (views[CLAIMS].summary(_NEEDED, key) or (False, False))[0]:
            yield key


def protect_claim(key: str, views: Views, now: float) -> list[Write]:
    claim = views[CLAIMS].get(key)
    if claim is None:
        return []
    if not is_deleting(claim):
        return _protected(CLAIMS, claim, CLAIM_PROTECTION)
    users = (views["pods"].entry(pod) for pod in views["pods"].keys(BY_CLAIM, key))
    if CLAIM_PROTECTION not in _finalizers(claim) or any(user is not None and node_of(user.peek()) for user in users):
        return []
    nobody = ConfirmNone("pods", namespace_of(claim), lambda pod: bool(node_of(pod)) and key in by_claim_of_pod(pod))
    return [nobody, *_released(CLAIMS, claim, CLAIM_PROTECTION)]


def protect_volume(key: str, views: Views, now: float) -> list[Write]:
    volume = views[VOLUMES].get(key)
    if volume is None:
        return []
    if not is_deleting(volume):
        return _protected(VOLUMES, volume, VOLUME_PROTECTION)
    is_bound = (volume.get("status") or {}).get("phase") == "Bound"
    return [] if is_bound else _released(VOLUMES, volume, VOLUME_PROTECTION)


def _protected(resource: str, obj: Object, finalizer: str) -> list[Write]:
    held = _finalizers(obj)
    return [] if finalizer in held else [_with_finalizers(resource, obj, [*held, finalizer])]


def _released(resource: str, obj: Object, finalizer: str) -> list[Write]:
    held = _finalizers(obj)
    left = [each for each in held if each != finalizer]
    return [] if finalizer not in held else [_with_finalizers(resource, obj, left)]


def _with_finalizers(resource: str, obj: Object, finalizers: list[str]) -> Update:
    return Update(resource, {**obj, "metadata": {**meta(obj), "finalizers": finalizers}})


def _finalizers(obj: Object) -> list[str]:
    return meta(obj).get("finalizers") or []
