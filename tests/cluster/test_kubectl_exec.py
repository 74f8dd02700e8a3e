"""kubectl exec, cp, port-forward and the proxy of pods and services, against processes of a real cluster."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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
NO_SHELLS = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-shells}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CONNECT], resources: [pods/exec]}]
  validations: [{expression: "object.command[0] != 'sh'", message: not in production}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-shells}
spec: {policyName: no-shells, validationActions: [Deny]}
"""
EXAMPLE = str(Path(__file__).parents[2] / "examples" / "web.yaml")
VERSIONS = list(kubectl_binaries())


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


def test_a_policy_refuses_a_command_in_its_own_words(k: Kubectl) -> None:
    k("apply", "-f", "-", stdin=NO_SHELLS)
    try:
        refused = run(k, "exec", "two", "-c", "first", "--", "sh", "-c", "exit 0")
        other = run(k, "exec", "two", "-c", "first", "--", "true")
    finally:
        k("delete", "-f", "-", stdin=NO_SHELLS)

    assert refused.returncode == 1 and other.returncode == 0
    words = b"ValidatingAdmissionPolicy 'no-shells' with binding 'no-shells' denied request: not in production"
    assert refused.stderr.rstrip().endswith(words)


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
    here = forward.socket(8080)
    here.settimeout(30)
    here.sendall(b"GET / HTTP/1.0\r\n\r\n")
    answer = b""
    while piece := here.recv(4096):
        answer += piece
    here.close()
    api.api_client.rest_client.pool_manager.clear()
    api.api_client.close()

    assert answer.startswith(b"HTTP/1.0 200") and name.encode() in answer and forward.error(8080) is None
    forward.websocket.shutdown()


@contextmanager
def forwarded(k: Kubectl, what: str, port: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """The port of this machine that kubectl has chosen, and kubectl."""
    running = k.start("port-forward", what, f"0:{port}", stderr=subprocess.STDOUT)
    assert running.stdout is not None
    line = running.stdout.readline()
    try:
        yield int(line.partition("127.0.0.1:")[2].partition(" ")[0]), running
    finally:
        running.terminate()
        running.communicate(timeout=30)


@pytest.mark.parametrize("version", VERSIONS or [None])
def test_ports_of_pods_services_and_deployments_are_forwarded(web: LiveCluster, version: str | None) -> None:
    k = web.kubectl(version)
    name = k("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")

    for what, port in ((f"pod/{name}", "8080"), ("service/web", "8080"), ("deployment/web", "http")):
        with forwarded(k, what, port) as (here, _), ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _, here=here: fetch(here), range(8)))

        assert all(answer.startswith(b"Hello from web-") for answer in answers)


@pytest.mark.parametrize("version", [*VERSIONS[:1], *VERSIONS[-1:]] or [None])
def test_a_long_transfer_is_whole_and_a_port_that_nobody_listens_on_is_named(
    two: LiveCluster, version: str | None
) -> None:
    k = two.kubectl(version)
    server = "import socket as s; l = s.create_server(('', 7007)); print('ready', flush=True); "
    server += "c = l.accept()[0]; c.sendall(bytes(range(256)) * 40_000); c.close()"
    address = k("get", "pod", "two", "-o", "jsonpath={.status.podIP}")
    running = k.start("exec", "two", "-c", "first", "--", sys.executable, "-c", server.replace("''", f"'{address}'"))
    assert running.stdout is not None and running.stdout.readline() == "ready\n"

    with forwarded(k, "pod/two", "7007") as (here, _), socket.create_connection(("127.0.0.1", here), 30) as client:
        received = b""
        while piece := client.recv(1_000_000):
            received += piece
    with (
        forwarded(k, "pod/two", "7008") as (here, refused),
        socket.create_connection(("127.0.0.1", here), 30) as client,
    ):
        nothing = client.recv(1)
        printed, _ = refused.communicate(timeout=30)
    running.communicate(timeout=30)

    assert received == bytes(range(256)) * 40_000
    assert nothing == b"" and "error forwarding port 7008 to pod two" in printed and refused.returncode == 1


def fetch(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
        body: bytes = answer.read()
        return body
