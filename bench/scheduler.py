"""Scheduling decisions per CPU second: one pod after another, decided and assumed, all nodes scored, no API server.

    python -m bench.scheduler [--nodes 5000] [WORKLOAD ...]

Nodes and pods are as in kube-scheduler's own scheduler_perf: 4 CPU, 32 GiB, 110 pods; 100m, 500 MiB. Pods are parsed
before; what that costs is a line of its own. Anchors: kube-scheduler 1.36 in a loop without API server, on 2 such
CPUs, scoring a tenth of the nodes, as it does by default.
"""

from __future__ import annotations

import argparse
import gc
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

from actors.scheduler.attempts import reserve
from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.cycle import Decision, SchedulingCycle
from actors.scheduler.demand import PodDemand, trim_pod
from actors.scheduler.diagnosis import Unschedulable
from actors.scheduler.framework import Attempt, ClusterEvent
from actors.scheduler.plugins.dynamic_resources import DynamicResources
from actors.scheduler.profile import DEFAULT_PROFILE
from actors.scheduler.queue import SchedulingQueue
from actors.scheduler.waiting_pods import WaitingPods
from protocols.objects import Object, key_of, name_of, uid_of
from protocols.rules.device_claims import CLAIMS, CLASSES, SLICES, with_user

HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
SELECTOR = {"matchLabels": {"app": "measured"}}
LATER = "IgnoredDuringExecution"
SIZES = (500, 1000, 5000, 15000)
PODS = 4000
PREEMPTION = "preemption"
DEVICES = "devices"
WAITING = "5,000 waiting pods of 100 kinds"
NOMINATED = "1,000 nominated pods"
TURN = 32  # decisions, as the scheduler's actor takes them


def spread(key: str, skew: int, when: str) -> dict[str, Any]:
    return {"topologyKey": key, "maxSkew": skew, "whenUnsatisfiable": when, "labelSelector": SELECTOR}


def towards(kind: str, key: str, *, weight: int = 0) -> dict[str, Any]:
    term = {"topologyKey": key, "labelSelector": SELECTOR}
    if weight:
        return {kind: {"preferredDuringScheduling" + LATER: [{"weight": weight, "podAffinityTerm": term}]}}
    return {kind: {"requiredDuringScheduling" + LATER: [term]}}


IN_ZONES = {"matchExpressions": [{"key": ZONE, "operator": "In", "values": ["zone-0", "zone-1"]}]}
SPECS: dict[str, dict[str, Any]] = {
    "basic": {},
    "hard spread, zones": {"topologySpreadConstraints": [spread(ZONE, 5, "DoNotSchedule")]},
    "soft spread, zones and hosts": {
        "topologySpreadConstraints": [spread(ZONE, 5, "ScheduleAnyway"), spread(HOST, 3, "ScheduleAnyway")]
    },
    "affinity, zones": {"affinity": towards("podAffinity", ZONE)},
    "anti-affinity, hosts": {"affinity": towards("podAntiAffinity", HOST)},
    "preferred affinity, hosts": {"affinity": towards("podAffinity", HOST, weight=1)},
    "preferred anti-affinity, hosts": {"affinity": towards("podAntiAffinity", HOST, weight=1)},
    "node affinity": {
        "affinity": {"nodeAffinity": {"requiredDuringScheduling" + LATER: {"nodeSelectorTerms": [IN_ZONES]}}}
    },
    "unschedulable": {"nodeSelector": {"no": "where"}},
}
ANCHORS = {  # kube-scheduler 1.36, 5,000 nodes, pods/s
    "basic": 990,
    "hard spread, zones": 459,
    "soft spread, zones and hosts": 391,
    "affinity, zones": 170,
    "anti-affinity, hosts": 207,
    "preferred affinity, hosts": 229,
    "node affinity": 439,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, action="append")
    parser.add_argument("workloads", nargs="*")
    options = parser.parse_args()
    for nodes in options.nodes or SIZES:
        for name, pods in workloads(nodes).items():
            if not options.workloads or name in options.workloads:
                print(line(name, nodes, pods), flush=True)
        if not options.workloads or PREEMPTION in options.workloads:
            print(preemption(nodes), flush=True)
        if not options.workloads or DEVICES in options.workloads:
            print(devices(nodes), flush=True)
        if not options.workloads or WAITING in options.workloads:
            print(beside_waiting(nodes), flush=True)
        if not options.workloads or NOMINATED in options.workloads:
            print(beside_nominated(nodes), flush=True)
    if not options.workloads:
        print(parsing())
        print(memory())


