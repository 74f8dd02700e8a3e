"""A test of a simulated cluster runs in a copy of the process: all that it tells comes back, nothing that it does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml  # before pytester remembers which modules there are: its C part works only once in a process

from actorkube.testing import Cluster
from actorkube.testing.fork import CopyDied, on_a_copy
from protocols.errors import NotFound
from tests.testing.runs import ALONE, loaded

__all__ = ["loaded", "yaml"]

PREAMBLE = """
import os, signal, sys, threading, warnings
import pytest

def config_map(name):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}

pytestmark = pytest.mark.actorkube(nodes=1, etcd=1)
"""

OUTCOMES = """
SEEN = []

def test_passes(cluster, record_property, capsys):
    record_property("colour", "red")
    SEEN.append(os.getpid())
    cluster.create(config_map("one"))

def test_sees_nothing_of_the_one_before(cluster):
    assert SEEN == []
    cluster.create(config_map("one"))

def test_fails(cluster):
    print("said on the way")
    print("and on stderr", file=sys.stderr)
    assert cluster.options.nodes == 99, "so many"

def test_skips(cluster):
    pytest.skip("not today")

@pytest.mark.xfail(reason="known")
def test_fails_as_expected(cluster):
    assert False

def test_warns(cluster):
    warnings.warn("mind the step")

@pytest.fixture
def broken_after(cluster):
    yield
    raise RuntimeError("broken at the end")

def test_ends_badly(broken_after):
    pass

@pytest.fixture
def broken_before(cluster):
    raise RuntimeError("broken at the start")

def test_begins_badly(broken_before):
    pass

def test_exits(cluster):
    os._exit(3)

def test_is_killed(cluster):
    os.kill(os.getpid(), signal.SIGKILL)

def test_runs_in_another_process(cluster):
    assert os.getpid() != THIS

THIS = os.getpid()
"""

REWRITES = "-Wignore::pytest.PytestAssertRewriteWarning"  # the plugin may be imported before it is loaded


@pytest.mark.slow
def test_whatever_comes_of_a_test_is_reported_as_if_it_had_run_here(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(PREAMBLE + OUTCOMES)

    result = pytester.runpytest_inprocess(
        *ALONE, "-Wdefault", REWRITES, "--junitxml=junit.xml", "-ojunit_family=xunit1"
    )

    result.assert_outcomes(passed=5, failed=1, errors=4, skipped=1, xfailed=1, warnings=1)
    result.stdout.fnmatch_lines_random(
        [
            "*AssertionError: so many*",
            "said on the way",
            "and on stderr",
            "*mind the step*",
            "*broken at the end*",
            "*broken at the start*",
            "*died: it ended with code 3*",
            "*died: it was ended by SIGKILL*",
            "*actorkube cluster*",
        ]
    )
    assert '<property name="colour" value="red"' in (pytester.path / "junit.xml").read_text()


FIXTURES = """
def log(line):
    with open("log.txt", "a") as file:
        file.write(f"{line} {'here' if os.getpid() == THIS else 'copy'}\\n")

THIS = os.getpid()

@pytest.fixture(scope="module")
def shared():
    log("shared begins")
    yield
    log("shared ends")

@pytest.fixture
def earlier():
    log("earlier begins")
    yield
    log("earlier ends")

@pytest.fixture
def later(cluster):
    log("later begins")
    yield
    log("later ends")

def test_last(shared, earlier, cluster, later):
    log("test")
"""


@pytest.mark.slow
def test_each_fixture_begins_and_ends_once_and_in_the_same_process(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(PREAMBLE + FIXTURES)

    pytester.runpytest_inprocess(*ALONE).assert_outcomes(passed=1)

    assert (pytester.path / "log.txt").read_text().splitlines() == [
        "shared begins here",
        "earlier begins here",
        "later begins copy",
        "test copy",
        "later ends copy",
        "earlier ends here",
        "shared ends here",
    ]


@pytest.mark.slow
def test_a_test_that_hangs_is_ended_with_its_copy(pytester: pytest.Pytester) -> None:
    body = """
