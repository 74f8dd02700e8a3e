"""What does a test of a cluster cost: a fresh boot, a copy by fork, an ask, a whole scenario; and a real one, to ready?

    python -m bench.testing [--rounds 20]

Anchor, in the same run: `os.fork` of this process, with nothing done in the copy. Means, in milliseconds, of the clock
and of the processor (copies and child processes included), which says more where others use the machine too.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

IMPORTS = (
    "import pytest, time; t, c = time.perf_counter(), time.process_time(); {}; "
    "print(time.perf_counter() - t, time.process_time() - c)"
)
EXAMPLE = Path(__file__).parent.parent / "examples" / "web.yaml"
TESTS = """
import pytest

@pytest.mark.parametrize("number", range({count}))
def test_it(cluster, number):
    cluster.create({{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "one"}}}})
"""

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}}
ENDS = """
import resource, statistics, time
ENDED = []

def pytest_runtest_logfinish():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    ENDED.append((time.perf_counter(), sum(one.ru_utime + one.ru_stime for one in used)))

def pytest_unconfigure():
    steps = [(later[0] - sooner[0], later[1] - sooner[1]) for sooner, later in zip(ENDED, ENDED[1:])]
    print("mean", *(1000 * statistics.mean(column) for column in zip(*steps)))
"""


class Cost(NamedTuple):
    wall_ms: float
    cpu_ms: float


def cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def cost(work: Callable[[], object], rounds: int) -> Cost:
    took = []
    for _ in range(rounds):
        began, cpu_began = time.perf_counter(), cpu_s()
        work()
        took.append((time.perf_counter() - began, cpu_s() - cpu_began))
    return Cost(*(1000 * statistics.mean(column) for column in zip(*took, strict=True)))


def import_cost(statement: str, rounds: int = 3) -> Cost:
    command = [sys.executable, "-c", IMPORTS.format(statement)]
    took = [subprocess.check_output(command, text=True).split() for _ in range(rounds)]
    return Cost(*(1000 * statistics.median(map(float, column)) for column in zip(*took, strict=True)))


def bare_fork() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def pytest_cost(fork: bool, count: int = 25) -> Cost:
    """From the end of one test to the end of the next, in a run of pytest."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "test_it.py").write_text(TESTS.format(count=count))
        (Path(directory) / "conftest.py").write_text(ENDS)
        flags = ["-p", "actorkube.testing.plugin", "-p", "no:actorkube", "-o", f"actorkube_fork={fork}"]
        command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", *flags, directory]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
        done = subprocess.run(command, cwd=directory, env=environment, check=True, capture_output=True, text=True)
    wall_ms, cpu_ms = done.stdout.rpartition("mean ")[2].split()[:2]
    return Cost(float(wall_ms), float(cpu_ms))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds

    from actorkube.testing import Cluster, LiveCluster, Options
    from actorkube.testing.warm import WarmClusters

    warm = WarmClusters()
    cluster = warm.get(Options())  # what is done at first use is done, as before the first test
    fork = cost(bare_fork, rounds * 10)

    def scenario() -> None:
        cluster.apply(EXAMPLE)
        cluster.settled()
        cluster.kill("node-1")
        cluster.settled()

    def copied(work: Callable[[], object]) -> Callable[[], object]:
        return lambda: cluster.on_a_copy(lambda: work() and None)

    report = [
        ("importing the plugin, unused, beside pytest", import_cost("import actorkube.testing.plugin")),
        ("fork of this process, nothing done in it", fork),
        ("fresh boot: 3 nodes, 3 store replicas", cost(lambda: Cluster().close(), rounds)),
        ("copy, and one object created in it", cost(copied(lambda: cluster.create(CONFIG_MAP)), rounds)),
        ("one get", cost(lambda: cluster.get("node/node-1"), rounds * 10)),
        ("copy; deploy 3 pods, settle, kill a node, settle", cost(copied(scenario), rounds)),
        ("one more test in pytest, copied", pytest_cost(True)),
        ("one more test in pytest, booted", pytest_cost(False)),
        ("real cluster in a thread, to ready and gone", cost(lambda: LiveCluster().stop(), 5)),
        ("real cluster of processes, to ready and gone", cost(lambda: LiveCluster(processes="many").stop(), 3)),
    ]
    for what, found in report:
        print(
            f"{what:<50} {found.wall_ms:8.1f} ms  {found.cpu_ms:8.1f} ms CPU {found.cpu_ms / fork.cpu_ms:7.1f} x a fork"
        )


if __name__ == "__main__":
    main()
