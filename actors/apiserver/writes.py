"""One write as the store takes it: the transaction, and what its outcome means.

Every write only succeeds from the state it was decided on: the key absent for a create, at the revision that was read
for an update or a delete. So a write whose answer was lost can simply be sent again: it cannot happen twice, and when
the second one is refused, the refusal carries what is stored now, which tells whether the first one happened.

What is said here is made for every write: structs, because a frozen dataclass takes ten times as long to make.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from actors.apiserver.values import body_of
from protocols.errors import Unknown
from protocols.etcd import Compare, KeyValue, Op, Txn, TxnResponse
from protocols.objects import decode_object, uid_of


class Claim(msgspec.Struct, frozen=True):
    """A key that says who holds something there is only one of; or the key of an object, and that object's bytes."""

    key: bytes
    holder: str = ""
    body: bytes = b""


class Charge(msgspec.Struct, frozen=True):
    """Another object that becomes `value` with this write (a quota), if it is still at `revision`.

    `after`: it is expected to be what a write that is under way makes of it, whose revision nobody knows yet.
    """

    key: bytes
    value: bytes  # as it is stored
    revision: int
    after: bytes = b""

    def compare(self) -> Compare:
        if self.after:
            return Compare(self.key, "value", "=", self.after)
        return Compare(self.key, "mod", "=", self.revision)

    def is_outdated(self, found: KeyValue | None) -> bool:
        if found is None:
            return True
        return found.value != self.after if self.after else found.mod_revision != self.revision


class Guard(msgspec.Struct, frozen=True):
    """What the write was decided on beside the object itself: nothing from `key` to `end` is newer than `revision`.
    With no `end`, it is about that key alone.

    So whoever decides on what its cache holds is refused when another API server has changed that meanwhile.
    `target`: "create" where only what was made since counts. `after`: as for a charge.
    """

    key: bytes
    end: bytes
    revision: int
    target: Literal["mod", "create"] = "mod"
    after: bytes = b""

    def compare(self) -> Compare:
        if self.after:
            return Compare(self.key, "value", "=", self.after)
        return Compare(self.key, self.target, "<", self.revision + 1, self.end)


class Write(msgspec.Struct, frozen=True):
    """Put `body`, or delete (None), where the key is still at `revision` (0: absent).

    `exists` must exist (the namespace), `claims` must be free and are taken, `releases` are given back, `charges` are
    written along, `guards` must hold: all or nothing.
    """

    key: bytes
    body: bytes | None
    revision: int
    uid: str
    exists: tuple[bytes, ...] = ()
    claims: tuple[Claim, ...] = ()
    releases: tuple[bytes, ...] = ()
    charges: tuple[Charge, ...] = ()
    guards: tuple[Guard, ...] = ()
    lease: int = 0


class Committed(msgspec.Struct, frozen=True):
    body: bytes | None
    revision: int


class Refused(msgspec.Struct, frozen=True):
    """It did not happen. `current` is the pair that is stored now.

    `missing`, `taken` and `outdated` (charges that were decided on another revision): what else was against it.
    `overtaken`: nothing but a guard was, so it was decided on what is not so any more.
    """

    current: KeyValue | None
    missing: tuple[bytes, ...] = ()
    taken: tuple[bytes, ...] = ()
    outdated: tuple[bytes, ...] = ()
    overtaken: bool = False


def transaction(write: Write, value: bytes | None) -> Txn:
    """`value` is what is stored of the body."""
    compare = [Compare(write.key, "mod", "=", write.revision)]
    compare += [Compare(key, "version", ">", 0) for key in write.exists]
    compare += [Compare(claim.key, "version", "=", 0) for claim in write.claims]
    compare += [charge.compare() for charge in write.charges]
    compare += [guard.compare() for guard in write.guards]
    own = Op("delete", write.key) if value is None else Op("put", write.key, value, lease=write.lease)
    success = [own, *(Op("put", claim.key, claim.body or claim.holder.encode()) for claim in write.claims)]
    success += [Op("delete", key) for key in write.releases]
    success += [Op("put", charge.key, charge.value) for charge in write.charges]
    reads = [write.key, *write.exists, *(claim.key for claim in write.claims), *(each.key for each in write.charges)]
    return Txn(tuple(compare), tuple(success), tuple(Op("range", key) for key in reads))


def refusal(write: Write, response: TxnResponse) -> Refused:
    """Read the failure branch: the key itself, then what must exist, what must be free, and what is charged."""
    found = [answer.kvs[0] if answer.kvs else None for answer in response.responses]
    others = iter(found[1:])
    missing = tuple(key for key in write.exists if next(others) is None)
    taken = tuple(claim.key for claim in write.claims if next(others) is not None)
    at = ((charge, next(others)) for charge in write.charges)
    outdated = tuple(charge.key for charge, kv in at if charge.is_outdated(kv))
    is_as_decided_on = (found[0].mod_revision if found[0] is not None else 0) == write.revision
    overtaken = is_as_decided_on and not (missing or taken or outdated)
    return Refused(found[0], missing, taken, outdated, overtaken)


def settle(write: Write, value: bytes | None, refused: Refused, revision: int) -> Committed | Refused:
    """An earlier attempt may have happened: what is stored now decides. Raises Unknown where it cannot."""
    current = refused.current
    if current is None:
        if value is None:
            return Committed(None, revision)  # gone, as it was wanted
    elif current.value == value:
        return Committed(write.body, current.mod_revision)
    elif current.mod_revision == write.revision:
        return refused  # for another reason: it was never written
    else:
        uid = uid_of(decode_object(body_of(current.value)))
        if value is None and uid == write.uid:
            return refused  # it was changed, not deleted
        if write.revision == 0 and uid == write.uid:
            return Committed(body_of(current.value), current.mod_revision)  # created, and changed by others since
    raise Unknown("the write may have happened: the object has changed, and the answer was lost")
