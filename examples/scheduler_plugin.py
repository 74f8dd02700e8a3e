"""A scheduler plugin of your own: pods avoid noisy nodes, by a label. One pod, one node at a time, in plain Python.

    python -m actorkube cluster --scheduler-config examples/scheduler.yaml

It is asked again for a node only when that node, or a pod on it, changed; the columns do the rest. To look at all
nodes at once, derive from `Filter` and `Score` as the plugins in actors/scheduler/plugins do.
"""

from actors.scheduler.demand import Shape
from actors.scheduler.framework import NodeFilter, NodeScore
from actors.scheduler.node_state import NodeState


class QuietNodes(NodeFilter, NodeScore):
    name = "QuietNodes"

    def refuse(self, pod: Shape, node: NodeState) -> str:
        return "node(s) were too noisy" if noise(node) > 10 else ""

    def rate(self, pod: Shape, node: NodeState) -> float:
        return 100 - 10 * noise(node)


def noise(node: NodeState) -> int:
    return int(node.labels.get("example.com/noise", 0))
