"""Gangs: groups of pods of which at least `minCount` run, or none (KEP-4671).

A pod names its group in one of three ways:
    spec.workloadRef       a group of a Workload's `podGroups`, and which replica of it (Kubernetes 1.35)
    spec.schedulingGroup   a PodGroup (1.36)
    two labels             the name of the group and how many pods it wants at once, as the community's coscheduling
                           began with; no object is needed
Here is who belongs to which group, and what each group wants. What has ended does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from protocols.objects import Object, key_of, labels_of, name_of, namespace_of

WORKLOADS = "workloads.scheduling.k8s.io"
POD_GROUPS = "podgroups.scheduling.k8s.io"
NAME_LABEL = "pod-group.scheduling.sigs.k8s.io/name"
MIN_LABEL = "pod-group.scheduling.sigs.k8s.io/min-available"


class Gang(NamedTuple):
    """`resource`: of the object that says what the gang wants, "" where labels do. `part`: of a Workload's groups."""

    resource: str
    namespace: str
    name: str
    part: str = ""
    replica: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.name, self.part, self.replica)))


Owner = tuple[str, str, str]  # resource, namespace, name


def gang_of(pod: Object) -> Gang | None:
    """The gang that a pod belongs to, if it says so in a way that can be meant."""
    spec, namespace = pod.get("spec") or {}, namespace_of(pod)
    if reference := spec.get("workloadRef"):
        replica = reference.get("podGroupReplicaKey") or ""
        return Gang(WORKLOADS, namespace, reference.get("name") or "", reference.get("podGroup") or "", replica)
    if reference := spec.get("schedulingGroup"):
        return Gang(POD_GROUPS, namespace, reference.get("podGroupName") or "")
    labels = labels_of(pod)
    if NAME_LABEL in labels and labels.get(MIN_LABEL, "").isdecimal():
        return Gang("", namespace, labels[NAME_LABEL])
    return None


def not_of_one_scheduler(gang: Gang, pods: Iterable[Object]) -> str:
    """What is wrong with a PodGroup whose pods name several schedulers, "" if they do not."""
    names = list(dict.fromkeys((pod.get("spec") or {}).get("schedulerName") or "" for pod in pods))
    if gang.resource != POD_GROUPS or len(names) < 2:
        return ""
    rule = "all pods in a single pod group should have the same .spec.schedulerName set"
    return f'{rule}, got: "{names[1]}" and "{names[0]}"'


class Gangs:
    """`are_kept`: somebody tells of Workloads and PodGroups; else pods are not kept from being tried."""

    def __init__(self) -> None:
        self.are_kept = False
        self._completed: list[Gang] = []
        self._members: dict[Gang, dict[str, int]] = {}  # pod key -> what its label wants
        self._gang_of: dict[str, Gang] = {}
        self._wanted: dict[Owner, dict[str, int]] = {}  # part -> minCount
        self._of_owner: dict[Owner, dict[Gang, None]] = {}
        self._whole: dict[Owner, int] = {}  # whose pods end together or not at all (KEP-5710) -> its priority

    def set_pod(self, pod: Object) -> None:
        """A pod that has not ended was seen."""
        gang, key = gang_of(pod), key_of(pod)
        before = self._gang_of.get(key)
        if gang is None and before is None:
            return
        if gang == before and gang is not None:
            self._members[gang][key] = _label_wants(pod)
            return
        self.remove_pod(key)
        if gang is None:
            return
        self._gang_of[key] = gang
        self._members.setdefault(gang, {})[key] = _label_wants(pod)
        self._of_owner.setdefault(gang[:3], {})[gang] = None
        if len(self._members[gang]) == self.wants(gang):
            self._completed.append(gang)

    def remove_pod(self, key: str) -> None:
        gang = self._gang_of.pop(key, None)
        if gang is None:
            return
        del self._members[gang][key]
        if not self._members[gang]:
            del self._members[gang]
            del self._of_owner[gang[:3]][gang]
            if not self._of_owner[gang[:3]]:
                del self._of_owner[gang[:3]]

    def set_owner(self, resource: str, obj: Object) -> None:
        """A Workload or PodGroup was seen."""
        owner, wanted = (resource, namespace_of(obj), name_of(obj)), _wanted(obj.get("spec") or {})
        if self._wanted.get(owner) != wanted:
            self._wanted[owner] = wanted
            self._completed += self._of_owner.get(owner, ())
        if (obj.get("spec") or {}).get("disruptionMode") == "PodGroup":
            self._whole[owner] = obj["spec"].get("priority") or 0

    def remove_owner(self, resource: str, namespace: str, name: str) -> None:
        self._wanted.pop((resource, namespace, name), None)
        self._whole.pop((resource, namespace, name), None)

    def completed(self) -> list[Gang]:
        """Those of which enough pods may be there only now, since the last time this was asked."""
        found, self._completed = self._completed, []
        return found

    def members(self, gang: Gang) -> Iterable[str]:
        return self._members.get(gang, ())

    def wants(self, gang: Gang) -> int | None:
        """How many pods at once; None: who says so is not there yet."""
        if not gang.resource:
            return max(self._members.get(gang, {}).values(), default=0)
        return self._wanted.get(gang[:3], {}).get(gang.part)

    def ends_with(self, key: str) -> Gang | None:
        """The gang that ends as a whole if this pod of it has to go for another gang."""
        gang = self._gang_of.get(key)
        return gang if gang is not None and gang[:3] in self._whole else None

    def priority(self, gang: Gang) -> int:
        """Of one that ends as a whole; it counts for all its pods."""
        return self._whole[gang[:3]]

    def why_not_yet(self, gang: Gang) -> str:
        """Why its pods may not be tried yet, "" if they may."""
        wants = self.wants(gang)
        if not self.are_kept:
            return ""
        if wants is None:
            kind = "pod group" if gang.resource == POD_GROUPS else "workload"
            return f'waiting for pod\'s {kind} "{gang.name}" to appear in scheduling queue'
        if len(self._members.get(gang, ())) < wants:
            return "waiting for minCount pods from a gang to appear in scheduling queue"
        return ""

    def check(self) -> None:
        """Each member knows its gang, each gang its owner, and nothing is left of those that are gone."""
        assert self._gang_of == {key: gang for gang, keys in self._members.items() for key in keys}
        assert all(self._members.values())
        assert {gang for gangs in self._of_owner.values() for gang in gangs} == set(self._members)


def _wanted(spec: Mapping[str, Any]) -> dict[str, int]:
    """Part -> minCount; 0 for groups that are no gangs."""
    if "podGroups" in spec:
        return {group.get("name") or "": _min_count(group.get("policy")) for group in spec["podGroups"] or ()}
    return {"": _min_count(spec.get("schedulingPolicy"))}


def _min_count(policy: Mapping[str, Any] | None) -> int:
    return int(((policy or {}).get("gang") or {}).get("minCount") or 0)


def _label_wants(pod: Object) -> int:
    wants = labels_of(pod).get(MIN_LABEL, "")
    return int(wants) if wants.isdecimal() else 0
