"""A real kube-apiserver lives on our replica set, and kubectl on it, while the leader is killed.

It runs where ACTORKUBE_KUBE_APISERVER names a kube-apiserver (no package of Debian, PyPI or npm has one: it is built
from source; docs/etcd.md says how) and is skipped elsewhere. Its calls, one by one: test_apiserver_calls.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.real_kubernetes import RealApiServer
from tests.etcd.real_etcd import needs_etcd, real_etcd
from tests.etcd.served import Served, certificate, free_ports, needs_etcdctl

APISERVER = os.environ.get("ACTORKUBE_KUBE_APISERVER", "")
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not APISERVER, reason="ACTORKUBE_KUBE_APISERVER names no kube-apiserver"),
    pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed"),
    needs_etcdctl,
]


class ApiServer:
    def __init__(self, path: Path, store: Served, *options: str, scheme: str = "http") -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.port = free_ports(1)
        key = path / "service-accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        (path / "tokens.csv").write_text("secret,admin,admin,system:masters\n")
        self._log = (path / "log").open("wb")
        self._process = subprocess.Popen(
            [
                APISERVER,
                "--etcd-servers=" + ",".join(f"{scheme}://127.0.0.1:{store.port + number}" for number in range(3)),
                "--etcd-compaction-interval=2s",
                "--bind-address=127.0.0.1",
                f"--secure-port={self.port}",
                f"--cert-dir={path / 'certificates'}",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-signing-key-file={key}",
                f"--service-account-key-file={key}",
                f"--token-auth-file={path / 'tokens.csv'}",
                "--authorization-mode=RBAC",
                "--service-cluster-ip-range=10.0.0.0/24",
                "--disable-admission-plugins=ServiceAccount",
                *options,
            ],
            stdout=self._log,
            stderr=self._log,
        )
        until(lambda: self.kubectl("get", "--raw", "/readyz", check=False) == "ok", 60)

    def command(self, *arguments: str) -> list[str]:
        server = f"--server=https://127.0.0.1:{self.port}"
        return ["kubectl", server, "--insecure-skip-tls-verify", "--token=secret", *arguments]

    def kubectl(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        """What it prints; what it complains of, too, where it may fail."""
        done = subprocess.run(
            self.command(*arguments), input=stdin, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout if check else done.stdout + done.stderr

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()


def until(holds: object, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("store"))
    yield served
    served.stop()


@pytest.fixture(scope="module")
def api(store: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    server = ApiServer(tmp_path_factory.mktemp("api"), store)
    yield server
    server.stop()


def configmaps(names: list[str], label: str) -> str:
    items = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "labels": {"of": label}},
            "data": {"name": name},
        }
        for name in names
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def test_objects_are_created_watched_listed_and_deleted_while_the_leader_is_killed(
    store: Served, api: ApiServer
) -> None:
    names = [f"kept-{number:03d}" for number in range(300)]
    columns = "custom-columns=TYPE:.type,NAME:.object.metadata.name,REVISION:.object.metadata.resourceVersion"
    watching = api.command("get", "configmaps", "-l", "of=kept", "-w", "--output-watch-events", "-o", columns)
    with subprocess.Popen(watching, stdout=subprocess.PIPE, text=True) as watch:
        creating = subprocess.Popen(
            api.command("create", "-f", "-"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert creating.stdin is not None and creating.stdout is not None and watch.stdout is not None
        creating.stdin.write(configmaps(names, "kept"))
        creating.stdin.close()
        creating.stdin = None
        told = [creating.stdout.readline() for _ in range(20)]
        store.kill(store.leader())
        rest, _ = creating.communicate(timeout=120)
        created = {
            line.split("/")[1].split()[0] for line in [*told, *rest.splitlines()] if line.rstrip().endswith("created")
        }
        there = set(api.kubectl("get", "configmaps", "-l", "of=kept", "-o", "name").replace("configmap/", "").split())
        lost = created - there
        missing = sorted(set(names) - there)
        if missing:
            api.kubectl("create", "-f", "-", stdin=configmaps(missing, "kept"))
        paged = api.kubectl("get", "configmaps", "-l", "of=kept", "--chunk-size=50", "-o", "name").split()
        api.kubectl("delete", "configmaps", "-l", "of=kept")
        seen: list[list[str]] = []
        while Counter(row[0] for row in seen)["DELETED"] < len(names):
            seen.append(watch.stdout.readline().split())
        watch.kill()

    assert len(created) >= 20 and lost == set()
    assert paged == [f"configmap/{name}" for name in names]
    rows = [row for row in seen if row[0] != "TYPE"]
    assert Counter((kind, name) for kind, name, _ in rows) == Counter(
        (kind, name) for kind in ("ADDED", "DELETED") for name in names
    )
    revisions = [int(revision) for _, _, revision in rows]
    assert revisions == sorted(set(revisions))


def test_who_writes_what_is_old_by_now_is_refused(api: ApiServer) -> None:
    api.kubectl("create", "configmap", "contended", "--from-literal=a=1")
    old = api.kubectl("get", "configmap", "contended", "-o", "json")
    api.kubectl("patch", "configmap", "contended", "-p", '{"data":{"a":"2"}}')

    refused = api.kubectl("replace", "-f", "-", stdin=old, check=False)

    assert "the object has been modified" in refused
    assert api.kubectl("get", "configmap", "contended", "-o", "jsonpath={.data.a}") == "2"


def test_an_event_has_a_lease_that_ends_it(store: Served, api: ApiServer) -> None:
    before = set(store.ctl("lease", "list").split())
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "happened", "namespace": "default"},
        "involvedObject": {"namespace": "default"},
    }

    api.kubectl("create", "-f", "-", stdin=json.dumps(event))

    leases = set(store.ctl("lease", "list").split()) | before
    kept = store.ctl("get", "/registry/events/default/happened", "-w", "json")
    lease = json.loads(kept)["kvs"][0]["lease"]
    assert f"{lease:x}".rjust(16, "0") in {name.rjust(16, "0") for name in leases}


def test_what_is_compacted_is_expired_for_clients(api: ApiServer) -> None:
    exact = f"{CONFIGMAPS}?resourceVersionMatch=Exact&limit=500&resourceVersion="
    first = json.loads(api.kubectl("get", "--raw", f"{CONFIGMAPS}?limit=1"))["metadata"]["resourceVersion"]
    assert "ConfigMapList" in api.kubectl("get", "--raw", exact + first)

    def is_expired() -> bool:
        api.kubectl("create", "configmap", f"time-{time.monotonic_ns()}")
        return "too old" in api.kubectl("get", "--raw", exact + first, check=False)

    until(is_expired, 60)


def test_a_restart_of_it_finds_what_it_had_written_over_tls_too(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    store = Served(tmp_path / "store", "--cert-file", cert, "--key-file", key, "--trusted-ca-file", cert)
    tls = [f"--etcd-cafile={cert}", f"--etcd-certfile={cert}", f"--etcd-keyfile={key}"]
    try:
        before = ApiServer(tmp_path / "before", store, *tls, scheme="https")
        before.kubectl("create", "configmap", "kept", "--from-literal=a=1")
        before.stop()
        after = ApiServer(tmp_path / "after", store, *tls, scheme="https")
        kept = after.kubectl("get", "configmap", "kept", "-o", "jsonpath={.data.a}")
        after.stop()
    finally:
        store.stop()

    assert kept == "1"


@needs_etcd
def test_its_log_complains_of_nothing_that_it_does_not_complain_of_on_a_real_etcd(tmp_path: Path) -> None:
    served = Served(tmp_path / "store")
    try:
        with real_etcd(tmp_path / "etcd") as etcd:
            theirs = complaints(tmp_path / "theirs", etcd.url.replace("etcd://", "http://"))
        ours = complaints(tmp_path / "ours", f"http://127.0.0.1:{served.port}")
    finally:
        served.stop()

    assert ours - theirs == set()


def complaints(directory: Path, store: str) -> set[str]:
    """What it calls errors while it is used, without addresses and times."""
    server = RealApiServer(directory, f"--etcd-servers={store}", "--etcd-compaction-interval=1s", accounts=False)
    try:
        kubectl = server.kubectl()
        kubectl("create", "-f", "-", stdin=configmaps([f"many-{number}" for number in range(100)], "many"))
        kubectl("get", "configmaps", "--chunk-size=10", "-o", "name")
        kubectl("create", "namespace", "going")
        kubectl("label", "configmaps", "--all", "a=b")
        kubectl("delete", "configmaps", "-l", "of=many")
        kubectl("get", "--raw", "/readyz?verbose")
    finally:
        server.stop()
    own = 'namespaces \\"kube-system\\" not found'  # which of its loops is the first at the start is chance
    return {re.sub(r"\d+", "N", line) for line in server.program.problems() if own not in line}
