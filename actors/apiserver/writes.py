"""One write as the store takes it: the transaction, and what its outcome means.

Every write only succeeds from the state it was decided on: the key absent for a create, at the revision that was read
for an update or a delete. So a write whose answer was lost can simply be sent again: it cannot happen twice, and when
the second one is refused, the refusal carries what is stored now, which tells whether the first one happened.
"""

from __future__ import annotations

from dataclasses import dataclass

from actors.apiserver.values import body_of
from protocols.errors import Unknown
from protocols.etcd import Compare, KeyValue, Op, Txn, TxnResponse
from protocols.objects import decode_object, uid_of


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that says who holds something there is only one of."""

    key: bytes
    holder: str


@dataclass(frozen=True, slots=True)
class Write:
    """Put `body`, or delete (None), where the key is still at `revision` (0: absent).

    `exists` must exist (the namespace), `claims` must be free and are taken, `releases` are given back: all or nothing.
    """

    key: bytes
    body: bytes | None
    revision: int
    uid: str
    exists: tuple[bytes, ...] = ()
    claims: tuple[Claim, ...] = ()
    releases: tuple[bytes, ...] = ()
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Committed:
    body: bytes | None
    revision: int


@dataclass(frozen=True, slots=True)
class Refused:
    """It did not happen. `current` is the pair that is stored now; `missing` and `taken`: what else was against it."""

    current: KeyValue | None
    missing: tuple[bytes, ...] = ()
    taken: tuple[bytes, ...] = ()


def transaction(write: Write, value: bytes | None) -> Txn:
    compare = [Compare(write.key, "mod", "=", write.revision)]
    compare += [Compare(key, "version", ">", 0) for key in write.exists]
    compare += [Compare(claim.key, "version", "=", 0) for claim in write.claims]
    own = Op("delete", write.key) if value is None else Op("put", write.key, value, lease=write.lease)
    success = [own, *(Op("put", claim.key, claim.holder.encode()) for claim in write.claims)]
    success += [Op("delete", key) for key in write.releases]
    reads = [write.key, *write.exists, *(claim.key for claim in write.claims)]
    return Txn(tuple(compare), tuple(success), tuple(Op("range", key) for key in reads))


def refusal(write: Write, response: TxnResponse) -> Refused:
    """Read the failure branch: the key itself, then what must exist, then what must be free."""
    found = [answer.kvs[0] if answer.kvs else None for answer in response.responses]
    others = found[1:]
    missing = tuple(key for key, kv in zip(write.exists, others, strict=False) if kv is None)
    claimed = zip(write.claims, others[len(write.exists) :], strict=True)
    taken = tuple(claim.key for claim, kv in claimed if kv is not None)
    return Refused(found[0], missing, taken)


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
