"""`actorkube sim`: run scenarios under many seeds, show which fail, and run one again exactly."""

from __future__ import annotations

import argparse
import itertools
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actorkube.cli.errors import CliError

if TYPE_CHECKING:
    from actorkube.sim.sweep import Totals
    from actorkube.sim.trial import Outcome, Trial

REPORT_EVERY_S = 10.0
SEEDS_MAX = 10**9

EPILOG = """\
examples:
  actorkube sim --list                                       scenarios that have a short name
  actorkube sim --scenario store --seeds 1..1000 --jobs 4    a thousand seeds over four processes
  actorkube sim --scenario store --seed 4711 --trace f       one seed, here, with its trace in a file
  actorkube sim --replay f                                   run it again; stop where it is not the same
  actorkube sim --diff f g                                   where two traces part
  actorkube sim --play a.tape --actor bank:Account           play a tape to one actor, alone
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Run a scenario in simulation: under many seeds, under one, or as it was recorded."
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--scenario", metavar="NAME", help="a short name (--list), or package.module:function")
    what.add_argument("--replay", metavar="FILE", type=Path, help="run what was recorded again, and compare")
    what.add_argument("--diff", metavar="FILE", type=Path, nargs=2, help="show where two recordings part")
    what.add_argument("--play", metavar="TAPE", type=Path, help="play what was taped of one actor to a new one, alone")
    what.add_argument("--list", action="store_true", help="scenarios that have a short name")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seed", type=int, metavar="N", help="one seed, in this process")
    which.add_argument(
        "--seeds", type=seeds, metavar="A..B", help="A..B, A.. (until stopped) or new (from a new one; default 1..100)"
    )
    add("--actor", metavar="NAME", help="with --play: package.module:factory, a function or class that makes the actor")
    add("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (default: one a CPU)")
    add("--keep-going", action="store_true", help="do not stop at the first seed that fails")
    add("--twice", action="store_true", help="run each seed twice, with other hashes of strings, and compare")
    add("--policy", choices=("fifo", "shuffle", "priority", "any"), default="shuffle", help="order of ready tasks")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of the scenario; may be repeated")
    add("--must-reach", action="append", default=[], metavar="PROBE", help="fail when no seed reaches it; repeatable")
    add("--trace", type=Path, metavar="FILE", help="with --seed: record the run")
    add("--record", type=Path, metavar="DIR", help="with --seeds: keep recordings of those that fail")


def command(options: argparse.Namespace) -> int:
    from concurrent.futures.process import BrokenProcessPool

    from actorkube.sim.recording import BadRecording
    from actorkube.sim.scenarios import UnknownScenario

    try:
        if options.list:
            return show_list()
        if options.diff:
            return diff(*options.diff)
        if options.replay:
            fix_hashes(options)
            return replay(options.replay)
        if options.play:
            return play(options.play, options.actor or "")
        if options.seed is not None:
            fix_hashes(options)
            return one(trial_of(options))
        return sweep(options)
    except UnknownScenario as error:
        raise CliError(str(error), "`actorkube sim --list` shows what has a short name") from error
    except BadRecording as error:
        raise CliError(str(error), "make one with --trace FILE") from error
    except BrokenProcessPool as error:
        raise CliError("a process of the sweep died", "look for lack of memory, or try --jobs 1") from error


def fix_hashes(options: argparse.Namespace) -> None:
    """Strings hash as they do in a sweep: for that this program begins anew, unless it is called by another."""
    if options.is_program and os.environ.get("PYTHONHASHSEED") != "0":
        sys.stdout.flush()
        os.execve(sys.executable, sys.orig_argv, {**os.environ, "PYTHONHASHSEED": "0"})


def seeds(text: str) -> Iterator[int] | range:
    if text == "new":
        import random

        return itertools.count(random.SystemRandom().randrange(SEEDS_MAX))
    found = re.fullmatch(r"(\d{1,18})(\.\.(\d{1,18})?)?", text)
    if found is None or (found[3] and int(found[3]) < int(found[1])):
        raise argparse.ArgumentTypeError(f"{text!r} is not a range of seeds such as 1..1000, 7.. or new")
    if found[2] and not found[3]:
        return itertools.count(int(found[1]))
    return range(int(found[1]), int(found[3] or found[1]) + 1)


def names() -> dict[str, str]:
    """The short names, and where they lead: of the cluster's own scenarios, and of installed packages."""
    from actorkube.cli.composition import composition
    from actorkube.sim.scenarios import installed

    return {**composition().scenarios(), **installed()}


def trial_of(options: argparse.Namespace, seed: int = 0) -> Trial:
    from actorkube.sim.scenarios import find, unknown_option
    from actorkube.sim.trial import Trial

    place, given = names().get(options.scenario, options.scenario), dict(map(setting, options.set))
    wrong = unknown_option(find(place), given)  # before processes are started for it
    if wrong:
        raise CliError(wrong, "say one as --set KEY=VALUE")
    seed = options.seed if options.seed is not None else seed
    return Trial(place, seed, options.policy, given, record=options.trace)


