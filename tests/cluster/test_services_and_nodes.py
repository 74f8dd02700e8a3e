"""Addresses that can be called, logs that can be followed, and nodes that join from outside."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.kubectl import Kubectl
from tests.cluster.live import LiveCluster

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "web.yaml")


@pytest.fixture(scope="module")
def web(cluster: LiveCluster) -> Iterator[Kubectl]:
    k = cluster.kubectl()
    k("create", "namespace", "services")
    k = cluster.kubectl(namespace="services")
    k("apply", "-f", EXAMPLE)
    k("rollout", "status", "deploy/web", "--timeout=60s")
    yield k
    k("delete", "namespace", "services", "--timeout=60s")


def get(host: str, port: int) -> str:
    answer: bytes = urllib.request.urlopen(f"http://{host}:{port}/", timeout=10).read()
    return answer.decode()


def test_a_node_port_answers_on_every_node(web: Kubectl) -> None:
    web("expose", "deploy/web", "--name=outside", "--type=NodePort", "--port=8080")
    port = int(web("get", "service", "outside", "-o", "jsonpath={.spec.ports[0].nodePort}"))
    addresses = web("get", "nodes", "-o", "jsonpath={.items[*].status.addresses[0].address}").split()
    web("wait", "service/outside", f"--for=jsonpath={{.spec.ports[0].nodePort}}={port}")

    answers = [eventually(address, port) for address in addresses]

    assert len(answers) == 3
    assert all("web-" in answer for answer in answers)


def eventually(host: str, port: int) -> str:
    """A proxy hears of a service a moment after the API server has it."""
    for _ in range(200):
        try:
            return get(host, port)
        except OSError:
            subprocess.run([sys.executable, "-c", ""], check=True)  # let others run
    raise AssertionError(f"{host}:{port} does not answer")


def test_a_load_balancer_gets_an_address_that_answers(web: Kubectl) -> None:
    web("expose", "deploy/web", "--name=balanced", "--type=LoadBalancer", "--port=8080")

    web("wait", "service/balanced", "--for=jsonpath={.status.loadBalancer.ingress[0].ip}", "--timeout=30s", check=False)
    address = web("get", "service", "balanced", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")

    assert "web-" in eventually(address, 8080)


def test_a_followed_log_ends_with_its_container(web: Kubectl) -> None:
    script = "for n in 1 2 3; do echo line $n; done; echo problem >&2; exit 3"
    web("run", "talker", "--image=none", "--restart=Never", "--command", "--", "sh", "-c", script)
    web("wait", "pod/talker", "--for=jsonpath={.status.phase}=Failed", "--timeout=30s")

    log = web("logs", "--follow", "talker")

    assert sorted(log.splitlines()) == ["line 1", "line 2", "line 3", "problem"]
    assert web("logs", "--tail=1", "--timestamps", "talker").count("Z ") == 1
    assert web("get", "pod", "talker", "-o", "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}") == "3"


def test_a_container_that_keeps_failing_is_backed_off(web: Kubectl) -> None:
    web("run", "failing", "--image=none", "--command", "--", "sh", "-c", "echo try; exit 1")

    reason = "{.status.containerStatuses[0].state.waiting.reason}"
    web("wait", "pod/failing", f"--for=jsonpath={reason}=CrashLoopBackOff", "--timeout=30s")

    assert "Back-off restarting failed container" in web("describe", "pod", "failing")
    assert web("logs", "--previous", "failing").strip() == "try"
    web("delete", "pod", "failing", "--grace-period=1")


def test_a_node_joins_from_outside_and_runs_pods(cluster: LiveCluster, tmp_path: Path) -> None:
    k = cluster.kubectl()
    join = str(cluster.data / "join.json")
    command = [sys.executable, "-m", "actorkube", "run", "node", "--name", "node-7", "--join", join]
    node = subprocess.Popen([*command, "--data", str(tmp_path / "node")], stdout=subprocess.PIPE, text=True)
    assert node.stdout is not None
    try:
        ready = [line for line, _ in zip(read_until_ready(node), range(20), strict=False)]
        k("wait", "node/node-7", "--for=condition=Ready", "--timeout=30s")
        pinned = json.dumps({"spec": {"nodeName": "node-7"}})
        k("run", "guest", "--image=none", f"--overrides={pinned}", "--command", "--", "sh", "-c", "echo hi; sleep 100")
        k("wait", "pod/guest", "--for=condition=Ready", "--timeout=30s")
        log = k("logs", "guest")
        k("delete", "pod", "guest", "--grace-period=1")
    finally:
        node.terminate()
        node.communicate(timeout=30)
        k("delete", "node", "node-7", check=False)

    assert ready
    assert log == "hi\n"
    assert node.returncode == 0


def test_a_guest_that_is_revoked_is_cut_off_and_does_not_come_back(cluster: LiveCluster, tmp_path: Path) -> None:
    def guests(*words: str) -> str:
        command = [sys.executable, "-m", "actorkube", "guests", *words, "--data", str(cluster.data)]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout

    k = cluster.kubectl()
    guests("add", "node-8")
    join = str(cluster.data / "join-node-8.json")
    kept = tmp_path / "kept.json"
    kept.write_text(Path(join).read_text())
    command = [sys.executable, "-m", "actorkube", "run", "node", "--name", "node-8", "--data", str(tmp_path / "node")]
    node = subprocess.Popen([*command, "--join", join], stdout=subprocess.PIPE, text=True)
    try:
        assert [line for line, _ in zip(read_until_ready(node), range(20), strict=False)]
        k("wait", "node/node-8", "--for=condition=Ready", "--timeout=30s")
        before = guests("list")
        said = guests("revoke", "node-8")
        after = guests("list")
        refused = k("get", "--raw", "/metrics?system=apiserver")
    finally:
        node.terminate()
        node.communicate(timeout=30)
        k("delete", "node", "node-8", check=False)

    assert "node-8-kubelet" in before
    assert said.startswith("node-8 is revoked; links ended: ") and "node-8-kubelet" in said
    assert "node-8-kubelet" not in after
    assert re.search(r'actorkube_connections_refused_total\{[^}]*reason="revoked"[^}]*\} [1-9]', refused)
    assert not Path(join).exists() and kept.exists()


def read_until_ready(node: subprocess.Popen[str]) -> Iterator[str]:
    assert node.stdout is not None
    for line in node.stdout:
        yield line
        if "kubelet" in line and "ready" in line:
            return
