"""HTTP extenders: what somebody else's service says of where a pod may go, after the plugins have said it
(k8s.io/kube-scheduler/extender/v1). Which pods it is asked about, what it is sent and what its answers mean. Pure:
`extender_calls.py` asks.

Names of fields are Go's, which reads them whatever their case; so do we.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from actors.scheduler.demand import Shape
from protocols.objects import Object, name_of, namespace_of, uid_of

PRIORITY_MAX = 10  # of an extender; a plugin's scores go to 100
SCORES_TO_PRIORITIES = 100 // PRIORITY_MAX
NAME = "Extenders"  # who refused a pod, where plugins are named
HTTP_TIMEOUT_S = 5.0


class Tls(NamedTuple):
    """Files or PEM; `verifies`: whether the server has to show a certificate that is any good, for `server_name`."""

    verifies: bool = True
    server_name: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""


class Extender(NamedTuple):
    """`managed`: resources; it is asked about pods that want one of them, about all where there are none."""

    url_prefix: str
    filter_verb: str = ""
    prioritize_verb: str = ""
    bind_verb: str = ""
    preempt_verb: str = ""
    weight: int = 1
    timeout_s: float = HTTP_TIMEOUT_S
    node_cache_capable: bool = False
    ignorable: bool = False
    managed: frozenset[str] = frozenset()
    tls: Tls | None = None

    def is_interested(self, shape: Shape) -> bool:
        return not self.managed or not self.managed.isdisjoint(_wanted(shape.spec))

    def url(self, verb: str) -> str:
        return f"{self.url_prefix.rstrip('/')}/{verb}"


class ExtenderFailed(Exception):
    """It does not answer, or with an error, or with nonsense; the message says which one and why."""


class Filtered(NamedTuple):
    """The nodes that it leaves, and why not the others."""

    nodes: list[str]
    failed: dict[str, str]


class Victims(NamedTuple):
    """Of one node, by uid; `violations`: of disruption budgets."""

    uids: tuple[str, ...]
    violations: int


def _wanted(spec: Mapping[str, Any]) -> Iterable[str]:
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        resources = container.get("resources") or {}
        yield from resources.get("requests") or ()
        yield from resources.get("limits") or ()


# -- what it is sent --------------------------------------------------------------------------------------------------


def arguments(pod: Object, nodes: Collection[Object], names_alone: bool) -> Object:
    """ExtenderArgs."""
    whole = {**pod, "apiVersion": "v1", "kind": "Pod"}
    if names_alone:
        return {"Pod": whole, "Nodes": None, "NodeNames": [name_of(node) for node in nodes]}
    listed = {"apiVersion": "v1", "kind": "NodeList", "metadata": {}, "items": list(nodes)}
    return {"Pod": whole, "Nodes": listed, "NodeNames": None}


def preemption_arguments(pod: Object, victims: Mapping[str, Victims], pods: Mapping[str, Object] | None) -> Object:
    """ExtenderPreemptionArgs: who would have to go, by node. `pods`: by uid, for one without copies of its own."""
    described = {
        node: {
            "Pods": [pods.get(uid) if pods is not None else {"UID": uid} for uid in each.uids],
            "NumPDBViolations": each.violations,
        }
        for node, each in victims.items()
    }
    whole, meta = (described, None) if pods is not None else (None, described)
    kind = {"apiVersion": "v1", "kind": "Pod"}
    return {"Pod": {**pod, **kind}, "NodeNameToVictims": whole, "NodeNameToMetaVictims": meta}


def binding_arguments(pod: Object, node: str) -> Object:
    """ExtenderBindingArgs."""
    return {"PodName": name_of(pod), "PodNamespace": namespace_of(pod), "PodUID": uid_of(pod), "Node": node}


# -- what its answers mean --------------------------------------------------------------------------------------------


def filtered(extender: Extender, answer: Any, asked: Sequence[str]) -> Filtered:
    """Of an ExtenderFilterResult. Raises ExtenderFailed."""
    fields = _fields(extender, extender.filter_verb, answer)
    names, nodes = fields.get("nodenames"), fields.get("nodes")
    if extender.node_cache_capable and names is not None:
        left = _names(extender, names)
    else:
        items = _fields(extender, extender.filter_verb, nodes or {}).get("items") or []
        left = _names(extender, [_name_of(item) for item in items] if isinstance(items, list) else items)
    known = set(asked)
    if strange := next((name for name in left if name not in known), None):
        where = "which is not found in the input node list"
        raise ExtenderFailed(f'extender "{extender.url_prefix}" claims a filtered node "{strange}" {where}')
    failed: dict[str, str] = {}
    for field in ("failednodes", "failedandunresolvablenodes"):
        reasons = fields.get(field) or {}
        if not isinstance(reasons, dict):
            raise _nonsense(extender, extender.filter_verb)
        failed |= {str(node): str(reason) for node, reason in reasons.items() if node in known}
    return Filtered(list(dict.fromkeys(left)), failed)


def priorities(extender: Extender, answer: Any) -> dict[str, int]:
    """Of a HostPriorityList: node -> what is to be added to its score. Raises ExtenderFailed."""
    if not isinstance(answer, list):
        raise _nonsense(extender, extender.prioritize_verb)
    found = {}
    for item in answer:
        fields = _fields(extender, extender.prioritize_verb, item)
        host, score = fields.get("host"), fields.get("score", 0)
        if not isinstance(host, str) or not isinstance(score, int) or isinstance(score, bool):
            raise _nonsense(extender, extender.prioritize_verb)
        found[host] = score * extender.weight * SCORES_TO_PRIORITIES
    return found


def agreed_victims(extender: Extender, answer: Any) -> dict[str, Victims]:
    """Of an ExtenderPreemptionResult. Raises ExtenderFailed: also where a node has no victims, if that matters."""
    verb = extender.preempt_verb
    nodes = _fields(extender, verb, answer).get("nodenametometavictims") or {}
    if not isinstance(nodes, dict):
        raise _nonsense(extender, verb)
    found = {str(node): _victims(extender, each or {}) for node, each in nodes.items()}
    for node in [node for node, each in found.items() if not each.uids]:
        if not extender.ignorable:
            raise ExtenderFailed(f'expected at least one victim pod on node "{node}"')
        del found[node]
    return found


def _victims(extender: Extender, answer: Any) -> Victims:
    fields = _fields(extender, extender.preempt_verb, answer)
    pods, violations = fields.get("pods") or [], fields.get("numpdbviolations") or 0
    if not isinstance(pods, list) or not isinstance(violations, int):
        raise _nonsense(extender, extender.preempt_verb)
    uids = [_fields(extender, extender.preempt_verb, pod).get("uid") for pod in pods]
    if not all(isinstance(uid, str) for uid in uids):
        raise _nonsense(extender, extender.preempt_verb)
    return Victims(tuple(map(str, uids)), violations)


def check_bound(extender: Extender, answer: Any) -> None:
    """Of an ExtenderBindingResult. Raises ExtenderFailed."""
    _fields(extender, extender.bind_verb, answer)


def _fields(extender: Extender, verb: str, value: Any) -> dict[str, Any]:
    """By names in lower case; where one of them is an error, that is raised."""
    if not isinstance(value, dict):
        raise _nonsense(extender, verb)
    fields = {str(name).lower(): each for name, each in value.items()}
    if error := fields.get("error"):
        raise ExtenderFailed(str(error))
    return fields


def _name_of(item: Any) -> Any:
    metadata = item.get("metadata") if isinstance(item, dict) else None
    return metadata.get("name") if isinstance(metadata, dict) else None


def _names(extender: Extender, names: Any) -> list[str]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _nonsense(extender, extender.filter_verb)
    return names


def _nonsense(extender: Extender, verb: str) -> ExtenderFailed:
    return ExtenderFailed(f"extender at {extender.url(verb)} answers nonsense")
