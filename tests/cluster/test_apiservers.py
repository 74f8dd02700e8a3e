"""Two API servers in processes of their own: one is killed, and its clients lose nothing."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from actorkube.testing.live import LiveCluster
from tests.cluster.kubectl import Kubectl, require_kubectl

ON_NODE_7 = '{"spec": {"nodeName": "node-7"}}'
SAYS_HELLO = "echo hello; sleep 1000"
WRITES = 120
KILLED_AFTER = 40


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with LiveCluster(nodes=1, processes="many", runtime="process", apiservers=2) as cluster:
        yield cluster


def client_context(kubeconfig: Path, directory: Path) -> ssl.SSLContext:
    import base64

    config = yaml.safe_load(kubeconfig.read_text())
    user, cluster = config["users"][0]["user"], config["clusters"][0]["cluster"]
    for name, data in (("cert", user["client-certificate-data"]), ("key", user["client-key-data"])):
        (directory / name).write_bytes(base64.b64decode(data))
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    context.load_cert_chain(directory / "cert", directory / "key")
    return context


class Client:
    """Asks the next server when one does not answer; what was acknowledged, and what a watch has shown."""

    def __init__(self, session: aiohttp.ClientSession, servers: list[str]) -> None:
        self.session = session
        self.servers = servers
        self.acknowledged: list[str] = []
        self.seen: dict[str, int] = {}
        self.revision = 0
        self.resumed = 0

    async def write(self, number: int) -> None:
        """POST until it is known to be there: a second one that finds it there is as good."""
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c-{number}"}}
        for attempt in range(1000):
            url = f"{self.servers[(number + attempt) % 2]}/api/v1/namespaces/default/configmaps"
            try:
                async with self.session.post(url, json=body) as response:
                    if response.status in (201, 409):
                        self.acknowledged.append(f"c-{number}")
                        return
            except aiohttp.ClientError:
                await asyncio.sleep(0.02)
        raise AssertionError(f"c-{number} was never acknowledged")

    async def watch(self, first: int) -> None:
        """From server to server, each time after the revision seen last; never listed again."""
        for turn in range(first, first + 1000):
            query = {"watch": "true", "resourceVersion": str(self.revision), "labelSelector": "!other"}
            url = f"{self.servers[turn % 2]}/api/v1/namespaces/default/configmaps"
            try:
                async with self.session.get(url, params=query) as response:
                    assert response.status == 200, await response.text()
                    self.resumed += 1
                    async for line in response.content:
                        self._note(json.loads(line))
            except aiohttp.ClientError:
                await asyncio.sleep(0.02)

    def _note(self, event: dict[str, Any]) -> None:
        if event["type"] == "ERROR" and event["object"]["code"] == 410:
            return  # a server that has just begun does not know the past: the other one does
        assert event["type"] == "ADDED", event
        name, revision = event["object"]["metadata"]["name"], int(event["object"]["metadata"]["resourceVersion"])
        assert name not in self.seen and revision > self.revision, "each event comes once, and in order"
        self.seen[name], self.revision = revision, revision


@pytest.mark.cluster
def test_a_client_of_two_servers_loses_nothing_when_one_is_killed(pair: LiveCluster, tmp_path: Path) -> None:
    async def scenario() -> None:
        connector = aiohttp.TCPConnector(ssl=client_context(pair.kubeconfig, tmp_path))
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.timeout(120):
            client = Client(session, pair.servers)
            async with session.get(f"{pair.servers[1]}/api/v1/namespaces/default/configmaps") as response:
                client.revision = int((await response.json())["metadata"]["resourceVersion"])
            watching = asyncio.ensure_future(client.watch(1))
            while not client.resumed:
                await asyncio.sleep(0.01)
            for number in range(WRITES):
                if number == KILLED_AFTER:
                    pair.kill("apiserver-2")
                await client.write(number)
            while len(client.seen) < WRITES and not watching.done():
                await asyncio.sleep(0.01)
            watching.cancel()

            assert client.resumed >= 2, "the watch went over to the other server"
            assert sorted(client.seen) == sorted(client.acknowledged)
            async with session.get(f"{pair.servers[0]}/api/v1/namespaces/default/configmaps") as response:
                there = {item["metadata"]["name"] for item in (await response.json())["items"]}
            assert there >= set(client.acknowledged)

    asyncio.run(scenario())


@pytest.mark.cluster
def test_kubectl_uses_either_server_and_reaches_pods_through_both(pair: LiveCluster, tmp_path: Path) -> None:
    k = Kubectl(list(require_kubectl().values())[-1], pair.kubeconfig, tmp_path, "default")
    k("run", "shell", "--image=none", "--command", "--", "sh", "-c", "echo hello; sleep 1000")
    k("wait", "pod/shell", "--for=condition=Ready", "--timeout=60s")

    for context in ("actorkube", "actorkube-2"):
        # The kubelet dials: a server that has just begun waits for that.
        pair.eventually(lambda context=context: k("--context", context, "logs", "shell") == "hello\n")  # type: ignore[misc]
        assert k("--context", context, "exec", "shell", "--", "echo", "from", context) == f"from {context}\n"


@pytest.mark.cluster
def test_components_go_on_when_the_first_server_is_killed(pair: LiveCluster, tmp_path: Path) -> None:
    k = Kubectl(list(require_kubectl().values())[-1], pair.kubeconfig, tmp_path, "default")
    pair.kill("apiserver")

    k("--context", "actorkube-2", "create", "deployment", "web", "--image=none", "--replicas=2", "--", "sleep", "1000")
    k("--context", "actorkube-2", "rollout", "status", "deployment/web", "--timeout=60s")


@pytest.mark.cluster
def test_a_node_that_joined_belongs_to_all_servers(pair: LiveCluster, tmp_path: Path) -> None:
    k = Kubectl(list(require_kubectl().values())[-1], pair.kubeconfig, tmp_path, "default")
    command = [sys.executable, "-m", "actorkube", "run", "node", "--name", "node-7"]
    command += ["--join", str(pair.directory / "data" / "join.json"), "--data", str(tmp_path / "node")]
    node = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        k("wait", "node/node-7", "--for=create", "--timeout=60s")
        k("wait", "node/node-7", "--for=condition=Ready", "--timeout=60s")
        k("run", "there", "--image=none", f"--overrides={ON_NODE_7}", "--command", "--", "sh", "-c", SAYS_HELLO)
        k("wait", "pod/there", "--for=condition=Ready", "--timeout=60s")
        for context in ("actorkube", "actorkube-2"):
            pair.eventually(lambda context=context: k("--context", context, "logs", "there") == "hello\n")  # type: ignore[misc]

        pair.pause("apiserver")
        second = ("--context", "actorkube-2")
        k(
            *second,
            "run",
            "later",
            "--image=none",
            f"--overrides={ON_NODE_7}",
            "--command",
            "--",
            "sh",
            "-c",
            SAYS_HELLO,
        )
        k(*second, "wait", "pod/later", "--for=condition=Ready", "--timeout=90s", timeout_s=100)
        pair.eventually(lambda: k(*second, "logs", "later") == "hello\n")
        pair.resume("apiserver")
    finally:
        node.terminate()
        node.wait(timeout=30)
