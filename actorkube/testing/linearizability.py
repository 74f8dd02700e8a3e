"""Is there one order of operations, each at a moment between its begin and its end, that explains what clients saw?

    history = History(loop.time)
    writing = history.begin("a", Write(1))
    ...
    writing.returned(None)          # or .unknown(): it may have happened, or may still; or .refused(): it has not
    check(history.operations)       # raises NotLinearizable, with the longest explanation that was found

Wing and Gong's search, with Lowe's memory of (what was placed, state): a configuration is tried once. Keys are checked
apart from each other, because a history is linearizable exactly when that of each key is (Herlihy and Wing's locality).
The problem is NP-complete all the same, so the search has a bound: beyond it, `Undecided` is raised.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

STEPS_MAX = 1_000_000


class _Unknown:
    def __repr__(self) -> str:
        return "unknown"


UNKNOWN: Final = _Unknown()  # the result of an operation of which nobody knows whether, or when, it happened


@dataclass(frozen=True)
class Operation:
    """`ended` is infinite, and `result` UNKNOWN, when no answer came. Equal times count as side by side."""

    key: Hashable
    action: Any
    began: float
    ended: float = math.inf
    result: Any = UNKNOWN


class Model(Protocol):
    """What one key does: pure, total, with states that can be hashed."""

    @property
    def initial(self) -> Hashable: ...

    def step(self, state: Any, action: Any) -> tuple[Hashable, Any]:
        """The state after it, and the result that it must have had."""


class NotLinearizable(AssertionError):
    """No order explains it. The message shows how far the best attempt got, and what could not follow."""


class Undecided(Exception):
    """More steps than allowed: a shorter history, or fewer clients on one key, would say."""


# -- registers --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Read:
    """Its result is the value, or the initial one."""


@dataclass(frozen=True)
class Write:
    """Its result is None. `Write(None)` deletes, in a map."""

    value: Hashable


@dataclass(frozen=True)
class Swap:
    """Compare and set: its result is whether the value was the expected one; only then it is replaced."""

    expected: Hashable
    value: Hashable


@dataclass(frozen=True)
class Register:
    """One value for each key: the model of registers, of maps, and of what compares and sets."""

    initial: Hashable = None

    def step(self, state: Hashable, action: Read | Write | Swap) -> tuple[Hashable, Any]:
        match action:
            case Read():
                return state, state
            case Write(value):
                return value, None
            case Swap(expected, value):
                return (value, True) if state == expected else (state, False)


# -- recording --------------------------------------------------------------------------------------------------------


class History:
    """`now` is one clock for all clients."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._begun: list[Begun] = []

    def begin(self, key: Hashable, action: Any) -> Begun:
        self._begun.append(begun := Begun(key, action, self._now(), self._now))
        return begun

    @property
    def operations(self) -> list[Operation]:
        """Those that have not ended are of unknown outcome; those that were refused are left out."""
        return [
            Operation(begun.key, begun.action, begun.began, begun.ended, begun.result)
            for begun in self._begun
            if not begun.was_refused
        ]


class Begun:
    def __init__(self, key: Hashable, action: Any, began: float, now: Callable[[], float]) -> None:
        self.key, self.action, self.began = key, action, began
        self.ended = math.inf
        self.result: Any = UNKNOWN
        self.was_refused = False
        self._now = now

    def returned(self, result: Any) -> None:
        self.ended, self.result = self._now(), result

    def unknown(self) -> None:
        """No answer will come: it may have happened, may still happen, or never will."""

    def refused(self) -> None:
        """It certainly has not happened, and never will."""
        self.was_refused = True


# -- the search -------------------------------------------------------------------------------------------------------


def check(operations: Iterable[Operation], model: Model | None = None, steps_max: int = STEPS_MAX) -> None:
    """Raises NotLinearizable or Undecided; `model` is a Register unless said otherwise. `steps_max`: for each key."""
    by_key: dict[Hashable, list[Operation]] = {}
    for operation in operations:
        by_key.setdefault(operation.key, []).append(operation)
    for key, of_key in by_key.items():
        _Search(key, of_key, model or Register(), steps_max).run()


