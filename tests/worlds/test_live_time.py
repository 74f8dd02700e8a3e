"""Whole clusters in threads of this process, each on a clock of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorkube.runtime.hosts import LocalHosts
from actorkube.runtime.live import LiveHosts, live
from actors.cluster import ClusterSpec, cluster_hosts
from protocols.api import Get
from protocols.etcd import Status, StatusResponse
from protocols.objects import decode_object
from protocols.rules.conditions import condition_is


def cluster(data: Path) -> LiveHosts:
    return live(cluster_hosts(ClusterSpec(data=data, nodes=2, runtime="sim")), data)


async def is_ready(hosts: LocalHosts, node: str) -> bool:
    """As the API server has it."""
    system = hosts.system("scheduler")
    stored = await system.ask(system.ref("apiserver/api"), Get("nodes", node))
    return condition_is(decode_object(stored.body), "Ready")


async def status(hosts: LocalHosts, member: str) -> StatusResponse:
    system = hosts.system("apiserver")
    return await system.ask(system.ref(f"{member}/etcd"), Status())


@pytest.mark.slow
def test_the_store_goes_on_without_a_replica_for_ten_minutes_and_the_replica_catches_up(tmp_path: Path) -> None:
    with cluster(tmp_path) as one:
        one.clock.pause().result()
        before = one.call(status(one.hosts, "etcd-0")).result()
        victim = next(name for name in ("etcd-0", "etcd-1", "etcd-2") if name not in before.leader)
        one.kill(victim).result()
        one.clock.advance("10m").result()
        leading = one.call(status(one.hosts, before.leader.partition("/")[0])).result()
        one.clock.resume().result()
        one.restart(victim).result()
        one.clock.advance("10s").result()
        one.settled().result()
        after = one.call(status(one.hosts, victim)).result()

        assert leading.term == before.term, "nobody is late on this clock, so nobody stood for election"
        assert leading.revision > before.revision
        assert after.revision >= leading.revision


@pytest.mark.slow
def test_two_clusters_in_one_process_have_nothing_in_common(tmp_path: Path) -> None:
    with cluster(tmp_path / "one") as one, cluster(tmp_path / "other") as other:
        for each in (one, other):
            each.clock.pause().result()
        began = other.clock.now
        one.kill("node-1").result()
        one.clock.advance("2m").result()

        assert not one.call(is_ready(one.hosts, "node-1")).result()
        assert one.call(is_ready(one.hosts, "node-2")).result()
        assert other.clock.now == began
        assert other.call(is_ready(other.hosts, "node-1")).result()
