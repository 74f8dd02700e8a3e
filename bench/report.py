"""Writes docs/benchmarks.md: every benchmark, measured here and now, with the machine named.

    python -m bench.report                 all sections (some 20 minutes)
    python -m bench.report messages sim    these sections; the others stay as they were measured
    python -m bench.report messages --rounds 3 --seconds 0.2

A section stands between two comments, so that it can be measured alone.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import machine
from bench.messages.turns import OURS, SUBJECTS

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Written by `python -m bench.report`, which measures everything again, names the machine and replaces this page;
`python -m bench.report messages` replaces one section.
"""
NAMES = {
    OURS: "ActorKube",
    "raw": "uvloop + MessagePack, no actors",
    "queue": "asyncio.Queue + task",
    "streams": "asyncio streams",
    "erlang": "Erlang/OTP",
    "xoscar": "xoscar",
    "pykka": "Pykka",
    "thespian": "Thespian",
    "ray": "Ray",
}
SECTIONS = {
    "messages": "Messages between actors, beside other frameworks",
    "start": "Start of a cluster",
    "api": "The API server",
    "etcd": "The store",
    "scale": "A thousand pods",
    "scheduler": "The scheduler",
    "scheduler_end_to_end": "The scheduler, end to end",
    "sim": "Simulation",
}
PACKAGES = ("uvloop", "msgpack", "msgspec", "xoscar", "Pykka", "thespian", "ray")


@dataclass(frozen=True)
class Target:
    """What is to be reached, and what peers did on the machine where that was set: machines differ, ratios less."""

    value: int
    peers: dict[str, int]


# For bytes, at most.
TARGETS = {
    "tell, in process, 100 B": Target(2_000_000, {"queue": 1_440_000, "erlang": 2_150_000}),
    "ask, in process, depth 1, 100 B": Target(300_000, {"queue": 337_000, "erlang": 1_467_000}),
    "tell, TCP, 100 B": Target(600_000, {"raw": 1_548_000, "erlang": 493_000}),
    "ask, TCP, depth 1, 100 B": Target(60_000, {"raw": 101_000, "erlang": 71_000}),
    "ask, TCP, depth 256, 100 B": Target(300_000, {"raw": 745_000, "erlang": 127_000}),
    "ask, TCP, depth 16, Pod opaque": Target(150_000, {"raw": 280_000}),
    "spawn 100,000 actors": Target(300_000, {"queue": 50_000, "erlang": 289_000}),
    "memory of an idle actor": Target(500, {"queue": 4_630, "erlang": 2_700}),
}


TLS_SHARES = {1: 0.65, 16: 0.85}  # by depth: of the rate over plain TCP


def measure(section: str, options: list[str]) -> str:
    before = machine.load()
    body = messages(options) if section == "messages" else printed(section)
    packages = PACKAGES if section == "messages" else ("uvloop", "msgspec", "aiohttp")
    software = ", ".join(filter(None, [machine.versions(*packages), section == "messages" and machine.erlang()]))
    when = f"Measured on {machine.today()}: {machine.machine()}; {software}. {machine.business(before)}"
    return f"## {SECTIONS[section]}\n\n{when}\n\n{body}"


def printed(section: str) -> str:
    run = subprocess.run([sys.executable, "-m", f"bench.{section}"], capture_output=True, text=True, check=True)
    return f"`python -m bench.{section}` printed:\n\n```\n{run.stdout.strip()}\n```\n"


def messages(options: list[str]) -> str:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "answers.json")
        subprocess.run([sys.executable, "-m", "bench.messages", "--json", str(file), *options], check=True)
        found = json.loads(file.read_text())
    answers = found["answers"]
    return "\n".join([*table(answers), "", *targets(answers), *shares(answers), *missing(found["notes"])]) + "\n"


def table(answers: list[dict[str, Any]]) -> Iterator[str]:
    """A row a question; subjects that answered nothing have no column."""
    columns = [name for name in SUBJECTS if any(answer["medians"].get(name) for answer in answers)]
    yield "Medians of rounds in which all take turns. In brackets: ActorKube's figure divided by that one."
    yield ""
    yield "| | " + " | ".join(NAMES[name] for name in columns) + " |"
    yield "|---|" + "---:|" * len(columns)
    for answer in answers:
        if answer["medians"].get(OURS) is not None:
            yield (
                f"| {answer['label']} ({answer['unit']}) | " + " | ".join(cell(answer, name) for name in columns) + " |"
            )


def cell(answer: dict[str, Any], name: str) -> str:
    value, ratio = answer["medians"].get(name), answer["ratios"].get(name)
    if value is None:
        return ""
    return f"{value:,.0f}" if name == OURS or ratio is None else f"{value:,.0f} ({ratio:.2f})"


def targets(answers: list[dict[str, Any]]) -> Iterator[str]:
    yield "What is to be reached was set on another machine of two cores; so also as ratios to what peers did there."
    yield ""
    yield "| | to reach | measured | ratios to reach, and measured |"
    yield "|---|---:|---:|---|"
    for answer in answers:
        target, value = TARGETS.get(answer["label"]), answer["medians"].get(OURS)
        if target and value is not None:
            ratios = "; ".join(compared(target, answer["ratios"]))
            yield f"| {answer['label']} ({answer['unit']}) | {target.value:,} | {value:,.0f} | {ratios} |"


def compared(target: Target, ratios: dict[str, float]) -> Iterator[str]:
    for peer, value in target.peers.items():
        if ratios.get(peer) is not None:
            yield f"{NAMES[peer]}: {target.value / value:.2f}, {ratios[peer]:.2f}"


def shares(answers: list[dict[str, Any]]) -> Iterator[str]:
    """How much of plain TCP's rate is left under TLS, and how much of it the limit keeps."""
    rates = {answer["label"]: answer["medians"] for answer in answers}
    rows = []
    for depth, share in TLS_SHARES.items():
        plain, tls = (rates.get(f"ask, {place}, depth {depth}, 100 B", {}) for place in ("TCP", "TLS"))
        if plain.get(OURS) and tls.get(OURS):
            kept = [
                f"{tls[name] / plain[name]:.2f}" if plain.get(name) and tls.get(name) else "" for name in (OURS, "raw")
            ]
            rows.append(f"| ask, depth {depth}, 100 B | {share} | {' | '.join(kept)} |")
    if rows:
        yield from ("", "What TLS leaves of the rate over plain TCP, in the same run.", "")
        yield from (f"| | to reach | measured | {NAMES['raw']} |", "|---|---:|---:|---:|")
        yield from rows


def missing(notes: list[str]) -> Iterator[str]:
    if notes:
        yield ""
        yield "Not measured: " + "; ".join(notes) + "."


def replace(page: str, section: str, text: str) -> str:
    """The page with this section in it, in the order of SECTIONS."""
    kept = dict(re.findall(r"<!-- begin (\w+) -->\n(.*?)<!-- end \1 -->", page, re.DOTALL))
    kept[section] = text
    parts = [f"<!-- begin {name} -->\n{kept[name]}<!-- end {name} -->\n" for name in SECTIONS if name in kept]
    return "\n".join([HEAD, *parts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", default=list(SECTIONS), help=", ".join(SECTIONS))
    parser.add_argument("--page", type=Path, default=PAGE)
    options, of_messages = parser.parse_known_args()  # what is not known here is an option of bench.messages
    for section in options.sections:
        page = options.page.read_text() if options.page.exists() else ""
        options.page.write_text(replace(page, section, measure(section, of_messages)))


if __name__ == "__main__":
    main()
