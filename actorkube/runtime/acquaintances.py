"""Whom the systems that we are linked to are linked to. Pure: what they say in, whom to ask out.

As in Erlang, links are made with acquaintances of acquaintances, so that in the end all know each other. Where no link
can be made, one of those who have one is asked for what the other says.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocols.names import Acquaintances

SYSTEMS_MAX = 1024  # that one system may say it is linked to


@dataclass(frozen=True, slots=True)
class Told:
    """By one system, in one of its lives."""

    life: int
    known: int
    systems: frozenset[str]


class Circle:
    def __init__(self) -> None:
        self.changes = 0
        self._told: dict[str, Told] = {}

    def is_current(self, peer: str, life: int, known: int) -> bool:
        told = self._told.get(peer)
        return (told.life, told.known) == (life, known) if told is not None else known == 0

    def take(self, peer: str, said: Acquaintances) -> None:
        """Raises ValueError beyond the bound."""
        if len(said.systems) > SYSTEMS_MAX:
            raise ValueError(f"{len(said.systems)} systems are more than one may know ({SYSTEMS_MAX})")
        systems = frozenset(each.system for each in said.systems) - {peer}
        self._told[peer] = Told(said.life, said.known, systems)
        self.changes += 1

    def drop(self, peer: str) -> None:
        if self._told.pop(peer, None) is not None:
            self.changes += 1

    def tellers(self, others: set[str]) -> dict[str, str]:
        """Those that somebody is linked to, but for the `others`; each with the first of those who are."""
        tellers: dict[str, str] = {}
        for peer in sorted(self._told):
            for system in sorted(self._told[peer].systems - others)[: SYSTEMS_MAX - len(tellers)]:
                tellers.setdefault(system, peer)
        return tellers
