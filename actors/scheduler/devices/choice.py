"""Which devices the claims of a pod would get on a node, and on which nodes they would get some."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

from actors.scheduler.devices.allocator import CannotAllocate, allocate
from actors.scheduler.devices.answers import AnswersToForm, Found, Kept
from actors.scheduler.devices.looks import Names, looked_at

if TYPE_CHECKING:
    from actors.scheduler.cluster_state import ClusterState
    from actors.scheduler.device_claims import DeviceClaim


def choose(claims: Sequence[DeviceClaim], state: ClusterState, node: str) -> Found:
    """Picks for each claim; what is wrong; None where there are not enough devices."""
    return _chosen(_answers_to(claims, state), claims, state, node)


def choose_anywhere(claims: Sequence[DeviceClaim], state: ClusterState) -> AnswersToForm:
    """What `choose` says of every node, as numbers."""
    answers = _answers_to(claims, state)
    devices, names = state.devices, state.names
    devices.kinds.refresh(state, answers.names)
    answers.refresh(devices.kinds, devices.pools.far_version, lambda row: _chosen(answers, claims, state, names[row]))
    return answers


def _answers_to(claims: Sequence[DeviceClaim], state: ClusterState) -> AnswersToForm:
    answers, form = state.devices.answers, tuple(claim.form for claim in claims)
    found = answers.get(form)
    return found if found is not None else answers.begin(form, _looked_at(claims, state))


def _looked_at(claims: Sequence[DeviceClaim], state: ClusterState) -> Names:
    asked = [claim.asked for claim in claims]
    every = [wanted for each in asked for request in each.requests for wanted in request.alternatives]
    classes = filter(None, (state.devices.class_of(wanted.class_name) for wanted in every))
    selectors = [each.selectors for each in classes] + [wanted.selectors for wanted in every]
    return looked_at(
        chain.from_iterable(selectors), (constraint.attribute for each in asked for constraint in each.constraints)
    )


def _chosen(answers: AnswersToForm, claims: Sequence[DeviceClaim], state: ClusterState, node: str) -> Found:
    if node not in state.nodes:
        return None
    kept = answers.of_node
    if len(kept) > 2 * len(state.nodes) + 64:
        kept.clear()  # mostly of nodes that are gone
    stamp = state.devices.pools.stamp(node, state.objects.version)
    known = kept.get(node)
    if known is None or known.stamp != stamp:
        known = kept[node] = Kept(stamp, _search(claims, state, node))
    return known.found


def _search(claims: Sequence[DeviceClaim], state: ClusterState, node: str) -> Found:
    devices, known = state.devices, state.nodes[node].node
    assert known is not None
    pools = devices.pools.reached_from(known)
    try:
        found = allocate([claim.asked for claim in claims], pools, devices.class_of, devices.holdings)
    except CannotAllocate as error:
        return error
    return tuple(found) if found is not None else None
