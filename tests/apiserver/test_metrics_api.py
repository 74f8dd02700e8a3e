"""metrics.k8s.io and the kubelet's pages: what nodes and pods use, as kubelets say it, or do not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actorkube.runtime import Actor
from protocols.api import List
from protocols.errors import Forbidden
from protocols.message import Message
from protocols.objects import Object, decode_object
from protocols.rules.times import time_of
from protocols.usage import AskNodeUsage, ContainerUsage, NodeUsage, PodUsage
from tests.apiserver.rest_client import NOW, Rest, rest
from tests.apiserver.world import pod
from tests.samples import samples

METRICS = "/apis/metrics.k8s.io/v1beta1"
NODES = "/api/v1/nodes"


class Kubelet(Actor):
    def receive(self, message: Message) -> object:
        if isinstance(message, AskNodeUsage):
            containers = (
                ContainerUsage("main", 250_000_000, 64 << 20, 7_500_000_000, NOW - 60),
                ContainerUsage("side", 1_000_000, 1 << 20, 500_000_000, NOW - 60),
            )
            return NodeUsage(NOW, (PodUsage("default", "web", "u1", 15.0, containers),))
        return super().receive(message)


def node(name: str) -> Object:
    addresses = [{"type": "InternalIP", "address": "127.0.0.1"}]
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"addresses": addresses}}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    """The kubelet of n1 answers, that of n2 is not there; `other` has just been bound to n1."""
    async with rest(tmp_path) as client:
        await client.world.actor("n1-kubelet", "kubelet", Kubelet())
        for name in ("n1", "n2"):
            await client.create(NODES, node(name))
        for name, at in (("web", "n1"), ("other", "n1"), ("lost", "n2"), ("waiting", "")):
            obj = pod(name, node=at) if at else pod(name)
            obj["metadata"]["labels"] = {"name": name}
            await client.create("/api/v1/namespaces/default/pods", obj)
        yield client


async def test_pods_have_the_usage_of_each_container(api: Rest) -> None:
    listed = (await api.get(f"{METRICS}/namespaces/default/pods")).json
    one = (await api.get(f"{METRICS}/namespaces/default/pods/web")).json

    assert (listed["kind"], [item["metadata"]["name"] for item in listed["items"]]) == ("PodMetricsList", ["web"])
    assert one["containers"] == [
        {"name": "main", "usage": {"cpu": "250000000n", "memory": "65536Ki"}},
        {"name": "side", "usage": {"cpu": "1000000n", "memory": "1024Ki"}},
    ]
    assert (one["kind"], one["window"], one["metadata"]["labels"]) == ("PodMetrics", "15.000s", {"name": "web"})


async def test_a_node_uses_what_its_pods_use_and_one_that_does_not_answer_is_left_out(api: Rest) -> None:
    listed = (await api.get(f"{METRICS}/nodes")).json

    assert [(item["metadata"]["name"], item["usage"]) for item in listed["items"]] == [
        ("n1", {"cpu": "251000000n", "memory": "66560Ki"})
    ]
    assert (await api.get(f"{METRICS}/nodes/n1")).json["usage"] == listed["items"][0]["usage"]


async def test_actors_ask_by_message(api: Rest) -> None:
    found = await api.world.ask(List("pods.metrics.k8s.io", "default", "name in (web,other)"))
    nothing = await api.world.ask(List("pods.metrics.k8s.io", "elsewhere"))

    (metrics,) = [decode_object(item.body) for item in found.items]
    assert (metrics["kind"], metrics["metadata"]["name"], metrics["window"]) == ("PodMetrics", "web", "15.000s")
    assert [each["usage"]["cpu"] for each in metrics["containers"]] == ["250000000n", "1000000n"]
    assert nothing.items == ()


async def test_a_kubelet_learns_by_message_nothing_of_what_others_measured(api: Rest) -> None:
    kubelet = api.world.systems["n1-kubelet"].actor("kubelet").ctx

    with pytest.raises(Forbidden, match="cannot list resource"):
        await kubelet.ask(api.world.api, List("pods.metrics.k8s.io", "default"), 10.0)


@pytest.mark.parametrize(
    ("selector", "names"), [("name=web", ["web"]), ("name!=web", []), ("name in (web,other)", ["web"])]
)
async def test_pods_are_selected_by_label(api: Rest, selector: str, names: list[str]) -> None:
    found = (await api.get(f"{METRICS}/pods?labelSelector={selector}")).json

    assert [item["metadata"]["name"] for item in found["items"]] == names


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "pods/web", 404),
        ("GET", "namespaces/default/pods/waiting", 404),
        ("GET", "namespaces/default/pods/nobody", 404),
        ("GET", "nodes/n2", 404),
        ("GET", "things", 404),
        ("GET", "", 404),
        ("DELETE", "nodes/n1", 405),
    ],
)
async def test_what_is_not_measured_is_not_there(api: Rest, method: str, path: str, code: int) -> None:
    answer = await api.send(method, f"{METRICS}/{path}")

    assert (answer.code, answer.json["kind"]) == (code, "Status")


async def test_the_group_is_discovered_in_both_forms(api: Rest) -> None:
    legacy = (await api.get(METRICS)).json
    aggregated = (
        await api.get("/apis", Accept="application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
    ).json

    assert [(each["name"], each["kind"]) for each in legacy["resources"]] == [
        ("nodes", "NodeMetrics"),
        ("pods", "PodMetrics"),
    ]
    assert aggregated["items"][-1]["metadata"]["name"] == "metrics.k8s.io"


async def test_who_may_not_list_pods_learns_nothing(api: Rest) -> None:
    for path in (f"{METRICS}/pods", f"{METRICS}/nodes/n1", f"{NODES}/n1/proxy/pods"):
        assert (await api.send("GET", path, session=api.anonymous)).code in (401, 403)


async def test_a_node_shows_the_pages_of_its_kubelet(api: Rest) -> None:
    health = await api.get(f"{NODES}/n1/proxy/healthz")
    pods = (await api.get(f"{NODES}/n1:10250/proxy/pods")).json
    summary = (await api.get(f"{NODES}/n1/proxy/stats/summary")).json

    assert (health.code, health.body) == (200, b"ok")
    assert [item["metadata"]["name"] for item in pods["items"]] == ["other", "web"]
    assert summary["node"]["nodeName"] == "n1" and summary["node"]["cpu"]["usageNanoCores"] == 251_000_000
    assert "usageCoreNanoSeconds" not in summary["node"]["cpu"]
    assert summary["pods"][0]["podRef"] == {"name": "web", "namespace": "default", "uid": "u1"}
    assert summary["pods"][0]["cpu"]["usageCoreNanoSeconds"] == 8_000_000_000
    assert summary["pods"][0]["containers"][0]["startTime"] == time_of(NOW - 60)


async def test_a_kubelet_tells_what_is_measured_of_its_actors(api: Rest) -> None:
    here, gone = await api.get(f"{NODES}/n1/proxy/metrics"), await api.get(f"{NODES}/n2/proxy/metrics")

    assert samples(here.body, "system")["actorkube_system_up_seconds", "n1-kubelet"] >= 0
    assert here.headers["Content-Type"].startswith("text/plain; version=")
    assert gone.code == 503 and "the kubelet of node n2 does not answer" in gone.body.decode()


async def test_prometheus_reads_what_containers_of_a_node_use(api: Rest) -> None:
    answer = await api.get(f"{NODES}/n1/proxy/metrics/resource")

    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    container, of_pod = ("container", "pod", "namespace"), ("pod", "namespace")
    main = ("main", "web", "default")
    of_containers = samples(answer.body, *container)
    assert of_containers["container_cpu_usage_seconds_total", *main] == 7.5
    assert of_containers["container_memory_working_set_bytes", *main] == 64 << 20
    assert of_containers["container_start_time_seconds", *main] == NOW - 60
    assert samples(answer.body, *of_pod) == {
        ("pod_cpu_usage_seconds_total", "web", "default"): 8.0,
        ("pod_memory_working_set_bytes", "web", "default"): 65 << 20,
    }
    assert samples(answer.body) == {("resource_scrape_error",): 0.0}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("n1/proxy/", 404),
        ("n1/proxy/run", 404),
        ("n2/proxy/healthz", 503),
        ("n9/proxy/healthz", 404),
        ("n1:x/proxy/", 400),
    ],
)
async def test_pages_that_there_are_not(api: Rest, path: str, code: int) -> None:
    assert (await api.get(f"{NODES}/{path}")).code == code


async def test_another_port_of_a_node_is_passed_on(api: Rest) -> None:
    """To whoever listens there: here the API server itself, which wants TLS and gets a plain word."""
    port = api.config.address[1]

    answer = await api.get(f"{NODES}/https:n1:{port}/proxy/version")

    assert answer.code == 200 and answer.json["major"] == "1"
