"""Writes pods' statuses: always the newest one that is wanted, one write at a time for each pod, until it is written.

A write carries the revision that it is based on, so it never overwrites what it has not seen; on a conflict the pod is
read again, its worker makes a new status from that, and this one is written instead.
"""

from __future__ import annotations

import asyncio

from actorkube.kube import Client, View
from actorkube.runtime import Context
from actors.kubelet.status import is_urgent
from protocols.errors import Answer, AskError, Conflict, NotFound
from protocols.objects import Object, revision_of, split_key, uid_of

_COALESCE_S = 0.05  # what is not urgent waits this long, in case there is soon something better to say
_PAUSE_FIRST_S = 0.1
_PAUSE_MAX_S = 5.0


class StatusWriter:
    def __init__(self, ctx: Context, client: Client, pods: View) -> None:
        self._ctx = ctx
        self._client = client
        self._pods = pods
        self._wanted: dict[str, tuple[str, Object]] = {}  # uid -> key, status
        self._written: dict[str, tuple[int, Object]] = {}  # uid -> revision of our last write, the status written
        self._urgent: dict[str, asyncio.Event] = {}  # of the pods being written

    def want(self, key: str, pod: Object, status: Object) -> None:
        """The pod's status shall be this."""
        uid = uid_of(pod)
        if status == (pod.get("status") or {}) or self._written.get(uid) == (revision_of(pod), status):
            self._wanted.pop(uid, None)
            return
        self._wanted[uid] = (key, status)
        urgent = self._urgent.get(uid)
        if urgent is None:
            urgent = self._urgent[uid] = asyncio.Event()
            self._ctx.background(self._write_until_done(uid, urgent), f"status of {key}")
        if is_urgent(status):
            urgent.set()

    def forget(self, uid: str) -> None:
        """Nothing shall be written about it any more."""
        self._wanted.pop(uid, None)
        self._written.pop(uid, None)

    async def _write_until_done(self, uid: str, urgent: asyncio.Event) -> None:
        pause_s = _PAUSE_FIRST_S
        while uid in self._wanted:
            try:
                async with asyncio.timeout(_COALESCE_S):
                    await urgent.wait()
            except TimeoutError:
                pass
            urgent.clear()
            if await self._write(uid):
                pause_s = _PAUSE_FIRST_S
            else:
                await self._ctx.sleep(pause_s)
                pause_s = min(2 * pause_s, _PAUSE_MAX_S)
        del self._urgent[uid]

    async def _write(self, uid: str) -> bool:
        """Write what is wanted now. False: try again after a pause."""
        if uid not in self._wanted:
            return True
        key, status = self._wanted[uid]
        pod = self._pods.get(key)
        if pod is None or uid_of(pod) != uid:
            self.forget(uid)
            return True
        try:
            stored = await self._client.update_stored("pods", {**pod, "status": status}, "status")
        except Conflict:
            return await self._read(uid, key)
        except NotFound:
            self.forget(uid)
        except (Answer, AskError) as error:
            self._ctx.log.warning("status not written", pod=key, error=repr(error))
            return False
        else:
            self._written[uid] = (stored.revision, status)
            if self._wanted.get(uid) == (key, status):
                del self._wanted[uid]
            self._pods.wrote(stored, self._ctx.now)
        return True

    async def _read(self, uid: str, key: str) -> bool:
        """Learn what the API has; the view tells the worker, whose new status comes back through `want`."""
        namespace, name = split_key(key)
        try:
            stored = await self._client.get_stored("pods", name, namespace)
        except NotFound:
            self.forget(uid)
        except (Answer, AskError):
            return False
        else:
            before = self._pods.entry(key)
            self._pods.wrote(stored, self._ctx.now)
            return self._pods.entry(key) is not before
        return True
