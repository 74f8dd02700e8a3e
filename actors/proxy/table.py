"""The forwarding table, kept one service at a time: what changes for the backend when one service's rules change."""

from __future__ import annotations

from typing import NamedTuple

from actors.proxy.rules import Forward, Frontend, Table


class Changes(NamedTuple):
    """What turns the old table into the new one: listeners to close, to open, and those that lead elsewhere."""

    close: tuple[Frontend, ...] = ()
    open: tuple[tuple[Frontend, Forward], ...] = ()
    change: tuple[tuple[Frontend, Forward], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.close or self.open or self.change)


def diff(old: Table, new: Table) -> Changes:
    return Changes(
        tuple(frontend for frontend in old if frontend not in new),
        tuple((frontend, forward) for frontend, forward in new.items() if frontend not in old),
        tuple((frontend, new[frontend]) for frontend in old if frontend in new and old[frontend] != new[frontend]),
    )


class ForwardingTable:
    """Equal to `rules.forwarding_table` of everything set so far. A contested frontend is the first service's."""

    def __init__(self) -> None:
        self.forwards: dict[Frontend, Forward] = {}
        self._rules: dict[str, dict[Frontend, Forward]] = {}
        self._claims: dict[Frontend, dict[str, None]] = {}

    def set_service(self, service: str, rules: dict[Frontend, Forward]) -> Changes:
        """Replace one service's rules; no rules remove it."""
        before = self._rules.pop(service, {})
        if rules:
            self._rules[service] = rules
        touched = dict.fromkeys([*before, *rules])
        old = {frontend: self.forwards[frontend] for frontend in touched if frontend in self.forwards}
        for frontend in touched:
            self._claim(frontend, service, frontend in rules)
        new = {frontend: self.forwards[frontend] for frontend in touched if frontend in self.forwards}
        return diff(old, new)

    def _claim(self, frontend: Frontend, service: str, wanted: bool) -> None:
        claims = self._claims.setdefault(frontend, {})
        if wanted:
            claims[service] = None
        else:
            claims.pop(service, None)
        if claims:
            self.forwards[frontend] = self._rules[min(claims)][frontend]
        else:
            del self._claims[frontend]
            self.forwards.pop(frontend, None)
