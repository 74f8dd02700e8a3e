"""What the scheduler watches, and how that enters the cluster state. Pods are up to the shell: they also queue.

Whatever changed is said as an event, with the node that it is about, so that pods that wait for it can be asked about.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from actorkube.kube.view import Entry, View
from actors.scheduler import budgets, device_claims, volume_state
from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.conditions import nominated_node
from actors.scheduler.demand import trim_pod
from actors.scheduler.framework import ClusterEvent
from actors.scheduler.gangs import POD_GROUPS, WORKLOADS, Gang
from actors.scheduler.groups import KINDS, trim_group
from actors.scheduler.waiting import ANYWHERE
from protocols.objects import Object, labels_of, split_key
from protocols.rules.device_claims import CLAIMS

NOMINATED = "nominated node"  # the summary of pods: for which one waits
Happened = Callable[[ClusterEvent, str], None]  # what, and on which node, or ANYWHERE
GangsChanged = Callable[[], None]
ClaimSeen = Callable[[str], None]


class Views:
    """`needed`: without these nobody is decided. `optional`: an API server need not serve them."""

    def __init__(self) -> None:
        self.pods = View("pods", trim=trim_pod, summaries={NOMINATED: nominated_node})
        self._nodes = View("nodes")
        self._namespaces = View("namespaces", trim=trim_group)
        self._budgets = View(budgets.RESOURCE)
        self._groups = [View(resource, trim=trim_group) for resource in KINDS]
        self._volumes = [View(resource) for resource in volume_state.RESOURCES]
        self._pod_groups = View(POD_GROUPS)
        self._gang_owners = [View(WORKLOADS), self._pod_groups]
        self._devices = [View(resource, may_be_absent=True) for resource in device_claims.RESOURCES]
        self.optional = [*self._gang_owners, *self._devices]
        self.needed = [self._nodes, self._namespaces, self._budgets, *self._groups, *self._volumes, self.pods]

    @property
    def synced(self) -> bool:
        return all(view.synced for view in self.needed)

    @property
    def devices_synced(self) -> bool:
        return all(view.synced for view in self._devices)

    def pod_group(self, gang: Gang) -> Object | None:
        """The PodGroup that a gang is, if it is one and not gone."""
        return self._pod_groups.get(f"{gang.namespace}/{gang.name}") if gang.resource == POD_GROUPS else None

    def bodies_of_pods(self) -> list[bytes]:
        """As they are kept, trimmed."""
        entries = [self.pods.entry(key) for key in self.pods]
        return [entry.body for entry in entries if entry is not None]

    def feed(self, state: ClusterState, happened: Happened, gangs_changed: GangsChanged, claim_seen: ClaimSeen) -> None:
        """From now on all but pods enters the state."""
        feeder = _Feeder(state, happened, gangs_changed, claim_seen)
        self._nodes.on_change(feeder.node_changed)
        self._namespaces.on_change(feeder.namespace_changed)
        self._budgets.on_change(feeder.budget_changed)
        for view in self._groups:
            view.on_change(partial(feeder.group_changed, KINDS[view.resource]))
        for view in self._devices:
            view.on_change(partial(feeder.device_changed, view.resource))
        for view in self._gang_owners:
            view.on_change(partial(feeder.gang_owner_changed, view.resource))
        for view in self._volumes:
            view.on_change(partial(feeder.volume_changed, view.resource))


class _Feeder:
    def __init__(
        self, state: ClusterState, happened: Happened, gangs_changed: GangsChanged, claim_seen: ClaimSeen
    ) -> None:
        self._state = state
        self._happened = happened
        self._gangs_changed = gangs_changed
        self._claim_seen = claim_seen

    def node_changed(self, key: str, old: Entry | None, new: Entry | None) -> None:
        if new is None:
            self._state.remove_node(key)
            self._happened(ClusterEvent.NODE_DELETED, ANYWHERE)
        else:
            event = self._state.set_node(new.peek())
            self._happened(event, key)

    def namespace_changed(self, key: str, old: Entry | None, new: Entry | None) -> None:
        labels = labels_of(new.peek()) if new is not None else None
        self._happened(self._state.set_namespace(key, labels), ANYWHERE)

    def group_changed(self, kind: str, key: str, old: Entry | None, new: Entry | None) -> None:
        groups = self._state.groups
        changed = groups.set(kind, new.peek()) if new is not None else groups.remove(kind, *split_key(key))
        self._happened(ClusterEvent.GROUP if changed else ClusterEvent.NONE, ANYWHERE)

    def gang_owner_changed(self, resource: str, key: str, old: Entry | None, new: Entry | None) -> None:
        if new is not None:
            self._state.gangs.set_owner(resource, new.peek())
        else:
            self._state.gangs.remove_owner(resource, *split_key(key))
        self._gangs_changed()

    def volume_changed(self, resource: str, key: str, old: Entry | None, new: Entry | None) -> None:
        changed = self._state.volumes.set(resource, key, new.peek() if new is not None else None)
        self._happened(ClusterEvent.VOLUME if changed else ClusterEvent.NONE, ANYWHERE)

    def device_changed(self, resource: str, key: str, old: Entry | None, new: Entry | None) -> None:
        changed = self._state.devices.set(resource, key, new.peek() if new is not None else None)
        self._happened(ClusterEvent.DEVICE_CLAIM if changed else ClusterEvent.NONE, ANYWHERE)
        if changed and resource == CLAIMS:
            self._claim_seen(key)

    def budget_changed(self, key: str, old: Entry | None, new: Entry | None) -> None:
        if new is not None:
            self._state.budgets.set(new.peek())
        else:
            self._state.budgets.remove(*split_key(key))
