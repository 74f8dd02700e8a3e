"""Decisions in which extenders have a say: they are asked in the background, several pods at once, while others are
decided; the last word, whether the node has room still, is the scheduler's own, in one turn.

A pod that no extender is interested in never comes here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence

from actorkube.kube.client import Client
from actorkube.runtime import Context
from actors.scheduler.agreement import Agreement, read
from actors.scheduler.binding import Bound, Failed, Gone
from actors.scheduler.cycle import Decision, SchedulingCycle
from actors.scheduler.demand import PodDemand
from actors.scheduler.diagnosis import Unschedulable, refused_by_others
from actors.scheduler.extender_calls import ExtenderCalls
from actors.scheduler.extenders import (
    NAME,
    Extender,
    ExtenderFailed,
    arguments,
    binding_arguments,
    check_bound,
    filtered,
    priorities,
)
from actors.scheduler.plugin_failure import PluginFailed
from protocols.objects import Object

ASKED_AT_ONCE = 32
WAITING_MAX = 1024

Said = Decision | Unschedulable | Failed | Gone


class Extended:
    """The extenders of a scheduler, in the order of its configuration. Their connections end with the actor."""

    def __init__(self, extenders: Sequence[Extender], ctx: Context, client: Client) -> None:
        self._extenders = extenders
        self._ctx = ctx
        self._client = client
        self._calls = ExtenderCalls()
        self._agreement = Agreement(ctx, client, self._calls)
        self._turn = asyncio.Semaphore(ASKED_AT_ONCE)
        self._waiting = 0
        if extenders:
            ctx.background(self._calls.run(), "extenders")

    def why_no_gang(self, pods: Iterable[PodDemand]) -> str:
        """A gang is decided in one turn, and extenders take longer."""
        asked = any(self.interested(pod) for pod in pods)
        return "extenders are to be asked about a pod of a gang, which is not done here" if asked else ""

    def interested(self, pod: PodDemand) -> list[Extender]:
        """Whose word counts for where the pod goes."""
        if not self._extenders:
            return []
        judges = (each for each in self._extenders if each.filter_verb or each.prioritize_verb or each.preempt_verb)
        return [each for each in judges if each.is_interested(pod.shape)]

    async def decide(self, cycle: SchedulingCycle, pod: PodDemand, extenders: Sequence[Extender]) -> Said:
        """So many at once; who comes when too many wait already is to come again."""
        if self._waiting >= WAITING_MAX:
            return Failed("too many pods wait for extenders")
        self._waiting += 1
        try:
            async with self._turn:
                return await self._decide(cycle, pod, extenders)
        except (PluginFailed, ExtenderFailed) as failure:
            return Failed(str(failure))
        finally:
            self._waiting -= 1

    async def _decide(self, cycle: SchedulingCycle, pod: PodDemand, extenders: Sequence[Extender]) -> Said:
        """Raises PluginFailed, ExtenderFailed."""
        names = list(cycle.candidates(pod))
        if not names:
            found = cycle.decide(pod)  # which says why, and who could make room
            return found if isinstance(found, Decision) else await self._agreed(cycle, pod, found, extenders)
        asked = set(names)
        whole = await read(self._client, pod.key)
        if not isinstance(whole, dict):
            return whole
        failed: dict[str, str] = {}
        for extender in extenders:
            if extender.filter_verb and names:
                names, reasons = await self._filter(cycle, extender, whole, names)
                failed |= reasons
        if not names:
            found = refused_by_others(cycle.state, cycle.template(pod), NAME, failed)
            if not asked.issuperset(cycle.candidates(pod)):
                return found  # another node will do by now: nobody has to go
            return await self._agreed(cycle, pod, cycle.after_filters(pod, found), extenders)
        return _best(cycle, pod, names, await self._added(cycle, extenders, whole, names))

    async def _agreed(
        self, cycle: SchedulingCycle, pod: PodDemand, found: Unschedulable, extenders: Sequence[Extender]
    ) -> Said:
        asked = [each for each in extenders if each.preempt_verb]
        return await self._agreement.about(cycle, pod, found, asked) if asked else found

    async def _filter(
        self, cycle: SchedulingCycle, extender: Extender, pod: Object, names: list[str]
    ) -> tuple[list[str], dict[str, str]]:
        body = arguments(pod, _nodes(cycle, names), extender.node_cache_capable)
        try:
            left, failed = filtered(extender, await self._calls.post(extender, extender.filter_verb, body), names)
        except ExtenderFailed as failure:
            if not extender.ignorable:
                raise
            self._ctx.log.warning("an extender is left out", extender=extender.url_prefix, reason=str(failure))
            return names, {}
        gone = {name: failed.get(name) or "extender filtered it out" for name in names if name not in left}
        return left, gone

    async def _added(
        self, cycle: SchedulingCycle, extenders: Sequence[Extender], pod: Object, names: list[str]
    ) -> Counter[str]:
        """To each node's score, by all of them. One that fails adds nothing, as in kube-scheduler."""
        nodes, total = _nodes(cycle, names), Counter[str]()

        async def ask(extender: Extender) -> dict[str, int]:
            body = arguments(pod, nodes, extender.node_cache_capable)
            try:
                return priorities(extender, await self._calls.post(extender, extender.prioritize_verb, body))
            except ExtenderFailed as failure:
                self._ctx.log.warning("an extender rates nothing", extender=extender.url_prefix, reason=str(failure))
                return {}

        for added in await asyncio.gather(*(ask(extender) for extender in extenders if extender.prioritize_verb)):
            for name, score in added.items():
                total[name] += score
        return total

    async def bind(self, pod: PodDemand, node: str) -> Bound | Failed | None:
        """By the extender that binds such pods; None: nobody does."""
        for extender in self._extenders:
            if not extender.bind_verb or not extender.is_interested(pod.shape):
                continue
            try:
                answer = await self._calls.post(extender, extender.bind_verb, binding_arguments(pod.pod, node))
                check_bound(extender, answer)
            except ExtenderFailed as failure:
                if extender.ignorable:
                    self._ctx.log.warning("an extender is left out", extender=extender.url_prefix, reason=str(failure))
                    continue
                return Failed(f"binding rejected: {failure}")
            return Bound()
        return None


def _nodes(cycle: SchedulingCycle, names: Sequence[str]) -> list[Object]:
    """Those that are there still."""
    objects = cycle.state.objects
    rows = [objects.row_of[name] for name in names if name in objects.row_of]
    return [node for row in rows if (node := objects.objects[row]) is not None]


def _best(cycle: SchedulingCycle, pod: PodDemand, names: Sequence[str], added: Counter[str]) -> Decision | Failed:
    """Of those that the extenders leave the best that fits now: others may have been placed since they were asked."""
    state, now = cycle.state, cycle.candidates(pod)
    rank = {name: float(state.rank.at[state.objects.row_of[name]]) for name in names if name in now}
    for name in sorted(rank, key=lambda name: (now[name] + added[name], rank[name]), reverse=True):
        if cycle.why_not(pod, name, state.nominations.against(pod, name)) is None:
            return Decision(name)
    return Failed("the nodes that its extenders chose among have been taken meanwhile")
