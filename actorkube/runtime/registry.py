"""What one system knows of names and groups across systems. Pure: changes and what others say in, entries out.

A system writes only its own entries; of each other system it keeps a copy, as it was last told. So copies never have
to be merged, only replaced, and what is true is a function of what is there: a name belongs to the lowest of those who
claim it, in every system the same. A system that sees its own actor beaten withdraws the claim.

Of a system that cannot be reached from here, another one may say which names it has (not groups, whose members are
there to be talked to). Only what somebody was told by the author itself is passed on, and it is forgotten with the link
to whoever said it: no rumour goes round.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from protocols.address import Address
from protocols.names import NameEntry, NamesChanged, NamesState

NAMES_MAX = 10_000  # entries of one system
NAME_BYTES_MAX = 1024


class Claim(NamedTuple):
    """Ordered: the lowest claim on a name has it."""

    stamp: int
    system: str
    actor: str

    @property
    def address(self) -> Address:
        return Address(self.system, self.actor)


class Lost(NamedTuple):
    """An actor of ours, and who has its name."""

    actor: str
    name: str
    holder: Address


@dataclass(slots=True)
class Replica:
    """The entries of one system, in one of its lives."""

    life: int
    version: int = 0
    teller: str = ""  # another system than the author itself
    entries: dict[NameEntry, None] = field(default_factory=dict)


class Registry:
    def __init__(self, system: str, life: int) -> None:
        self.system = system
        self.own = Replica(life)
        self.others: dict[str, Replica] = {}
        self.known = 0  # counts the changes of whom this system is linked to
        self._clock = 0
        self._claims: dict[tuple[str, bool], dict[Claim, None]] = {}  # by name, and whether it is unique

    # -- questions ------------------------------------------------------------------------------------------------

    def lookup(self, name: str) -> Address | None:
        claims = self._claims.get((name, True))
        return min(claims).address if claims else None

    def members(self, group: str) -> list[Address]:
        return sorted({claim.address for claim in self._claims.get((group, False), ())})

    def state(self) -> NamesState:
        return NamesState(self.own.life, self.own.version, tuple(self.own.entries))

    def actors(self) -> list[str]:
        """Of ours, that have an entry."""
        return list(dict.fromkeys(entry.actor for entry in self.own.entries))

    # -- our own entries ------------------------------------------------------------------------------------------

    def add(self, name: str, actor: str, *, unique: bool) -> NamesChanged | None:
        """None: it is there already. Raises ValueError beyond a bound."""
        if any((e.name, e.actor, e.unique) == (name, actor, unique) for e in self._of(name, unique=unique)):
            return None
        if len(self.own.entries) >= NAMES_MAX or not 0 < len(name.encode()) <= NAME_BYTES_MAX:
            raise ValueError(f"{name[:100]!r}: a system has at most {NAMES_MAX} names, of 1 to {NAME_BYTES_MAX} bytes")
        self._clock += 1
        return self._change(added=(NameEntry(name, actor, self._clock, unique),))

    def remove(self, name: str, actor: str, *, unique: bool) -> NamesChanged | None:
        return self._change(removed=[e for e in self._of(name, unique=unique) if e.actor == actor])

    def gone(self, actor: str) -> NamesChanged | None:
        """The actor has ended, and all that it was known by with it."""
        return self._change(removed=[entry for entry in self.own.entries if entry.actor == actor])

    def _of(self, name: str, *, unique: bool) -> list[NameEntry]:
        claims = self._claims.get((name, unique), ())
        return [NameEntry(name, c.actor, c.stamp, unique) for c in claims if c.system == self.system]

    def _change(self, added: Iterable[NameEntry] = (), removed: Iterable[NameEntry] = ()) -> NamesChanged | None:
        change = NamesChanged(self.own.life, self.own.version + 1, tuple(added), tuple(removed))
        if not change.added and not change.removed:
            return None
        self._apply(self.system, self.own, change)
        return change

    # -- what others say ------------------------------------------------------------------------------------------

    def replace(self, peer: str, state: NamesState, teller: str = "") -> None:
        self.drop(peer)
        replica = self.others[peer] = Replica(state.life, teller=teller)
        self._apply(peer, replica, NamesChanged(state.life, state.version, state.entries, ()))

    def change(self, peer: str, change: NamesChanged) -> bool:
        """False: what led to it is missing here."""
        replica = self.replica(peer)
        if replica is None or (replica.life, replica.version + 1) != (change.life, change.version):
            return False
        self._apply(peer, replica, change)
        return True

    def is_current(self, peer: str, life: int, version: int) -> bool:
        replica = self.replica(peer)
        return replica is not None and (replica.life, replica.version) == (life, version)

    def replica(self, peer: str) -> Replica | None:
        """What we were told by the system itself."""
        replica = self.others.get(peer)
        return replica if replica is not None and not replica.teller else None

    def heard(self, system: str) -> Replica | None:
        """What others say of it."""
        replica = self.others.get(system)
        return replica if replica is not None and replica.teller else None

    def hearsay(self, system: str) -> NamesState | None:
        """What to say of it to whoever cannot reach it."""
        replica = self.replica(system)
        if replica is None:
            return None
        return NamesState(replica.life, replica.version, tuple(e for e in replica.entries if e.unique))

    def unreachable(self, peer: str) -> bool:
        """What it said of itself and of others is forgotten; what others say of it is not. Whether it had spoken."""
        was_linked = self.replica(peer) is not None
        if was_linked:
            self.drop(peer)
        for system in [system for system, replica in self.others.items() if replica.teller == peer]:
            self.drop(system)
        return was_linked

    def drop(self, peer: str) -> None:
        """It has ended or cannot be reached: as long as that lasts, its actors have no names here."""
        replica = self.others.pop(peer, None)
        for entry in replica.entries if replica is not None else ():
            self._unclaim(peer, entry)

    def yield_lost(self) -> tuple[list[Lost], NamesChanged | None]:
        """Withdraw our claims on names that belong to others."""
        lost, removed = [], []
        for entry in self.own.entries:
            holder = self.lookup(entry.name) if entry.unique else None
            if holder is not None and holder != Address(self.system, entry.actor):
                lost.append(Lost(entry.actor, entry.name, holder))
                removed.append(entry)
        return lost, self._change(removed=removed)

    # -- tables ---------------------------------------------------------------------------------------------------

    def _apply(self, system: str, replica: Replica, change: NamesChanged) -> None:
        replica.version = change.version
        for entry in change.removed:
            if entry in replica.entries:
                del replica.entries[entry]
                self._unclaim(system, entry)
        for entry in change.added:
            replica.entries[entry] = None
            self._clock = max(self._clock, entry.stamp)
            claims = self._claims.setdefault((entry.name, entry.unique), {})
            claims[Claim(entry.stamp, system, entry.actor)] = None

    def _unclaim(self, system: str, entry: NameEntry) -> None:
        claims = self._claims[(entry.name, entry.unique)]
        claims.pop(Claim(entry.stamp, system, entry.actor), None)
        if not claims:
            del self._claims[(entry.name, entry.unique)]

    def check(self) -> None:
        """What the tables say of each other."""
        replicas = [(self.system, self.own), *self.others.items()]
        claims = {(e.name, e.unique, Claim(e.stamp, s, e.actor)) for s, r in replicas for e in r.entries}
        assert claims == {(name, unique, c) for (name, unique), cs in self._claims.items() for c in cs}
        assert len(self.own.entries) <= NAMES_MAX
