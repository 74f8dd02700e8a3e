"""examples/web.yaml really serves: its pod, configured by the kubelet's rules and run by the process backend."""

from __future__ import annotations

import asyncio
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from actorkube.runtime import System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actors.kubelet.container_config import container_config, sandbox_config
from actors.kubelet.env import Place, container_env
from actors.kubelet.net_target import network_probe
from actors.runtime.actor import RuntimeShim
from actors.runtime.process import ProcessBackend
from protocols.cri import CreateContainer, RunPodSandbox, StartContainer, StopContainer, UpdateRuntimeConfig

EXAMPLE = Path(__file__).parents[2] / "examples" / "web.yaml"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="pods have addresses of their own only on Linux")
async def test_the_web_example_greets_and_ends_at_once(tmp_path: Path) -> None:
    deployment, service = yaml.safe_load_all(EXAMPLE.read_text())
    pod = _pod(deployment)
    [spec] = pod["spec"]["containers"]
    system = System("runtime", LocalNetwork().transport(), seed=1, log=Quiet())
    await system.start()
    shim = system.spawn(lambda: RuntimeShim(lambda: ProcessBackend(tmp_path)), "runtime")
    await system.ask(shim, UpdateRuntimeConfig("127.65.9.0/24"))
    sandbox = await system.ask(shim, RunPodSandbox(sandbox_config(pod, 0)))
    env = container_env(pod, spec, {}, Place("node-1", "127.64.0.1", sandbox.ip, {}))
    created = await system.ask(shim, CreateContainer(sandbox.id, container_config(spec, 0, env, {})))
    await system.ask(shim, StartContainer(created.id))

    probe = network_probe(spec, created.id, spec["readinessProbe"], 1.0)
    while not (await system.ask(shim, probe)).success:
        pass
    answer = await _get(f"http://{sandbox.ip}:{spec['ports'][0]['containerPort']}/")
    ended = await system.ask(shim, StopContainer(created.id, 5), timeout_s=10)
    await system.stop()

    assert answer == "Hello from web-x2x8z on node-1\n"
    assert ended.exit_code == 0
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()


def _pod(deployment: dict[str, Any]) -> dict[str, Any]:
    template = deployment["spec"]["template"]
    metadata = {**template["metadata"], "name": "web-x2x8z", "namespace": "default", "uid": "uid-1"}
    return {**template, "metadata": metadata}


async def _get(url: str) -> str:
    def get() -> str:
        with urllib.request.urlopen(url, timeout=5) as response:
            return str(response.read().decode())

    return await asyncio.get_running_loop().run_in_executor(None, get)
