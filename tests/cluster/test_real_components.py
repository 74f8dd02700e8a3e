"""A real kube-scheduler and kube-controller-manager on our API server, in the place of ours.

They run where ACTORKUBE_KUBE_SCHEDULER and ACTORKUBE_KUBE_CONTROLLER_MANAGER name them; see real_kubernetes.py.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator

import pytest
import yaml

from tests.cluster.live import LiveCluster
from tests.cluster.real_kubernetes import (
    Program,
    controller_manager,
    needs_controller_manager,
    needs_scheduler,
    scheduler,
)

pytestmark = [pytest.mark.cluster, needs_scheduler, needs_controller_manager]
# What they say of any API server: a file that nobody gave them, and what a race between two of their own loops costs.
ANYWHERE = ("manifest file is empty", "not as new as written", "already exists", "object has been modified")
# What is not theirs to expect of Kubernetes: some builds have controllers of a distribution.
OF_OTHERS = ("service-ca-cert-publisher", "legacy-service-account-token-tracking")


class Mixed:
    def __init__(self, cluster: LiveCluster, programs: tuple[Program, Program]) -> None:
        self.kubectl = cluster.kubectl()
        self.programs = programs

    def until(self, holds: Callable[[], bool], within_s: float = 60.0) -> None:
        end = time.monotonic() + within_s
        while not holds():
            assert time.monotonic() < end, [program.problems()[-5:] for program in self.programs]
            time.sleep(0.2)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mixed]:
    path = tmp_path_factory.mktemp("mixed")
    cluster = LiveCluster(path, "--nodes", "2", "--without", "scheduler,controller-manager").start()
    try:
        authority = path / "ca.crt"
        config = yaml.safe_load(cluster.kubeconfig.read_text())
        authority.write_bytes(base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]))
        with (
            controller_manager(path / "managers", cluster.kubeconfig, f"--root-ca-file={authority}") as managers,
            scheduler(path / "scheduler", cluster.kubeconfig) as scheduling,
        ):
            found = Mixed(cluster, (managers, scheduling))
            found.until(lambda: "default" in found.kubectl("get", "serviceaccounts", "-o", "name"))
            yield found
    finally:
        cluster.stop()


def test_they_lead_and_a_deployment_runs_is_served_and_goes(mixed: Mixed) -> None:
    kubectl = mixed.kubectl
    kubectl("create", "deployment", "web", "--image=busybox", "--replicas=2", "--", "sleep", "1000")
    kubectl("expose", "deployment", "web", "--port=80")
    mixed.until(lambda: kubectl("get", "pods", "-o", "jsonpath={.items[*].status.phase}") == "Running Running")
    mixed.until(lambda: len(kubectl("get", "endpoints", "web", "-o", "jsonpath={.subsets[0].addresses[*].ip}")) > 8)
    kubectl("set", "image", "deployment/web", "busybox=busybox:2")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")

    web = json.loads(kubectl("get", "deployment", "web", "-o", "json"))
    leases = kubectl("get", "leases", "-n", "kube-system", "-o", "name")
    kubectl("delete", "deployment", "web", "--cascade=foreground", "--timeout=60s")

    assert web["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    assert web["metadata"]["generation"] == 2
    assert "kube-scheduler" in leases and "kube-controller-manager" in leases
    assert kubectl("get", "replicasets,pods", "-l", "app=web", "-o", "name") == ""


def test_a_namespace_goes_with_its_content(mixed: Mixed) -> None:
    mixed.kubectl("create", "namespace", "going")
    mixed.kubectl("create", "configmap", "x", "-n", "going")

    assert "deleted" in mixed.kubectl("delete", "namespace", "going", "--timeout=60s")


def test_they_complain_of_nothing(mixed: Mixed) -> None:
    """Comes last: of all that was asked of the API server before."""
    said = [line for program in mixed.programs for line in program.problems()]

    assert [line for line in said if not any(known in line for known in (*ANYWHERE, *OF_OTHERS))] == []
