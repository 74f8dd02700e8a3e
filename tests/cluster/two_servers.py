"""The same requests to a real kube-apiserver and to ours, and in what the answers differ.

Nobody but the test writes to either of them: there are no controllers beside the real one, and ours stand still.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import signal
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import yaml

from actors.apiserver.schema.resources import by_kind
from tests.cluster.kubectl import Kubectl
from tests.cluster.live import LiveCluster
from tests.cluster.real_kubernetes import real_apiserver

READY_WITHIN_S = 60
_OWN = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "selfLink", "deletionTimestamp")
_TOKEN_VOLUME = re.compile(r"kube-api-access-[a-z0-9]{5}")
_RANGE = "127.70.0.0/16"  # of the addresses of services, here and there
_ADDRESS = re.compile(r'"127\.\d+\.\d+\.\d+"')
_PORT = re.compile(r'"(nodePort|healthCheckNodePort)": 3\d{4}')
_TIME = re.compile(r'"(lastPhaseTransitionTime)": "[^"]*"')
_NOTHING = "nothing"
# Some distributions project the authority of their own services, too.
_OTHER_AUTHORITY = "openshift-service-ca.crt"
_STOPPED = ("scheduler", "controller", "cloud")


class Answer(NamedTuple):
    """Without what no two servers have in common: uids, revisions, times."""

    code: int
    body: Any
    warnings: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        return self.code < 400


class Side:
    """A connection to one of them."""

    def __init__(self, url: str, context: ssl.SSLContext, headers: dict[str, str], kubectl: Kubectl) -> None:
        at = urlsplit(url)
        assert at.hostname is not None
        self._connection = http.client.HTTPSConnection(at.hostname, at.port, context=context, timeout=60)
        self._headers = headers
        self.kubectl = kubectl

    def send(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Answer:
        code, said, warnings = self.raw(method, path, body, content_type)
        return Answer(code, plain(said), warnings)

    def raw(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> tuple[int, Any, tuple[str, ...]]:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {**self._headers, "Accept": "application/json", "Content-Type": content_type}
        self._connection.request(method, path, data, headers)
        response = self._connection.getresponse()
        text = response.read()
        warnings = tuple(response.headers.get_all("Warning") or ())
        is_json = response.headers.get_content_type() == "application/json"
        return response.status, json.loads(text) if is_json else text.decode(), warnings

    def form(self, path: str, accept: str) -> tuple[int, str, str]:
        """What comes of asking for a form: code, content type, and what a Status in JSON says."""
        self._connection.request("GET", path, None, {**self._headers, "Accept": accept})
        response = self._connection.getresponse()
        text, content_type = response.read(), response.headers.get("Content-Type", "")
        said = json.loads(text) if content_type == "application/json" and text else {}
        return response.status, content_type, said["message"] if said.get("kind") == "Status" else ""

    def wait(self, path: str) -> None:
        until = time.monotonic() + READY_WITHIN_S
        while True:
            try:
                if self.raw("GET", path)[0] == 200:
                    return
            except OSError:
                self._connection.close()
            assert time.monotonic() < until, f"{path} does not come about"
            time.sleep(0.1)

    def close(self) -> None:
        self._connection.close()


class TwoServers(NamedTuple):
    theirs: Side
    ours: Side

    def ask(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> list[Answer]:
        return [side.send(method, path, body, content_type) for side in self]

    def create(self, obj: dict[str, Any], query: str = "?dryRun=All") -> list[Answer]:
        return self.ask("POST", path_of(obj) + query, obj)


@contextmanager
def two_servers(directory: Path) -> Iterator[TwoServers]:
    (directory / "ours").mkdir(exist_ok=True)
    cluster = LiveCluster(directory / "ours", "--nodes", "0", "--etcd", "1").start()
    try:
        with real_apiserver(directory / "theirs", f"--service-cluster-ip-range={_RANGE}", "--allow-privileged") as real:
            anyone = ssl.create_default_context()
            anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
            theirs = Side(real.url, anyone, real.authorized, real.kubectl())
            ours = _ours(cluster, directory)
            theirs.wait("/api/v1/namespaces/default")
            ours.wait("/api/v1/namespaces/default/serviceaccounts/default")
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
            theirs.raw("POST", "/api/v1/namespaces/default/serviceaccounts", account)
            with _standing_still(cluster):
                yield TwoServers(theirs, ours)
            theirs.close()
            ours.close()
    finally:
        cluster.stop()


def _ours(cluster: LiveCluster, directory: Path) -> Side:
    config: dict[str, Any] = yaml.safe_load(cluster.kubeconfig.read_text())
    there, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    files = {}
    for name, data in (
        ("ca", there["certificate-authority-data"]),
        ("crt", user["client-certificate-data"]),
        ("key", user["client-key-data"]),
    ):
        files[name] = directory / name
        files[name].write_bytes(base64.b64decode(data))
    context = ssl.create_default_context(cafile=str(files["ca"]))
    context.load_cert_chain(files["crt"], files["key"])
    return Side(there["server"], context, {}, cluster.kubectl())


@contextmanager
def _standing_still(cluster: LiveCluster) -> Iterator[None]:
    """Whoever else would write; nothing waits for them."""
    still = [pid for name, pid in cluster.pids().items() if name.startswith(_STOPPED)]
    for pid in still:
        os.kill(pid, signal.SIGSTOP)
    yield
    for pid in still:
        os.kill(pid, signal.SIGCONT)


def path_of(obj: dict[str, Any], name: str = "") -> str:
    """Where objects of its kind are; or the one of that name."""
    resource = by_kind(obj["apiVersion"], obj["kind"])
    assert resource is not None
    root = "/apis/" if resource.group else "/api/"
    namespace = f"/namespaces/{obj['metadata'].get('namespace') or 'default'}" if resource.namespaced else ""
    return f"{root}{resource.api_version}{namespace}/{resource.plural}" + (f"/{name}" if name else "")


def plain(body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    if body.get("kind") == "Status":
        body.pop("metadata", None)
    elif isinstance(body.get("metadata"), dict):
        for name in _OWN:
            body["metadata"].pop(name, None)
    _without_other_authorities(body)
    text = _TIME.sub(r'"\1": "then"', _ADDRESS.sub('"127.0.0.0"', json.dumps(body)))
    text = _PORT.sub(r'"\1": 30000', text)
    return json.loads(_TOKEN_VOLUME.sub("kube-api-access-x", text))


def _without_other_authorities(body: dict[str, Any]) -> None:
    spec = body.get("spec")
    for volume in (spec.get("volumes") if isinstance(spec, dict) else None) or ():
        projected = volume.get("projected") or {}
        projected["sources"] = [
            source
            for source in projected.get("sources") or ()
            if (source.get("configMap") or {}).get("name") != _OTHER_AUTHORITY
        ]
        if not projected["sources"]:
            projected.pop("sources")


def differences(theirs: Any, ours: Any, path: str = "") -> Iterator[str]:
    """The paths at which they differ, and how."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted({*theirs, *ours}):
            pair = theirs.get(key, _NOTHING), ours.get(key, _NOTHING)
            yield from differences(*pair, f"{path}.{key}".removeprefix("."))
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for index, pair in enumerate(zip(theirs, ours, strict=True)):
            yield from differences(*pair, f"{path}[{index}]")
    elif theirs != ours:
        yield f"{path}: {theirs} there, {ours} here"
