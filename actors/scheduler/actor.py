"""The scheduler's shell: watches nodes and pods, lets the cycle decide, binds.

A decision takes no time: it is assumed in the cluster state, so that the next one counts it, and its binding runs in
the background, several at once (`binding.py`). What fails on the way is rolled back, forgotten and tried again. A pod
stays in flight in the queue until the watch shows it on a node, so it is never decided twice; and should two
schedulers ever race, the API server refuses the second binding.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

from actorkube.kube.client import Client
from actorkube.kube.events import Recorder
from actorkube.kube.follow import follow
from actorkube.kube.series import Series
from actorkube.kube.servers import API, ApiServers
from actorkube.kube.view import Entry
from actorkube.runtime.probe import probe
from actorkube.runtime.tracing import Span
from actors.scheduler.alarm import Alarm
from actors.scheduler.attempts import permit, post_bind, reserve, unreserve
from actors.scheduler.binding import BindingCycle, Bound, Failed, Gone, Outcome
from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.conditions import ERROR, UNSCHEDULABLE, nominate_patch, nominated_node
from actors.scheduler.counts import Counts, Result, clock
from actors.scheduler.cycle import Decision, SchedulingCycle, gate
from actors.scheduler.demand import PodDemand, scheduler_name
from actors.scheduler.device_binding import free_devices
from actors.scheduler.diagnosis import Unschedulable, refuse_one
from actors.scheduler.extended import Extended
from actors.scheduler.extenders import NAME as EXTENDERS
from actors.scheduler.extenders import Extender
from actors.scheduler.framework import Attempt, ClusterEvent, Nomination, Profile, Scope
from actors.scheduler.gang_preemption import make_rooms
from actors.scheduler.gangs import Gang, not_of_one_scheduler
from actors.scheduler.gated import Gated
from actors.scheduler.making_room import RoomMaker
from actors.scheduler.plugin_failure import PluginFailed
from actors.scheduler.plugins.gang_scheduling import GangScheduling
from actors.scheduler.profile import DEFAULT_PROFILE
from actors.scheduler.queue import BACKOFF, Backoff, Place, QueuedPod, SchedulingQueue
from actors.scheduler.reports import Reports
from actors.scheduler.self_report import SelfReport
from actors.scheduler.views import NOMINATED, Views
from actors.scheduler.waiting import ANYWHERE
from actors.scheduler.waiting_pods import Decided, Refused, WaitingPods
from protocols.controller import AskActivity
from protocols.message import Message
from protocols.objects import Object
from protocols.rules.owners import is_deleting
from protocols.rules.pods import is_terminated, node_of
from protocols.scheduler import SchedulerDue
from protocols.trace import TraceContext

UNDER_WAY_MAX = 128
DECISIONS_PER_TURN_MAX = 32


class Scheduler(SelfReport):
    """Places every pod that names one of its profiles and has no node yet."""

    def __init__(
        self,
        *,
        profiles: Sequence[Profile] = (DEFAULT_PROFILE,),
        api: str | Sequence[str] = API,
        backoff: Backoff = BACKOFF,
        extenders: Sequence[Extender] = (),
    ) -> None:
        self._api_addresses, self._extenders = api, extenders
        self._profiles = {profile.name: profile for profile in profiles}
        sort = next((plugin for profile in profiles for plugin in profile.queue_sort), None)
        plugins = {plugin.name: plugin for profile in profiles for plugin in profile.plugins}
        events = {name: plugin.events for name, plugin in plugins.items()}
        looking_elsewhere = [name for name, plugin in plugins.items() if plugin.scope is Scope.CLUSTER]
        events[EXTENDERS] = ~ClusterEvent.NONE  # what changes their mind is theirs to know
        self._queue = SchedulingQueue(events, sort, backoff, looking_elsewhere)
        self._counts = Counts()
        self._waiting = WaitingPods()
        self._views = Views()
        self._promised: dict[str, str] = {}  # pod key -> node, to the gang that is being decided
        self._causes: dict[str, Span | TraceContext] = {}  # why each pod that is ours waits
        self._under_way = 0
        self._decisions = self._writes = self._retries = 0
        self._events = 0
        self._woken = self._began = False

    async def on_start(self) -> None:
        api = ApiServers.known(self.ctx, self._api_addresses)
        self._client, self._alarm = Client(self.ctx, api), Alarm(self.ctx)
        name, host = next(iter(self._profiles)), self.ctx.self_ref.address.system
        recorder = Recorder(self.ctx, self._client, name, host, correlator=Series())
        self._room_maker = RoomMaker(self._client, recorder)
        self._reports = Reports(self.ctx, self._client, recorder)
        self._state = ClusterState(self.ctx.random)
        self._state.gangs.are_kept = True
        self._cycles = {
            name: SchedulingCycle(self._state, profile, self._counts) for name, profile in self._profiles.items()
        }
        self._binding = BindingCycle(self.ctx, self._client, self._views.pods, self._queue, self._counts)
        self._gated = Gated(self._state, self._queue, self._profile, lambda: self.ctx.now, self._wake)
        self._extended = self._binding.extended = Extended(self._extenders, self.ctx, self._client)
        self._views.feed(self._state, self._happened, self._gated.try_completed_gangs, self._gated.claim_seen)
        self._views.pods.on_change(self._pod_changed)
        for view in (*self._views.needed, *self._views.optional):
            view.on_change(partial(self._binding.changes.tell, view.resource))
            self.ctx.background(follow(self.ctx, api, view, self._all_seen), f"watch of {view.resource}")

    def receive(self, message: Message) -> Message | None:
        match message:
            case SchedulerDue():
                self._alarm.rang()
                self._wake()
            case AskActivity():
                return self.activity()
        return None

    # -- what the watches say -------------------------------------------------------------------------------------

    def _all_seen(self) -> None:
        if self._views.devices_synced and self._state.devices.see_all():
            self._happened(ClusterEvent.DEVICE_CLAIM)
            for demand in self._gated.waiting_for_claims():
                self._enqueue(demand)
        self._wake()

    def _pod_changed(self, key: str, old: Entry | None, new: Entry | None) -> None:
        if old is not None and (new is None or new.uid != old.uid):
            self._lose_sight_of(key)
            self._room_on(self._state.remove_pod(key), ClusterEvent.POD_DELETED)
        if new is None:
            return
        pod, before = new.peek(), self._state.node_of(key)
        self._room_on(self._state.set_pod(pod), ClusterEvent.POD_DELETED)
        if (node := self._state.node_of(key)) != before:
            self._room_on(node, ClusterEvent.POD_ADDED)  # by somebody else: company for those who wait for some
        if old is not None and (node := old.summaries[NOMINATED]) and not new.summaries[NOMINATED]:
            self._room_on(self._state.withdraw(key, node), ClusterEvent.POD_DELETED)
        if self._is_ours(pod):
            self._enqueue(PodDemand(pod, self._state.shapes))
        else:
            self._lose_sight_of(key)
        self._gated.try_completed_gangs()

    def _lose_sight_of(self, key: str) -> None:
        """It has a node, is gone, or is not ours. A node that it waited for has room for others."""
        self._queue.remove(key)
        self._causes.pop(key, None)
        self._state.devices.awaited.lose(key)
        self._binding.changes.lose(key)
        if (attempt := self._waiting.remove(key)) is not None:
            self._give_up(attempt)
        self._room_on(self._state.withdraw(key), ClusterEvent.POD_DELETED)

    def _is_ours(self, pod: Object) -> bool:
        known = scheduler_name(pod) in self._profiles
        return known and not (node_of(pod) or is_terminated(pod) or is_deleting(pod))

    def _cycle(self, demand: PodDemand) -> SchedulingCycle:
        return self._cycles[scheduler_name(demand.pod)]

    def _profile(self, demand: PodDemand) -> Profile:
        return self._profiles[scheduler_name(demand.pod)]

    def _enqueue(self, demand: PodDemand) -> None:
        if (cause := self.ctx.cause) is not None:
            self._causes[demand.key] = cause
        nominated = nominated_node(demand.pod)
        if nominated and not (self._state.nominations.node_of(demand.key) or self._state.is_assumed(demand)):
            self._state.nominate(demand, nominated)  # by the scheduler that was here before
        refusal = gate(demand, self._profile(demand), self._state)
        self._queue.set(demand, self.ctx.now, gated=refusal is not None)
        if refusal is not None:
            if self._began:
                self._room_on(self._state.withdraw(demand.key), ClusterEvent.POD_DELETED)
            if reason := self._gated.reason(demand):
                self._report(demand, reason, ", ".join(refusal.reasons), "" if self._began else None)
        self._wake()

    def _begin_deciding(self) -> None:
        """All is seen that there is: who may not be tried now waits for no node, whatever was promised to it."""
        self._began = True
        for key, place in self._queue.places():
            if place is Place.GATED:
                self._state.withdraw(key)

    def _room_on(self, node_name: str, event: ClusterEvent) -> None:
        """Something changed on a node: pods that it may let fit now are worth another try. (A node that is gone may
        have pods still, and a claim that is for one pod is free when such a pod is gone.)"""
        if node_name:
            self._happened(event, node_name if node_name in self._state.nodes else ANYWHERE)

    def _happened(self, event: ClusterEvent, node_name: str = ANYWHERE) -> None:
        """Who waits for it is asked about when there is time: several things that happen are one question."""
        if event:
            self._events += 1
            self._queue.waiting.happened(event, node_name)
            self._wake()

    # -- deciding -------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if not self._woken and self._views.synced:
            self._woken = True
            self.ctx.call_soon(self._decide_some)

    def _decide_some(self) -> None:
        """Decide a handful, then let messages in; go on while there is something and not too much is under way."""
        self._woken = False
        if not self._began:
            self._begin_deciding()
        self._waiting.expire(self.ctx.now)
        self._go_on_with_decided()
        self._queue.hear_news(self.ctx.now, lambda pod, nodes: self._cycle(pod).may_fit_on(pod, nodes))
        for _ in range(DECISIONS_PER_TURN_MAX):
            if self._under_way >= UNDER_WAY_MAX:
                return
            queued = self._queue.pop(self.ctx.now)
            self._tell_of_failures()
            if queued is None:
                self._alarm.set((self._queue.next_due(), self._waiting.next_due()))
                break
            if queued.demand.gang is not None:
                self._decide_together(queued, queued.demand.gang)
            else:
                self._decide_alone(queued)
        else:
            self._wake()
        if self._queue.waiting.has_news:
            self._wake()

    def _decide_alone(self, queued: QueuedPod) -> None:
        with self.ctx.span(f"schedule {queued.demand.key}", self._causes.get(queued.demand.key)):
            self._decide(queued)

    def _decide_together(self, first: QueuedPod, gang: Gang) -> None:
        """All pods of a gang that may be tried, in this turn: enough of them find nodes, or none gets one. Then less
        important pods have to go, if enough would find nodes without them."""
        members = [first, *self._queue.take(self._state.gangs.members(gang))]
        why = not_of_one_scheduler(gang, [queued.demand.pod for queued in members])
        if why := why or self._extended.why_no_gang(queued.demand for queued in members):
            self._report_group(gang, why, ERROR)
            for queued in members:
                self._try_later(queued, why)
            return
        for queued in members:
            self._decide_alone(queued)
        refused = [queued.demand for queued in members if not self._state.node_of(queued.demand.key)]
        rooms = make_rooms(self._state, gang, refused, self._cycle)
        self._promised = rooms.nodes if rooms is not None else {}
        for plugin in self._profile(first.demand).permit:
            if isinstance(plugin, GangScheduling):
                self._report_group(gang, plugin.settle(gang, self._state, self._waiting))
        self._go_on_with_decided()
        for ended in rooms.gangs if rooms is not None else ():
            self._report_disruption(ended, first.demand)
        for demand, nomination in rooms.ends if rooms is not None else ():
            self._end_victims(demand, nomination)
        for demand in refused:
            self._promise(demand)
        self._promised = {}

    def _report_group(self, gang: Gang, why_not: str, reason: str = UNSCHEDULABLE) -> None:
        if (group := self._views.pod_group(gang)) is not None:
            status, reason = ("False", reason) if why_not else ("True", "Scheduled")
            self._begin(self._reports.group(group, "PodGroupScheduled", status, reason, why_not))

    def _report_disruption(self, gang: Gang, by: PodDemand) -> None:
        if (group := self._views.pod_group(gang)) is not None:
            why = f"{scheduler_name(by.pod)}: preempting to accommodate a higher priority pod group"
            self._begin(self._reports.group(group, "DisruptionTarget", "True", "PreemptionByScheduler", why))

    def _promise(self, demand: PodDemand) -> None:
        """The node that its gang has room for it on, if it has, or will have."""
        node = self._promised.get(demand.key, "")
        left = self._state.wait_for(demand, node)
        self._room_on(left if left != node else "", ClusterEvent.POD_DELETED)
        if node != nominated_node(demand.pod):
            self._begin(self._reports.nominated(demand, node))

    def _decide(self, queued: QueuedPod) -> None:
        demand = queued.demand
        self._decisions += 1
        if extenders := self._extended.interested(demand):
            self._begin(self._decide_with(queued, extenders))
            return
        began = clock()
        try:
            decision = self._cycle(demand).decide(demand)
        except PluginFailed as failure:
            self._reports.log_failures([failure], demand)
            self._try_later(queued, str(failure))
            return
        self._counts.algorithm.observe(clock() - began)
        self._decided(queued, decision)

    async def _decide_with(self, queued: QueuedPod, extenders: Sequence[Extender]) -> None:
        """It holds nobody up meanwhile. What happens while they are asked may be what a pod that is refused waits
        for."""
        began, events = clock(), self._events
        self._rests(True)
        said = await self._extended.decide(self._cycle(queued.demand), queued.demand, extenders)
        self._rests(False)
        self._counts.algorithm.observe(clock() - began)
        has_news = self._events != events
        if not self._queue.is_current(queued) or isinstance(said, Gone):
            self._queue.remove_exactly(queued)
        elif isinstance(said, Failed):
            self._try_later(queued, said.message)
        else:
            self._decided(queued, said)
            if has_news:
                self._queue.reconsider(queued.demand.key, self.ctx.now)

    def _decided(self, queued: QueuedPod, decision: Decision | Unschedulable) -> None:
        demand = queued.demand
        if isinstance(decision, Decision):
            self._state.assume(demand, decision.node)
            self._room_on(decision.node, ClusterEvent.POD_ADDED)
            self._reserve(queued, Attempt(demand, decision.node, self._state, self._waiting))
            return
        probe("scheduler: no node fits a pod")
        self._count(queued, Result.UNSCHEDULABLE)
        self._queue.refuse(queued, decision.refused_by, self.ctx.now)
        self._reports.event(demand, "Warning", "FailedScheduling", decision.message)
        self._report(demand, UNSCHEDULABLE, decision.message, self._nominate(demand, decision))
        if decision.frees:
            self._begin(free_devices(decision.frees, demand.uid, self._client))

    def _reserve(self, queued: QueuedPod, attempt: Attempt) -> None:
        profile = self._profile(attempt.pod)
        if not (profile.reserve or profile.permit):
            self._begin(self._bind(queued, attempt))
            return
        try:
            found = reserve(profile, attempt, self._counts) or permit(profile, attempt, self._counts)
        except PluginFailed as failure:
            self._reports.log_failures([failure], attempt.pod)
            self._conclude(queued, attempt, Failed(str(failure)))
            return
        if isinstance(found, Refused):
            self._conclude(queued, attempt, found)
            return
        if found:
            self._waiting.add(queued, attempt, found, self.ctx.now)
        else:
            self._begin(self._bind(queued, attempt))
        self._go_on_with_decided()

    def _go_on_with_decided(self) -> None:
        """With whom Permit has let go, and whom it has refused; which may decide about others in turn."""
        while decided := self._waiting.decided():
            together: dict[Gang | None, list[Decided]] = {}
            for each in decided:
                self._counts.permitted(each.refused is None, self.ctx.now - each.since)
                if each.refused is not None:
                    self._conclude(each.queued, each.attempt, each.refused)
                else:
                    together.setdefault(each.attempt.pod.gang, []).append(each)
            for gang, members in together.items():
                if gang is None or len(members) == 1:
                    for each in members:
                        self._begin(self._bind(each.queued, each.attempt))
                else:
                    self._begin(self._bind_together(members))

    def _nominate(self, demand: PodDemand, found: Unschedulable) -> str | None:
        """The node it is to wait for from now on, "" for none; None: as before."""
        if found.nomination is None:
            if found.waits:
                return None
            self._room_on(self._state.withdraw(demand.key), ClusterEvent.POD_DELETED)
            return ""
        self._state.nominate(demand, found.nomination.node)
        self._end_victims(demand, found.nomination)
        return found.nomination.node

    def _end_victims(self, demand: PodDemand, nomination: Nomination) -> None:
        probe("scheduler: less important pods have to go")
        node, victims = nomination
        for other in self._state.nominations.less_important(demand, node):
            if other.key in self._promised:
                continue
            self._state.withdraw(other.key)
            self._queue.reconsider(other.key, self.ctx.now)
            self._report(other, UNSCHEDULABLE, "a more important pod has taken its place", "")
        for victim in victims:
            self._state.leave(*victim)
        self._begin(self._make_room(demand, nomination))

    def _report(self, demand: PodDemand, reason: str, message: str, nominated: str | None = None) -> None:
        self._begin(self._reports.not_scheduled(demand, reason, message, nominated))

    # -- doing ----------------------------------------------------------------------------------------------------

    def _begin(self, coro: Coroutine[Any, Any, None]) -> None:
        self._under_way += 1
        self._writes += 1
        self.ctx.background(self._counted(coro), "binding or report")

    async def _counted(self, coro: Coroutine[Any, Any, None]) -> None:
        await coro
        self._under_way -= 1
        self._wake()

    async def _bind(self, queued: QueuedPod, attempt: Attempt) -> None:
        self._conclude(
            queued, attempt, await self._binding.run(self._profile(attempt.pod), attempt, queued, self._rests)
        )

    async def _bind_together(self, members: Sequence[Decided]) -> None:
        """A gang: first it is written down where all are to go, so that whoever comes after a crash keeps them room."""
        attempts = [each.attempt for each in members]
        pledges = [self._reports.status(each.pod, nominate_patch(each.pod.pod, each.node)) for each in attempts]
        written = await asyncio.gather(*pledges)
        for each in members:
            if all(written):
                self._begin(self._bind(each.queued, each.attempt))
            else:
                self._conclude(each.queued, each.attempt, Failed("not all pods of its gang could be nominated"))

    def _rests(self, rests: bool) -> None:
        self._under_way += -1 if rests else 1
        self._wake()

    def _conclude(self, queued: QueuedPod, attempt: Attempt, outcome: Outcome) -> None:
        """The attempt is over."""
        demand = attempt.pod
        if isinstance(outcome, Bound):
            self._happened(ClusterEvent.DEVICE_CLAIM if demand.shape.device_claims else ClusterEvent.NONE)
            self._count(queued, Result.SCHEDULED)
            self._counts.scheduled(queued.attempts, self.ctx.now - queued.entered_at)
            self._reports.event(demand, "Normal", "Scheduled", f"Successfully assigned {demand.key} to {attempt.node}")
            self._reports.log_failures(post_bind(self._profile(demand), attempt, self._counts), demand)
            return
        # The room of a gang that does not fit was taken and left in one turn: for nobody is there more than before.
        together = isinstance(outcome, Refused) and outcome.plugin == GangScheduling.name
        self._give_up(attempt, is_news=not together)
        match outcome:
            case Gone():
                self._queue.remove_exactly(queued)
            case Refused(plugin, refusal):
                found = refuse_one(plugin, refusal)
                self._count(queued, Result.UNSCHEDULABLE)
                self._queue.refuse(queued, found.refused_by, self.ctx.now)
                node = self._promised.get(demand.key, "")
                self._state.wait_for(demand, node)
                self._reports.event(demand, "Warning", "FailedScheduling", found.message)
                self._report(demand, UNSCHEDULABLE, found.message, node)
            case Failed(message):
                if demand.gang is not None and self._queue.is_current(queued):
                    self._state.nominate(demand, attempt.node)  # others of its gang may run already
                self._try_later(queued, message)
        self._go_on_with_decided()

    def _give_up(self, attempt: Attempt, is_news: bool = True) -> None:
        failures = unreserve(self._profile(attempt.pod), attempt, self._counts)
        self._reports.log_failures(failures, attempt.pod)
        node = self._state.forget(attempt.pod)
        self._room_on(node if is_news else "", ClusterEvent.POD_DELETED)
        self._happened(ClusterEvent.DEVICE_CLAIM if attempt.pod.shape.device_claims and is_news else ClusterEvent.NONE)

    async def _make_room(self, demand: PodDemand, nomination: Nomination) -> None:
        left = await self._room_maker.make(demand, nomination.node, nomination.victims, self.ctx.now)
        for victim in left:
            self._state.stay(victim.key)
        if left:
            self.ctx.log.warning("pods that had to go could not be deleted", pod=demand.key, node=nomination.node)
            self._queue.reconsider(demand.key, self.ctx.now)

    def _count(self, queued: QueuedPod, result: Result) -> None:
        """An attempt is over."""
        self._counts.attempt(result, scheduler_name(queued.demand.pod), clock() - queued.tried_at)

    def _try_later(self, queued: QueuedPod, message: str) -> None:
        self._count(queued, Result.ERROR)
        self._queue.retry(queued, self.ctx.now)
        self._say_it_failed(queued, message)

    def _tell_of_failures(self) -> None:
        """QueueSort did not know where in the queue some pods belong."""
        failures, self._queue.failures = self._queue.failures, []
        for queued, failure in failures:
            self._reports.log_failures([failure], queued.demand)
            self._say_it_failed(queued, str(failure))

    def _say_it_failed(self, queued: QueuedPod, message: str) -> None:
        self._retries += 1
        self._reports.event(queued.demand, "Warning", "FailedScheduling", message)
        self._report(queued.demand, ERROR, message)
