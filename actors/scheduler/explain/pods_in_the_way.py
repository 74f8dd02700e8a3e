"""Which placed pods keep a pod from a node: names, where the decision needed only numbers.

Looks at the pods of a node or of its domains; only ever asked for the few nodes that are explained.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from actors.scheduler.demand import HostPort, Sort
from actors.scheduler.framework import Cycle
from actors.scheduler.node_state import NodeState
from actors.scheduler.pod_terms import PodSelector, Term

_NAMED_MAX = 3


def ports_taken(wanted: Sequence[HostPort], node: NodeState) -> dict[HostPort, list[str]]:
    """Wanted port -> the pods that hold it, or one that conflicts."""
    found = {
        port: [key for key, placed in node.pods.items() if any(port.conflicts(used) for used in placed.footprint.ports)]
        for port in wanted
    }
    return {port: pods for port, pods in found.items() if pods}


def conflicting(cycle: Cycle, node: NodeState) -> list[str]:
    """Pods that required anti-affinity keeps apart from this one on that node: its own, and theirs."""
    own = cycle.shape.terms.required_anti
    found = {
        key
        for term in own
        for key, sort in _in_domain(cycle, term.topology_key, node)
        if _selects(cycle, term.pods, sort)
    }
    labels = cycle.state.namespace_labels(cycle.shape.namespace)
    for key in {key for key in node.labels if key in _keys_of_placed(cycle)}:
        found |= {
            pod
            for pod, sort in _in_domain(cycle, key, node)
            for term in sort.terms.required_anti
            if term.topology_key == key and term.pods.selects(cycle.shape.namespace, labels, cycle.shape.labels)
        }
    return sorted(found)


def company(cycle: Cycle, terms: Sequence[Term]) -> Iterator[NodeState]:
    """Nodes with a pod that all of the terms select."""
    for node in cycle.state.nodes.values():
        if any(
            all(_selects(cycle, term.pods, placed.footprint.sort) for term in terms) for placed in node.pods.values()
        ):
            yield node


def named(pods: Sequence[str]) -> str:
    """`pods a/x, a/y and 4 more`."""
    more = len(pods) - _NAMED_MAX
    names = ", ".join(pods[:_NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
    return f"{'pod' if len(pods) == 1 else 'pods'} {names}"


def _in_domain(cycle: Cycle, key: str, node: NodeState) -> Iterator[tuple[str, Sort]]:
    value = node.labels.get(key)
    for other in cycle.state.nodes.values():
        if value is not None and other.labels.get(key) == value:
            yield from ((pod, placed.footprint.sort) for pod, placed in other.pods.items())


def _keys_of_placed(cycle: Cycle) -> set[str]:
    lists = cycle.state.counts.owned_about(cycle.shape.namespace)
    return {owned.term.topology_key for owned in (*lists[0], *lists[1]) if owned.rule == "required anti"}


def _selects(cycle: Cycle, pods: PodSelector, sort: Sort) -> bool:
    return pods.selects(sort.namespace, cycle.state.namespace_labels(sort.namespace), sort.labels)
