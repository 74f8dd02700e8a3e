"""The store of a real cluster is given other members by command, while kubectl goes on."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.live import LiveCluster

Start = Callable[..., LiveCluster]


def etcd(*words: str) -> str:
    command = [sys.executable, "-m", "actorkube", "etcd", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def join(tmp_path: Path) -> Iterator[Callable[[LiveCluster, str], None]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(cluster: LiveCluster, name: str) -> None:
        words = ["etcd", "join", name, "--data", str(cluster.data), "--dir", str(tmp_path / name)]
        started.append(subprocess.Popen([sys.executable, "-m", "actorkube", *words], stdout=subprocess.DEVNULL))

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


def test_a_member_joins_leads_and_takes_the_place_of_another(
    start_cluster: Start, join: Callable[[LiveCluster, str], None]
) -> None:
    cluster = start_cluster("--nodes", "0")
    k, data = cluster.kubectl(), str(cluster.data)
    k("create", "configmap", "before")

    etcd("member", "add", "etcd-3", "--data", data)
    join(cluster, "etcd-3")
    etcd("member", "add", "etcd-4", "--data", data)
    join(cluster, "etcd-4")
    etcd("member", "remove", "etcd-4", "--data", data)
    promoted = promote(data, "etcd-3")
    etcd("move-leader", "etcd-3", "--data", data)
    etcd("member", "remove", "etcd-0", "--data", data)
    k("create", "configmap", "after")

    assert re.search(r"^etcd-3 .* voter", promoted, re.M)
    listed = etcd("member", "list", "--data", data)
    assert [line.split()[0] for line in listed.splitlines()] == ["etcd-1", "etcd-2", "etcd-3"]
    assert k("get", "configmap", "before", "after", "-o", "name").split() == ["configmap/before", "configmap/after"]


def test_a_cluster_starts_again_when_one_of_its_members_was_removed(start_cluster: Start) -> None:
    cluster = start_cluster("--nodes", "0")
    k, data = cluster.kubectl(), str(cluster.data)
    k("create", "configmap", "before")
    etcd("member", "remove", "etcd-0", "--data", data)
    cluster.stop()

    cluster.start()

    listed = etcd("member", "list", "--data", data)
    assert [line.split()[0] for line in listed.splitlines()] == ["etcd-1", "etcd-2"]
    assert k("get", "configmap", "before", "-o", "name") == "configmap/before\n"


def promote(data: str, name: str) -> str:
    """As soon as it has caught up."""
    for _ in range(50):
        command = [sys.executable, "-m", "actorkube", "etcd", "member", "promote", name, "--data", data]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
        if done.returncode == 0:
            return done.stdout
        assert "caught up" in done.stderr, done.stderr
    raise AssertionError(f"{name} never caught up")
