"""The `cluster` fixture: a whole cluster that a test steers, in virtual time, from plain functions and coroutines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actorkube.runtime import Actor
from actorkube.sim.errors import NotConverged
from actorkube.testing import Cluster, SimulatedCluster
from protocols.errors import AlreadyExists, AskError, BadRequest, Invalid, NotFound, StatusError
from protocols.message import Done, Message, Request
from protocols.objects import Object

EXAMPLE = Path(__file__).parents[2] / "examples" / "web.yaml"


def config_map(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def ready(cluster: Cluster) -> int:
    return int(cluster.get("deploy/web")["status"]["readyReplicas"])


@pytest.mark.slow
def test_a_manifest_becomes_running_pods(cluster: Cluster) -> None:
    cluster.apply(EXAMPLE)

    cluster.settled()

    assert ready(cluster) == 3
    assert {pod["status"]["phase"] for pod in cluster.list("pods", labels="app=web")} == {"Running"}


def test_objects_are_created_read_changed_and_deleted(cluster: Cluster) -> None:
    made = cluster.create(config_map("settings", colour="red"))

    with pytest.raises(AlreadyExists):
        cluster.create(config_map("settings"))
    cluster.patch("cm/settings", {"data": {"colour": "blue"}})
    assert cluster.get(made)["data"] == cluster.get("configmap", "settings")["data"] == {"colour": "blue"}
    cluster.delete("cm/settings")
    with pytest.raises(NotFound):
        cluster.get("cm/settings")
    with pytest.raises(Invalid):
        cluster.create(config_map("Not a name"))


def test_apply_takes_an_object_several_text_or_a_file(cluster: Cluster, tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: from-text}\n---\n" * 2
    (tmp_path / "one.yaml").write_text(text.replace("text", "file"))

    cluster.apply(config_map("from-dict"))
    cluster.apply([config_map("one"), config_map("other")])
    cluster.apply({"kind": "List", "apiVersion": "v1", "items": [config_map("from-list")]})
    cluster.apply(text)
    cluster.apply(str(tmp_path / "one.yaml"))

    names = {cm["metadata"]["name"] for cm in cluster.list("cm")}
    assert {"from-dict", "one", "other", "from-list", "from-text", "from-file"} <= names
    with pytest.raises(ValueError, match="apiVersion and kind"):
        cluster.apply({"metadata": {}})


def test_custom_resources_are_handled_as_others_by_all_their_names(cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="has no kind Widget in example"):
        cluster.create(widget("early"))

    cluster.apply([WIDGETS, widget("one")])
    cluster.create(widget("other"))
    cluster.patch("wd/one", {"spec": {"size": 3}})

    assert cluster.get("widget/one")["spec"]["size"] == cluster.get("widgets.example.com", "one")["spec"]["size"] == 3
    assert [each["metadata"]["name"] for each in cluster.list("widgets")] == ["one", "other"]
    cluster.delete(widget("one"))
    cluster.wait("widget/one", "deleted")


WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}},
                    }
                },
            }
        ],
    },
}


def widget(name: str) -> Object:
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"size": 1}}


async def test_a_coroutine_may_await_what_a_function_calls(cluster: Cluster) -> None:
    await cluster.settled()

    await cluster.clock.advance("1m")

    assert cluster.clock.elapsed_s > 60


@pytest.mark.slow
def test_a_dead_nodes_pods_move_and_no_real_time_passes(cluster: Cluster) -> None:
    cluster.apply(EXAMPLE)
    cluster.settled()
    node = cluster.list("pods")[0]["spec"]["nodeName"]

    cluster.kill(node)
    cluster.clock.advance("30s")
    assert ready(cluster) == 3
    cluster.clock.advance("6m")
    cluster.settled()

    assert ready(cluster) == 3
    alive = [p for p in cluster.list("pods") if "deletionTimestamp" not in p["metadata"]]
    assert node not in {pod["spec"]["nodeName"] for pod in alive}


@pytest.mark.slow
def test_a_cut_off_node_comes_back_when_healed(cluster: Cluster) -> None:
    def is_ready() -> bool:  # as the API server says
        conditions = cluster.get("node/node-1")["status"]["conditions"]
        return next(c["status"] for c in conditions if c["type"] == "Ready") == "True"

    cluster.partition("node-1")
    cluster.eventually(lambda: not is_ready(), within="2m")
    cluster.heal()

    cluster.wait("node/node-1", "Ready")
    assert is_ready()


@pytest.mark.slow
def test_a_killed_component_stays_down_until_it_is_restarted(cluster: Cluster) -> None:
    cluster.kill("scheduler")
    cluster.apply(EXAMPLE)
    cluster.clock.advance("1m")
    assert not any(pod["spec"].get("nodeName") for pod in cluster.list("pods"))

    cluster.restart("scheduler")

    cluster.wait("deploy/web", "Available")


def test_a_paused_store_answers_again_when_resumed(cluster: Cluster) -> None:
    cluster.pause("etcd-0", "etcd-1")
    with pytest.raises((AskError, StatusError)):
        cluster.get("cm/none")  # no majority: nobody can answer
    cluster.resume("etcd-0", "etcd-1")

    cluster.apply(config_map("after"))

    assert cluster.get("cm/after")


@pytest.mark.slow
@pytest.mark.actorkube(nodes=1, etcd=1, node_monitor_grace="5s")
def test_what_does_not_come_true_says_what_was_seen_last(cluster: Cluster) -> None:
    with pytest.raises(NotConverged, match='pods "nobody" not found'):
        cluster.eventually(lambda: cluster.get("pod/nobody"), within="3s")
    with pytest.raises(NotConverged, match="returned 0"):
        cluster.eventually(lambda: len(cluster.list("pods")), within="3s")
    with pytest.raises(NotConverged, match="does not exist"):
        cluster.wait("pod/nobody", within="3s")
    with pytest.raises(NotConverged, match="not watched for 300"):
        cluster.settled(within="1s", quiet="5m")
    cluster.kill("node-1")
    with pytest.raises(NotConverged, match="last written: /registry/core/nodes/node-1"):
        cluster.settled(within="9s", quiet="8s")


def test_names_that_do_not_exist_are_refused_with_those_that_do(cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="etcd-0"):
        cluster.kill("etcd-9")
    with pytest.raises(ValueError, match=r"deployments\.apps"):
        cluster.get("deplyoment/web")
    with pytest.raises(ValueError, match="which one"):
        cluster.get("deploy")


class Count(Request["Counted"]):
    pass


class Counted(Message):
    number: int


class Counter(Actor):
    def __init__(self) -> None:
        self.number = 0

    def receive(self, message: Message) -> Counted:
        assert isinstance(message, Count)
        self.number += 1
        return Counted(self.number)


def test_an_actor_of_ones_own_lives_in_the_cluster_and_can_be_killed(cluster: Cluster) -> None:
    counter = cluster.spawn("counter", Counter)
    cluster.ask(counter, Count())
    assert cluster.ask("counter/counter", Count()) == Counted(2)

    cluster.kill("counter")
    cluster.restart("counter")

    answer = cluster.eventually(lambda: cluster.ask("counter/counter", Count()))  # whoever asks first may meet the dead
    assert answer == Counted(1)
    assert cluster.actor("counter/counter").number == 1  # type: ignore[attr-defined]


class TimeThere(Actor):
    def receive(self, message: Message) -> Counted:
        return Counted(int(self.ctx.now))


@pytest.mark.actorkube(nodes=1, etcd=1)
def test_a_skewed_clock_is_what_its_actors_see(cluster: Cluster) -> None:
    cluster.spawn("watch", TimeThere)

    cluster.skew("watch", "5m")

    ahead = cluster.ask("watch/watch", Count()).number - cluster.clock.now
    assert 298 <= ahead <= 301


class Dawdle(Request[Done]):
    pass


class Dawdler(Actor):
    def receive(self, message: Message) -> object:
        return self.ctx.sleep(30)


@pytest.mark.slow
def test_a_cluster_with_an_actor_at_work_has_not_settled(cluster: Cluster) -> None:
    cluster.spawn("dawdler", Dawdler)

    cluster.tell("dawdler/dawdler", Dawdle())

    with pytest.raises(NotConverged, match="dawdler/dawdler: 1 requests are being handled"):
        cluster.settled(within="20s")
    cluster.settled(within="20s")


async def test_a_coroutine_of_a_real_loop_uses_it_as_any_object(cluster: Cluster) -> None:
    beside = asyncio.create_task(asyncio.sleep(0))

    cluster.apply(config_map("from-a-coroutine"))
    cluster.clock.advance("1m")

    await beside
    assert cluster.get("cm/from-a-coroutine")


@pytest.mark.slow
def test_a_scenario_runs_inside_in_virtual_time(cluster: Cluster) -> None:
    async def scenario(inside: SimulatedCluster) -> float:
        await inside.apply(EXAMPLE)
        await asyncio.sleep(120)
        await inside.settled()
        return inside.world.now - inside.world.epoch

    began = time.monotonic()
    elapsed = cluster.run(scenario)

    assert elapsed > 120 > time.monotonic() - began


@pytest.mark.actorkube(nodes=1, etcd=1, seed=7)
def test_a_marker_says_what_the_cluster_is_like(cluster: Cluster) -> None:
    assert [node["metadata"]["name"] for node in cluster.list("nodes")] == ["node-1"]
    assert "seed 7" in cluster.story()


@pytest.mark.slow
@pytest.mark.actorkube(nodes=1, etcd=1)
def test_equal_clusters_do_the_same_things(make_cluster: Callable[..., Cluster]) -> None:
    one, other, different = make_cluster(seed=3), make_cluster(seed=3), make_cluster(seed=4)

    for cluster in (one, other, different):
        cluster.apply(EXAMPLE)
        cluster.settled()

    assert one.world.trace.hash == other.world.trace.hash != different.world.trace.hash


@pytest.mark.slow
def test_the_order_of_causes_can_be_asserted(cluster: Cluster) -> None:
    cluster.apply(EXAMPLE)
    cluster.eventually(lambda: ready(cluster) == 3)
    pod = cluster.list("pods")[0]["metadata"]["name"]

    created = cluster.why(f"pod/{pod}")
    changed = cluster.why("pod", pod, latest=True)

    assert created.complete
    assert created.caused_by("deployments.apps default/web")
    assert changed.caused_by(f"pods default/{pod}")
    assert len(changed.hops) > len(created.hops)
    assert created.lines()[0].endswith(f"pods default/{pod} @{created.origin.revision}")


def talker(*containers: str, **notes: str) -> dict[str, Any]:
    annotations = {f"actorkube.dev/sim-{name.replace('_', '-')}": value for name, value in notes.items()}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "talker", "annotations": annotations},
        "spec": {"containers": [{"name": name, "image": "x"} for name in containers]},
    }


@pytest.mark.slow
@pytest.mark.actorkube(nodes=1, etcd=1)
def test_what_a_container_printed_can_be_read(cluster: Cluster) -> None:
    cluster.apply(talker("main", prints="one\ntwo", exit_after="5"))
    cluster.eventually(
        lambda: cluster.get("pod/talker")["status"]["containerStatuses"][0]["restartCount"] == 1, within="2m"
    )

    assert cluster.logs("talker") == "main starts, attempt 1\none\ntwo\n"
    assert cluster.logs("pod/talker", "main", tail=1) == "two\n"
    assert cluster.logs(cluster.get("pod/talker"), previous=True).startswith("main starts, attempt 0\n")


@pytest.mark.actorkube(nodes=1, etcd=1)
def test_a_log_that_there_is_not_is_refused_as_kubectl_is(cluster: Cluster) -> None:
    cluster.apply(talker("main", "beside"))
    cluster.wait("pod/talker", "Running")

    with pytest.raises(NotFound):
        cluster.logs("nobody")
    with pytest.raises(BadRequest, match=r"choose one of: \[main beside\]"):
        cluster.logs("talker")
    with pytest.raises(BadRequest, match="previous terminated container"):
        cluster.logs("talker", "beside", previous=True)
    assert cluster.logs("talker", "beside") == "beside starts, attempt 0\n"
