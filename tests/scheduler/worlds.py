"""Nodes, pods and clusters to schedule on: made by hand, or drawn at random."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from actors.scheduler.cluster_state import ClusterState
from protocols.objects import Object

LABEL_KEYS = ("zone", "disk", "gen")
LABEL_VALUES = ("a", "b", "7")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def make_node(name: str, cpu: str = "4", memory: str = "8Gi", pods: str = "110", **more: Any) -> Object:
    """`labels`, `taints`, `unschedulable`, `images`, `extra` (more allocatable resources)."""
    allocatable = {"cpu": cpu, "memory": memory, "pods": pods, **more.get("extra", {})}
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": more.get("labels", {})},
        "spec": {"taints": more.get("taints", []), "unschedulable": more.get("unschedulable", False)},
        "status": {"allocatable": allocatable, "images": more.get("images", [])},
    }


def make_pod(name: str, cpu: str | None = None, memory: str | None = None, *, uid: str = "", **spec: Any) -> Object:
    """One container with those requests, if any; anything else goes into the spec (`node` is its nodeName)."""
    requests = {resource: value for resource, value in (("cpu", cpu), ("memory", memory)) if value is not None}
    ports = spec.pop("ports", [])
    container = {"name": "main", "image": spec.pop("image", "app"), "resources": {"requests": requests}, "ports": ports}
    node = {"nodeName": spec.pop("node")} if "node" in spec else {}
    status = {"phase": spec.pop("phase", "Pending")}
    return {
        "metadata": {"name": name, "namespace": "default", "uid": uid or f"uid-{name}", "labels": {}},
        "spec": {"containers": [container], **node, **spec},
        "status": status,
    }


def cluster(nodes: Iterable[Object], pods: Iterable[Object] = (), seed: int = 1) -> ClusterState:
    state = ClusterState(random.Random(seed))
    for node in nodes:
        state.set_node(node)
    for pod in pods:
        state.set_pod(pod)
    return state


labels = st.dictionaries(st.sampled_from(LABEL_KEYS), st.sampled_from(LABEL_VALUES))
taints = st.lists(
    st.fixed_dictionaries({"key": st.sampled_from(["k", "l"]), "effect": st.sampled_from(EFFECTS)}), max_size=2
)
tolerations = st.lists(
    st.fixed_dictionaries(
        {"key": st.sampled_from(["k", "l"]), "operator": st.just("Exists")},
        optional={"effect": st.sampled_from(EFFECTS)},
    ),
    max_size=2,
)
expressions = st.builds(
    lambda key, operator, value: {"key": key, "operator": operator, "values": [value]},
    st.sampled_from(LABEL_KEYS),
    st.sampled_from(["In", "NotIn", "Exists", "Gt"]),
    st.sampled_from(LABEL_VALUES),
)
preferred = st.lists(
    st.builds(
        lambda weight, wanted: {"weight": weight, "preference": {"matchExpressions": [wanted]}},
        st.integers(1, 100),
        expressions,
    ),
    max_size=2,
)
host_ports = st.lists(
    st.fixed_dictionaries(
        {"hostPort": st.sampled_from([80, 81])},
        optional={"hostIP": st.sampled_from(["127.0.0.1", "127.0.0.2"]), "protocol": st.just("UDP")},
    ),
    max_size=1,
)


@st.composite
def nodes(draw: st.DrawFn, count_max: int = 5) -> list[Object]:
    return [
        make_node(
            f"n{index}",
            draw(st.sampled_from(["0", "1", "2500m", "4"])),
            draw(st.sampled_from(["0", "1Gi", "3000000001"])),
            draw(st.sampled_from(["1", "3", "110"])),
            labels=draw(labels),
            taints=draw(taints),
            unschedulable=draw(st.booleans()) and draw(st.booleans()),
        )
        for index in range(draw(st.integers(1, count_max)))
    ]


@st.composite
def pods(draw: st.DrawFn, /, name: str, **spec: Any) -> Object:
    affinity: dict[str, Any] = {"preferredDuringSchedulingIgnoredDuringExecution": draw(preferred)}
    if draw(st.booleans()):
        terms = [{"matchExpressions": [draw(expressions)]}]
        affinity["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": terms}
    return make_pod(
        name,
        draw(st.sampled_from([None, "0", "1m", "333m", "1"])),
        draw(st.sampled_from([None, "0", "100Mi", "1500000000"])),
        tolerations=draw(tolerations),
        nodeSelector=draw(st.one_of(st.just({}), st.just({}), labels)),
        affinity={"nodeAffinity": affinity},
        ports=draw(host_ports),
        **spec,
    )
