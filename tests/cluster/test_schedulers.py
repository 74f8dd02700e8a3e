"""Two schedulers in processes of their own, and one that joined: whoever leads is lost, and another goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.cluster.kubectl import Kubectl
from tests.cluster.live import LiveCluster

PODS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: %s}
spec:
  replicas: 8
  selector: {matchLabels: {app: %s}}
  template:
    metadata: {labels: {app: %s}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: none, command: [sh, -c, sleep 1000]}]
"""


def leader(k: Kubectl) -> str:
    return k("get", "lease", "kube-scheduler", "-n", "kube-system", "-o", "jsonpath={.spec.holderIdentity}")


def host(identity: str) -> str:
    return identity.partition("_")[0]


def another_leads(k: Kubectl, than: str) -> str:
    """Waits until the lease is somebody else's."""
    watching = k.start(
        "get", "lease", "kube-scheduler", "-n", "kube-system", "--watch", "--request-timeout=90s",
        "-o", "jsonpath={.spec.holderIdentity}{'\\n'}",
    )  # fmt: skip
    try:
        assert watching.stdout is not None
        for line in watching.stdout:
            if (now := line.strip()) not in ("", than):
                return now
    finally:
        watching.kill()
        watching.communicate()
    raise AssertionError(f"{than} leads for ever")


def all_are_bound_once(k: Kubectl, name: str) -> None:
    k("apply", "-f", "-", stdin=PODS % (name, name, name))
    k("rollout", "status", f"deployment/{name}", "--timeout=90s", timeout_s=100)
    wanted = ("-o", "jsonpath={range .items[*]}{.involvedObject.name}{'\\n'}{end}")
    events = k("get", "events", "--field-selector=reason=Scheduled", *wanted).split()
    bound = Counter(pod for pod in events if pod.startswith(f"{name}-"))
    pods = k("get", "pods", "-l", f"app={name}", "-o", "jsonpath={.items[*].metadata.name}").split()
    assert bound == Counter(pods) and len(pods) == 8


def test_when_the_leader_dies_or_ends_another_goes_on(start_cluster: Callable[..., LiveCluster]) -> None:
    cluster = start_cluster("--nodes", "1", "--schedulers", "2")
    k = cluster.kubectl()
    first = leader(k)
    all_are_bound_once(k, "before")

    cluster.kill(host(first))
    second = another_leads(k, first)
    all_are_bound_once(k, "killed")
    os.kill(cluster.pids()[host(second)], signal.SIGTERM)
    released = another_leads(k, second)
    all_are_bound_once(k, "ended")

    assert len({first, second, released}) == 3  # the first may be back by then, in a process of another identity


def test_one_that_joined_waits_and_then_leads(start_cluster: Callable[..., LiveCluster], tmp_path: Path) -> None:
    cluster = start_cluster("--nodes", "1", "--schedulers", "2")
    k = cluster.kubectl()
    command = [sys.executable, "-m", "actorkube", "run", "scheduler", "--name", "scheduler-here"]
    command += ["--join", str(cluster.data / "join.json"), "--data", str(tmp_path / "here")]
    joined = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert joined.stdout is not None
        assert any("ready" in line for line in joined.stdout)
        own = leader(k)
        for name in ("scheduler", "scheduler-2"):
            os.kill(cluster.pids()[name], signal.SIGSTOP)
        led_by = another_leads(k, own)
        all_are_bound_once(k, "joined")
        for name in ("scheduler", "scheduler-2"):
            os.kill(cluster.pids()[name], signal.SIGCONT)
    finally:
        joined.terminate()
        joined.communicate(timeout=30)
    back = another_leads(k, led_by)
    all_are_bound_once(k, "back")

    assert host(own) in ("scheduler", "scheduler-2") and host(led_by) == "scheduler-here"
    assert host(back) in ("scheduler", "scheduler-2")
    assert joined.returncode == 0
