"""Real clusters for any client: in a thread or in processes, up for one test or for a session, and gone afterwards."""

from __future__ import annotations

import base64
import datetime
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from actorkube.cli import main
from actorkube.sim.errors import NotConverged
from actorkube.testing import Cluster, LiveCluster
from actorkube.testing.leaks import leaked, resources
from protocols.errors import AlreadyExists, Invalid, NotFound, StatusError

EXAMPLE = Path(__file__).parents[2] / "examples" / "web.yaml"


class Rest:
    """The smallest client there is: a kubeconfig, TLS, JSON."""

    def __init__(self, cluster: LiveCluster) -> None:
        config = yaml.safe_load(cluster.kubeconfig.read_text())
        user, server = config["users"][0]["user"], config["clusters"][0]["cluster"]
        self._server = server["server"]
        self._context = ssl.create_default_context(cadata=_text(server["certificate-authority-data"]))
        certificate = cluster.directory / "client.pem"
        certificate.write_text(_text(user["client-certificate-data"]) + _text(user["client-key-data"]))
        self._context.load_cert_chain(certificate)

    def __call__(self, path: str, body: object = None, method: str | None = None, kind: str = "") -> Any:
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": kind or "application/json"}
        request = urllib.request.Request(self._server + path, data, headers, method=method)
        with urllib.request.urlopen(request, context=self._context, timeout=60) as response:
            return json.load(response)


def _text(data: str) -> str:
    return base64.b64decode(data).decode()


CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def config_map(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


def web() -> Any:
    return next(iter(yaml.safe_load_all(EXAMPLE.read_text())))


@pytest.mark.slow
@pytest.mark.actorkube(nodes=2, etcd=1)
def test_a_cluster_in_a_thread_serves_any_client_and_its_time_is_the_tests(live_cluster: LiveCluster) -> None:
    rest = Rest(live_cluster)
    rest(DEPLOYMENTS, web())
    ready = live_cluster.eventually(lambda: rest(DEPLOYMENTS + "/web")["status"]["readyReplicas"], within="60s")
    assert ready >= 1
    pod = rest("/api/v1/namespaces/default/pods")["items"][0]

    live_cluster.kill(pod["spec"]["nodeName"])
    live_cluster.clock.advance("7m").result()
    live_cluster.settled()

    pods = rest("/api/v1/namespaces/default/pods")["items"]
    alive = [p for p in pods if "deletionTimestamp" not in p["metadata"]]
    assert len(alive) == 3
    assert pod["spec"]["nodeName"] not in {p["spec"]["nodeName"] for p in alive}


def ready(rest: Rest, node: str) -> str:
    """Of a node's condition: True, False or Unknown."""
    conditions = rest(f"/api/v1/nodes/{node}")["status"]["conditions"]
    found: str = next(condition["status"] for condition in conditions if condition["type"] == "Ready")
    return found


@pytest.mark.slow
@pytest.mark.actorkube(nodes=2, etcd=1)
def test_a_node_that_is_cut_off_is_not_ready_until_that_is_healed(live_cluster: LiveCluster) -> None:
    rest = Rest(live_cluster)

    live_cluster.partition("node-1", "apiserver")
    live_cluster.clock.advance("2m").result()
    cut_off = [ready(rest, "node-1"), ready(rest, "node-2")]
    live_cluster.heal()
    live_cluster.clock.advance("1m").result()

    assert cut_off == ["Unknown", "True"]
    assert ready(rest, "node-1") == "True"


@pytest.mark.actorkube(nodes=1, etcd=1)
def test_a_host_of_a_live_cluster_believes_the_clock_that_a_test_sets(live_cluster: LiveCluster) -> None:
    rest = Rest(live_cluster)

    def made(name: str) -> str:
        found: str = rest(CONFIG_MAPS, config_map(name))["metadata"]["creationTimestamp"]
        return found

    before = made("before")
    live_cluster.skew("apiserver", "48h")
    ahead = made("ahead")
    live_cluster.heal()
    stands_still = made("healed")

    assert ahead[:10] > before[:10]
    assert stands_still[:10] == ahead[:10]
    with pytest.raises(KeyError, match="etcd-0"):
        live_cluster.partition("etcd-9")


@pytest.mark.cluster
@pytest.mark.actorkube(nodes=2, etcd=1, processes="many", node_monitor_grace="3s")
def test_a_process_that_is_cut_off_is_not_ready_also_after_a_restart_and_comes_back(live_cluster: LiveCluster) -> None:
    rest = Rest(live_cluster)

    live_cluster.partition("node-1", "apiserver")
    live_cluster.eventually(lambda: ready(rest, "node-1") == "Unknown", within="60s")
    live_cluster.kill("apiserver")
    live_cluster.eventually(lambda: ready(rest, "node-2") == "True", within="60s")
    assert ready(rest, "node-1") == "Unknown"
    live_cluster.heal()

    assert live_cluster.eventually(lambda: ready(rest, "node-1") == "True", within="60s")


@pytest.mark.cluster
@pytest.mark.actorkube(nodes=0, etcd=1, processes="many")
def test_the_command_line_cuts_hosts_off_and_sets_their_clocks(
    live_cluster: LiveCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    rest = Rest(live_cluster)
    data = ["--data", str(live_cluster.directory / "data")]

    assert main(["host", "skew", "apiserver", "48h", *data]) == 0
    assert main(["host", "partition", "scheduler", "apiserver", "--one-way", *data]) == 0
    today = rest(CONFIG_MAPS, config_map("ahead"))["metadata"]["creationTimestamp"][:10]
    assert main(["host", "heal", *data]) == 0
    assert main(["host", "partition", "etcd-9", *data]) == 1

    assert today > datetime.datetime.now(datetime.UTC).date().isoformat()
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        "the clock of apiserver is 48h0m0s ahead",
        "scheduler is not heard by apiserver",
        "healed",
    ]
    assert "there is no host etcd-9; there are apiserver, etcd-0" in told.err


@pytest.mark.slow
@pytest.mark.actorkube(nodes=1, etcd=1)
def test_what_a_container_of_a_live_cluster_printed_can_be_read(live_cluster: LiveCluster) -> None:
    rest = Rest(live_cluster)
    pod = {"metadata": {"name": "talker", "annotations": {"actorkube.dev/sim-prints": "one\ntwo"}}}
    rest("/api/v1/namespaces/default/pods", {**pod, "spec": {"containers": [{"name": "main", "image": "x"}]}})

    live_cluster.eventually(lambda: "two" in live_cluster.logs("talker"))

    assert live_cluster.logs("pod/talker") == "main starts, attempt 0\none\ntwo\n"
    assert live_cluster.logs("talker", "main", tail=1) == "two\n"
    with pytest.raises(NotFound):
        live_cluster.logs("nobody")
    with pytest.raises(StatusError, match="previous terminated container"):
        live_cluster.logs("talker", previous=True)


@pytest.mark.cluster
@pytest.mark.actorkube(nodes=1, etcd=1, processes="many")
def test_a_cluster_of_processes_heals_what_is_killed_and_waits_for_what_is_paused(live_cluster: LiveCluster) -> None:
    rest = Rest(live_cluster)
    rest(CONFIG_MAPS, config_map("before"))

    live_cluster.kill("apiserver")
    assert live_cluster.eventually(lambda: rest(CONFIG_MAPS + "/before"), within="60s")
    live_cluster.pause("scheduler")
    rest(DEPLOYMENTS, web())
    pods = live_cluster.eventually(lambda: rest("/api/v1/namespaces/default/pods")["items"], within="60s")
    assert not any("nodeName" in pod["spec"] for pod in pods)
    live_cluster.resume("scheduler")

    assert live_cluster.eventually(lambda: rest(DEPLOYMENTS + "/web")["status"]["readyReplicas"] == 3, within="60s")


@pytest.mark.cluster
def test_nothing_of_a_cluster_of_processes_is_left_even_when_a_process_is_paused() -> None:
    before = resources()
    cluster = LiveCluster(nodes=1, etcd=1, processes="many")
    (top,) = (child for child in psutil.Process().children() if child.pid not in before.children)
    family = [top, *top.children(recursive=True)]

    cluster.pause("etcd-0")
    cluster.stop()
    cluster.stop()

    assert len(family) > 5
    assert not [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert not cluster.directory.exists()
    assert leaked(before) == []


@pytest.mark.slow
def test_nothing_of_a_cluster_in_a_thread_is_left() -> None:
    LiveCluster(nodes=1, etcd=1).stop()  # what is imported, stays
    before = resources()

    with LiveCluster(nodes=1, etcd=1) as cluster:
        Rest(cluster)("/api/v1/nodes")

    assert leaked(before) == []
    assert not cluster.directory.exists()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(cluster.server, timeout=10)


@pytest.mark.slow
@pytest.mark.actorkube(nodes=1, etcd=1)
def test_two_simulated_and_two_real_clusters_live_side_by_side(
    make_cluster: Callable[..., Cluster], make_live_cluster: Callable[..., LiveCluster]
) -> None:
    real = [make_live_cluster(), make_live_cluster()]
    simulated = [make_cluster(seed=1), make_cluster(seed=2)]

    for number, (live, cluster) in enumerate(zip(real, simulated, strict=True)):
        Rest(live)(CONFIG_MAPS, config_map(f"real-{number}"))
        cluster.create(config_map(f"simulated-{number}"))
    for cluster in simulated:  # for a while, beside clusters that look at the real clock all the time
        cluster.clock.advance("2m")

    names = [{c["metadata"]["name"] for c in Rest(live)(CONFIG_MAPS)["items"]} for live in real]
    names += [{c["metadata"]["name"] for c in cluster.list("cm")} for cluster in simulated]
    own = [{name for name in found if not name.startswith("kube-")} for found in names]
    assert own == [{"real-0"}, {"real-1"}, {"simulated-0"}, {"simulated-1"}]


@pytest.mark.actorkube(nodes=0, etcd=1)
def test_what_a_live_cluster_cannot_do_says_what_can(live_cluster: LiveCluster) -> None:
    with pytest.raises(NotImplementedError, match="many"):
        live_cluster.pause("etcd-0")
    with pytest.raises(KeyError, match="etcd-0"):
        live_cluster.kill("etcd-9")
    with pytest.raises(NotConverged, match="returned 0"):
        live_cluster.eventually(lambda: 0, within="10ms")
    with pytest.raises(ValueError, match="many"):
        LiveCluster(runtime="process")
    assert live_cluster.environment == {"KUBECONFIG": str(live_cluster.kubeconfig)}


DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Cluster
  names: {plural: widgets, singular: widget, kind: Widget}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
"""


@pytest.mark.slow
def test_objects_are_handled_without_a_client_as_in_a_simulated_cluster(live_cluster: LiveCluster) -> None:
    live_cluster.apply([config_map("one"), config_map("other")])
    live_cluster.apply(EXAMPLE)
    made = live_cluster.create(config_map("made"), namespace="kube-system")

    with pytest.raises(AlreadyExists):
        live_cluster.create(config_map("one"))
    with pytest.raises(Invalid):
        live_cluster.create(config_map("Not a name"))
    with pytest.raises(ValueError, match="no resource 'gadgets'"):
        live_cluster.list("gadgets")
    live_cluster.patch("cm/one", {"data": {"colour": "blue"}})
    assert live_cluster.get(made)["metadata"]["namespace"] == "kube-system"
    assert live_cluster.get("cm", "one")["data"] == {"colour": "blue"}
    live_cluster.scale("deploy/web", 1)
    live_cluster.eventually(lambda: live_cluster.get("deploy/web")["status"]["readyReplicas"] == 1)
    (pod,) = [p for p in live_cluster.list("pods", labels="app=web") if "deletionTimestamp" not in p["metadata"]]
    assert pod["kind"] == "Pod"
    live_cluster.delete("cm/one")
    live_cluster.delete("cm/one")
    with pytest.raises(NotFound):
        live_cluster.get("cm/one")

    live_cluster.apply(DEFINITION)
    live_cluster.apply({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}})
    assert [each["metadata"]["name"] for each in live_cluster.list("widgets")] == ["w"]


@pytest.mark.slow
def test_whoever_asks_why_of_what_is_not_there_is_told_that(
    live_cluster: LiveCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    live_cluster.create(config_map("there"))

    for name in ("there", "nowhere"):
        assert main(["trace", "why", f"cm/{name}", "--kubeconfig", str(live_cluster.kubeconfig)]) == 1

    there, nowhere = capsys.readouterr().err.splitlines()
    assert there.startswith('actorkube: nothing is known of where configmaps "default/there" came from')
    assert nowhere.startswith('actorkube: configmaps "nowhere" not found, and of one that was there before nothing is')
