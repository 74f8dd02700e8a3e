"""`actorkube top`: what each actor of a running cluster does, as a table: rates, mailboxes, times, restarts, memory.

Rates are differences between two looks. Times are of the same interval, as far as messages were sampled in it.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from actorkube.cli.api import Api
from actorkube.runtime.histogram import quantile
from actorkube.runtime.observers import Observers
from actorkube.runtime.system import OBSERVER
from protocols.observe import ActorReport, Histogram, Inspect, SystemReport

CLEAR = "\x1b[H\x1b[2J"
COLUMNS = ("ACTOR", "MSG/S", "MAILBOX", "RUNNING", "WAIT p90", "HANDLE p50", "p99", "HANDLED", "LOST", "RESTARTS")
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


def command(options: argparse.Namespace) -> int:
    with Api(options.kubeconfig) as api:
        asyncio.run(_run(api.observers(), options))
    return 0


async def _run(observers: Observers, options: argparse.Namespace) -> None:
    await observers.find()
    before, looked_at = await observers.ask_all(Inspect()), time.monotonic()
    while True:
        await asyncio.sleep(options.interval)
        now, at = await observers.ask_all(Inspect()), time.monotonic()
        lines = table(before, now, at - looked_at, options.sort)
        if options.once:
            print("\n".join(lines))
            return
        print(CLEAR + "\n".join(lines[: shutil.get_terminal_size().lines - 1]), flush=True)
        before, looked_at = now, at
        await observers.find()


def table(before: Reports, now: Reports, seconds: float, sort: str) -> list[str]:
    """A line about all, and one an actor, but for the observers, who work for this."""
    found = sorted(rows(before, now, seconds), key=SORTS[sort])
    cells = [COLUMNS, *(_cells(row) for row in found)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
    lines = [_line(line, widths) for line in cells]
    return [_summary(before, now, found, seconds), "", *lines]


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


def _summary(before: Reports, now: Reports, found: Sequence[Row], seconds: float) -> str:
    processes = {report.pid: report for report in now.values()}
    earlier = {report.pid: report.cpu_s for report in before.values()}
    cpu_s = sum(max(0.0, report.cpu_s - earlier.get(pid, 0.0)) for pid, report in processes.items())
    memory = sum(report.memory_bytes for report in processes.values())
    rate = sum(row.rate for row in found)
    return (
        f"{len(now)} systems in {len(processes)} processes, {len(found)} actors   {rate:,.0f} messages/s   "
        f"CPU {cpu_s / seconds * 100:.0f} %   memory {memory / 2**20:,.0f} MiB"
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


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    columns = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return "  ".join(columns).rstrip()
