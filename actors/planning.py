"""Scheduling looked at from outside: why a pod is where it is, and where pods would go. The command line calls it.

As `cluster.py`, it may use several components: manifests become pods as the API server and the controllers make them,
and the scheduler's own cycle decides, on a copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from actorkube.cli.errors import CliError
from actors.cluster import scheduler_profiles
from actors.manifests import BadManifest, check_structure, read
from actors.scheduler.explain import picture, whatif, whatif_text, why_text
from actors.scheduler.explain.snapshot import KIND_OF, list_path, snapshot_of
from actors.scheduler.explain.whatif import Outcome, Wanted
from actors.scheduler.explain.why import Why, explain
from actors.scheduler.framework import Profile
from actors.scheduler.profile import DEFAULT_PROFILE
from protocols.objects import Object, key_of, name_of, namespace_of
from protocols.rules.owners import controller_of, is_deleting
from protocols.rules.pods import is_terminated, node_of

KINDS: Mapping[str, str] = {**KIND_OF, "priorityclasses.scheduling.k8s.io": "PriorityClass"}
LIST_PATHS: Mapping[str, str] = {resource: list_path(resource) for resource in KINDS}
SIZE: Mapping[str, str] = {"cpu": "4", "memory": "32Gi", "pods": "110"}  # as the nodes of Kubernetes' own benchmark
_OF_A_NODE = ("DaemonSet", "Node")  # their pods are where they are, whatever else there is
_HOST, _ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"


def profiles_of(config: Path | None) -> dict[str, Profile]:
    """By schedulerName; kube-scheduler's default without a configuration. Raises CliError."""
    found = scheduler_profiles(config) if config is not None else [DEFAULT_PROFILE]
    return {profile.name: profile for profile in found}


def check_objects(objects: Iterable[Object], source: str) -> None:
    """Objects from a file. Raises CliError."""
    for obj in objects:
        try:
            check_structure(obj)
        except BadManifest as error:
            raise CliError(f"{source}: {error}", "mend it, or record it anew") from None


def why(objects: Sequence[Object], namespace: str, name: str, config: Path | None) -> Why | None:
    """None if there is no such pod among the objects."""
    snapshot = snapshot_of(objects)
    pod = next((p for p in snapshot["pods"] if (namespace_of(p), name_of(p)) == (namespace, name)), None)
    return explain(snapshot, pod, profiles_of(config)) if pod is not None else None


def why_lines(found: Why, score_table: bool) -> list[str]:
    return why_text.lines(found, score_table)


def make_nodes(number: int, size: Mapping[str, str], zones: int, prefix: str = "node") -> list[Object]:
    """So many empty nodes; with zones, over so many of them in turn."""
    return [
        _node(f"{prefix}-{index + 1}", f"zone-{index % zones + 1}" if zones else "", size) for index in range(number)
    ]


def _node(name: str, zone: str, size: Mapping[str, str]) -> Object:
    labels = {_HOST: name, **({_ZONE: zone} if zone else {})}
    status = {"allocatable": {**SIZE, **size}}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {},
        "status": status,
    }


def what_if(
    objects: Sequence[Object],
    manifests: Sequence[Object],
    *,
    namespace: str,
    nodes: Sequence[Object] | None,
    more_nodes: Sequence[Object],
    waiting: bool,
    config: Path | None,
    seed: int,
    score_table: bool = False,
) -> tuple[Outcome, list[str]]:
    """The outcome, and what of the manifests makes no pods. `nodes`: in the place of the cluster's own, whose pods are
    then placed anew; `waiting`: the cluster's own waiting pods are placed first. Raises CliError."""
    try:
        there = nodes if nodes is not None else [obj for obj in objects if obj["kind"] == "Node"]
        found = read(manifests, namespace, objects, [*there, *more_nodes])
    except BadManifest as error:
        raise CliError(str(error), "mend it and try again") from None
    pods = {key_of(obj): obj for obj in objects if obj["kind"] == "Pod" and not is_terminated(obj)}
    mine = {key: pod for key, pod in pods.items() if _is_placed_too(pod, anew=nodes is not None, waiting=waiting)}
    stay = [] if nodes is not None else [pod for key, pod in pods.items() if key not in mine]
    rest = [obj for obj in objects if obj["kind"] != "Pod" and (nodes is None or obj["kind"] != "Node")]
    snapshot = snapshot_of([*rest, *(nodes or ()), *more_nodes, *found.others, *stay])
    wanted = [Wanted(_unbound(pod), _origin(pod)) for _, pod in sorted(mine.items())]
    wanted += [Wanted(*each) for each in found.pods if key_of(each.pod) not in pods]
    notes = [f"{name} makes no pods, and was left out" for name in found.left_out]
    notes += [f"pod {key_of(each.pod)} is there already" for each in found.pods if key_of(each.pod) in pods]
    return whatif.place(snapshot, wanted, profiles_of(config), seed, score_table), notes


def _is_placed_too(pod: Object, *, anew: bool, waiting: bool) -> bool:
    """Is this pod of the cluster among those that are placed?"""
    owner = controller_of(pod)
    if is_deleting(pod) or (owner is not None and owner["kind"] in _OF_A_NODE):
        return False
    return anew if node_of(pod) else anew or waiting


def _unbound(pod: Object) -> Object:
    return {**pod, "spec": {name: value for name, value in pod["spec"].items() if name != "nodeName"}}


def _origin(pod: Object) -> str:
    owner = controller_of(pod)
    return f"{owner['kind']}/{owner['name']}" if owner is not None else f"Pod/{name_of(pod)}"


def what_if_lines(outcome: Outcome, all_nodes: bool) -> list[str]:
    return whatif_text.lines(outcome, all_nodes)


def what_if_picture(outcome: Outcome) -> str:
    return picture.svg(outcome)


def as_json(found: object) -> str:
    """Indented, as kubectl's `-o json`."""
    return msgspec.json.format(msgspec.json.encode(found), indent=4).decode()
