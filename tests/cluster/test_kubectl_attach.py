"""kubectl attach, run -it and debug: by every kubectl, in real terminals, to processes of a real cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.cluster.kubectl import Kubectl, kubectl_binaries
from tests.cluster.live import LiveCluster
from tests.cluster.terminal import Typed, talk

VERSIONS = list(kubectl_binaries())
SHELL = ["--image=none", "--restart=Never", "--command", "--"]
LISTENER = """
apiVersion: v1
kind: Pod
metadata: {name: listener}
spec:
  containers:
  - name: main
    image: none
    stdin: true
    command: [sh, -c, 'echo began; while read line; do echo "got $line"; echo "err $line" >&2; done']
"""


@pytest.fixture(params=VERSIONS or [None])
def k(request: pytest.FixtureRequest, cluster: LiveCluster) -> Kubectl:
    return cluster.kubectl(request.param)


@pytest.fixture
def listener(cluster: LiveCluster) -> Iterator[str]:
    k = cluster.kubectl()
    k("apply", "-f", "-", stdin=LISTENER)
    k("wait", "--for=condition=Ready", "pod/listener", "--timeout=60s")
    yield "listener"
    k("delete", "pod", "listener", "--now")


def test_a_shell_is_run_in_a_terminal_and_its_exit_code_is_kubectls(k: Kubectl) -> None:
    prompt = b"try pressing enter"

    code, printed = talk(
        k,
        *("run", "-it", "--rm", "shell", *SHELL, "sh"),
        typed=(Typed(prompt, b"test -t 0 && echo ter''minal\n"), Typed(b"terminal", b"exit 3\n")),
    )

    assert code == 3 and "terminal" in printed and 'pod "shell" deleted' in printed
    assert "pods" not in k("get", "pods", "shell", check=False).partition("not found")[2]


def test_input_from_a_pipe_is_read_to_its_end(k: Kubectl) -> None:
    command = [*k._command, "run", "-i", "--rm", "count", *SHELL, "sh", "-c", "wc -c"]

    done = subprocess.run(
        command, input=b"x" * 200_000, capture_output=True, timeout=60, env=k._environment, check=False
    )

    assert done.returncode == 0 and b"200000" in done.stdout, done.stderr


def test_attach_shows_what_comes_from_then_on_and_carries_input(k: Kubectl, listener: str) -> None:
    command = [*k._command, "attach", "-i", listener]

    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=k._environment
    ) as attached:
        assert attached.stdin is not None and attached.stdout is not None
        attached.stdin.write(b"one\n")
        attached.stdin.flush()
        line = attached.stdout.readline()
        attached.terminate()

    assert line == b"got one\n"
    assert k("logs", listener).splitlines()[:2] == ["began", "got one"]
    assert k("get", "pod", listener, "-o", "jsonpath={.status.containerStatuses[0].restartCount}") == "0"


def test_an_ephemeral_container_debugs_a_running_pod(k: Kubectl, listener: str) -> None:
    code, printed = talk(
        k,
        *("debug", "-it", listener, "--image=none", "-c", "looker", "--", "sh"),
        typed=(Typed(b"try pressing enter", b"echo at-${HOSTNAME}\n"), Typed(b"at-listener", b"exit\n")),
    )

    assert code == 0 and "at-listener" in printed
    path = "jsonpath={.status.ephemeralContainerStatuses[0].name} {.status.containerStatuses[0].ready}"
    assert k("get", "pod", listener, "-o", path) == "looker true"


def test_a_copy_of_a_pod_is_debugged_with_another_command(k: Kubectl, listener: str) -> None:
    k("debug", listener, "--copy-to=copied", "--container=main", "--", "sh", "-c", "echo copied; sleep 1000")
    k("wait", "--for=condition=Ready", "pod/copied", "--timeout=60s")

    logged = k("logs", "copied")
    k("delete", "pod", "copied", "--now")

    assert logged == "copied\n"


def test_there_is_nothing_to_attach_to_in_a_pod_that_is_over(cluster: LiveCluster) -> None:
    k = cluster.kubectl()
    k("run", "over", *SHELL, "true")
    k("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/over", "--timeout=60s")

    refusal = k("attach", "over", check=False)
    k("delete", "pod", "over", "--now")

    assert "cannot attach a container in a completed pod" in refusal
