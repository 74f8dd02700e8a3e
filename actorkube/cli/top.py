"""`actorkube top`: what each actor of a running cluster does, as a table: rates, mailboxes, times, restarts; and what
each process takes: processor time, memory.

On a terminal it is drawn anew every interval; anywhere else it is one look, as plain text. Rates are differences
between two looks. Times are of the same interval, as far as messages were sampled in it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from actorkube.cli import watched
from actorkube.runtime.built_in import OBSERVER
from actorkube.runtime.histogram import quantile
from actorkube.runtime.observers import Observers
from protocols.observe import ActorReport, Histogram, Inspect, SystemReport

CLEAR = "\x1b[H\x1b[2J"
COLUMNS = ("ACTOR", "MSG/S", "MAILBOX", "RUNNING", "WAIT p90", "HANDLE p50", "p99", "HANDLED", "LOST", "RESTARTS")
PROCESS_COLUMNS = ("PROCESS", "CPU", "MEMORY", "MSG/S", "ACTORS", "SYSTEMS")
SYSTEMS_NAMED = 4
SORTS = {"rate": lambda row: -row.rate, "actor": lambda row: row.actor, "mailbox": lambda row: -row.mailbox}

Reports = Mapping[str, SystemReport]


@dataclass(frozen=True, slots=True)
class Row:
    """One actor in one interval. Times in seconds, upper bounds by powers of two; 0: nothing was sampled."""

    actor: str
    rate: float
    mailbox: int
    running: int
    wait_p90: float
    handle_p50: float
    handle_p99: float
    handled: int
    lost: int
    restarts: int


@dataclass(frozen=True, slots=True)
class Process:
    """One process in one interval; what it takes is of all its systems together."""

    pid: int
    cpu_share: float
    memory_bytes: int
    rate: float
    actors: int
    systems: tuple[str, ...]


def command(options: argparse.Namespace) -> int:
    async def look() -> None:
        async with watched.observers(options) as observers:
            await watch(observers, options)

    asyncio.run(look())
    return 0


async def watch(observers: Observers, options: argparse.Namespace) -> None:
    await observers.find()
    before, looked_at = await observers.ask_all(Inspect()), time.monotonic()
    while True:
        await asyncio.sleep(options.interval)
        now, at = await observers.ask_all(Inspect()), time.monotonic()
        lines = shown(before, now, at - looked_at, options)
        if options.once or not is_drawable():
            print("\n".join(lines))
            return
        print(CLEAR + "\n".join(lines[: shutil.get_terminal_size().lines - 1]), flush=True)
        before, looked_at = now, at
        await observers.find()


def is_drawable() -> bool:
    """Whether standard output is a terminal that can be cleared."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def shown(before: Reports, now: Reports, seconds: float, options: argparse.Namespace) -> list[str]:
    """Actors, or processes; in one look that is not cut to a screen, both."""
    if options.by == "process":
        return [_summary(before, now, seconds), "", *process_table(before, now, seconds)]
    lines = table(before, now, seconds, options.sort)
    both = options.by is None and (options.once or not is_drawable())
    return [*lines, "", *process_table(before, now, seconds)] if both else lines


def table(before: Reports, now: Reports, seconds: float, sort: str) -> list[str]:
    """A line about all, and one an actor, but for the observers, who work for this."""
    found = sorted(rows(before, now, seconds), key=SORTS[sort])
    return [_summary(before, now, seconds), "", *_aligned([COLUMNS, *(_cells(row) for row in found)])]


def process_table(before: Reports, now: Reports, seconds: float) -> list[str]:
    """A line a process, the largest first."""
    found = sorted(processes(before, now, seconds), key=lambda process: (-process.memory_bytes, process.pid))
    return _aligned([PROCESS_COLUMNS, *(_process_cells(process) for process in found)], named_last=True)