def setting(text: str) -> tuple[str, Any]:
    """`key=value`, the value a number where it looks like one."""
    key, equals, value = text.partition("=")
    if not (key.isidentifier() and equals):
        raise CliError(f"{text!r} is not KEY=VALUE", "for example --set nodes=5")
    for kind in (int, float):
        try:
            return key, kind(value)
        except ValueError:
            continue
    return key, value


def show_list() -> int:
    from actorkube.sim.scenarios import find

    for name, place in sorted(names().items()):
        print(f"{name:16} {find(place).text}")
    return 0


def diff(one: Path, other: Path) -> int:
    from actorkube.sim.recording import compare

    difference = compare(one, other)
    print(difference or "the two are the same")
    return 1 if difference else 0


def replay(path: Path) -> int:
    from actorkube.sim.recording import Recording
    from actorkube.sim.trial import Trial

    header = Recording(path).header
    if not header.scenario:
        raise CliError(f"{path} does not say which scenario made it", "record it by --scenario NAME --trace FILE")
    from actorkube import __version__

    if header.package != __version__:
        print(f"it was recorded by version {header.package}, this is {__version__}: it may well differ")
    given = dict(header.options)
    return one(Trial(header.scenario, int(header.seed), given.pop("policy"), given, replay=path))


def play(tape: Path, actor: str) -> int:
    from actorkube.sim.scenarios import look_up
    from actorkube.sim.solo import TapeDiverged, replay_actor

    factory = look_up(actor)
    if not callable(factory):
        raise CliError(
            f"{actor!r} makes no actor", "name the function or class that does: --actor package.module:factory"
        )
    try:
        print(f"{replay_actor(tape, factory)} entries played, each as it was recorded")
    except TapeDiverged as difference:
        print(difference)
        return 1
    return 0


def one(trial: Trial) -> int:
    """One seed in this process, where a debugger can follow it."""
    from actorkube.sim.trial import attempt

    outcome = attempt(trial)
    if outcome.error:
        print(outcome.error, file=sys.stderr)
    reached = ", ".join(f"{name} ({count}x)" for name, count in sorted(outcome.probes.items()))
    print(
        f"seed {trial.seed}: {'failed' if outcome.error else 'ok'}, {outcome.seconds:.1f} simulated seconds in "
        f"{outcome.took_s:.2f} s, {outcome.steps} steps, trace {outcome.hash}"
    )
    if reached:
        print(f"reached: {reached}")
    if trial.record:
        print(f"recorded: {trial.record}")
    return 1 if outcome.error else 0


def sweep(options: argparse.Namespace) -> int:
    from actorkube.sim.scenarios import find
    from actorkube.sim.sweep import Sweep, Totals

    trial = trial_of(options)
    must_reach = (*find(trial.scenario).must_reach, *options.must_reach)
    totals = Totals()
    lines = Progress(totals)
    outcomes = Sweep(trial, jobs=max(1, options.jobs), twice=options.twice, record=options.record).outcomes(
        options.seeds or range(1, 101)
    )
    try:
        for outcome in outcomes:
            totals.add(outcome)
            if outcome.error:
                lines.clear()
                show_failure(options, trial, outcome)
                if not options.keep_going:
                    break
            lines.show()
    except KeyboardInterrupt:
        pass
    finally:
        lines.clear()
        outcomes.close()
    return summary(totals, must_reach)


def show_failure(options: argparse.Namespace, trial: Trial, outcome: Outcome) -> None:
    import shlex

    print(outcome.error.rstrip())
    again = ["python", "-m", "actorkube", "sim", "--scenario", options.scenario, "--seed", str(outcome.seed)]
    if trial.policy != "shuffle":
        again += ["--policy", trial.policy]
    again += [part for text in options.set for part in ("--set", text)]
    print(f"seed {outcome.seed} failed; again: {shlex.join([*again, '--trace', f'{outcome.seed}.trace'])}", flush=True)


class Progress:
    """One line that changes on a terminal; elsewhere a line now and then."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals
        self._live = sys.stdout.isatty()
        self._shown_s = 0.0

    def show(self) -> None:
        totals = self._totals
        if totals.took_s - self._shown_s < (0.1 if self._live else REPORT_EVERY_S):
            return
        self._shown_s = totals.took_s
        print(f"\r{rates(totals)}\033[K" if self._live else rates(totals), end="" if self._live else "\n", flush=True)

    def clear(self) -> None:
        if self._live:
            print("\r\033[K", end="", flush=True)


def rates(totals: Totals) -> str:
    took = max(totals.took_s, 1e-9)
    counted = f"{totals.passed} seeds passed, {len(totals.failed)} failed in {took:.1f} s"
    return f"{counted}: {totals.seeds / took:.1f} seeds/s, {totals.seconds / took:.0f} simulated s/s"


def summary(totals: Totals, must_reach: tuple[str, ...]) -> int:
    for name, count in sorted(totals.probes.items(), key=lambda entry: (entry[1], entry[0])):
        print(f"{count:6} of {totals.seeds} seeds reached: {name}")
    missed = [name for name in dict.fromkeys(must_reach) if not totals.probes.get(name)]
    for name in missed:
        print(f"no seed reached: {name}")
    if totals.failed:
        print(f"failed: {', '.join(map(str, sorted(totals.failed)[:20]))}{' ...' * (len(totals.failed) > 20)}")
    print(rates(totals))
    return 1 if totals.failed or missed else 0