def test_boots(cluster):  # which may take longer than the next one may hang
    pass

@pytest.mark.timeout(1)
def test_hangs(cluster):
    open("pid", "w").write(str(os.getpid()))
    while True:
        pass
"""
    pytester.makepyfile(PREAMBLE + body)

    result = pytester.runpytest_inprocess(*ALONE)

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*Timeout*"])
    assert not psutil.pid_exists(int((pytester.path / "pid").read_text()))


@pytest.mark.slow
def test_where_nothing_may_be_copied_each_test_boots_its_own(pytester: pytest.Pytester) -> None:
    body = """
THIS = os.getpid()

@pytest.mark.parametrize("again", range(2))
def test_here(cluster, again):
    assert os.getpid() == THIS
    cluster.create(config_map("one"))
"""
    pytester.makepyfile(PREAMBLE + body)

    pytester.runpytest_inprocess(*ALONE, "-o", "actorkube_fork=false").assert_outcomes(passed=2)
    pytester.runpytest_inprocess(*ALONE, "--setup-show").assert_outcomes(passed=2)


@pytest.mark.cluster
def test_it_runs_under_xdist_and_coverage_counts_what_the_copies_did(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        subject="def one():\n    return 1\n\ndef two():\n    return 2\n",
        test_it=PREAMBLE
        + """
import subject

def test_one(cluster): assert subject.one() == 1
def test_two(cluster): assert subject.two() == 2
""",
    )

    pytest_command = ("-m", "pytest", "-q", *ALONE[:-2])
    spread = subprocess.run([sys.executable, *pytest_command, "-n", "2"], capture_output=True, text=True, check=False)
    measured = subprocess.run(
        [sys.executable, "-m", "coverage", "run", "--include=subject.py", *pytest_command, "-p", "no:xdist"],
        capture_output=True,
        text=True,
        check=False,
    )
    report = subprocess.run(
        [sys.executable, "-m", "coverage", "report"], capture_output=True, text=True, check=False
    ).stdout

    assert "2 passed" in spread.stdout, spread.stdout + spread.stderr
    assert "2 passed" in measured.stdout, measured.stdout + measured.stderr
    assert "100%" in report, report


# -- one thing on a copy ----------------------------------------------------------------------------------------------


@pytest.mark.actorkube(nodes=1, etcd=1)
def test_what_is_done_on_a_copy_is_forgotten_and_its_answer_kept(cluster: Cluster) -> None:
    def create() -> str:
        obj = cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "gone"}})
        return str(obj["metadata"]["uid"])

    first, second = cluster.on_a_copy(create), cluster.on_a_copy(create)

    assert first == second
    with pytest.raises(NotFound):
        cluster.get("cm/gone")


def test_what_a_copy_raises_is_raised_here_with_its_story() -> None:
    class Unpicklable(Exception):
        def __init__(self, one: int, other: int) -> None:
            super().__init__("two are needed")

    def fails(error: Exception) -> None:
        raise error

    with pytest.raises(NotFound, match="nobody") as found:
        on_a_copy(lambda: fails(NotFound("nobody")))
    with pytest.raises(RuntimeError, match="two are needed"):
        on_a_copy(lambda: fails(Unpicklable(1, 2)))
    with pytest.raises(CopyDied, match="SIGKILL"):
        on_a_copy(lambda: os.kill(os.getpid(), signal.SIGKILL))

    assert "in fails" in found.value.__notes__[0]


def test_a_copy_that_died_does_not_make_us_wait_for_its_children(tmp_path: Path) -> None:
    def leave_a_child() -> None:
        if os.fork() == 0:
            (tmp_path / "pid").write_text(str(os.getpid()))
            time.sleep(600)
        while not (tmp_path / "pid").exists():
            time.sleep(0.01)
        os._exit(1)

    with pytest.raises(CopyDied, match="code 1"):
        on_a_copy(leave_a_child)

    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
