"""Actions under way: at most one in a slot, each until its outcome is known."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from actors.kubelet.actions import Action, Tell


@dataclass(slots=True)
class Slots:
    """`now` is the time of the step or outcome being worked on; `wake_at` when the next one is wanted at the latest."""

    now: float
    wake_at: float = math.inf
    _under_way: dict[str, tuple[Action, float]] = field(default_factory=dict)
    _new: list[Action] = field(default_factory=list)

    def emit(self, slot: str, action: Action) -> bool:
        """Whether it was taken: not when something is under way in that slot."""
        if slot in self._under_way:
            return False
        self._under_way[slot] = (action, self.now)
        self._new.append(action)
        return True

    def tell(self, event: Tell) -> None:
        self._new.append(event)

    def wake(self, at: float) -> None:
        self.wake_at = min(self.wake_at, at)

    def take(self) -> list[Action]:
        new, self._new = self._new, []
        return new

    def release(self, action: Action) -> tuple[str, float]:
        """Its outcome is known: the slot it had, and since when."""
        for slot, (pending, since) in self._under_way.items():
            if pending is action:
                del self._under_way[slot]
                return slot, since
        raise AssertionError(f"{action} was not under way")

    def has(self, *types: type) -> bool:
        """Whether an action of one of these types is under way."""
        return any(isinstance(action, types) for action, _ in self._under_way.values())

    def __contains__(self, slot: str) -> bool:
        return slot in self._under_way

    def __bool__(self) -> bool:
        return bool(self._under_way)
