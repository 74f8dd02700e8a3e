"""Scheduling decisions per CPU second: one pod after another, decided and assumed, no API server.

    python -m bench.scheduler

Nodes of 4 CPU and 32 GiB, pods of 100m and 500 MiB, as kube-scheduler's own scheduler_perf has them. The anchor is
measured in the same run: reading every node once in plain Python, which no scheduler that scores all nodes can beat
without columns.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable

from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.cycle import Decision, decide
from actors.scheduler.demand import PodDemand
from actors.scheduler.profile import DEFAULT_PROFILE
from protocols.objects import Object

ROUNDS = 5
SECONDS_PER_ROUND = 0.4


def main() -> None:
    for nodes in (100, 1000):
        decisions = per_second(lambda nodes=nodes: scheduler(nodes))  # type: ignore[misc]
        reads = per_second(lambda nodes=nodes: reader(nodes))  # type: ignore[misc]
        ratio = decisions / reads
        print(
            f"scheduler at {nodes} nodes: {decisions:,.0f} decisions/s of CPU ({ratio:.3f} of reading each node once)"
        )


def per_second(start: Callable[[], Callable[[], None]]) -> float:
    """The median rate of what `start` returns."""
    rates = []
    for _ in range(ROUNDS):
        step, count, began = start(), 0, time.process_time()
        while time.process_time() - began < SECONDS_PER_ROUND:
            step()
            count += 1
        rates.append(count / (time.process_time() - began))
    return statistics.median(rates)


def scheduler(nodes: int) -> Callable[[], None]:
    state, chance, number = cluster(nodes), random.Random(1), iter(range(10**9))

    def step() -> None:
        pod = PodDemand(make_pod(f"pod-{next(number)}"))
        decision = decide(pod, state, DEFAULT_PROFILE, chance)
        assert isinstance(decision, Decision)
        state.assume(pod, decision.node)

    return step


def reader(nodes: int) -> Callable[[], None]:
    state = cluster(nodes)

    def step() -> None:
        sum(node.requested.get("cpu", 0) for node in state.nodes.values())

    return step


def cluster(nodes: int) -> ClusterState:
    state = ClusterState()
    for index in range(nodes):
        allocatable = {"cpu": "4000", "memory": "32000Gi", "pods": "110000"}
        state.set_node({"metadata": {"name": f"node-{index}"}, "spec": {}, "status": {"allocatable": allocatable}})
    return state


def make_pod(name: str) -> Object:
    requests = {"cpu": "100m", "memory": "500Mi"}
    spec = {"containers": [{"name": "main", "image": "pause", "resources": {"requests": requests}}]}
    return {"metadata": {"name": name, "namespace": "default", "uid": name}, "spec": spec}


if __name__ == "__main__":
    main()
