"""Real clusters for any client: in a thread or in processes, up for one test or for a session, and gone afterwards."""

from __future__ import annotations

import base64
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

from actorkube.sim.errors import NotConverged
from actorkube.testing import Cluster, LiveCluster
from actorkube.testing.leaks import leaked, resources

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


def test_nothing_of_a_cluster_in_a_thread_is_left() -> None:
    LiveCluster(nodes=1, etcd=1).stop()  # what is imported, stays
    before = resources()

    with LiveCluster(nodes=1, etcd=1) as cluster:
        Rest(cluster)("/api/v1/nodes")

    assert leaked(before) == []
    assert not cluster.directory.exists()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(cluster.server, timeout=10)


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