class _Event:
    """The begin or the end of an operation: a node of the list of what is not placed yet, in order of time."""

    __slots__ = ("after", "before", "end", "number", "operation")

    def __init__(self, operation: Operation, number: int, end: _Event | None) -> None:
        self.operation = operation
        self.number = number
        self.end = end  # of a begin, when it has one
        self.before: _Event
        self.after: _Event | None = None


class _Search:
    def __init__(self, key: Hashable, operations: Sequence[Operation], model: Model, steps_max: int) -> None:
        self._key = key
        self._model = model
        self._steps_left = steps_max
        self._known = sum(operation.ended != math.inf for operation in operations)
        self._head = _Event(Operation(key, None, -math.inf), -1, None)
        self._best: list[Operation] = []
        self._stuck: list[Operation] = []
        self._link(operations)

    def _link(self, operations: Sequence[Operation]) -> None:
        events: list[tuple[float, int, _Event]] = []
        for number, operation in enumerate(operations):
            end = None
            if operation.ended != math.inf:
                end = _Event(operation, -1, None)
                events.append((operation.ended, 1, end))
            events.append((operation.began, 0, _Event(operation, number, end)))
        last = self._head
        for _, _, event in sorted(events, key=lambda entry: entry[:2]):
            last.after, event.before = event, last
            last = event

    def run(self) -> None:
        """Place what may be next; where the next end belongs to something that is not placed, go back one."""
        state = self._model.initial
        placed: list[tuple[_Event, Hashable]] = []
        done, known_left = 0, self._known
        tried: set[tuple[int, Hashable]] = set()
        event = self._head.after
        while known_left:
            assert event is not None  # the end of something that is known comes before the end of the list
            self._count()
            if event.number >= 0:
                after, result = self._model.step(state, event.operation.action)
                fits = event.operation.result is UNKNOWN or event.operation.result == result
                if fits and (configuration := (done | 1 << event.number, after)) not in tried:
                    tried.add(configuration)
                    placed.append((event, state))
                    state, done = after, configuration[0]
                    known_left -= event.end is not None
                    _lift(event)
                    event = self._head.after
                else:
                    event = event.after
                continue
            self._remember(placed, event)
            if not placed:
                raise NotLinearizable(self._story())
            event, state = placed.pop()
            done &= ~(1 << event.number)
            known_left += event.end is not None
            _unlift(event)
            event = event.after

    def _count(self) -> None:
        self._steps_left -= 1
        if self._steps_left < 0:
            raise Undecided(f"key {self._key!r}: too many orders of {self._known} operations to try them all")

    def _remember(self, placed: Sequence[tuple[_Event, Hashable]], end: _Event) -> None:
        if len(placed) >= len(self._best):
            self._best = [event.operation for event, _ in placed]
            self._stuck = [end.operation]

    def _story(self) -> str:
        lines = [f"key {self._key!r}: no order explains what was seen. The longest that does:"]
        state = self._model.initial
        for operation in self._best:
            state, _ = self._model.step(state, operation.action)
            lines.append(f"  {_words(operation)}, and now it is {state!r}")
        lines += ["but before this one could be placed, it had ended:", *(f"  {_words(o)}" for o in self._stuck)]
        return "\n".join(lines)


def _words(operation: Operation) -> str:
    return f"{operation.action} -> {operation.result!r}, from {operation.began} to {operation.ended}"


def _lift(event: _Event) -> None:
    """Take a begin, and its end, out of the list; they remember where they were."""
    for one in (event, event.end):
        if one is not None:
            one.before.after = one.after
            if one.after is not None:
                one.after.before = one.before


def _unlift(event: _Event) -> None:
    for one in (event.end, event):
        if one is not None:
            one.before.after = one
            if one.after is not None:
                one.after.before = one
