"""What users are told about pods: events, the condition PodScheduled, the node that a pod waits for; and about groups.

Not being able to write a status harms nobody: the next attempt says it again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actorkube.kube.client import Client
from actorkube.kube.events import Recorder
from actorkube.kube.writes import Event, reference_to
from actorkube.runtime import Context
from actors.scheduler.conditions import group_patch, nominate_patch, not_scheduled_patch
from actors.scheduler.demand import PodDemand, scheduler_name
from actors.scheduler.gangs import POD_GROUPS
from actors.scheduler.plugin_failure import PluginFailed
from protocols.errors import Answer, AskError
from protocols.objects import Object, name_of, namespace_of, split_key

_ACTIONS = {"FailedScheduling": "Scheduling", "Scheduled": "Binding"}  # kube-scheduler's


class Reports:
    def __init__(self, ctx: Context, client: Client, recorder: Recorder) -> None:
        self._ctx = ctx
        self._client = client
        self._recorder = recorder

    def event(self, demand: PodDemand, type: Any, reason: str, message: str) -> None:
        if self._recorder.drops_one():
            return
        about = reference_to(demand.pod, "v1", "Pod")
        self._recorder.record(Event(about, type, reason, message, _ACTIONS[reason]), scheduler_name(demand.pod))

    def log_failures(self, failures: Sequence[PluginFailed], demand: PodDemand) -> None:
        for failure in failures:
            self._ctx.log.error("a plugin failed", pod=demand.key, plugin=failure.plugin, exc_info=failure)

    async def not_scheduled(self, demand: PodDemand, reason: str, message: str, nominated: str | None = None) -> None:
        """`nominated`: the node it waits for, "" for none; None: what was said before still holds."""
        patch = not_scheduled_patch(demand.pod, reason, message, self._ctx.now, nominated)
        if patch is not None:
            await self.status(demand, patch)

    async def nominated(self, demand: PodDemand, node: str) -> None:
        await self.status(demand, nominate_patch(demand.pod, node))

    async def group(self, group: Object, type: str, status: str, reason: str, message: str = "") -> None:
        """A condition of a PodGroup."""
        patch = group_patch(group, type, status, reason, message, self._ctx.now)
        if patch is None:
            return
        name, namespace = name_of(group), namespace_of(group)
        try:
            await self._client.patch(POD_GROUPS, name, patch, namespace, type="strategic", subresource="status")
        except (Answer, AskError) as error:
            self._ctx.log.debug("status not written", podgroup=name, reason=repr(error))

    async def status(self, demand: PodDemand, patch: Object) -> bool:
        """Was it written?"""
        namespace, name = split_key(demand.key)
        try:
            await self._client.patch("pods", name, patch, namespace, type="strategic", subresource="status")
        except (Answer, AskError) as error:
            self._ctx.log.debug("status not written", pod=demand.key, reason=repr(error))
            return False
        return True
