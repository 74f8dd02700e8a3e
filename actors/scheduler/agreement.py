"""Who has to make room for a pod, as its extenders agree to it (`preemptVerb`): each is shown what the ones before have
left, node by node, and leaves some of the nodes, with those victims or with others.

What they agreed to counts only as far as it still can: they take their time, and pods may have gone meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence

from actorkube.kube.client import Client
from actorkube.runtime import Context
from actors.scheduler.binding import Failed, Gone
from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.cycle import SchedulingCycle
from actors.scheduler.demand import PodDemand
from actors.scheduler.diagnosis import Unschedulable
from actors.scheduler.extender_calls import ExtenderCalls
from actors.scheduler.extenders import Extender, ExtenderFailed, Victims, agreed_victims, preemption_arguments
from actors.scheduler.preemption import Candidate, candidate
from protocols.errors import Answer, AskError, NotFound
from protocols.objects import Object, split_key

READ_AT_ONCE = 32
NO_CANDIDATE = "no candidate node for preemption"


class Agreement:
    def __init__(self, ctx: Context, client: Client, calls: ExtenderCalls) -> None:
        self._ctx = ctx
        self._client = client
        self._calls = calls

    async def about(
        self, cycle: SchedulingCycle, pod: PodDemand, found: Unschedulable, extenders: Sequence[Extender]
    ) -> Unschedulable | Failed | Gone:
        """`found`: in this turn."""
        candidates = {each.node: each for each in found.candidates()}
        if found.nomination is None or found.nomination.node not in candidates:
            return found  # nobody has to go, or some other plugin says so
        whole = await read(self._client, pod.key)
        if not isinstance(whole, dict):
            return whole
        keys = {victim.uid: victim.key for each in candidates.values() for victim in each.victims}
        victims = {
            node: Victims(tuple(victim.uid for victim in each.victims), each.violations)
            for node, each in candidates.items()
        }
        for extender in extenders:
            if victims:
                try:
                    victims = await self._left_by(extender, cycle.state, whole, victims, keys)
                except ExtenderFailed as failure:
                    return _without_room(found, str(failure))
        best = min(_still_possible(cycle.state, victims), default=None)
        if best is None:
            return _without_room(found, NO_CANDIDATE)
        found.nomination = best.nomination
        return found

    async def _left_by(
        self,
        extender: Extender,
        state: ClusterState,
        pod: Object,
        victims: dict[str, Victims],
        keys: Mapping[str, str],
    ) -> dict[str, Victims]:
        pods = None if extender.node_cache_capable else await self._whole(victims, keys)
        body = preemption_arguments(pod, victims, pods)
        try:
            left = agreed_victims(extender, await self._calls.post(extender, extender.preempt_verb, body))
            _check_known(extender, state, left, victims)
        except ExtenderFailed as failure:
            if not extender.ignorable:
                raise
            self._ctx.log.warning("an extender is left out", extender=extender.url_prefix, reason=str(failure))
            return victims
        return left

    async def _whole(self, victims: Mapping[str, Victims], keys: Mapping[str, str]) -> dict[str, Object]:
        """By uid; without those that are gone."""
        wanted = [keys[uid] for each in victims.values() for uid in each.uids if uid in keys]
        found: dict[str, Object] = {}
        for start in range(0, len(wanted), READ_AT_ONCE):
            some = wanted[start : start + READ_AT_ONCE]
            for pod in await asyncio.gather(*(read(self._client, key) for key in some)):
                if isinstance(pod, dict):
                    found[pod["metadata"]["uid"]] = {**pod, "apiVersion": "v1", "kind": "Pod"}
        return found


async def read(client: Client, key: str) -> Object | Gone | Failed:
    """The whole pod: the scheduler has kept only what decides."""
    namespace, name = split_key(key)
    try:
        return await client.get("pods", name, namespace)
    except NotFound:
        return Gone()
    except (Answer, AskError) as error:
        return Failed(f"the pod cannot be read: {error}")


def _check_known(
    extender: Extender, state: ClusterState, left: Mapping[str, Victims], asked: Mapping[str, Victims]
) -> None:
    """An extender may name others than it was asked about, but no pods that are not on that node. Raises
    ExtenderFailed."""
    for name, victims in left.items():
        node, shown = state.nodes.get(name), asked.get(name)
        if node is None and shown is None:
            raise ExtenderFailed(f'nodeinfo not found for node name "{name}"')
        known = {placed.uid for placed in node.pods.values()} if node is not None else set()
        for uid in victims.uids:
            if uid not in known and (shown is None or uid not in shown.uids):
                where = f"on node: {name}, but the pod is not found on that node"
                raise ExtenderFailed(f"extender: {extender.url_prefix} claims to preempt pod (UID: {uid}) {where}")


def _still_possible(state: ClusterState, victims: Mapping[str, Victims]) -> Iterator[Candidate]:
    """Where all of them are still to be ended; elsewhere there will be news that decides."""
    for name, each in victims.items():
        node = state.nodes.get(name)
        here = {placed.uid: (key, placed) for key, placed in node.pods.items()} if node is not None else {}
        if node is not None and all(uid in here for uid in each.uids):
            yield candidate(node, [here[uid] for uid in each.uids], each.violations, state.rank.at[node.row])


def _without_room(found: Unschedulable, why: str) -> Unschedulable:
    found.nomination = None
    found.message = f"{found.message} preemption: {why}"
    return found
