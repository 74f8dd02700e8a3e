"""A cluster whose objects are in a real etcd (Debian: etcd-server): `cluster --store etcd://...`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.live import LiveCluster
from tests.etcd.real_etcd import RealEtcd, needs_etcd, real_etcd

pytestmark = needs_etcd

Start = Callable[..., LiveCluster]
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: main, image: none, command: [sleep, "1000"]}]}
"""


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[RealEtcd]:
    with real_etcd(tmp_path / "etcd") as found:
        yield found


def test_objects_are_in_etcd_and_a_second_cluster_finds_them(
    start_cluster: Start, etcd: RealEtcd, tmp_path: Path
) -> None:
    first = start_cluster("--store", etcd.url)
    kubectl = first.kubectl()
    kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("scale", "deployment/web", "--replicas=1")
    kubectl("wait", "deployment/web", "--for=jsonpath={.status.replicas}=1", "--timeout=60s")
    assert not list(first.data.glob("etcd-*")), "there are no replicas of our own"
    assert first.output[0].startswith("the store is etcd 3.")
    first.stop()

    second = LiveCluster(tmp_path, "--store", etcd.url).start()
    try:
        again = second.kubectl()
        again("rollout", "status", "deployment/web", "--timeout=60s")
        again("delete", "deployment/web", "--timeout=60s")

        assert again("get", "deployments", "-o", "name") == ""
    finally:
        second.stop()


def test_while_etcd_is_away_requests_are_refused_and_then_go_on(start_cluster: Start, etcd: RealEtcd) -> None:
    kubectl = start_cluster("--store", etcd.url).kubectl()
    kubectl("create", "configmap", "before", "--from-literal=a=1")

    etcd.kill()
    refused = kubectl("create", "configmap", "meanwhile", "--from-literal=a=1", check=False)
    etcd.start()
    etcd.wait()
    until_it_works(lambda: "created" in kubectl("create", "configmap", "after", "--from-literal=a=1", check=False))
    kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")

    assert "the store is not available: no etcd answers" in refused
    names = kubectl("get", "configmaps", "-o", "name")
    assert "configmap/before" in names and "configmap/after" in names


def test_of_three_members_one_may_die(start_cluster: Start, tmp_path: Path) -> None:
    with real_etcd(tmp_path / "three", members=3) as etcd:
        kubectl = start_cluster("--store", etcd.url).kubectl()
        kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
        kubectl("rollout", "status", "deployment/web", "--timeout=60s")

        etcd.kill(etcd.leader())
        until_it_works(lambda: "created" in kubectl("create", "configmap", "after", "--from-literal=a=1", check=False))
        kubectl("scale", "deployment/web", "--replicas=3")

        kubectl("rollout", "status", "deployment/web", "--timeout=60s")


def test_etcd_behind_tls_that_wants_a_certificate(start_cluster: Start, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    with real_etcd(tmp_path / "tls", tls=(certificate, key, certificate)) as etcd:
        ca = ["--store-ca", str(certificate)]
        refused = command("--store", etcd.url, *ca)
        own = ["--store-cert", str(certificate), "--store-key", str(key)]
        kubectl = start_cluster("--store", etcd.url, *ca, *own).kubectl()

        kubectl("create", "configmap", "a", "--from-literal=a=1")

        assert refused.returncode == 1
        assert refused.stderr.startswith("actorkube: no etcd answers: 127.0.0.1:")


def self_signed(path: Path) -> tuple[Path, Path]:
    """A certificate that is its own authority, of a server and of a client, and its key."""
    certificate, key = path / "cert.pem", path / "key.pem"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    request += ["-days", "2", "-subj", "/CN=etcd", "-addext", "subjectAltName=IP:127.0.0.1"]
    request += ["-addext", "extendedKeyUsage=serverAuth,clientAuth", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(request, check=True, capture_output=True)
    return certificate, key


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--store", "etcd://127.0.0.1:1"), "no etcd answers: 127.0.0.1:1: "),
        (("--store", "redis://127.0.0.1"), "a store is etcd://HOST:PORT"),
        (("--store", "etcd://127.0.0.1:1", "--etcd", "3"), "--etcd counts replicas of our own"),
        (("--store", "etcd://127.0.0.1:1", "--time", "virtual"), "a real etcd's time cannot be virtual"),
        (("--store-ca", "ca.crt"), "certificates of which store?"),
        (("--store", "etcds://127.0.0.1:1", "--store-ca", "/nowhere/ca.crt"), "No such file or directory"),
    ],
)
def test_a_store_that_cannot_be_is_refused_in_one_line(options: tuple[str, ...], said: str) -> None:
    refused = command(*options)

    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1 and said in refused.stderr


def test_an_etcd_with_objects_of_another_api_server_is_refused(etcd: RealEtcd) -> None:
    put = ["etcdctl", "--endpoints", etcd.url.removeprefix("etcd://"), "put", "/registry/pods/a/b", "k8s\x00"[:3]]
    subprocess.run(put, check=True, capture_output=True, env={**os.environ, "ETCDCTL_API": "3"})

    refused = command("--store", etcd.url)

    assert refused.returncode == 1
    assert "holds objects of another API server" in refused.stderr


def command(*options: str) -> subprocess.CompletedProcess[str]:
    whole = [sys.executable, "-m", "actorkube", "cluster", *options]
    return subprocess.run(whole, capture_output=True, text=True, timeout=60)


def until_it_works(attempt: Callable[[], bool], within_s: float = 60.0) -> None:
    until = time.monotonic() + within_s
    while not attempt():
        assert time.monotonic() < until, "it does not go on"
