"""What the user of a cluster in one process asks of its clock and its hosts (control_socket.py says how)."""

from __future__ import annotations

import datetime
import time
from collections.abc import Awaitable, Callable
from typing import Any

from actorkube.runtime.clock_loop import ClockLoop, Passed
from actorkube.runtime.duration import format_duration, in_seconds
from actorkube.runtime.faults import Faults, partitioned_sentence, skewed_sentence
from actorkube.runtime.hosts import LocalHosts
from actorkube.runtime.settled import settled

OWNERS_NAMED = 3


class Control:
    """Answers requests about the loop that it runs on; `after` is called after each."""

    def __init__(self, loop: ClockLoop, hosts: LocalHosts, after: Callable[[], None] = lambda: None) -> None:
        self._loop = loop
        self._hosts = hosts
        self._after = after

    async def answer(self, request: dict[str, Any]) -> str:
        """One line for people. Raises KeyError, TypeError, ValueError for nonsense, and NotSettled."""
        try:
            return await self._answer(request)
        finally:
            self._after()

    async def _answer(self, request: dict[str, Any]) -> str:
        loop, hosts = self._loop, self._hosts
        match request.get("do"):
            case "show":
                return self._now()
            case "pause":
                loop.pause()
                return self._now()
            case "run":
                loop.run_at(float(request["rate"]))
                return self._now()
            case "step":
                return await self._moved(loop.step())
            case "advance":
                return await self._moved(loop.advance(in_seconds(float(request["seconds"]))))
            case "settle":
                await settled(lambda: hosts.systems)
                return f"{self._now()}; settled"
            case "kill":
                names = hosts.named(str(request["name"]))
                await hosts.kill(*names)
                return f"{stamp(loop.wall)}  killed {', '.join(names)}"
            case "start":
                names = hosts.named(str(request["name"]))
                hosts.start(*names)
                return f"{stamp(loop.wall)}  starts {', '.join(names)}"
            case "partition":
                one, other, both_ways = str(request["one"]), request["other"], bool(request["both_ways"])
                hosts.change_faults(lambda faults: faults.partition(one, other, both_ways=both_ways))
                return f"{stamp(loop.wall)}  {partitioned_sentence(one, other, both_ways)}"
            case "skew":
                name, by_s = str(request["name"]), float(request["seconds"])
                hosts.change_faults(lambda faults: faults.skew(name, by_s))
                return f"{stamp(loop.wall)}  {skewed_sentence(name, by_s)}"
            case "heal":
                hosts.change_faults(Faults.heal)
                return f"{stamp(loop.wall)}  healed"
            case "hosts":
                return "  ".join(name if hosts.is_up(name) else f"{name} (down)" for name in hosts.names)
        raise ValueError(f"nobody knows how to {request.get('do')!r}")

    def _now(self) -> str:
        loop = self._loop
        state = "paused" if loop.clock.paused else f"runs at x{loop.clock.rate:g}"
        due = loop.next_due()
        coming = f"next in {format_duration(due[0])}: {due[1]}" if due else "no timer is set"
        return f"{stamp(loop.wall)}  {state}  {coming}"

    async def _moved(self, move: Awaitable[Passed]) -> str:
        began = time.monotonic()
        passed = await move
        took = format_duration(time.monotonic() - began)
        state = "paused" if self._loop.clock.paused else f"runs at x{self._loop.clock.rate:g}"
        return f"{stamp(self._loop.wall)}  {state}  +{format_duration(passed.seconds)} in {took}  due: {_due(passed)}"


def _due(passed: Passed) -> str:
    """The busiest first."""
    if not passed.fired:
        return "nothing"
    owners = [f"{owner} {count} times" if count > 1 else owner for owner, count in passed.fired.items()]
    more = len(owners) - OWNERS_NAMED
    return ", ".join(owners[:OWNERS_NAMED]) + (f" and {more} more" if more > 0 else "")


def stamp(wall: float) -> str:
    """As objects of the API carry it, with milliseconds: 2026-11-28T10:12:00.083Z."""
    return datetime.datetime.fromtimestamp(wall, datetime.UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
