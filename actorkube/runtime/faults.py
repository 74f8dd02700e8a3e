"""Faults of a live cluster: which links are cut and which clocks are set, as a value.

It is kept in a file, so that a process that is started again meets the same faults as the one before it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from actorkube.runtime.duration import format_duration, in_seconds


class Faults(msgspec.Struct, frozen=True):
    """`cuts` are pairs (from, to) of hosts: nothing that the first says gets to the second. `ahead_s`: how far a host's
    wall clock is ahead of real time, behind if negative. `guests`: hosts that have joined, when it was last changed."""

    hosts: tuple[str, ...]
    cuts: frozenset[tuple[str, str]] = frozenset()
    ahead_s: dict[str, float] = {}
    guests: tuple[str, ...] = ()

    @property
    def everybody(self) -> tuple[str, ...]:
        return self.hosts + self.guests

    def with_guests(self, guests: Iterable[str]) -> Faults:
        return msgspec.structs.replace(self, guests=tuple(guests))

    def partition(self, one: str | Collection[str], other: str | Collection[str] = (), *, both_ways: bool) -> Faults:
        """Nothing gets from one side to the other. Without `other` (or ""): to everybody else."""
        inside = self._all_behind(one)
        outside = self._all_behind(other) if other else [host for host in self.everybody if host not in inside]
        cuts = {(a, b) for a in inside for b in outside if a != b}
        back = {(b, a) for a, b in cuts} if both_ways else set()
        return msgspec.structs.replace(self, cuts=self.cuts | cuts | back)

    def skew(self, name: str, by: str | float) -> Faults:
        """Set a clock so far ahead ("5m", or seconds) of the others', or behind ("-5m"). 0: right again."""
        ahead_s = dict.fromkeys(self.behind(name), signed_seconds(by))
        return msgspec.structs.replace(self, ahead_s={**self.ahead_s, **ahead_s})

    def heal(self) -> Faults:
        return Faults(self.hosts, guests=self.guests)

    def behind(self, name: str) -> list[str]:
        """The host of that name, or all of a machine or kind: `node-1`, `etcd`. KeyError names those that there are."""
        found = [host for host in self.everybody if host == name or host.startswith(f"{name}-")]
        if not found:
            raise KeyError(f"there is no host {name}; there are {', '.join(self.everybody)}")
        return found

    def affected(self) -> set[str]:
        return {host for cut in self.cuts for host in cut} | self.ahead_s.keys()

    def unheard_by(self, host: str) -> frozenset[str]:
        return frozenset(sender for sender, receiver in self.cuts if receiver == host)

    def _all_behind(self, names: str | Collection[str]) -> list[str]:
        some = (names,) if isinstance(names, str) else names
        return [host for name in some for host in self.behind(name)]


def signed_seconds(by: str | float) -> float:
    """Of "5m", "-5m", or a number. Raises ValueError."""
    if not isinstance(by, str):
        return float(by)
    return -in_seconds(by[1:]) if by.startswith("-") else in_seconds(by)


# -- said to people ---------------------------------------------------------------------------------------------------


def partitioned_sentence(one: str, other: str, both_ways: bool) -> str:
    way = "cut off from" if both_ways else "not heard by"
    return f"{one} is {way} {other or 'everybody else'}"


def skewed_sentence(name: str, by_s: float) -> str:
    way = "ahead" if by_s >= 0 else "behind"
    return f"the clock of {name} is {format_duration(abs(by_s))} {way}"
