"""Supervised processes, each scenario in a process of its own so that nothing forks the test runner."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import textwrap
from typing import Any

import pytest

PRELUDE = """
import json, os, signal, sys, time
from actorkube.runtime.processes import Child, ProcessSupervisor

events = []
def on_event(name, facts):
    events.append([name, facts])
    print(json.dumps([name, facts]), flush=True)

supervisor = ProcessSupervisor(on_event)
supervisor.listen_to_signals()

def sleeper(report):
    report(event="ready", title=open("/proc/self/cmdline").read())
    signal.pause()

def count(kind, name=None):
    return sum(f.get("event") == kind and name in (None, n) for n, f in events)
"""


def run(script: str) -> list[tuple[str, dict[str, Any]]]:
    code = PRELUDE + textwrap.dedent(script)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [(name, facts) for name, facts in map(json.loads, done.stdout.splitlines())]


def kinds(events: list[tuple[str, dict[str, Any]]], name: str) -> list[str]:
    return [facts["event"] for who, facts in events if who == name]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_killed_child_is_started_again_and_stop_ends_all() -> None:
    events = run(
        """
        supervisor.start(Child("a", sleeper))
        supervisor.run(lambda: count("ready") == 1, 10)
        os.kill(supervisor.pids()["a"], signal.SIGKILL)
        supervisor.run(lambda: count("ready") == 2, 10)
        supervisor.stop()
        """
    )

    assert kinds(events, "a") == ["started", "ready", "exited", "started", "ready", "exited"]
    assert [f["status"] for _, f in events if f["event"] == "exited"] == [-signal.SIGKILL, -signal.SIGTERM]
    assert all(gone(f["pid"]) for _, f in events if f["event"] == "started")


def test_a_child_that_must_not_come_back_stays_away() -> None:
    events = run(
        """
        supervisor.start(Child("machine", sleeper, restart=False))
        supervisor.run(lambda: count("ready") == 1, 10)
        os.kill(supervisor.pids()["machine"], signal.SIGKILL)
        supervisor.run(lambda: count("exited") == 1, 10)
        supervisor.run(timeout_s=0.2)
        supervisor.stop()
        """
    )

    assert kinds(events, "machine") == ["started", "ready", "exited"]


@pytest.mark.slow
def test_a_child_that_always_dies_is_given_up() -> None:
    events = run(
        """
        from actorkube.runtime.supervisor import Backoff, Supervision, Supervisor
        quick = Supervisor(Supervision(intensity=3, backoff=Backoff(0.0, 0.0)))
        supervisor.start(Child("bad", lambda report: os._exit(7), supervisor=quick))
        supervisor.run(lambda: count("given_up") == 1, 10)
        supervisor.stop()
        """
    )

    assert kinds(events, "bad") == [*["started", "exited"] * 4, "given_up"]


def test_children_have_a_title_that_people_can_find() -> None:
    events = run(
        """
        supervisor.start(Child("etcd-0", sleeper))
        supervisor.run(lambda: count("ready") == 1, 10)
        supervisor.stop()
        """
    )

    assert "actorkube: etcd-0" in next(f["title"] for _, f in events if f["event"] == "ready")


def test_killing_the_supervisor_leaves_nobody_behind() -> None:
    code = PRELUDE + textwrap.dedent(
        """
        def machine(report):
            inner = ProcessSupervisor(lambda name, facts: report(**facts))
            inner.listen_to_signals()
            inner.start(Child("inner", sleeper))
            inner.run()
        supervisor.start(Child("machine", machine))
        supervisor.run()
        """
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pids = []
    for line in process.stdout:
        facts = json.loads(line)[1]
        if facts["event"] == "started":
            pids.append(facts["pid"])
        if facts["event"] == "ready":
            break

    process.kill()
    process.wait()

    process.stdout.close()
    assert len(pids) == 2
    assert all(ends(pid) for pid in pids)


def ends(pid: int) -> bool:
    """Wait for a process that is not our child: its pidfd becomes readable when it ends."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with open(fd, "rb", buffering=0) as pidfd:
        return bool(select.select([pidfd], [], [], 10)[0])


def test_a_stop_signal_ends_run() -> None:
    events = run(
        """
        supervisor.start(Child("a", sleeper))
        supervisor.run(lambda: count("ready") == 1, 10)
        os.kill(os.getpid(), signal.SIGTERM)
        assert supervisor.run() is True
        supervisor.stop()
        """
    )

    assert kinds(events, "a") == ["started", "ready", "exited"]


def test_what_a_killed_child_had_started_is_ended_too() -> None:
    events = run(
        """
        import subprocess
        def parent(report):
            started = subprocess.Popen(["sh", "-c", "sleep 1000 & echo $! && exec sleep 1000"], stdout=subprocess.PIPE)
            report(event="ready", pids=[started.pid, int(started.stdout.readline())])
            signal.pause()
        supervisor.start(Child("parent", parent, restart=False))
        supervisor.run(lambda: count("ready") == 1, 10)
        os.kill(supervisor.pids()["parent"], signal.SIGKILL)
        pids = next(f["pids"] for _, f in events if f["event"] == "ready")
        def all_gone():
            return not any(os.path.exists(f"/proc/{pid}") for pid in pids)
        assert not supervisor.run(all_gone, 10)
        assert all_gone()
        supervisor.stop()
        """
    )

    assert kinds(events, "parent") == ["started", "ready", "exited"]


def test_stopping_ends_what_children_leave_behind() -> None:
    events = run(
        """
        import subprocess
        def parent(report):
            started = subprocess.Popen(["sleep", "1000"], start_new_session=True)
            report(event="ready", pid=started.pid)
            signal.pause()
        supervisor.start(Child("parent", parent))
        supervisor.run(lambda: count("ready") == 1, 10)
        supervisor.stop()
        """
    )

    assert all(gone(f["pid"]) for _, f in events if f["event"] == "ready")