def workloads(nodes: int) -> dict[str, Callable[[], Iterator[Object]]]:
    """Name -> pods. No more of them than find room."""
    several = min(PODS, nodes if nodes < PODS else PODS)

    def alike(spec: dict[str, Any]) -> Callable[[], Iterator[Object]]:
        return lambda: (make_pod(index, **spec) for index in range(several))

    found = {name: alike(spec) for name, spec in SPECS.items()}
    kinds = [spec for name, spec in SPECS.items() if name not in ("unschedulable", "anti-affinity, hosts")]

    def mixed() -> Iterator[Object]:
        return (make_pod(index, app=f"app-{index % 50}", **kinds[index % 50 % 7]) for index in range(several))

    return {**found, "mixed, 50 kinds of pods": mixed}


def line(name: str, nodes: int, pods: Callable[[], Iterator[Object]]) -> str:
    return described(name, nodes, decided(cluster(nodes), pods()), "decisions")


def described(name: str, nodes: int, seconds: list[float], what: str) -> str:
    seconds = sorted(seconds)
    per_second, median = len(seconds) / sum(seconds), seconds[len(seconds) // 2]
    late, worst = seconds[int(len(seconds) * 0.99)], seconds[-1]
    anchor = ANCHORS.get(name) if nodes == 5000 else None
    beside = f"; {per_second / anchor:.0f} times kube-scheduler's {anchor}" if anchor else ""
    return (
        f"{name}, {nodes} nodes: {per_second:,.0f} {what}/s of CPU "
        f"(p50 {median * 1e6:.0f} µs, p99 {late * 1e6:.0f} µs, max {worst * 1e3:.1f} ms{beside})"
    )


def decided(state: ClusterState, pods: Iterator[Object]) -> list[float]:
    """CPU seconds of each decision; the first of each kind, which looks at all nodes, included."""
    cycle, seconds = SchedulingCycle(state, DEFAULT_PROFILE), []
    demands = [PodDemand(pod, state.shapes) for pod in pods]
    gc.collect()
    gc.freeze()
    began = time.process_time()
    for demand in demands:
        decision = cycle.decide(demand)
        if isinstance(decision, Decision):
            state.assume(demand, decision.node)
        now = time.process_time()
        seconds.append(now - began)
        began = now
    gc.unfreeze()
    return seconds


def preemption(nodes: int) -> str:
    """Full nodes, four less important pods each, as in scheduler_perf's PreemptionAsync: for each new pod some must go.

    A pod is decided twice, before its victims have ended and after."""
    state, small = cluster(nodes), {"cpu": "900m", "memory": "500Mi"}
    for index in range(4 * nodes):
        pod = make_pod(index, "low", small)
        state.set_pod({**pod, "spec": {**pod["spec"], "nodeName": f"node-{index % nodes}"}})
    cycle, seconds = SchedulingCycle(state, DEFAULT_PROFILE), []
    wanted = {"cpu": "3", "memory": "500Mi"}
    demands = [PodDemand(make_pod(4 * nodes + n, "high", wanted, priority=10), state.shapes) for n in range(nodes)]
    gc.collect()
    gc.freeze()
    began = time.process_time()
    for demand in demands[:PODS]:
        found = cycle.decide(demand)
        assert isinstance(found, Unschedulable) and found.nomination is not None
        state.nominate(demand, found.nomination.node)
        for victim in found.nomination.victims:
            state.remove_pod(victim.key)
        placed = cycle.decide(demand)
        assert placed == Decision(found.nomination.node)
        state.assume(demand, placed.node)
        now = time.process_time()
        seconds.append(now - began)
        began = now
    gc.unfreeze()
    return described(PREEMPTION, nodes, seconds, "pods")


def devices(nodes: int) -> str:
    """One claim a pod, all from one template, a slice of eight devices a node. A decision is taken when the devices are
    chosen; then they are seen in the claim, as when they have been written to it, which is not counted."""
    state, claims, demands = cluster(nodes), {}, []
    state.devices.set(CLASSES, "gpu", {"metadata": {"name": "gpu"}, "spec": {"selectors": [cel("true")]}})
    for index in range(nodes):
        state.devices.set(SLICES, f"slice-{index}", device_slice(f"node-{index}"))
    for index in range(min(PODS, nodes)):
        pod = make_pod(index, resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "one"}])
        made = {"name": "gpu", "resourceClaimName": f"pod-{index}-gpu"}
        demands.append(PodDemand({**pod, "status": {"resourceClaimStatuses": [made]}}, state.shapes))
        claims[demands[-1].key] = claim = device_claim(pod, made["resourceClaimName"])
        state.devices.set(CLAIMS, key_of(claim), claim)
    cycle, waiting, seconds = SchedulingCycle(state, DEFAULT_PROFILE), WaitingPods(), []
    gc.collect()
    gc.freeze()
    for demand in demands:
        began = time.process_time()
        decision = cycle.decide(demand)
        assert isinstance(decision, Decision)
        state.assume(demand, decision.node)
        attempt = Attempt(demand, decision.node, state, waiting)
        assert reserve(DEFAULT_PROFILE, attempt, cycle.counts) is None
        seconds.append(time.process_time() - began)
        for key, allocation in attempt.memo[DynamicResources.name].items():
            claim = with_user(claims[demand.key], demand.pod)
            state.devices.set(CLAIMS, key, {**claim, "status": {**claim["status"], "allocation": allocation}})
            state.devices.release(key, demand.uid)
    gc.unfreeze()
    return described(DEVICES, nodes, seconds, "decisions")


