"""The start's checklist: plain lines where nobody looks, a progress line on a terminal."""

from __future__ import annotations

import io

from actorkube.cli.checklist import Checklist

STEPS = [("etcd ×2", ["etcd-0", "etcd-1"]), ("apiserver", ["apiserver"])]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    """A reader that has gone away."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_step_is_ticked_when_its_last_member_is_ready() -> None:
    out = io.StringIO()
    checklist = Checklist(STEPS, out, began=10.0)

    checklist.ready("etcd-0", "leader etcd-1  term 1", at=10.1)
    checklist.ready("etcd-1", "leader etcd-1  term 1", at=10.25)

    assert [" ".join(line.split()) for line in out.getvalue().splitlines()] == ["✓ etcd ×2 leader etcd-1 term 1 0.25s"]
    assert checklist.waiting() == ["apiserver"]
    assert not checklist.complete


def test_it_is_complete_when_every_step_is_done_and_a_restart_changes_nothing() -> None:
    checklist = Checklist(STEPS, io.StringIO(), began=0.0)

    for member in ("etcd-0", "apiserver", "etcd-1", "etcd-0"):
        checklist.ready(member, "", at=1.0)

    assert checklist.complete
    assert checklist.waiting() == []


def test_a_terminal_sees_what_is_still_waited_for() -> None:
    out = Terminal()

    Checklist(STEPS, out, began=0.0).ready("etcd-0", "", at=1.0)

    assert out.getvalue().endswith("\r\033[K  … etcd ×2 1/2, apiserver 0/1")


def test_a_reader_that_went_away_does_not_end_the_cluster() -> None:
    checklist = Checklist(STEPS, Gone(), began=0.0)

    checklist.ready("apiserver", "", at=1.0)

    assert checklist.waiting() == ["etcd-0", "etcd-1"]
