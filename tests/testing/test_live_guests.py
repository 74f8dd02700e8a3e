"""What has joined a live cluster meets the faults of tests by its name, as the cluster's own hosts do."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorkube.cli import main
from actorkube.cli.join import Join
from actorkube.runtime import System
from actorkube.runtime.log import Quiet
from actorkube.runtime.tcp import TcpTransport
from actorkube.testing import LiveCluster
from protocols.api import Get
from protocols.errors import AskError, Forbidden, NotSent, StatusError
from tests.testing.test_live_cluster import Rest, ready

LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-7"
WITHIN = "60s"


@contextlib.contextmanager
def joined_node(live_cluster: LiveCluster, data: Path) -> Iterator[Rest]:
    """node-7, which is ready."""
    rest = Rest(live_cluster)
    join = str(live_cluster.directory / "data" / "join.json")
    command = [sys.executable, "-m", "actorkube", "run", "node", "--name", "node-7", "--join", join]
    node = subprocess.Popen([*command, "--data", str(data)], stdout=subprocess.DEVNULL)
    try:
        live_cluster.eventually(lambda: ready(rest, "node-7") == "True", within=WITHIN)
        yield rest
    finally:
        node.terminate()
        node.wait(timeout=30)


@pytest.mark.cluster
@pytest.mark.actorkube(nodes=1, etcd=1, processes="many", node_monitor_grace="3s")
def test_a_node_that_joined_is_cut_off_paused_and_killed_by_its_name(live_cluster: LiveCluster, tmp_path: Path) -> None:
    with joined_node(live_cluster, tmp_path / "node") as rest:
        live_cluster.partition("node-7", "apiserver")
        live_cluster.eventually(lambda: ready(rest, "node-7") == "Unknown", within=WITHIN)
        assert ready(rest, "node-1") == "True"
        live_cluster.heal()
        live_cluster.eventually(lambda: ready(rest, "node-7") == "True", within=WITHIN)

        live_cluster.partition("apiserver", "node-7", both_ways=False)  # which the guest itself has to carry out
        live_cluster.eventually(lambda: ready(rest, "node-7") == "Unknown", within=WITHIN)
        live_cluster.heal()
        live_cluster.eventually(lambda: ready(rest, "node-7") == "True", within=WITHIN)

        live_cluster.pause("node-7")
        live_cluster.eventually(lambda: ready(rest, "node-7") == "Unknown", within=WITHIN)
        live_cluster.resume("node-7")
        live_cluster.eventually(lambda: ready(rest, "node-7") == "True", within=WITHIN)

        live_cluster.kill("node-7")
        live_cluster.eventually(lambda: ready(rest, "node-7") == "Unknown", within=WITHIN)
        with pytest.raises(KeyError, match="there is no process node-7; there are"):
            live_cluster.pause("node-7")
        with pytest.raises(KeyError, match="there is no host node-7; there are apiserver"):
            live_cluster.partition("node-7", "apiserver")


@pytest.mark.cluster
@pytest.mark.actorkube(nodes=0, etcd=1, processes="many")
def test_the_command_line_names_a_guest_and_a_process_that_is_started_again_meets_its_faults(
    live_cluster: LiveCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(live_cluster.directory / "data")]
    with joined_node(live_cluster, tmp_path / "node") as rest:

        def renewed() -> str:
            time: str = rest(LEASE)["spec"]["renewTime"]
            return time

        before = live_cluster.eventually(renewed, within=WITHIN)  # the first lease may come after the node is ready
        assert main(["host", "skew", "node-7", "8760h", *data]) == 0
        live_cluster.eventually(lambda: renewed()[:4] > before[:4], within=WITHIN)
        live_cluster.kill("node-7-kubelet")
        again = renewed()
        live_cluster.eventually(lambda: renewed() > again, within=WITHIN)
        assert main(["host", "heal", *data]) == 0

        assert capsys.readouterr().out.splitlines() == ["the clock of node-7 is 8760h0m0s ahead", "healed"]


@pytest.mark.cluster
@pytest.mark.actorkube(nodes=0, etcd=1, processes="many")
def test_whoever_has_a_join_file_is_none_of_the_control_plane(live_cluster: LiveCluster, tmp_path: Path) -> None:
    join = Join.read(live_cluster.directory / "data" / "join.json")

    async def asked_by(name: str) -> type[Exception]:
        identity = join.identity(tmp_path / name, name)
        system = System(name, TcpTransport(key=b"", book={"apiserver": join.apiserver}, identity=identity), log=Quiet())
        await system.start()
        try:
            await system.ask(system.ref("apiserver/api"), Get("secrets", "none", "kube-system"))
        except (AskError, StatusError) as refusal:
            return type(refusal)
        finally:
            await system.stop()
        raise AssertionError(f"{name} has been answered")

    async def asked_by_each(names: list[str]) -> list[type[Exception]]:
        return await asyncio.gather(*map(asked_by, names))

    components = ["apiserver-2", "dns", "scheduler", "scheduler-9", "controller-manager", "etcd-7"]
    answers = asyncio.run(asked_by_each([*components, "node-9-kubelet"]))

    assert answers == [NotSent] * len(components) + [Forbidden]
