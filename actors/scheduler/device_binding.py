"""A claim gets its devices, and the pod its place among those who may use it, by a write that names the revision it was
decided on.

An answer that is lost leaves it open whether a claim has devices. Then the same is asked again, as often as it takes:
each revision is replaced once, so either the first write has happened, which the claim shows, or it cannot any more.
Until that is known the devices stay taken. What was answered is known at once, so a watch that tells it brings no news:
who waits for the claim is told when the attempt is over.
"""

from __future__ import annotations

from actorkube.kube.client import Client
from actorkube.runtime.probe import probe
from actors.scheduler.framework import Attempt, Handle
from protocols.errors import Answer, AskError, Conflict, StatusError
from protocols.objects import Object, split_key, uid_of
from protocols.rules.device_claims import (
    CLAIMS,
    allocation_of,
    is_protected,
    is_user,
    protected,
    users_of,
    with_user,
    with_users,
    without_devices,
)
from protocols.rules.owners import is_deleting

CONFLICTS_MAX = 5
_PAUSE_S = 0.2


class ClaimNotBound(Exception):
    """The pod is tried again, maybe elsewhere."""


async def bind_claim(key: str, allocation: Object | None, attempt: Attempt, handle: Handle) -> None:
    """`allocation`: what was decided; None: the claim has devices already. Raises ClaimNotBound, and refusals."""
    known = attempt.state.devices.get(key)
    if known is None:
        raise ClaimNotBound(f'resourceclaim "{split_key(key)[1]}" not found')
    if is_user(known.obj, attempt.pod.uid) and allocation is None:
        return
    claim, conflicts = known.obj, 0
    while True:
        try:
            claim = await _written(claim, allocation, attempt, handle)
        except Conflict:
            conflicts += 1
            if conflicts > CONFLICTS_MAX:
                raise
            claim = await _read(claim, handle)
        except (Answer, AskError) as error:
            if not _is_open(error):
                raise
            probe("scheduler: the answer to an allocation is lost")
            claim = await _read(claim, handle)
        else:
            attempt.state.devices.set(CLAIMS, key, claim)
            attempt.state.devices.release(key, attempt.pod.uid)
            return


async def _written(claim: Object, allocation: Object | None, attempt: Attempt, handle: Handle) -> Object:
    """The claim as it is then; also if it was so before."""
    name = f"{attempt.pod.shape.namespace}/{claim['metadata']['name']}"
    had = allocation_of(claim)
    if is_user(claim, attempt.pod.uid) and had is not None and (allocation is None or had == allocation):
        return claim
    if is_deleting(claim):
        raise ClaimNotBound(f"claim {name} got deleted in the meantime")
    if allocation is None and had is None:
        raise ClaimNotBound(f"claim {name} got deallocated elsewhere in the meantime")
    if allocation is not None:
        if had is not None:
            raise ClaimNotBound(f"claim {name} got allocated elsewhere in the meantime")
        if not is_protected(claim):
            claim = await handle.client.update(CLAIMS, protected(claim, True))
        claim = {**claim, "status": {**(claim.get("status") or {}), "allocation": allocation}}
    return await handle.client.update_status(CLAIMS, with_user(claim, attempt.pod.pod))


async def _read(claim: Object, handle: Handle) -> Object:
    """As it is now, for as long as that takes. Raises what the API server answers otherwise, ClaimNotBound too."""
    namespace, name = claim["metadata"]["namespace"], claim["metadata"]["name"]
    while True:
        try:
            found = await handle.client.get(CLAIMS, name, namespace)
        except (Answer, AskError) as error:
            if not _is_open(error):
                raise
            await handle.pause(_PAUSE_S)
            continue
        if uid_of(found) != uid_of(claim):
            raise ClaimNotBound(f"claim {namespace}/{name} got deleted in the meantime")
        return found


def _is_open(error: Exception) -> bool:
    """Whether it is not known what became of a request."""
    return not isinstance(error, StatusError) or error.code >= 500


async def free_devices(key: str, uid: str, client: Client) -> None:
    """A claim that nobody but the pod of that uid may use gives back its devices. If it cannot be written now: the pod
    is tried again, and says so again."""
    namespace, name = split_key(key)
    try:
        claim = await client.get(CLAIMS, name, namespace)
        if allocation_of(claim) is not None and all(user.get("uid") == uid for user in users_of(claim)):
            await client.update_status(CLAIMS, without_devices(with_users(claim, [])))
    except (Answer, AskError):
        return
