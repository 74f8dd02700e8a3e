"""kubectl exec, cp and the proxy of pods and services, against processes of a real cluster."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.kubectl import Kubectl, kubectl_binaries
from tests.cluster.live import LiveCluster

TWO = """
apiVersion: v1
kind: Pod
metadata: {name: two}
spec:
  containers:
  - {name: first, image: none, command: [sleep, "1000"], env: [{name: WHO, value: first}]}
  - {name: second, image: none, command: [sleep, "1000"], env: [{name: WHO, value: second}]}
"""
EXAMPLE = str(Path(__file__).parents[2] / "examples" / "web.yaml")
WEBSOCKET_SINCE = 30
VERSIONS = [version for version in kubectl_binaries() if int(version.partition(".")[2] or 99) >= WEBSOCKET_SINCE]
OLD = [version for version in kubectl_binaries() if version not in VERSIONS]


@pytest.fixture(scope="module")
def two(cluster: LiveCluster) -> Iterator[LiveCluster]:
    """A cluster with the pod `two`."""
    k = cluster.kubectl()
    k("apply", "-f", "-", stdin=TWO)
    k("wait", "--for=condition=Ready", "pod/two", "--timeout=60s")
    yield cluster
    k("delete", "pod", "two", "--now")


@pytest.fixture(scope="module")
def web(cluster: LiveCluster) -> Iterator[LiveCluster]:
    """A cluster that serves the example."""
    k = cluster.kubectl()
    k("apply", "-f", EXAMPLE)
    k("rollout", "status", "deploy/web", "--timeout=60s")
    yield cluster
    k("delete", "-f", EXAMPLE)


@pytest.fixture(params=VERSIONS or [None])
def k(request: pytest.FixtureRequest, two: LiveCluster) -> Kubectl:
    return two.kubectl(request.param)


def run(k: Kubectl, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [*k._command, *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=60, env=k._environment, check=False)


def test_a_commands_output_error_output_and_exit_code_arrive_apart(k: Kubectl) -> None:
    done = run(k, "exec", "two", "-c", "second", "--", "sh", "-c", "echo out $WHO; echo err >&2; exit 7")

    assert (done.stdout, done.returncode) == (b"out second\n", 7)
    assert done.stderr == b"err\ncommand terminated with exit code 7\n"


def test_all_of_a_long_input_comes_back(k: Kubectl) -> None:
    data = bytes(range(256)) * 8000  # 2 MB: many times what waits anywhere on the way

    done = run(k, "exec", "-i", "two", "-c", "first", "--", "cat", stdin=data)

    assert (done.returncode, done.stdout == data) == (0, True)


def test_a_session_ends_with_its_command_though_the_input_stays_open(k: Kubectl) -> None:
    read_end, write_end = os.pipe()
    command = [*k._command, "exec", "-i", "two", "-c", "first", "--", "echo", "done"]

    done = subprocess.run(command, stdin=read_end, capture_output=True, timeout=60, env=k._environment, check=False)
    os.close(read_end)
    os.close(write_end)

    assert (done.returncode, done.stdout) == (0, b"done\n")


def test_a_command_that_is_not_there_is_named(k: Kubectl) -> None:
    done = run(k, "exec", "two", "-c", "first", "--", "no-such-command")

    assert done.returncode != 0
    assert b'exec: "no-such-command": executable file not found in $PATH' in done.stderr


def test_containers_and_pods_that_are_not_there_are_refused(k: Kubectl) -> None:
    container = run(k, "exec", "two", "-c", "third", "--", "true")
    pod = run(k, "exec", "three", "--", "true")

    assert container.returncode == 1 and b"container third is not valid for pod two" in container.stderr
    assert pod.returncode == 1 and b'pods "three" not found' in pod.stderr


def test_a_terminal_is_one(k: Kubectl) -> None:
    ours, its = pty.openpty()
    command = [*k._command, "exec", "-it", "two", "-c", "first", "--", "sh", "-c", "tty >/dev/null && echo terminal"]

    done = subprocess.run(
        command, stdin=its, stdout=its, stderr=subprocess.PIPE, timeout=60, env=k._environment, check=False
    )
    os.close(its)
    printed = os.read(ours, 4096)
    os.close(ours)

    assert (done.returncode, printed) == (0, b"terminal\r\n"), done.stderr


def test_files_are_copied_both_ways(k: Kubectl, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    (tmp_path / "here").write_bytes(data)
    there = tmp_path / "there"

    k("cp", str(tmp_path / "here"), f"two:{there}", "-c", "first")
    k("cp", f"two:{there}", str(tmp_path / "back"), "-c", "first")

    assert there.read_bytes() == data
    assert (tmp_path / "back").read_bytes() == data


@pytest.mark.parametrize("version", OLD)
def test_an_old_kubectl_is_told_what_it_takes(two: LiveCluster, version: str) -> None:
    done = run(two.kubectl(version), "exec", "two", "-c", "first", "--", "true")

    assert done.returncode == 1 and b"kubectl uses from 1.30 on" in done.stderr


def test_the_python_client_streams(two: LiveCluster) -> None:
    kubernetes = pytest.importorskip("kubernetes")
    stream = pytest.importorskip("kubernetes.stream").stream
    api = kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(str(two.kubeconfig)))
    command = ["sh", "-c", "read line; echo got $line; echo err >&2; exit 3"]

    session = stream(
        api.connect_get_namespaced_pod_exec,
        "two",
        "default",
        container="first",
        command=command,
        stdin=True,
        stdout=True,
        stderr=True,
        tty=False,
        _preload_content=False,
    )
    session.write_stdin("a line\n")
    session.run_forever(timeout=30)
    printed = (session.read_stdout(), session.read_stderr(), session.returncode)
    session.close()
    session.sock.shutdown()  # a connection that the server has closed is left open by `close`
    api.api_client.rest_client.pool_manager.clear()
    api.api_client.close()

    assert printed == ("got a line\n", "err\n", 3)


@pytest.mark.parametrize("version", kubectl_binaries() or [None])
def test_pods_and_services_are_reached_through_the_api(web: LiveCluster, version: str | None) -> None:
    k = web.kubectl(version)
    name = k("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")

    of_pod = k("get", "--raw", f"/api/v1/namespaces/default/pods/{name}:8080/proxy/")
    of_service = k("get", "--raw", "/api/v1/namespaces/default/services/web:8080/proxy/")

    assert name in of_pod and "web-" in of_service


def test_the_python_client_forwards_a_port(web: LiveCluster) -> None:
    kubernetes = pytest.importorskip("kubernetes")
    portforward = pytest.importorskip("kubernetes.stream").portforward
    api = kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(str(web.kubeconfig)))
    name = api.list_namespaced_pod("default", label_selector="app=web").items[0].metadata.name

    forward = portforward(api.connect_get_namespaced_pod_portforward, name, "default", ports="8080")
    socket = forward.socket(8080)
    socket.settimeout(30)
    socket.sendall(b"GET / HTTP/1.0\r\n\r\n")
    answer = b""
    while piece := socket.recv(4096):
        answer += piece
    socket.close()
    api.api_client.rest_client.pool_manager.clear()
    api.api_client.close()

    assert answer.startswith(b"HTTP/1.0 200") and name.encode() in answer and forward.error(8080) is None
    forward.websocket.shutdown()