def device_slice(node: str) -> Object:
    offered = [
        {"name": f"gpu-{n}", "attributes": {"model": {"string": "a"}, "uuid": {"string": f"{node}-{n}"}}}
        for n in range(8)
    ]
    pool = {"name": node, "generation": 1, "resourceSliceCount": 1}
    spec = {"driver": "gpu.example.com", "nodeName": node, "pool": pool, "devices": offered}
    return {"metadata": {"name": node}, "spec": spec}


def device_claim(pod: Object, name: str) -> Object:
    request = {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1}
    asks = {"name": "one", "exactly": {**request, "selectors": [cel(IS_MODEL_A)]}}
    owner = {"apiVersion": "v1", "kind": "Pod", "controller": True, "name": name_of(pod), "uid": uid_of(pod)}
    metadata = {"name": name, "namespace": "default", "uid": name, "ownerReferences": [owner]}
    return {"metadata": metadata, "spec": {"devices": {"requests": [asks]}}}


def cel(expression: str) -> Object:
    return {"cel": {"expression": expression}}


IS_MODEL_A = 'device.attributes["gpu.example.com"].model == "a"'


def beside_waiting(nodes: int) -> str:
    """Plain pods, while others wait for company that never comes: each pod that is placed might be it."""
    state = cluster(nodes)
    cycle = SchedulingCycle(state, DEFAULT_PROFILE)
    queue = SchedulingQueue({plugin.name: plugin.events for plugin in DEFAULT_PROFILE.plugins})
    for index in range(5000):
        company = {"topologyKey": ZONE, "labelSelector": {"matchLabels": {"app": f"nobody-{index % 100}"}}}
        affinity = {"podAffinity": {"requiredDuringScheduling" + LATER: [company]}}
        queue.set(PodDemand(make_pod(nodes + PODS + index, "waits", affinity=affinity), state.shapes), 0.0)
        queued = queue.pop(0.0)
        assert queued is not None
        found = cycle.decide(queued.demand)
        assert isinstance(found, Unschedulable)
        queue.refuse(queued, found.refused_by, 0.0)
    demands = [PodDemand(make_pod(index), state.shapes) for index in range(min(PODS, nodes))]
    gc.collect()
    gc.freeze()
    seconds, began = [], time.process_time()
    for index, demand in enumerate(demands):
        if index % TURN == 0:
            queue.hear_news(0.0, cycle.may_fit_on)
        decision = cycle.decide(demand)
        assert isinstance(decision, Decision)
        state.assume(demand, decision.node)
        queue.waiting.happened(ClusterEvent.POD_ADDED, decision.node)
        now = time.process_time()
        seconds.append(now - began)
        began = now
    gc.unfreeze()
    return described(f"plain beside {WAITING}", nodes, seconds, "decisions")


