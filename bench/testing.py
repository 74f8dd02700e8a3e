"""What does a test of a cluster cost: a fresh boot, a copy by fork, an ask, a whole scenario; and a real one, to ready?

    python -m bench.testing [--rounds 20]

Anchor, in the same run: `os.fork` of this process, with nothing done in the copy. Medians, in milliseconds; what is
imported once for all tests stands apart.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

IMPORTS = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"
EXAMPLE = Path(__file__).parent.parent / "examples" / "web.yaml"
TESTS = """
import pytest

@pytest.mark.parametrize("number", range({count}))
def test_it(cluster, number):
    cluster.create({{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "one"}}}})
"""

ENDS = """
import statistics, time
ENDED = []

def pytest_runtest_logfinish():
    ENDED.append(time.perf_counter())

def pytest_unconfigure():
    print("median", statistics.median(later - sooner for sooner, later in zip(ENDED, ENDED[1:])) * 1000)
"""


def milliseconds(work: Callable[[], object], rounds: int) -> float:
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def import_ms(statement: str, rounds: int = 3) -> float:
    command = [sys.executable, "-c", IMPORTS.format(statement)]
    return statistics.median(float(subprocess.check_output(command, text=True)) for _ in range(rounds)) * 1000


def bare_fork() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def pytest_ms(fork: bool, count: int = 25) -> float:
    """From the end of one test to the end of the next, in a run of pytest."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "test_it.py").write_text(TESTS.format(count=count))
        (Path(directory) / "conftest.py").write_text(ENDS)
        flags = ["-p", "actorkube.testing.plugin", "-p", "no:actorkube", "-o", f"actorkube_fork={fork}"]
        command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", *flags, directory]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
        done = subprocess.run(command, cwd=directory, env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout.rpartition("median ")[2].split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds

    from actorkube.testing import Cluster, LiveCluster, Options
    from actorkube.testing.warm import WarmClusters

    warm = WarmClusters()
    cluster = warm.get(Options())  # what is done at first use is done, as before the first test
    fork_ms = milliseconds(bare_fork, rounds)

    def scenario() -> None:
        cluster.apply(EXAMPLE)
        cluster.settled()
        cluster.kill("node-1")
        cluster.eventually(lambda: cluster.list("pods"))
        cluster.settled()

    report = [
        (
            "importing the plugin, unused, beside pytest",
            import_ms("import pytest; t = time.perf_counter(); import actorkube.testing.plugin"),
        ),
        ("fork of this process, nothing done in it", fork_ms),
        ("fresh boot: 3 nodes, 3 store replicas", milliseconds(lambda: Cluster().close(), rounds)),
        (
            "copy, and one object created in it",
            milliseconds(lambda: cluster.on_a_copy(lambda: cluster.apply(EXAMPLE)), rounds),
        ),
        ("one get", milliseconds(lambda: cluster.get("node/node-1"), rounds * 10)),
        ("copy; deploy 3 pods, settle, kill a node, settle", milliseconds(lambda: cluster.on_a_copy(scenario), rounds)),
        ("one more test in pytest, copied", pytest_ms(True)),
        ("one more test in pytest, booted", pytest_ms(False)),
        ("real cluster in a thread, to ready and gone", milliseconds(lambda: LiveCluster().stop(), 5)),
        ("real cluster of processes, to ready and gone", milliseconds(lambda: LiveCluster(processes="many").stop(), 3)),
    ]
    for what, took_ms in report:
        print(f"{what:<50} {took_ms:8.1f} ms   {took_ms / fork_ms:6.1f} x a bare fork")


if __name__ == "__main__":
    main()
