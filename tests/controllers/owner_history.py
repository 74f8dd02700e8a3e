"""What a garbage collector must never do, checked against everything that ever happened in a store."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from protocols.api import WatchEvent
from protocols.objects import Object, decode_object, meta, name_of, uid_of
from protocols.rules.owners import is_deleting, owner_references

Living = dict[str, Object]


def check_history(log: Iterable[tuple[str, WatchEvent]], kinds: Collection[str], asked: Collection[str]) -> None:
    """Replay it, one change after the other, and look at each end in the light of that moment.

    `asked`: the uids of those whom users asked to go.
    """
    living: Living = {}
    known: Living = {}  # also those that are gone, as they were last
    for _, event in log:
        obj = decode_object(event.body)
        if obj.get("kind") not in kinds:
            continue
        uid, before = uid_of(obj), living.get(uid_of(obj))
        ends = event.type == "DELETED" or (is_deleting(obj) and before is not None and not is_deleting(before))
        if ends and uid not in asked and (before is None or not is_deleting(before)):
            check_taken_along(obj, living)
        if event.type != "DELETED":
            living[uid] = known[uid] = obj
        else:
            assert before is not None
            check_let_go(before, living, known)
            del living[uid]


def check_taken_along(obj: Object, living: Living) -> None:
    """Nobody asked for it, so it had owners, and none of them is left to live for."""
    references = owner_references(obj)
    assert references, f"{name_of(obj)} was taken along by nobody"
    for reference in references:
        owner = living.get(reference["uid"])
        fits = owner is not None and name_of(owner) == reference["name"] and owner["kind"] == reference["kind"]
        if owner is not None and fits:
            assert waits(owner), f"{name_of(obj)} was taken along although {name_of(owner)} lives"


def check_let_go(ended: Object, living: Living, known: Living) -> None:
    """Those who were there when it was asked to go no longer hold it back. In a circle nobody holds anybody."""
    finalizers = meta(ended).get("finalizers", []) if is_deleting(ended) else []
    before = {
        uid: other
        for uid, other in living.items()
        if meta(other)["creationTimestamp"] < meta(ended).get("deletionTimestamp", "")
    }
    if "orphan" in finalizers:
        mindful = [name_of(other) for other in before.values() if references_to(ended, other)]
        assert not mindful, f"{name_of(ended)} went before it was forgotten by {mindful}"
    if "foregroundDeletion" in finalizers:
        holding = [each for each in blockers(ended, before) if uid_of(ended) not in waited_for(each, known)]
        assert not holding, f"{name_of(ended)} went before {[name_of(each) for each in holding]}"


def references_to(owner: Object, obj: Object) -> list[dict[str, Any]]:
    return [reference for reference in owner_references(obj) if reference["uid"] == uid_of(owner)]


def blockers(owner: Object, living: Living) -> list[Object]:
    return [
        other
        for other in living.values()
        if any(reference.get("blockOwnerDeletion") for reference in references_to(owner, other))
    ]


def waited_for(obj: Object, living: Living) -> set[str]:
    """The uids of all who must go before `obj` may, because it is being deleted in the foreground."""
    found: Living = {}
    for _ in range(len(living) + 1):
        waiting = [each for each in (obj, *found.values()) if waits(each)]
        found = {uid_of(other): other for each in waiting for other in blockers(each, living)}
    return set(found)


def waits(obj: Object) -> bool:
    return is_deleting(obj) and "foregroundDeletion" in meta(obj).get("finalizers", [])
