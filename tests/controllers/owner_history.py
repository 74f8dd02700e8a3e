"""What a garbage collector must never do, checked against everything that ever happened in a store."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from protocols.api import WatchEvent
from protocols.objects import Object, decode_object, meta, name_of, uid_of
from protocols.rules.owners import is_deleting, owner_references

Living = dict[str, Object]


def check_history(log: Iterable[tuple[str, WatchEvent]], kinds: Collection[str], asked: Collection[str]) -> None:
    """Replay it, one change after the other, and look at each end in the light of that moment.

    `asked`: the uids of those whom users asked to go.
    """
    living: Living = {}
    for _, event in log:
        obj = decode_object(event.body)
        if obj.get("kind") not in kinds:
            continue
        uid, before = uid_of(obj), living.get(uid_of(obj))
        ends = event.type == "DELETED" or (is_deleting(obj) and before is not None and not is_deleting(before))
        if ends and uid not in asked and (before is None or not is_deleting(before)):
            check_taken_along(obj, living)
        if event.type != "DELETED":
            living[uid] = obj
        else:
            assert before is not None
            check_let_go(before, living)
            del living[uid]


def check_taken_along(obj: Object, living: Living) -> None:
    """Nobody asked for it, so it had owners, and none of them is left to live for."""
    references = owner_references(obj)
    assert references, f"{name_of(obj)} was taken along by nobody"
    for reference in references:
        owner = living.get(reference["uid"])
        fits = owner is not None and name_of(owner) == reference["name"] and owner["kind"] == reference["kind"]
        if owner is not None and fits:
            waits = is_deleting(owner) and "foregroundDeletion" in meta(owner).get("finalizers", [])
            assert waits, f"{name_of(obj)} was taken along although {name_of(owner)} lives"


def check_let_go(ended: Object, living: Living) -> None:
    """Those who were there when it was asked to go no longer hold it back."""
    finalizers = meta(ended).get("finalizers", []) if is_deleting(ended) else []
    references = {
        name_of(other): reference
        for other in living.values()
        if meta(other)["creationTimestamp"] < meta(ended).get("deletionTimestamp", "")
        for reference in owner_references(other)
        if reference["uid"] == uid_of(ended)
    }
    if "orphan" in finalizers:
        assert not references, f"{name_of(ended)} went before it was forgotten by {list(references)}"
    if "foregroundDeletion" in finalizers:
        blocking = [name for name, reference in references.items() if reference.get("blockOwnerDeletion")]
        assert not blocking, f"{name_of(ended)} went before {blocking}"
