"""Preemption's writes: a victim is told why it goes, then deleted, with its grace period."""

from __future__ import annotations

from collections.abc import Sequence

from actorkube.kube.client import Client
from actorkube.kube.events import Recorder
from actorkube.kube.writes import reference_to
from actors.scheduler.demand import PodDemand, scheduler_name
from actors.scheduler.framework import Victim
from protocols.errors import Answer, AskError, Conflict, NotFound
from protocols.objects import split_key
from protocols.rules.conditions import with_condition


class RoomMaker:
    def __init__(self, client: Client, recorder: Recorder) -> None:
        self._client = client
        self._recorder = recorder

    async def make(self, pod: PodDemand, node: str, victims: Sequence[Victim], now: float) -> list[Victim]:
        """Ends the victims one after the other. Who could not be ended, if anybody."""
        return [victim for victim in victims if not await self._end(pod, node, victim, now)]

    async def _end(self, pod: PodDemand, node: str, victim: Victim, now: float) -> bool:
        """Also true for one that is gone, or another pod by now. (KEP-3329: the condition DisruptionTarget.)"""
        namespace, name = split_key(victim.key)
        why = f"{scheduler_name(pod.pod)}: preempting to accommodate a higher priority pod"
        conditions = with_condition([], "DisruptionTarget", "True", "PreemptionByScheduler", why, now)
        patch = {"metadata": {"uid": victim.uid}, "status": {"conditions": conditions}}
        try:
            await self._client.patch("pods", name, patch, namespace, type="strategic", subresource="status")
            await self._client.delete("pods", name, namespace, uid=victim.uid)
        except (NotFound, Conflict):
            return True
        except (Answer, AskError):
            return False
        involved = {"metadata": {"name": name, "namespace": namespace, "uid": victim.uid}}
        note = f"Preempted by pod {pod.uid} on node {node}"
        by = reference_to(pod.pod, "v1", "Pod")
        self._recorder.event(involved, "v1", "Pod", "Normal", "Preempted", note, action="Preempting", related=by)
        return True