def processes(before: Reports, now: Reports, seconds: float) -> Iterable[Process]:
    cpu_before = {report.pid: report.cpu_s for report in before.values()}
    systems: dict[int, list[str]] = {}
    for name, report in now.items():
        systems.setdefault(report.pid, []).append(name)
    for pid, names in systems.items():
        report = now[names[0]]
        some = list(rows(before, {name: now[name] for name in names}, seconds))
        spent_s = max(0.0, report.cpu_s - cpu_before.get(pid, report.cpu_s))
        rate = sum(row.rate for row in some)
        yield Process(pid, spent_s / seconds, report.memory_bytes, rate, len(some), tuple(sorted(names)))


def rows(before: Reports, now: Reports, seconds: float) -> Iterable[Row]:
    for name, report in now.items():
        known = {actor.actor: actor for actor in before[name].actors} if name in before else {}
        for actor in report.actors:
            if actor.actor == OBSERVER:
                continue
            yield _row(name, known.get(actor.actor), actor, seconds)


def _row(system: str, before: ActorReport | None, now: ActorReport, seconds: float) -> Row:
    handled = sum(now.handled.values())
    earlier = sum(before.handled.values()) if before is not None else 0
    handling = _since(before.handling if before is not None else None, now.handling)
    waiting = _since(before.waiting if before is not None else None, now.waiting)
    return Row(
        f"{system}/{now.actor}",
        max(0, handled - earlier) / seconds,
        now.mailbox,
        now.running,
        quantile(waiting, 0.9) * 1e-6,
        quantile(handling, 0.5) * 1e-6,
        quantile(handling, 0.99) * 1e-6,
        handled,
        sum(now.lost.values()),
        now.restarts,
    )


def _since(before: Histogram | None, now: Histogram) -> Histogram:
    """What was added; all of it where the actor's process was started anew."""
    if before is None or sum(before.counts) > sum(now.counts):
        return now
    added = tuple(new - old for new, old in zip_longest(now.counts, before.counts, fillvalue=0))
    return Histogram(added, now.total - before.total)


def _summary(before: Reports, now: Reports, seconds: float) -> str:
    found = list(processes(before, now, seconds))
    actors, rate = sum(process.actors for process in found), sum(process.rate for process in found)
    share, memory = sum(process.cpu_share for process in found), sum(process.memory_bytes for process in found)
    there = f"{_many(len(now), 'system')} in {_many(len(found), 'process')}, {_many(actors, 'actor')}"
    return f"{there}   {rate:,.0f} messages/s   CPU {share * 100:.0f} %   memory {memory / 2**20:,.0f} MiB"


def _process_cells(process: Process) -> tuple[str, ...]:
    more = len(process.systems) - SYSTEMS_NAMED
    names = ", ".join(process.systems[:SYSTEMS_NAMED]) + (f" and {more} more" if more > 0 else "")
    return (
        str(process.pid),
        f"{process.cpu_share * 100:.0f} %",
        f"{process.memory_bytes / 2**20:,.0f} MiB",
        f"{process.rate:,.1f}",
        str(process.actors),
        names,
    )


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.actor,
        f"{row.rate:,.1f}",
        str(row.mailbox),
        str(row.running),
        duration(row.wait_p90),
        duration(row.handle_p50),
        duration(row.handle_p99),
        f"{row.handled:,}",
        str(row.lost),
        str(row.restarts),
    )


def duration(seconds: float) -> str:
    """Three digits at most and a unit; "-" for what is not known."""
    if seconds <= 0:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size or unit == "µs":
            return f"{seconds / size:.3g} {unit}"
    return "-"


def _aligned(cells: Sequence[Sequence[str]], *, named_last: bool = False) -> list[str]:
    """The first column to the left, numbers to the right; the last to the left, too, where it holds names."""
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return [_line(line, widths, named_last) for line in cells]


def _line(cells: Sequence[str], widths: Sequence[int], named_last: bool) -> str:
    (first, width), *others = zip(cells, widths, strict=True)
    columns = [first.ljust(width), *(cell.rjust(width) for cell, width in others)]
    if named_last:
        columns[-1] = cells[-1]
    return "  ".join(columns).rstrip()


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}{'es' if what.endswith('s') else 's'}"
