"""How long from exec to a ready cluster, and to 3 pods Running, and how much memory does the default cluster take?

Anchor, in the same run: starting Python and importing aiohttp, below which no Python API server can start. Bytecode is
kept, as it is for users, but in a directory of the run's own: the very first start, which compiles everything, stands
in a line of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import psutil
import yaml

from bench.rest import tls_context
from tests.cluster.live import LiveCluster

EXAMPLE = Path(__file__).parent.parent / "examples" / "web.yaml"
PODS = 3


def import_floor_s() -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "from aiohttp import web"], check=True)
    return time.perf_counter() - begin


async def run_example(cluster: LiveCluster, directory: Path) -> None:
    """Create what examples/web.yaml says, as `kubectl apply` would, and return when its pods are Running."""
    server, context = tls_context(cluster.kubeconfig, directory)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        for manifest in yaml.safe_load_all(EXAMPLE.read_text()):
            group = "apis/apps/v1" if manifest["kind"] == "Deployment" else "api/v1"
            path = f"{server}/{group}/namespaces/default/{manifest['kind'].lower()}s"
            async with session.post(path, json=manifest) as response:
                response.raise_for_status()
        running: dict[str, None] = {}
        async with session.get(f"{server}/api/v1/namespaces/default/pods?watch=true") as response:
            async for line in response.content:
                pod = json.loads(line)["object"]
                if pod["status"].get("phase") == "Running":
                    running[pod["metadata"]["name"]] = None
                if len(running) == PODS:
                    return


def pss_mib(cluster: LiveCluster) -> float:
    total = 0
    for process in cluster.family():
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total / 2**20


def once() -> tuple[float, float, float]:
    """Seconds to ready, seconds to running pods, MiB of the idle cluster."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        begin = time.perf_counter()
        cluster = LiveCluster(directory).start()
        try:
            ready_s = time.perf_counter() - begin
            memory = pss_mib(cluster)
            asyncio.run(run_example(cluster, directory))
            running_s = time.perf_counter() - begin
            return ready_s, running_s, memory
        finally:
            cluster.stop()


def keep_bytecode(directory: Path) -> None:
    """In every Python that this one starts, whatever the environment says."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(directory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        keep_bytecode(Path(name))
        first_s, _, _ = once()
        floor_s = statistics.median([import_floor_s() for _ in range(options.rounds)])
        rounds = [once() for _ in range(options.rounds)]
    ready_s, running_s, memory = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(
        f"exec to ready            {ready_s:6.2f} s    {ready_s / floor_s:5.1f} x importing aiohttp ({floor_s:.2f} s)"
    )
    print(f"exec to {PODS} pods Running  {running_s:6.2f} s    {running_s / floor_s:5.1f} x importing aiohttp")
    print(f"exec to ready, first ever {first_s:5.2f} s    (nothing is compiled yet)")
    print(f"memory (PSS), no pods    {memory:6.0f} MiB")


if __name__ == "__main__":
    main()
