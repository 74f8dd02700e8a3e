"""How the controllers of volumes find claims, volumes and pods in their views."""

from __future__ import annotations

from typing import NamedTuple

from actorkube.kube.alike import Joined, looks_at
from actors.controllers.pod_summary import TEMPLATE, placed_on
from protocols.objects import Object, split_key
from protocols.rules.volumes import claim_names, summarise_claim, summarise_volume

VOLUMES = "persistentvolumes"
CLAIMS = "persistentvolumeclaims"
CLASSES = "storageclasses.storage.k8s.io"
VOLUME = "volume"  # the summaries
CLAIM = "claim"
BY_CLAIM = "claim"  # volumes and pods, by the claim that they name
FREE = "free"  # volumes that nobody has, by their class
WAITING = "waiting"  # claims that are not bound, by what they wait for


def free_by_class(volume: Object) -> tuple[str, ...]:
    summary = summarise_volume(volume)
    return () if summary.claim else (summary.storage_class,)


def by_claim(volume: Object) -> tuple[str, ...]:
    summary = summarise_volume(volume)
    return (summary.claim,) if summary.claim else ()


def waiting_by_class(claim: Object) -> tuple[str, ...]:
    """Under the volume that it names, or under its class."""
    summary = summarise_claim(claim)
    if summary.volume:
        return (f"volume/{summary.volume}",) if not summary.bind_completed else ()
    return (f"class/{summary.storage_class}",)


@looks_at(*TEMPLATE)
def _volumes_with_claims(pod: Object) -> Object | None:
    """A pod of those volumes, if any of them uses a claim."""
    return pod if any(True for _ in claim_names(pod)) else None


def _claims(key: str, uid: str, pod: Object | None) -> tuple[str, ...]:
    if pod is None:
        return ()
    namespace, name = split_key(key)
    names = claim_names({**pod, "metadata": {"name": name}})
    return tuple(dict.fromkeys(f"{namespace}/{claim}" for claim in names))


by_claim_of_pod = Joined(_claims, _volumes_with_claims)  # an index


class ClaimsOfPod(NamedTuple):
    """The summary BY_CLAIM of pods: which claims one uses, and whether it has a node. All that use none have one."""

    key: str
    placed: bool
    claims: tuple[str, ...]


def _claims_of_pod(key: str, uid: str, pod: Object | None, node: str) -> ClaimsOfPod:
    return _WITHOUT if pod is None else ClaimsOfPod(key, bool(node), _claims(key, uid, pod))


_WITHOUT = ClaimsOfPod("", False, ())
claims_of_pod = Joined(_claims_of_pod, _volumes_with_claims, placed_on)
