"""The kopf operator against a real API server in a thread of this process, up in a tenth of a second."""

from pathlib import Path

from kopf.testing import KopfRunner
from kubernetes import client, config

OPERATOR = str(Path(__file__).parent / "operator.py")


def test_a_labelled_config_map_is_mirrored(live_cluster, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(live_cluster.kubeconfig))
    config.load_kube_config(str(live_cluster.kubeconfig))
    core, original = client.CoreV1Api(), {"metadata": {"name": "a", "labels": {"mirror": "b"}}, "data": {"x": "1"}}
    with KopfRunner(["run", "-A", OPERATOR]) as operator:
        core.create_namespaced_config_map("default", original)
        live_cluster.eventually(lambda: core.read_namespaced_config_map("b", "default").data == {"x": "1"})
        core.patch_namespaced_config_map("a", "default", {"data": {"x": "2"}})
        live_cluster.eventually(lambda: core.read_namespaced_config_map("b", "default").data == {"x": "2"})
    assert operator.exit_code == 0, operator.output
