"""The scheduler's shell: watches nodes and pods, lets the cycle decide, binds.

A decision takes no time: it is assumed in the cluster state, so that the next one counts it, and its binding is asked
for in the background, several at once. A binding that was refused is forgotten and tried again; one whose outcome is
unknown stays assumed until the pod has been looked at. A pod stays in flight in the queue until the watch shows it
on a node, so it is never decided twice; and should two schedulers ever race, the API server refuses the second binding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

from actorkube.kube.client import Client
from actorkube.kube.events import Recorder
from actorkube.kube.follow import follow
from actorkube.kube.view import Entry, View
from actorkube.runtime import Actor, Timer
from actorkube.runtime.probe import probe
from actorkube.runtime.tracing import Span
from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.conditions import ERROR, GATED, UNSCHEDULABLE, not_scheduled_patch
from actors.scheduler.cycle import Decision, SchedulingCycle, gate
from actors.scheduler.demand import PodDemand, scheduler_name, trim_pod
from actors.scheduler.framework import ClusterEvent, Profile
from actors.scheduler.groups import KINDS, trim_group
from actors.scheduler.plugin_failure import PluginFailed
from actors.scheduler.profile import DEFAULT_PROFILE
from actors.scheduler.queue import Place, QueuedPod, SchedulingQueue
from protocols.controller import Activity, AskActivity
from protocols.errors import Answer, AskError, NotFound, Unknown
from protocols.message import Message
from protocols.objects import Object, labels_of, split_key
from protocols.rules.owners import is_deleting
from protocols.rules.pods import is_terminated, node_of
from protocols.scheduler import SchedulerDue
from protocols.trace import TraceContext

UNDER_WAY_MAX = 128
DECISIONS_PER_TURN_MAX = 32
_LOOK_PAUSE_S = 0.2


class Scheduler(Actor):
    """Places every pod that names one of its profiles and has no node yet."""

    def __init__(self, *, profiles: Sequence[Profile] = (DEFAULT_PROFILE,)) -> None:
        self._profiles = {profile.name: profile for profile in profiles}
        self._queue = SchedulingQueue({plugin.name: plugin.events for p in profiles for plugin in p.plugins})
        self._nodes = View("nodes")
        self._pods = View("pods", trim=trim_pod)
        self._namespaces = View("namespaces", trim=trim_group)
        self._groups = [View(resource, trim=trim_group) for resource in KINDS]
        self._causes: dict[str, Span | TraceContext] = {}  # why each pod that is ours waits
        self._under_way = 0
        self._decisions = self._writes = self._retries = 0
        self._woken = False
        self._timer: Timer | None = None
        self._timer_at = 0.0

    async def on_start(self) -> None:
        self._client = Client(self.ctx)
        self._recorder = Recorder(self.ctx, self._client, next(iter(self._profiles)))
        self._state = ClusterState(self.ctx.random)
        self._cycles = {name: SchedulingCycle(self._state, profile) for name, profile in self._profiles.items()}
        self._nodes.on_change(self._node_changed)
        self._pods.on_change(self._pod_changed)
        self._namespaces.on_change(self._namespace_changed)
        for view in self._groups:
            view.on_change(partial(self._group_changed, KINDS[view.resource]))
        api = self.ctx.ref("apiserver/api")
        for view in self._views:
            self.ctx.background(follow(self.ctx, api, view, self._wake), f"watch of {view.resource}")

    def receive(self, message: Message) -> Message | None:
        match message:
            case SchedulerDue():
                self._timer = None
                self._wake()
            case AskActivity():
                return self._activity()
        return None

    def _activity(self) -> Activity:
        """Settled: every pod that waits is one that no node fits, or that may not be scheduled yet."""
        places = Counter(place for _, place in self._queue.places())
        delayed = places[Place.BACKOFF]
        queued, working = places[Place.ACTIVE], places[Place.IN_FLIGHT]
        settled = self._synced and not (self._under_way or queued or working or delayed)
        return Activity(settled, queued, self._under_way, delayed, self._decisions, self._writes, self._retries)

    def busy(self) -> str:
        activity = self._activity()
        if not self._synced:
            return "the views are not synced"
        return (
            f"{activity.queued} pods to place, {activity.working} under way"
            if activity.queued + activity.working
            else ""
        )

    @property
    def _synced(self) -> bool:
        return all(view.synced for view in self._views)

    @property
    def _views(self) -> list[View]:
        return [self._nodes, self._namespaces, *self._groups, self._pods]

    # -- what the watches say -------------------------------------------------------------------------------------

    def _node_changed(self, key: str, old: Entry | None, new: Entry | None) -> None:
        if new is None:
            self._state.remove_node(key)
        else:
            self._room_on(key, self._state.set_node(new.peek()))

    def _namespace_changed(self, key: str, old: Entry | None, new: Entry | None) -> None:
        self._state.set_namespace(key, labels_of(new.peek()) if new is not None else None)

    def _group_changed(self, kind: str, key: str, old: Entry | None, new: Entry | None) -> None:
        if new is not None:
            self._state.groups.set(kind, new.peek())
        else:
            self._state.groups.remove(kind, *split_key(key))

    def _pod_changed(self, key: str, old: Entry | None, new: Entry | None) -> None:
        if old is not None and (new is None or new.uid != old.uid):
            self._queue.remove(key)
            self._causes.pop(key, None)
            self._room_on(self._state.remove_pod(key), ClusterEvent.POD_DELETED)
        if new is None:
            return
        pod = new.peek()
        self._room_on(self._state.set_pod(pod), ClusterEvent.POD_DELETED)
        if self._is_ours(pod):
            self._enqueue(PodDemand(pod, self._state.shapes))
        else:
            self._queue.remove(key)
            self._causes.pop(key, None)

    def _is_ours(self, pod: Object) -> bool:
        known = scheduler_name(pod) in self._profiles
        return known and not (node_of(pod) or is_terminated(pod) or is_deleting(pod))

    def _cycle(self, demand: PodDemand) -> SchedulingCycle:
        return self._cycles[scheduler_name(demand.pod)]

    def _enqueue(self, demand: PodDemand) -> None:
        if (cause := self.ctx.cause) is not None:
            self._causes[demand.key] = cause
        refusal = gate(demand, self._profiles[scheduler_name(demand.pod)])
        self._queue.set(demand, self.ctx.now, gated=refusal is not None)
        if refusal is not None:
            self._begin(self._report(demand, GATED, ", ".join(refusal.reasons)))
        self._wake()

    def _room_on(self, node_name: str, event: ClusterEvent) -> None:
        """Something changed on a node: pods that it may let fit now are worth another try."""
        if node_name in self._state.nodes and event:
            self._queue.on_event(event, self.ctx.now, lambda pod: self._cycle(pod).may_fit(pod, node_name))
            self._wake()

    # -- deciding -------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if not self._woken and self._synced:
            self._woken = True
            self.ctx.call_soon(self._decide_some)

    def _decide_some(self) -> None:
        """Decide a handful, then let messages in; go on while there is something and not too much is under way."""
        self._woken = False
        for _ in range(DECISIONS_PER_TURN_MAX):
            if self._under_way >= UNDER_WAY_MAX:
                return
            queued = self._queue.pop(self.ctx.now)
            if queued is None:
                self._sleep_until_due()
                return
            with self.ctx.span(f"schedule {queued.demand.key}", self._causes.get(queued.demand.key)):
                self._decide(queued)
        self._wake()

    def _decide(self, queued: QueuedPod) -> None:
        demand = queued.demand
        self._decisions += 1
        try:
            decision = self._cycle(demand).decide(demand)
        except PluginFailed as failure:
            self.ctx.log.error("a plugin failed", pod=demand.key, plugin=failure.plugin, exc_info=failure)
            self._try_later(queued, str(failure))
            return
        if isinstance(decision, Decision):
            self._state.assume(demand, decision.node)
            self._room_on(decision.node, ClusterEvent.POD_ADDED)
            self._begin(self._bind(queued, decision.node))
            return
        probe("scheduler: no node fits a pod")
        self._queue.refuse(queued, decision.refused_by, self.ctx.now)
        self._tell_user(demand, "Warning", "FailedScheduling", decision.message)
        self._begin(self._report(demand, UNSCHEDULABLE, decision.message))

    def _sleep_until_due(self) -> None:
        due = self._queue.next_due()
        if due is None or (self._timer is not None and self._timer_at <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        self._timer = self.ctx.after(max(0.0, due - self.ctx.now), SchedulerDue())

    # -- doing ----------------------------------------------------------------------------------------------------

    def _begin(self, coro: Coroutine[Any, Any, None]) -> None:
        self._under_way += 1
        self._writes += 1
        self.ctx.background(self._counted(coro), "binding or report")

    async def _counted(self, coro: Coroutine[Any, Any, None]) -> None:
        await coro
        self._under_way -= 1
        self._wake()

    async def _bind(self, queued: QueuedPod, node: str) -> None:
        demand = queued.demand
        namespace, name = split_key(demand.key)
        try:
            await self._client.bind(namespace, name, node, uid=demand.uid)
        except Unknown:
            probe("scheduler: the answer to a binding is lost")
            await self._look(queued)
        except NotFound:
            self._forget(demand)
            self._queue.remove_exactly(queued)
        except (Answer, AskError) as error:
            await self._binding_failed(queued, f"binding rejected: {error}")
        else:
            self._tell_user(demand, "Normal", "Scheduled", f"Successfully assigned {demand.key} to {node}")

    async def _look(self, queued: QueuedPod) -> None:
        """The binding may or may not have happened: believe it until the API server tells."""
        namespace, name = split_key(queued.demand.key)
        while True:
            try:
                stored = await self._client.get_stored("pods", name, namespace)
            except NotFound:
                self._forget(queued.demand)
                self._queue.remove_exactly(queued)
                return
            except (Answer, AskError):
                await self.ctx.sleep(_LOOK_PAUSE_S)
                continue
            self._pods.wrote(stored, self.ctx.now)
            if not self._state.is_assumed(queued.demand):
                probe("scheduler: a binding in doubt had happened")
                return  # the view has confirmed it, or the pod is another one by now
            await self._binding_failed(queued, "the answer to its binding was lost")
            return

    async def _binding_failed(self, queued: QueuedPod, message: str) -> None:
        self._forget(queued.demand)
        self._try_later(queued, message)

    def _try_later(self, queued: QueuedPod, message: str) -> None:
        self._queue.retry(queued, self.ctx.now)
        self._retries += 1
        self._tell_user(queued.demand, "Warning", "FailedScheduling", message)
        self._begin(self._report(queued.demand, ERROR, message))

    def _forget(self, demand: PodDemand) -> None:
        self._room_on(self._state.forget(demand), ClusterEvent.POD_DELETED)

    async def _report(self, demand: PodDemand, reason: str, message: str) -> None:
        """The condition PodScheduled. Not being able to write it harms nobody: the next attempt says it again."""
        patch = not_scheduled_patch(demand.pod, reason, message, self.ctx.now)
        if patch is None:
            return
        namespace, name = split_key(demand.key)
        try:
            await self._client.patch("pods", name, patch, namespace, type="strategic", subresource="status")
        except (Answer, AskError) as error:
            self.ctx.log.debug("condition not written", pod=demand.key, reason=repr(error))

    def _tell_user(self, demand: PodDemand, type: Any, reason: str, message: str) -> None:
        self._recorder.event(demand.pod, "v1", "Pod", type, reason, message)
