"""`actorkube sim`: sweeps over seeds, what they print of failures, and that a printed command does what it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from actorkube.cli import main
from actorkube.cli.sim import seeds
from actorkube.runtime.taped import taped
from actorkube.sim import World
from tests.sim.messages import Counter, SimAdd

ROOT = Path(__file__).parents[2]
SWEPT = "tests.sim.swept"


def sim(*arguments: str | Path, hash_seed: str = "random") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "actorkube", "sim", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.slow
def test_a_sweep_passes_counts_probes_and_says_how_fast_it_was() -> None:
    done = sim("--scenario", f"{SWEPT}:good", "--seeds", "1..9", "--jobs", "2")

    assert done.returncode == 0, done.stderr
    assert "9 of 9 seeds reached: asked" in done.stdout
    assert "3 of 9 seeds reached: seed divisible by 3" in done.stdout
    assert "0 of 9 seeds reached: never" in done.stdout
    assert re.search(r"^9 seeds passed, 0 failed in \d+\.\d s: \d+\.\d seeds/s, \d+ simulated s/s$", done.stdout, re.M)


@pytest.mark.slow
def test_a_failure_is_shown_with_the_command_that_repeats_it_and_the_command_does(tmp_path: Path) -> None:
    done = sim("--scenario", f"{SWEPT}:bad", "--seeds", "7..50", "--jobs", "1", "--set", "divisor=5")

    assert done.returncode == 1
    assert "AssertionError: 10 is divisible by 5" in done.stdout
    assert "failed: 10\n" in done.stdout
    again = re.search(r"seed 10 failed; again: python -m actorkube (sim .*)", done.stdout)
    assert again is not None
    command = shlex.split(again[1])[1:]
    assert command[-2:] == ["--trace", "10.trace"]
    repeated = sim(*command[:-1], tmp_path / "10.trace")

    assert repeated.returncode == 1
    assert "AssertionError: 10 is divisible by 5" in repeated.stderr
    assert (tmp_path / "10.trace").exists()


@pytest.mark.slow
def test_a_sweep_goes_on_after_failures_when_told_and_keeps_their_recordings_only(tmp_path: Path) -> None:
    done = sim(
        *("--scenario", f"{SWEPT}:bad", "--seeds", "1..7", "--jobs", "1", "--keep-going", "--record", tmp_path / "kept")
    )

    assert done.returncode == 1
    assert "failed: 3, 6\n" in done.stdout
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["seed-3.trace", "seed-6.trace"]


@pytest.mark.slow
def test_a_recorded_seed_is_replayed_and_compared(tmp_path: Path) -> None:
    one, same, other = tmp_path / "one", tmp_path / "same", tmp_path / "other"
    for seed, path in ((4, one), (4, same), (5, other)):
        assert sim("--scenario", f"{SWEPT}:good", "--seed", str(seed), "--trace", path).returncode == 0

    replayed = sim("--replay", one)
    alike, different = sim("--diff", one, same), sim("--diff", one, other)

    assert replayed.returncode == 0, replayed.stderr
    assert "seed 4: ok" in replayed.stdout
    assert (alike.returncode, alike.stdout) == (0, "the two are the same\n")
    assert different.returncode == 1
    assert re.search(r"^entry \d+:\n.*^- .* SimAdd .*\n^\+ .* SimAdd ", different.stdout, re.M | re.S)


@pytest.mark.slow
def test_running_twice_finds_what_depends_on_the_hashes_of_strings(tmp_path: Path) -> None:
    steady = sim("--scenario", f"{SWEPT}:good", "--seeds", "1..3", "--jobs", "1", "--twice")
    unsteady = sim("--scenario", f"{SWEPT}:unsteady", "--seeds", "1", "--jobs", "1", "--twice", "--record", tmp_path)

    assert steady.returncode == 0, steady.stdout
    assert unsteady.returncode == 1
    assert re.search(r"seed 1 ran in two ways: entry \d+:\n.*- .* clog .*\n\+ .* clog ", unsteady.stdout, re.S)


@pytest.mark.slow
def test_strings_hash_the_same_in_every_process_of_a_sweep_whatever_the_environment_says() -> None:
    done = sim("--scenario", f"{SWEPT}:unsteady", "--seed", "1", hash_seed="7")
    again = sim("--scenario", f"{SWEPT}:unsteady", "--seed", "1", hash_seed="8")

    assert done.returncode == 0, done.stderr
    assert re.findall("trace [0-9a-f]+", done.stdout) == re.findall("trace [0-9a-f]+", again.stdout)


@pytest.mark.slow
def test_a_sweep_fails_when_a_probe_that_it_must_reach_was_not_reached() -> None:
    asked = sim("--scenario", f"{SWEPT}:good", "--seeds", "1..2", "--jobs", "1", "--must-reach", "seed divisible by 3")
    declared = sim("--scenario", f"{SWEPT}:strict", "--seeds", "1..2", "--jobs", "1")

    assert (asked.returncode, declared.returncode) == (1, 1)
    assert "no seed reached: seed divisible by 3" in asked.stdout
    assert "no seed reached: never" in declared.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--scenario", "nonsense"], "neither a short name nor of the form package.module:name"),
        (["--scenario", "tests.sim.nowhere:good"], "there is no module tests.sim.nowhere"),
        (["--scenario", f"{SWEPT}:nobody"], "has no nobody"),
        (["--scenario", f"{SWEPT}:boot"], "is no scenario"),
        (["--scenario", f"{SWEPT}:good", "--set", "amount"], "is not KEY=VALUE"),
        (["--replay", "/nowhere/at/all"], "No such file"),
        (
            ["--scenario", f"{SWEPT}:good", "--set", "amuont=2"],
            "has no option 'amuont'; it has amount; say one as --set",
        ),
        (["--diff", __file__, __file__], "is not a recording"),
        (["--play", __file__, "--actor", "tests.sim.messages:Counter"], "is not a tape"),
        (["--play", __file__, "--actor", "tests.sim.messages:nothing"], "has no nothing"),
        (["--play", __file__], "neither a short name"),
    ],
)
def test_a_mistake_is_answered_in_one_line(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", *arguments]) == 1
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_a_process_that_dies_ends_the_sweep_with_a_word() -> None:
    done = sim("--scenario", f"{SWEPT}:dies", "--seeds", "1..5", "--jobs", "2")

    assert done.returncode == 1
    assert "a process of the sweep died" in done.stderr


def test_the_clusters_own_scenarios_have_short_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "--list"]) == 0
    listed = capsys.readouterr().out

    assert re.search(r"^store +A writer during faults", listed, re.M)
    assert re.search(r"^cluster +A whole cluster", listed, re.M)


@pytest.mark.slow
def test_the_stores_scenario_survives_and_reaches_elections() -> None:
    done = sim("--scenario", "store", "--seeds", "1..3", "--jobs", "2", "--policy", "any")

    assert done.returncode == 0, done.stdout
    assert "3 of 3 seeds reached: raft: a leader is elected" in done.stdout


def test_ranges_of_seeds_are_read() -> None:
    assert list(seeds("3..5")) == [3, 4, 5]
    assert list(seeds("7")) == [7]
    endless = iter(seeds("9.."))
    assert [next(endless), next(endless)] == [9, 10]
    assert next(iter(seeds("new"))) >= 0


@pytest.mark.parametrize("text", ["", "5..3", "1,3", "a", "1..b", "1...3"])
def test_what_is_no_range_of_seeds_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["sim", "--scenario", "store", "--seeds", text])
    assert "is not a range of seeds" in capsys.readouterr().err


def test_a_tape_is_played_to_one_actor_alone_and_what_differs_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scenario(world: World) -> None:
        await world.boot("server", lambda system: void(system.spawn(taped(Counter, tmp_path / "tape"), "counter")))
        user = await world.boot("user")
        await user.ask(user.ref("server/counter"), SimAdd(1))

    World.run_sync(scenario)

    assert main(["sim", "--play", str(tmp_path / "tape"), "--actor", "tests.sim.messages:Counter"]) == 0
    assert re.fullmatch(r"\d+ entries played, each as it was recorded\n", capsys.readouterr().out)
    assert main(["sim", "--play", str(tmp_path / "tape"), "--actor", "tests.sim.messages:Monitor"]) == 1
    assert "SimCount" in capsys.readouterr().out


def void(_: object) -> None:
    return
