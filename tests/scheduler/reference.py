"""kube-scheduler's decision, slowly: every sum added up anew from the pods, one node at a time, exact fractions.

Written from the published formulas, without anything of actors/scheduler: what both agree on is probably right.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from protocols.objects import Object
from protocols.rules.affinity import term_matches
from protocols.rules.quantity import bytes_of, cpu_milli
from protocols.rules.taints import tolerates

MIB = 1024 * 1024


def used(pods: list[Object], assumed: bool) -> tuple[int, int]:
    """CPU and memory that the pods' containers ask for; `assumed` gives those without a request a small one."""
    cpu = memory = 0
    for pod in pods:
        for container in pod["spec"]["containers"]:
            requests = container["resources"]["requests"]
            cpu += cpu_milli(requests.get("cpu", "100m" if assumed else "0"))
            memory += bytes_of(requests.get("memory", "200Mi" if assumed else "0"))
    return cpu, memory


def capacity(node: Object) -> tuple[int, int, int]:
    allocatable = node["status"]["allocatable"]
    return cpu_milli(allocatable["cpu"]), bytes_of(allocatable["memory"]), bytes_of(allocatable["pods"])


def ports(pod: Object) -> list[tuple[str, str, int]]:
    return [
        (port.get("hostIP", "0.0.0.0"), port.get("protocol", "TCP"), port["hostPort"])
        for container in pod["spec"]["containers"]
        for port in container["ports"]
    ]


def is_feasible(pod: Object, node: Object, others: list[Object]) -> bool:
    spec, tolerations = pod["spec"], pod["spec"].get("tolerations", [])
    cordoned = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    taints = [*node["spec"]["taints"], *([cordoned] if node["spec"]["unschedulable"] else [])]
    for taint in taints:
        if taint["effect"] != "PreferNoSchedule" and not any(tolerates(t, taint) for t in tolerations):
            return False
    if any(node["metadata"]["labels"].get(k) != v for k, v in spec.get("nodeSelector", {}).items()):
        return False
    required = spec["affinity"]["nodeAffinity"].get("requiredDuringSchedulingIgnoredDuringExecution")
    if required and not any(term_matches(term, node) for term in required["nodeSelectorTerms"]):
        return False
    for ip, protocol, port in ports(pod):
        for other_ip, other_protocol, other_port in (used_port for other in others for used_port in ports(other)):
            same_ip = ip == other_ip or "0.0.0.0" in (ip, other_ip)
            if same_ip and (protocol, port) == (other_protocol, other_port):
                return False
    wanted, taken, (cpu, memory, pods_max) = used([pod], False), used(others, False), capacity(node)
    fits = all(w == 0 or w + t <= c for w, t, c in zip(wanted, taken, (cpu, memory), strict=True))
    return fits and len(others) < pods_max


def least_allocated(pod: Object, node: Object, others: list[Object]) -> int:
    scores = [
        0 if wanted > cap else (cap - wanted) * 100 // cap
        for wanted, cap in zip(used([pod, *others], True), capacity(node)[:2], strict=True)
        if cap
    ]
    return sum(scores) // len(scores) if scores else 0


def balanced(pod: Object, node: Object, others: list[Object]) -> int | None:
    if not any(used([pod], False)):
        return None

    def balance(pods: list[Object]) -> int:
        parts = [
            min(Fraction(1), Fraction(wanted, cap))
            for wanted, cap in zip(used(pods, False), capacity(node)[:2], strict=True)
            if cap
        ]
        deviation = abs(parts[0] - parts[1]) / 2 if len(parts) == 2 else Fraction(0)
        return int((1 - float(deviation)) * 100)

    return 50 + (50 + balance([pod, *others]) - balance(others)) // 2


def soft_taints(pod: Object, node: Object) -> int:
    tolerations = [t for t in pod["spec"].get("tolerations", []) if t.get("effect", "") in ("", "PreferNoSchedule")]
    taints = [taint for taint in node["spec"]["taints"] if taint["effect"] == "PreferNoSchedule"]
    return sum(not any(tolerates(t, taint) for t in tolerations) for taint in taints)


def preference(pod: Object, node: Object) -> int:
    terms = pod["spec"]["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    return sum(term["weight"] for term in terms if term_matches(term["preference"], node))


def totals(pod: Object, cluster: list[Object], placed: dict[str, list[Object]]) -> dict[str, int]:
    """Feasible node -> total score."""
    feasible: dict[str, Any] = {
        node["metadata"]["name"]: node for node in cluster if is_feasible(pod, node, placed[node["metadata"]["name"]])
    }
    taint_max = max((soft_taints(pod, node) for node in feasible.values()), default=0)
    preference_max = max((preference(pod, node) for node in feasible.values()), default=0)
    result = {}
    for name, node in feasible.items():
        taint = 100 - (100 * soft_taints(pod, node) // taint_max if taint_max else 0)
        affinity = 100 * preference(pod, node) // preference_max if preference_max else 0
        resources = least_allocated(pod, node, placed[name]) + (balanced(pod, node, placed[name]) or 0)
        result[name] = 3 * taint + 2 * affinity + resources
    return result