def beside_nominated(nodes: int) -> str:
    """Plain pods, while others wait for all the room of (up to) a thousand of the best nodes."""
    state = cluster(nodes, cpu=lambda index: "4" if index >= min(1000, nodes // 2) else "8")
    whole = {"cpu": "8", "memory": "1Gi"}
    for index in range(min(1000, nodes // 2)):
        state.nominate(PodDemand(make_pod(index, "waits", whole, priority=10), state.shapes), f"node-{index}")
    cycle, seconds = SchedulingCycle(state, DEFAULT_PROFILE), []
    demands = [PodDemand(make_pod(nodes + index), state.shapes) for index in range(min(PODS, nodes))]
    gc.collect()
    gc.freeze()
    began = time.process_time()
    for demand in demands:
        decision = cycle.decide(demand)
        assert isinstance(decision, Decision)
        state.assume(demand, decision.node)
        now = time.process_time()
        seconds.append(now - began)
        began = now
    gc.unfreeze()
    return described(f"plain beside {NOMINATED}", nodes, seconds, "decisions")


def parsing() -> str:
    state, pods = ClusterState(random.Random(1)), [make_pod(index) for index in range(PODS)]
    began = time.process_time()
    for pod in pods:
        PodDemand(pod, state.shapes)
    return f"parsing a pod: {(time.process_time() - began) / PODS * 1e6:.1f} µs of CPU"


def memory() -> str:
    """What the columns and the placed pods take, without the watch's copies of the objects."""
    tracemalloc.start()
    state = cluster(5000)
    for index in range(50_000):
        pod = make_pod(index, app=f"app-{index % 500}")
        state.set_pod(trim_pod({**pod, "spec": {**pod["spec"], "nodeName": f"node-{index % 5000}"}}))
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return f"memory of 5,000 nodes and 50,000 placed pods: {size / 2**20:.0f} MiB"


def cluster(nodes: int, cpu: Callable[[int], str] = lambda index: "4") -> ClusterState:
    state = ClusterState(random.Random(1))
    for index in range(nodes):
        labels = {HOST: f"node-{index}", ZONE: f"zone-{index % 3}"}
        allocatable = {"cpu": cpu(index), "memory": "32Gi", "pods": "110"}
        metadata = {"name": f"node-{index}", "labels": labels}
        state.set_node({"metadata": metadata, "spec": {}, "status": {"allocatable": allocatable}})
    return state


SMALL = {"cpu": "100m", "memory": "500Mi"}


def make_pod(index: int, app: str = "measured", requests: dict[str, str] = SMALL, **spec: Any) -> Object:
    containers = [{"name": "main", "image": "pause", "resources": {"requests": requests}}]
    metadata = {"name": f"pod-{index}", "namespace": "default", "uid": f"uid-{index}", "labels": {"app": app}}
    return {"metadata": metadata, "spec": {"containers": containers, **spec}}


if __name__ == "__main__":
    main()
