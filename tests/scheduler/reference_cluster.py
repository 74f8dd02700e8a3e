"""The reference's cluster: plain objects in dicts, looked through anew for every question."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocols.objects import Object, key_of, name_of


@dataclass
class Cluster:
    """`nodes` by name, in the order in which they came; `pods` by key, each with a node; `groups` select pods:
    Services, ReplicationControllers, ReplicaSets, StatefulSets. `namespaces`: name -> labels."""

    nodes: dict[str, Object] = field(default_factory=dict)
    pods: dict[str, Object] = field(default_factory=dict)
    groups: list[Object] = field(default_factory=list)
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def set_node(self, node: Object) -> None:
        self.nodes[name_of(node)] = node

    def place(self, pod: Object, node: str) -> None:
        self.pods[key_of(pod)] = {**pod, "spec": {**pod["spec"], "nodeName": node}}

    def pods_on(self, node: str) -> list[Object]:
        over = ("Succeeded", "Failed")
        return [
            pod
            for pod in self.pods.values()
            if pod["spec"]["nodeName"] == node and (pod.get("status") or {}).get("phase") not in over
        ]

    def image_size(self, image: str) -> int:
        """The first node that reported it is believed: what `sizes` says, or else the first in their order."""
        if image in self.sizes:
            return self.sizes[image]
        for node in self.nodes.values():
            for listed in node["status"].get("images") or []:
                if image in (listed.get("names") or []):
                    return int(listed.get("sizeBytes") or 0)
        return 0
