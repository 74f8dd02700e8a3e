"""The pages of scheduler and controller manager in a real cluster: found by their files, read with its kubeconfig."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from base64 import b64decode
from pathlib import Path

import pytest
import yaml

from actorkube.testing import LiveCluster

TRIES = 1000


class Pages:
    """Of one component; `get` as the administrator, or as nobody."""

    def __init__(self, cluster: LiveCluster, data: Path, system: str) -> None:
        config = yaml.safe_load(cluster.kubeconfig.read_text())
        user, server = config["users"][0]["user"], config["clusters"][0]["cluster"]
        ca = b64decode(server["certificate-authority-data"]).decode()
        self.nobody, self.admin = (ssl.create_default_context(cadata=ca) for _ in range(2))
        certificate = cluster.directory / "client.pem"
        certificate.write_bytes(b64decode(user["client-certificate-data"]) + b64decode(user["client-key-data"]))
        self.admin.load_cert_chain(certificate)
        [group] = json.loads((data / "serving" / f"{system}.json").read_text())
        [self.target], self.job = group["targets"], group["labels"]["job"]

    def get(self, path: str, context: ssl.SSLContext | None = None) -> str:
        request = urllib.request.Request(f"https://{self.target}{path}")
        with urllib.request.urlopen(request, context=context or self.admin, timeout=60) as answer:
            return str(answer.read().decode())


def served(data: Path) -> list[str]:
    return sorted(file.name for file in (data / "serving").glob("*.json"))


@pytest.mark.parametrize("processes", ["one", pytest.param("many", marks=pytest.mark.slow)])
def test_components_tell_how_they_are_and_what_they_did(processes: str) -> None:
    with LiveCluster(nodes=1, processes=processes) as cluster:
        for pod in ("a", "b"):
            containers = [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "10m"}}}]
            spec = {"containers": containers}
            cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod}, "spec": spec})
        data = cluster.directory / ("data" if processes == "many" else "")
        for _ in range(TRIES):
            if all(pod["spec"].get("nodeName") for pod in cluster.list("pods")) and len(served(data)) == 2:
                break
        scheduler, manager = Pages(cluster, data, "scheduler"), Pages(cluster, data, "controller-manager")

        assert (scheduler.job, manager.job) == ("kube-scheduler", "kube-controller-manager")
        assert scheduler.get("/healthz", scheduler.nobody) == manager.get("/readyz", manager.nobody) == "ok"
        with pytest.raises(urllib.error.HTTPError, match="403"):
            scheduler.get("/metrics", scheduler.nobody)
        scheduled = 'scheduler_schedule_attempts_total{profile="default-scheduler",result="scheduled"} 2.0'
        assert any(scheduled in scheduler.get("/metrics") for _ in range(TRIES))
        assert 'pod="a"' in scheduler.get("/metrics/resources")
        assert 'workqueue_adds_total{name="replicaset-controller"}' in manager.get("/metrics")
        assert "kube-controller-manager statusz" in manager.get("/statusz")
        assert "\nnode-monitor-grace-period=" in manager.get("/flagz")
        assert f"\nclient-ca-file={data}/pki/ca.crt\n" in scheduler.get("/flagz")
        assert "[+]replicaset-controller ok" in manager.get("/livez?verbose")
        assert served(data) == ["controller-manager.json", "scheduler.json"]
