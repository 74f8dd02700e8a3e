"""A store of `actorkube etcd serve` is given more members, and other ones, while somebody writes all the time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.etcd.real_etcd import free_ports

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not shutil.which("etcdctl"), reason="etcdctl is not installed (Debian: etcd-client)"),
]
ENVIRONMENT = {**os.environ, "ETCDCTL_API": "3"}


class Store:
    """The processes of one store, and their doors."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path / "data"
        self.ports: dict[str, int] = {}
        self._processes: dict[str, subprocess.Popen[str]] = {}

    def serve(self, *options: str) -> None:
        (self.ports["etcd-0"],) = free_ports(1)
        words = ["serve", "--client-port", str(self.ports["etcd-0"]), "--data", str(self.data), *options]
        self._start("serve", words, "ready: ")

    def join(self, name: str) -> None:
        """Add it, run it, let it catch up, give it a vote."""
        (self.ports[name],) = free_ports(1)
        self.command("member", "add", name, "--data", str(self.data))
        words = ["join", name, "--data", str(self.data), "--dir", str(self.path / name)]
        self._start(name, [*words, "--client-port", str(self.ports[name])], f"{name} is open to etcd's clients")
        self._promote(name)

    def _promote(self, name: str) -> None:
        for _ in range(100):
            if self.command("member", "promote", name, "--data", str(self.data), check=False).returncode == 0:
                return
        raise AssertionError(f"{name} does not catch up")

    def join_from_afar(self, name: str, machine: Path, *options: str) -> None:
        """As `join`, but with nothing of the store's directory."""
        machine.mkdir()
        (self.ports[name],) = free_ports(1)
        self.command("member", "add", name, "--data", str(self.data))
        self.command("member", "join-file", name, str(machine / "join"), "--data", str(self.data))
        words = ["join", name, "--join", str(machine / "join"), "--dir", str(machine / "own"), *options]
        self._start(name, [*words, "--client-port", str(self.ports[name])], f"{name} is open to etcd's clients")
        self._promote(name)

    def kill(self, name: str) -> None:
        process = self._processes.pop(name)
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        del self.ports[name]

    def command(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        whole = [sys.executable, "-m", "actorkube", "etcd", *words]
        done = subprocess.run(whole, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0 or not check, done.stderr
        return done

    def ctl(self, *words: str, member: str = "") -> subprocess.CompletedProcess[str]:
        ports = [self.ports[member]] if member else list(self.ports.values())
        endpoints = ",".join(f"127.0.0.1:{port}" for port in ports)
        command = ["etcdctl", "--endpoints", endpoints, "--command-timeout", "10s", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, env=ENVIRONMENT)

    def close(self) -> None:
        for process in reversed(self._processes.values()):
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            process.wait(30)
            assert process.stdout is not None
            process.stdout.close()

    def lines(self, name: str) -> Iterator[str]:
        """What it goes on to say."""
        output = self._processes[name].stdout
        assert output is not None
        return iter(output)

    def _start(self, name: str, words: list[str], ready: str, *, both: bool = False) -> None:
        """`both`: its errors are read as its output is."""
        command = [sys.executable, "-m", "actorkube", "etcd", *words]
        errors = subprocess.STDOUT if both else None
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        self._processes[name] = process
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(ready):
                return
        raise AssertionError(f"{name} did not start")


class Writer(threading.Thread):
    """Puts one key after the other, and remembers which were acknowledged."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._over = threading.Event()
        self.acknowledged: list[str] = []

    def run(self) -> None:
        number = 0
        while not self._over.is_set():
            number += 1
            if self._store.ctl("put", f"w/{number:05}", "x").returncode == 0:
                self.acknowledged.append(f"w/{number:05}")

    def end(self) -> list[str]:
        self._over.set()
        self.join()
        return self.acknowledged


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(tmp_path)
    yield found
    found.close()


def test_a_store_grows_from_one_to_five_and_replaces_a_dead_member_while_somebody_writes(store: Store) -> None:
    store.serve("--replicas", "1")
    writer = Writer(store)
    writer.start()

    for name in ("etcd-1", "etcd-2", "etcd-3", "etcd-4"):
        store.join(name)
    store.kill("etcd-3")
    store.command("member", "remove", "etcd-3", "--data", str(store.data))
    store.join("etcd-5")
    acknowledged = writer.end()

    members = store.command("member", "list", "--data", str(store.data)).stdout
    assert [line.split()[0] for line in members.splitlines()] == ["etcd-0", "etcd-1", "etcd-2", "etcd-4", "etcd-5"]
    assert "learner" not in members
    assert len(acknowledged) > 20
    for member in store.ports:
        found = store.ctl("get", "--prefix", "w/", "--keys-only", member=member).stdout.split()
        assert set(acknowledged) <= set(found), member
    health = store.ctl("endpoint", "health")
    assert health.returncode == 0, health.stderr


def test_members_on_other_machines_are_reached_over_tcp_and_survive_one_that_is_killed(
    store: Store, tmp_path: Path
) -> None:
    peer, far = free_ports(2)
    store.serve("--replicas", "1", "--peer-port", str(peer))
    store.ctl("put", "before", "1")

    store.join_from_afar("etcd-1", tmp_path / "b", "--peer-port", str(far))
    store.join_from_afar("etcd-2", tmp_path / "c", "--peer", f"etcd-1=127.0.0.1:{far}")
    store.command("move-leader", "etcd-1", "--data", str(store.data))
    written = store.ctl("put", "between", "2", member="etcd-2")
    store.kill("etcd-1")
    after = store.ctl("put", "after", "3", member="etcd-2")

    assert written.stdout == after.stdout == "OK\n"
    for member in store.ports:
        found = store.ctl("get", "--prefix", "", "--print-value-only", member=member).stdout.split()
        assert found == ["3", "1", "2"], member


def test_a_member_with_another_stores_certificate_is_not_let_in(store: Store, tmp_path: Path) -> None:
    (peer,) = free_ports(1)
    store.serve("--replicas", "1", "--peer-port", str(peer))
    other = Store(tmp_path / "other")
    try:
        (elsewhere,) = free_ports(1)
        other.serve("--replicas", "1", "--peer-port", str(elsewhere))
        for each in (store, other):
            each.command("member", "add", "etcd-1", "--data", str(each.data))
        other.command("member", "join-file", "etcd-1", str(tmp_path / "join"), "--data", str(other.data))
        forged = json.loads((tmp_path / "join").read_text())
        forged["peers"] = {"etcd-0": ["127.0.0.1", peer]}
        (tmp_path / "join").write_text(json.dumps(forged))
        store._start(
            "etcd-1",
            ["join", "etcd-1", "--join", str(tmp_path / "join"), "--dir", str(tmp_path / "own")],
            "etcd-1 runs",
        )
        log, refused = "", 1
        while "TLS failed" not in log and refused:
            promoted = store.command("member", "promote", "etcd-1", "--data", str(store.data), check=False)
            log, refused = (store.data / "logs" / "etcd-0.log").read_text(), promoted.returncode
    finally:
        other.close()

    assert refused == 1
    assert "has not caught up" in promoted.stderr


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["member", "join-file", "etcd-1", "{tmp}/join", "--data", "{data}"], "do not listen for members on other"),
        (["join", "etcd-1", "--join", "{tmp}/none", "--dir", "{tmp}/own"], "cannot read"),
        (["join", "etcd-1", "--join", "{data}/VERSION", "--dir", "{tmp}/own"], "is not a join file"),
        (["join", "etcd-0", "--data", "{data}", "--dir", "{tmp}/own"], "etcd-0 is one of those that are started with"),
    ],
)
def test_what_cannot_be_joined_is_said_in_one_line(store: Store, tmp_path: Path, words: list[str], why: str) -> None:
    store.serve("--replicas", "1")

    refused = store.command(*[word.format(tmp=tmp_path, data=store.data) for word in words], check=False)

    assert refused.returncode == 1
    assert why in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_nobody_takes_the_place_of_a_member_that_runs_and_who_was_not_added_is_told(
    store: Store, tmp_path: Path
) -> None:
    store.serve("--replicas", "1")
    words = ["join", "etcd-1", "--data", str(store.data), "--dir"]
    store._start("etcd-1", [*words, str(tmp_path / "own")], "etcd-1 runs", both=True)
    said = store.lines("etcd-1")

    while "etcd-1 does not belong to the store" not in (line := next(said)):
        assert line, "it has ended"
    refused = store.command(*words, str(tmp_path / "other"), check=False)

    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
    assert "etcd-1 runs already; stop that one first" in refused.stderr


def test_a_store_is_not_begun_again_with_another_number_of_replicas(store: Store, tmp_path: Path) -> None:
    store.serve("--replicas", "1")
    store.ctl("put", "precious", "1")
    store.close()

    refused = store.command("serve", "--replicas", "3", "--data", str(store.data), check=False)
    again = Store(tmp_path)
    again.serve()
    found = again.ctl("get", "--print-value-only", "precious").stdout
    again.close()

    assert refused.returncode == 1
    assert "was begun with 1 replica, not 3; leave the number out" in refused.stderr
    assert found == "1\n"
