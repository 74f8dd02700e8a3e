"""The event recorder: tells users what happened to an object, without ever making a component wait.

`record` puts an event into a bounded buffer and returns; one background task writes. Events are a courtesy: what does
not fit, or cannot be written, is dropped and counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Literal

from actorkube.kube.client import Client
from actorkube.kube.correlate import Correlator, Recorded, Source
from actorkube.kube.series import Series
from actorkube.kube.writes import Event, reference_to
from actorkube.runtime import Context
from actorkube.runtime.tracing import Span, because
from protocols.errors import AlreadyExists, Answer, AskError, NotFound
from protocols.objects import Object
from protocols.trace import TraceContext

_WAITING_MAX = 1024


class Recorder:
    """`recorder.record(Event(...))`, or `recorder.event(pod, "v1", "Pod", "Normal", "Pulled", "...")`."""

    def __init__(
        self,
        ctx: Context,
        client: Client,
        component: str,
        host: str = "",
        *,
        correlator: Correlator | Series | None = None,
    ) -> None:
        """`correlator`: `Series()` where events.k8s.io/v1 is written, as kube-scheduler and kube-proxy do."""
        self.dropped = 0
        self._ctx = ctx
        self._client = client
        self._source = Source(component, host)
        self._correlator = correlator if correlator is not None else Correlator()
        self._ending: asyncio.Task[object] | None = None  # of series, while there are any
        self._waiting: deque[tuple[Recorded, Span | TraceContext | None]] = deque()
        self._wake = asyncio.Event()
        self._last_now = 0.0
        ctx.background(self._write_all(), f"events of {component}")

    def event(
        self,
        obj: Object,
        api_version: str,
        kind: str,
        type: Literal["Normal", "Warning"],
        reason: str,
        message: str,
        *,
        field_path: str = "",
        action: str = "",
        related: dict[str, Any] | None = None,
    ) -> None:
        about = reference_to(obj, api_version, kind, field_path)
        self.record(Event(about, type, reason, message, action, related))

    def record(self, event: Event, component: str = "") -> None:
        """Never waits, never raises. `component` names another source than the recorder's own."""
        if self.drops_one():  # looked at first: nothing is counted that was never written
            return
        source = Source(component, self._source.host) if component else self._source
        recorded = self._correlator.record(event, source, self._distinct_now())
        if recorded is None:
            self.dropped += isinstance(self._correlator, Correlator)  # what a series only counts is told later
            return
        self._want(recorded)
        if recorded.patch is not None and isinstance(self._correlator, Series) and self._ending is None:
            self._ending = self._ctx.background(self._tell_later(self._correlator), "series of events")

    def drops_one(self) -> bool:
        """Whether there is no room for another event, which is dropped then: it need not be made."""
        if len(self._waiting) < _WAITING_MAX:
            return False
        self.dropped += 1
        return True

    def _want(self, recorded: Recorded) -> None:
        self._waiting.append((recorded, self._ctx.cause))
        self._wake.set()

    async def _tell_later(self, series: Series) -> None:
        """Until there is no series any more."""
        while (due := series.next_due()) is not None:
            await self._ctx.sleep(max(0.0, due - self._ctx.now))
            for recorded in series.due(self._ctx.now):
                self._want(recorded)
        self._ending = None

    def _distinct_now(self) -> float:
        """Event names contain their time: two events of one moment (usual in a simulation) need two."""
        self._last_now = max(self._ctx.now, self._last_now + 1e-6)
        return self._last_now

    async def _write_all(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                recorded, cause = self._waiting.popleft()
                with because(cause):
                    await self._write(recorded)

    async def _write(self, recorded: Recorded) -> None:
        try:
            if recorded.patch is None:
                await self._client.create("events", recorded.obj)
                return
            try:
                await self._client.patch("events", recorded.name, recorded.patch, recorded.namespace)
            except NotFound:  # it was over the budget, or its time is over
                await self._client.create("events", recorded.obj)
        except AlreadyExists:
            return  # the answer to an earlier attempt was lost
        except (Answer, AskError) as error:
            self.dropped += 1
            self._ctx.log.debug("event dropped", dropped=recorded.name, reason=repr(error))
