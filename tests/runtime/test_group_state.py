"""A group's machine does what OTP's supervisor does, whenever crashes come and however long a halt takes."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorkube.runtime.group_state import Effect, GiveUp, GroupState, Halt, Out, Ready, Start, Status, Stopped, Wait
from actorkube.runtime.supervisor import Backoff, Supervision
from tests.effort import examples
from tests.runtime.otp_supervisor import OtpSupervisor, Shutdown

NAMES = ("a", "b", "c", "d")
RUNNING = (Status.STARTING, Status.UP)

strategies = st.sampled_from(("one_for_one", "rest_for_one", "one_for_all"))
restarts = st.lists(st.sampled_from(("permanent", "transient", "temporary")), min_size=2, max_size=len(NAMES))
steps = st.lists(
    st.tuples(
        st.sampled_from(("crash", "end", "halted", "due", "started", "later")),
        st.integers(0, 3),
    ),
    min_size=10,
    max_size=40,
)
Step = tuple[str, int]


class Shell:
    """Carries out what the machine wants, each halt and each back-off when it is told to."""

    def __init__(self, strategy: str, kinds: list[str], intensity: int = 3) -> None:
        supervision = Supervision(strategy, intensity, 10.0, Backoff(1.0, 1.0))  # type: ignore[arg-type]
        children = list(zip(NAMES, kinds, strict=False))
        self.group = GroupState(supervision, children)  # type: ignore[arg-type]
        self.now = 0.0
        self.calls: list[tuple[str, str]] = []
        self.to_start: deque[str] = deque()
        self.to_halt: deque[str] = deque()
        self.waits: deque[tuple[int, str]] = deque()  # with the child that crashed
        self.answered: dict[str, None] = {}  # ended by themselves: their halt is no termination
        self.out: list[str] = []
        self.gave_up = self.stopped = self.ready = False

    def take(self, effects: list[Effect], crashed: str = "") -> None:
        for effect in effects:
            match effect:
                case Start(name):
                    self.to_start.append(name)
                    self.calls.append(("start", name))
                case Halt(name):
                    self.to_halt.append(name)
                    if name not in self.answered:
                        self.calls.append(("terminate", name))
                case Wait(ticket, _):
                    self.waits.append((ticket, crashed))
                case Out(name):
                    self.out.append(name)
                case GiveUp():
                    self.gave_up = True
                case Ready():
                    self.ready = True
                case Stopped():
                    self.stopped = True

    def started(self) -> None:
        name = self.to_start.popleft()
        self.take(self.group.started(name))

    def halted(self) -> None:
        name = self.to_halt.popleft()
        self.answered.pop(name, None)
        if name in self.to_start:
            self.to_start.remove(name)
        self.take(self.group.halted(name))

    def ended(self, name: str, *, crashed: bool) -> None:
        member = self.group.members.get(name)
        if member is not None and member.status in RUNNING and member.fate is None and not self.gave_up:
            self.answered[name] = None
        self.take(self.group.ended(name, self.now, crashed=crashed), name)

    def settle(self) -> None:
        """Carry out everything; all starts succeed."""
        for _ in range(1000):
            if self.to_halt:
                self.halted()
            elif self.to_start:
                self.started()
            elif self.waits:
                self.take(self.group.due(self.waits.popleft()[0]))
            else:
                return
        raise AssertionError("never comes to rest")

    def running(self) -> list[str]:
        return [m.name for m in self.group.members.values() if m.status in RUNNING and m.name not in self.to_halt]

    def one_running(self, which: int) -> str:
        running = self.running() or [NAMES[0]]
        return running[which % len(running)]


@pytest.mark.slow
@settings(max_examples=examples(400), deadline=None)
@given(strategies, restarts, steps, st.lists(st.booleans(), max_size=20))
def test_a_group_does_what_otp_does(strategy: str, kinds: list[str], steps: list[Step], failing: list[bool]) -> None:
    otp = OtpSupervisor(strategy, 3, 10.0, list(zip(NAMES, kinds, strict=False)))
    shell = Shell(strategy, kinds)
    for child in otp.children:
        otp.start_child(child)
    shell.take(shell.group.start())
    shell.settle()
    outcomes = iter(failing)

    with contextlib.suppress(Shutdown):
        for what, which in steps:
            play(otp, shell, what, shell.one_running(which), outcomes)
            assert not shell.gave_up
    gave_up = shell.gave_up
    otp.terminate()
    shell.take(shell.group.stop())
    if shell.running():
        shell.ended(shell.running()[0], crashed=True)  # during the stop: nobody's
    shell.settle()

    assert gave_up == (len(otp.restarts) > 3)
    assert shell.calls == otp.calls
    assert shell.stopped
    assert shell.running() == []


def play(otp: OtpSupervisor, shell: Shell, what: str, name: str, outcomes: Iterator[bool]) -> None:
    """One event for both. Between the events nothing is half started, but halts and back-offs may be under way."""
    match what:
        case "crash" | "end":
            shell.ended(name, crashed=what == "crash")
            otp.exit(name, shell.now, normal=what == "end")
        case "halted" if shell.to_halt:
            shell.halted()
        case "later":
            shell.now += 4.0
        case "due" if shell.waits:
            while shell.to_halt:
                shell.halted()
            ticket, crashed = shell.waits.popleft()
            shell.take(shell.group.due(ticket))
            fails = []
            while shell.to_start:
                fails.append(next(outcomes, False))
                if fails[-1]:
                    shell.ended(shell.to_start.popleft(), crashed=True)
                else:
                    shell.started()
            otp.fails = iter(fails)
            otp.try_again_restart(crashed, shell.now)
    if not (shell.to_halt or shell.gave_up):
        assert shell.running() == otp.running()


@pytest.mark.slow
@settings(max_examples=examples(400), deadline=None)
@given(strategies, restarts, steps)
def test_whenever_crashes_come_nothing_runs_beside_what_it_must_be_restarted_with(
    strategy: str, kinds: list[str], steps: list[Step]
) -> None:
    """Also while children start, from the very first start on. In the end all are back, in order."""
    shell = Shell(strategy, kinds, intensity=100)
    births: list[str] = []
    shell.take(shell.group.start())

    for what, which in steps:
        before = len(shell.calls)
        match what:
            case "crash" | "end":
                shell.ended(shell.one_running(which), crashed=what == "crash")
            case "halted" if shell.to_halt:
                shell.halted()
            case "started" if shell.to_start:
                shell.started()
            case "due" if shell.waits:
                shell.take(shell.group.due(shell.waits.popleft()[0]))
        for call, name in shell.calls[before:]:
            if call == "start":
                check_start(shell, strategy, name)
                births.append(name)
    shell.settle()

    left = [m for m in shell.group.members.values() if m.status is not Status.OUT]
    assert all(m.status is Status.UP for m in left)
    assert all(m.restart == "transient" for m in shell.group.members.values() if m.status is Status.OUT)
    assert [n for n, kind in zip(NAMES, kinds, strict=False) if kind == "permanent" and n not in shell.running()] == []


def check_start(shell: Shell, strategy: str, name: str) -> None:
    assert name not in shell.to_halt
    if strategy != "one_for_one":
        order = list(shell.group.members)
        younger = order[order.index(name) + 1 :]
        assert not set(younger) & set(shell.running()), f"{name} starts beside {younger}"
        assert not shell.to_halt


def test_a_second_crash_during_the_back_off_halts_nobody_twice_and_starts_nobody_beside_his_elder() -> None:
    shell = Shell("rest_for_one", ["permanent"] * 3)
    shell.take(shell.group.start())
    shell.settle()
    shell.calls.clear()

    shell.ended("c", crashed=True)
    shell.halted()
    shell.ended("b", crashed=True)
    shell.halted()
    first, second = (ticket for ticket, _ in shell.waits)
    shell.take(shell.group.due(first))
    assert shell.calls == []
    shell.take(shell.group.due(second))
    shell.settle()

    assert shell.calls == [("start", "b"), ("start", "c")]


@pytest.mark.parametrize("kind", ["transient", "temporary"])
def test_a_child_that_ends_and_is_not_restarted_is_out(kind: str) -> None:
    shell = Shell("one_for_one", [kind, "permanent"])
    shell.take(shell.group.start())
    shell.settle()

    shell.ended("a", crashed=False)
    shell.settle()

    assert shell.out == ["a"]
    assert shell.running() == ["b"]


def test_children_are_halted_from_last_to_first_and_each_when_the_one_before_is_halted() -> None:
    shell = Shell("one_for_one", ["permanent"] * 3)
    shell.take(shell.group.start())
    shell.settle()

    shell.take(shell.group.stop())
    halted = []
    while shell.to_halt:
        assert len(shell.to_halt) == 1
        halted.append(shell.to_halt[0])
        shell.halted()

    assert halted == ["c", "b", "a"]
    assert shell.stopped


def test_a_group_is_ready_when_all_its_children_have_started_and_says_so_once() -> None:
    shell = Shell("one_for_one", ["permanent"] * 2)

    shell.take(shell.group.start())
    shell.started()
    assert not shell.ready
    shell.started()

    assert shell.ready


def test_a_transient_child_that_has_ended_comes_back_with_its_siblings_and_a_temporary_one_does_not() -> None:
    shell = Shell("one_for_all", ["transient", "temporary", "permanent"])
    shell.take(shell.group.start())
    shell.settle()
    shell.ended("a", crashed=False)
    shell.settle()

    shell.ended("c", crashed=True)
    shell.settle()

    assert shell.running() == ["a", "c"]


def test_only_the_last_back_off_of_a_child_counts() -> None:
    shell = Shell("one_for_all", ["permanent", "permanent"])
    shell.take(shell.group.start())
    shell.settle()

    shell.ended("a", crashed=True)
    first = shell.waits.popleft()[0]
    shell.halted()
    shell.halted()
    shell.take(shell.group.due(first))
    shell.ended("a", crashed=True)
    shell.halted()
    shell.take(shell.group.due(first))

    assert shell.running() == []
