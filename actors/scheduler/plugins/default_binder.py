"""DefaultBinder: the binding subresource of the pod, which takes one binding and refuses a second."""

from __future__ import annotations

from actors.scheduler.framework import Attempt, Bind, Handle
from protocols.objects import split_key


class DefaultBinder(Bind):
    name = "DefaultBinder"

    async def bind(self, attempt: Attempt, handle: Handle) -> None:
        namespace, name = split_key(attempt.pod.key)
        await handle.client.bind(namespace, name, attempt.node, uid=attempt.pod.uid)
