"""What a patch of labels, annotations, finalizers or owners makes of a pod: worked out once for all pods like it.

Who labels pods does so with many of one template. Such a patch leaves everything but the metadata, and what becomes of
that is a function of it, of the patch and of who sends it (`_changed`). A pod's own name and uid are handed through,
and of times nothing counts but their order; so the function is asked about a pod in which these are made up, and what
it says of that holds for all pods that are the same with them. What depends on more, what admission says and whether
the store agrees, is asked for each pod.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from actors.apiserver.alike import REMEMBERED, again, exactly
from actors.apiserver.patch import apply_patch, track_update
from actors.apiserver.rules.prepare import prepare_update
from actors.apiserver.rules.validate.metadata import metadata_update
from actors.apiserver.schema.check import FieldValidation, check, is_as_it_should, is_time
from actors.apiserver.schema.resources import Resource, find
from actors.apiserver.schema.types import Types
from protocols.api import PatchType
from protocols.errors import Answer
from protocols.objects import Object
from protocols.rules.times import seconds_of, time_of

_GIVEN = {"labels", "annotations", "finalizers", "ownerReferences"}
_FIELDS = {"apiVersion", "kind", "metadata", "spec", "status"}
_MADE_UP = {"name": "a", "uid": "b", "creationTimestamp": time_of(0.0), "resourceVersion": "1"}


class Asked(NamedTuple):
    """Who patches how, but for the patch itself."""

    type: PatchType
    manager: str
    validation: FieldValidation


class Changed(NamedTuple):
    """Not to be changed: other pods have it, too."""

    metadata: Object
    warnings: list[str]


def changed_metadata(
    types: Types, resource: Resource, pod: Object, patch: Any, asked: Asked, now: float
) -> Changed | None:
    """None: the pod is to go the whole way, as it stays as it is, is refused, or nothing is remembered of such.

    The pod is as it is stored, and its spec is settled.
    """
    if not _speaks_of_metadata(resource, asked.type, patch) or not _is_plain(types, resource, pod):
        return None
    metadata, written = pod["metadata"], time_of(now)
    entries = metadata.get("managedFields") or ()
    times = sorted({written, metadata["creationTimestamp"], *(entry.get("time") or written for entry in entries)})
    if not all(map(is_time, times)):
        return None
    ranks = {time: time_of(rank) for rank, time in enumerate(times)}
    alike = {key: _MADE_UP.get(key, value) for key, value in metadata.items()}
    if entries:
        alike["managedFields"] = _at(ranks, entries)
    encoded = exactly((alike, patch, ranks[written]))
    changed = _changed(types, asked, encoded) if encoded is not None else None
    if changed is None:
        return None
    made = {key: metadata[key] if key in _MADE_UP else value for key, value in changed.metadata.items()}
    if "managedFields" in made:
        made["managedFields"] = _at({rank: time for time, rank in ranks.items()}, made["managedFields"])
    return Changed(made, changed.warnings)


def _speaks_of_metadata(resource: Resource, type: PatchType, patch: Any) -> bool:
    """Of what clients may change in it, and of nothing else."""
    if resource.group_resource != "pods" or type not in ("merge", "strategic") or not isinstance(patch, dict):
        return False
    given = patch.get("metadata")
    return len(patch) == 1 and isinstance(given, dict) and given.keys() <= _GIVEN


def _is_plain(types: Types, resource: Resource, pod: Object) -> bool:
    """Whether nothing is to be said of the rest of it, nobody deletes it, and no claims are named after it."""
    metadata = pod["metadata"]
    return (
        pod.keys() == _FIELDS
        and (pod["apiVersion"], pod["kind"]) == (resource.api_version, resource.kind)
        and metadata.keys() >= _MADE_UP.keys()
        and "deletionTimestamp" not in metadata
        and "resourceClaims" not in pod["spec"]
        and is_as_it_should(pod["status"], types.of(resource).fields["status"])
    )


def _at(times: dict[str, str], entries: Sequence[Object]) -> list[Object]:
    return [{**entry, "time": times[entry["time"]]} if entry.get("time") else entry for entry in entries]


@lru_cache(REMEMBERED)
def _changed(types: Types, asked: Asked, encoded: bytes) -> Changed | None:
    """What each step of the whole way does to the metadata; the spec and status that are left out say nothing."""
    metadata, patch, now = again(encoded)
    pods = find("pods")
    assert pods is not None
    old = {"apiVersion": pods.api_version, "kind": pods.kind, "metadata": metadata, "spec": {}, "status": {}}
    try:
        new = apply_patch(types, pods, asked.type, old, patch, manager=asked.manager, force=False, now=0.0)
    except Answer:
        return None
    checked = check(new, types.of(pods), settled=True)
    if checked.problem(asked.validation):
        return None
    new = prepare_update(pods, old, new, "")
    if [*metadata_update(pods, new, old)]:
        return None
    new = track_update(types, pods, old, new, manager=asked.manager, now=seconds_of(now))
    if new == old:
        return None
    return Changed(new["metadata"], checked.warnings(asked.validation))
