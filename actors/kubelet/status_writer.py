"""Writes pods' statuses: always the newest one, one write at a time for each pod, until it is written.

A status is made when it is written, so that what changes while it waits costs nothing. A write carries the revision
that it is based on, so it never overwrites what it has not seen; on a conflict the pod is read again, and the status
that is made from that is written instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from actorkube.kube import Client, View
from actorkube.runtime import Context
from actorkube.runtime.tracing import Span
from actors.kubelet.status import is_urgent
from protocols.errors import Answer, AskError, Conflict, NotFound
from protocols.objects import Object, revision_of, split_key, uid_of
from protocols.trace import TraceContext

_COALESCE_S = 0.05  # what is not urgent waits this long, in case there is soon something better to say
_SPACING_S = 0.5  # and until the write before it is this long ago
_PAUSE_FIRST_S = 0.1
_PAUSE_MAX_S = 5.0

Make = Callable[[str], tuple[Object, Object] | None]


class Written(NamedTuple):
    """Our last write of a pod's status."""

    revision: int
    status: Object
    at: float


class StatusWriter:
    """`make(uid)`: the pod as it is known, and the status that it shall have; None: nothing is to be said of it now."""

    def __init__(self, ctx: Context, client: Client, pods: View, make: Make) -> None:
        self._ctx = ctx
        self._client = client
        self._pods = pods
        self._make = make
        self._wanted: dict[str, str] = {}  # uid -> key
        self._written: dict[str, Written] = {}
        self._urgent: dict[str, asyncio.Event] = {}  # of the pods being written
        self._causes: dict[str, Span | TraceContext | None] = {}  # of what is wanted, by uid

    def waits(self, uid: str) -> bool:
        """Whether its status will be made and written soon anyway: only one that is urgent is news."""
        return uid in self._wanted and not self._urgent[uid].is_set()

    def want(self, key: str, pod: Object, status: Object) -> None:
        """The pod's status shall be this."""
        uid = uid_of(pod)
        if self._is_said(pod, status):
            self._wanted.pop(uid, None)
            self._causes.pop(uid, None)
            return
        self._wanted[uid] = key
        self._causes[uid] = self._ctx.cause
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
        self._causes.pop(uid, None)

    def _is_said(self, pod: Object, status: Object) -> bool:
        if status == (pod.get("status") or {}):
            return True
        written = self._written.get(uid_of(pod))
        return written is not None and (written.revision, written.status) == (revision_of(pod), status)

    async def _write_until_done(self, uid: str, urgent: asyncio.Event) -> None:
        pause_s = _PAUSE_FIRST_S
        while uid in self._wanted:
            try:
                async with asyncio.timeout(self._patience_s(uid)):
                    await urgent.wait()
            except TimeoutError:
                pass
            urgent.clear()
            with self._ctx.span(f"status of {self._wanted.get(uid)}", self._causes.pop(uid, None)):
                is_done = await self._write(uid)
            if is_done:
                pause_s = _PAUSE_FIRST_S
            else:
                await self._ctx.sleep(pause_s)
                pause_s = min(2 * pause_s, _PAUSE_MAX_S)
        del self._urgent[uid]

    def _patience_s(self, uid: str) -> float:
        written = self._written.get(uid)
        return max(_COALESCE_S, written.at + _SPACING_S - self._ctx.now if written is not None else 0.0)

    async def _write(self, uid: str) -> bool:
        """Write what there is to say now. False: try again after a pause."""
        key = self._wanted.pop(uid, None)
        made = self._make(uid)
        if key is None or made is None or self._is_said(*made):
            return True
        pod, status = made
        try:
            stored = await self._client.update_stored("pods", {**pod, "status": status}, "status")
        except Conflict:
            done = await self._read(uid, key)
        except NotFound:
            self.forget(uid)
            return True
        except (Answer, AskError) as error:
            self._ctx.log.warning("status not written", pod=key, error=repr(error))
            done = False
        else:
            self._written[uid] = Written(stored.revision, status, self._ctx.now)
            self._pods.wrote(stored, self._ctx.now)
            return True
        if not done:
            self._wanted.setdefault(uid, key)
        return done

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
