"""The one shell that runs controllers: views from watches, keys from changes, passes from queues, writes from passes.

An actor runs one controller or several; those that share an actor share their views, and so their memory and their
decoding. A pass is synchronous and decides on the spot; only its writes take time, and at most `workers` keys of a
controller are being written for at once. Nothing is reconciled before the views of its controller are complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain

from actorkube.kube.carry import Carrier, Unfinished, is_ending_namespace, is_refusal
from actorkube.kube.client import Client
from actorkube.kube.controller import Concern, Controller, Failure, Views, Watches, view_for, views_for
from actorkube.kube.events import Recorder
from actorkube.kube.follow import follow
from actorkube.kube.queue import WorkQueue
from actorkube.kube.servers import API, ApiServers
from actorkube.kube.view import Entry, View
from actorkube.kube.writes import Event, Inquire, RequeueAfter, Rest, Write
from actorkube.runtime import Actor, Timer
from actorkube.runtime.tracing import Span
from protocols.controller import Activity, AskActivity, ControllerDue
from protocols.errors import Answer, AskError
from protocols.message import Message
from protocols.trace import TraceContext

_PASSES_PER_TURN = 16


class ControllerActor(Actor):
    """Runs controllers until it is stopped."""

    def __init__(self, controllers: Sequence[Controller], api: str | Sequence[str] = API) -> None:
        self._controllers = controllers
        self._api_addresses = api
        self._views = views_for(controllers)
        self._loops: list[Loop] = []
        self._grown: dict[str, asyncio.Task[object]] = {}  # feeds of what is watched because a view says so
        self._soon = False
        self._timer: Timer | None = None
        self._timer_at = 0.0

    async def on_start(self) -> None:
        ctx = self.ctx
        self._api = api = ApiServers.known(ctx, self._api_addresses)
        client = Client(ctx, api)
        recorder = Recorder(ctx, client, self._controllers[0].name)
        for controller in self._controllers:
            carrier = Carrier(ctx, client, self._views)
            self._loops.append(Loop(controller, self._views, carrier, recorder, self))
        for view in self._views.values():
            ctx.background(follow(ctx, api, view, self.wake), f"watch {view.resource}")
        grown = (loop.controller.grows.resources for loop in self._loops if loop.controller.grows)
        for resource in dict.fromkeys(chain.from_iterable(grown)):
            self._views[resource].on_change(lambda key, old, new: self._grow())

    def receive(self, message: Message) -> Message | None:
        match message:
            case ControllerDue():
                self._timer = None
                self.wake()
            case AskActivity(controller=name):
                return total([loop.activity() for loop in self._loops if name in ("", loop.controller.name)])
        return None

    def busy(self) -> str:
        reasons = [loop.busy() for loop in self._loops]
        return ", ".join(reason for reason in reasons if reason)

    def live_checks(self) -> Mapping[str, bool]:
        return {controller.name: True for controller in self._controllers}

    def ready_checks(self) -> Mapping[str, bool]:
        return {"informer-sync": all(loop.synced for loop in self._loops)}

    def exposition(self, page: str) -> Callable[[], bytes] | None:
        from actorkube.kube.exposition import Told, render  # only who is asked pays for prometheus-client

        told = [
            Told(loop.controller.name, loop.queue.ready, loop.queue.adds, loop.queue.retries) for loop in self._loops
        ]
        return partial(render, told) if not page else None

    def wake(self) -> None:
        """There may be something to do: look at the end of this loop turn."""
        if not self._soon:
            self._soon = True
            self.ctx.call_soon(self._turn)

    def _grow(self) -> None:
        """Watch what the controllers want to watch beside by now, and nothing else."""
        wanted: dict[str, list[tuple[Loop, Watches]]] = {}
        for loop in self._loops:
            for watches in loop.grown():
                wanted.setdefault(watches.resource, []).append((loop, watches))
        for resource in [resource for resource in self._grown if resource not in wanted]:
            self._grown.pop(resource).cancel()
            del self._views[resource]
            for loop in self._loops:
                loop.forget(resource)
            self.wake()  # who waited for it waits no more
        for resource, sharers in wanted.items():
            if resource not in self._views:
                self._watch_too(resource, sharers)

    def _watch_too(self, resource: str, sharers: list[tuple[Loop, Watches]]) -> None:
        ctx, view = self.ctx, view_for(resource, [watches for _, watches in sharers])
        self._views[resource] = view
        for loop, watches in sharers:
            loop.watch(view, watches)
        self._grown[resource] = ctx.background(follow(ctx, self._api, view, self.wake), f"watch {resource}")

    def _turn(self) -> None:
        self._soon = False
        busy = [loop.turn() for loop in self._loops]
        if any(busy):
            self.wake()
        else:
            self._set_timer()

    def _set_timer(self) -> None:
        due = min((at for loop in self._loops if (at := loop.next_due()) is not None), default=None)
        if due is None or (self._timer is not None and self._timer_at <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        self._timer = self.ctx.after(max(0.0, due - self.ctx.now), ControllerDue())


class Loop:
    """One controller at work in an actor."""

    def __init__(
        self,
        controller: Controller,
        views: dict[str, View],
        carrier: Carrier,
        recorder: Recorder,
        actor: ControllerActor,
    ) -> None:
        self.controller = controller
        self.queue = WorkQueue(spacing_s=controller.spacing_s)
        self._views = Views({watches.resource: views[watches.resource] for watches in controller.watches})
        self._carrier = carrier
        self._recorder = recorder
        self._actor = actor
        self._failures: dict[str, Failure] = {}
        self._answers: dict[str, Message | Answer | AskError] = {}  # to keys that are queued for them
        self._causes: dict[str, Span | TraceContext] = {}  # of the keys that wait: what made each wait, the last
        self._passes = 0
        self._synced = False
        for watches in controller.watches:
            self._subscribe(watches)

    def _subscribe(self, watches: Watches) -> None:
        concern = Concern(watches, self._views)

        def changed(key: str, old: Entry | None, new: Entry | None) -> None:
            concerned = concern.keys(old, new)
            if not concerned:
                return  # most changes concern few of the controllers that hear of them
            now, cause = self._actor.ctx.now, self._actor.ctx.cause
            for each in concerned:
                self.queue.add(each, now)
                if cause is not None:
                    self._causes[each] = cause
            self._actor.wake()

        self._views[watches.resource].on_change(changed, watches.when)

    def grown(self) -> Sequence[Watches]:
        grows = self.controller.grows
        return grows.watches(self._views) if grows is not None else ()

    def watch(self, view: View, watches: Watches) -> None:
        """One more view: nothing is reconciled before it is complete."""
        self._views.add(view)
        self._synced = False
        self._subscribe(watches)

    def forget(self, resource: str) -> None:
        self._views.remove(resource)

    @property
    def synced(self) -> bool:
        """Whether all has been seen once: then so it is until there is more to see."""
        self._synced = self._synced or all(view.synced or not view.awaited for view in self._views.values())
        return self._synced

    def next_due(self) -> float | None:
        """When a delayed key will be ready; None while nobody could take it: what changes that wakes the actor."""
        if self.queue.is_empty or not self.synced or self.queue.working >= self.controller.workers:
            return None
        return self.queue.next_due()

    def activity(self) -> Activity:
        queue = self.queue
        settled = self.synced and queue.settled
        return Activity(
            settled, queue.ready, queue.working, queue.delayed, self._passes, self._carrier.writes, len(self._failures)
        )

    def busy(self) -> str:
        """Keys that wait for a free worker or are being written for; those that are delayed wait for their time."""
        if not self.synced:
            return f"{self.controller.name} is not synced"
        counts = {"ready": self.queue.ready, "being worked on": self.queue.working}
        found = [f"{count} {what}" for what, count in counts.items() if count]
        return f"{self.controller.name} has keys: {' and '.join(found)}" if found else ""

    def turn(self) -> bool:
        """Some passes; True when more could be made at once."""
        if self.queue.is_empty or not self.synced:  # most have nothing to do where many share an actor
            return False
        for _ in range(_PASSES_PER_TURN):
            if self.queue.working >= self.controller.workers:
                return False
            key = self.queue.get(self._actor.ctx.now)
            if key is None:
                return False
            self._pass(key)
        return self.queue.ready > 0

    def _pass(self, key: str) -> None:
        with self._actor.ctx.span(f"{self.controller.name} {key}", self._causes.pop(key, None)):
            self._reconcile(key)

    def _reconcile(self, key: str) -> None:
        now = self._actor.ctx.now
        self._views.failure = self._failures.get(key)
        self._views.answer = self._answers.pop(key, None)
        writes = self.controller.reconcile(key, self._views, now)
        self._passes += 1
        self._schedule(key, writes, now)
        writes = [write for write in writes if not isinstance(write, RequeueAfter | Rest)]
        if all(isinstance(write, Event) for write in writes):
            for write in writes:
                self._record(write)
            self._succeeded(key)
            self.queue.done(key, now)
        else:
            self._actor.ctx.background(self._write(key, writes), f"{self.controller.name} {key}")

    def _schedule(self, key: str, writes: Sequence[Write], now: float) -> None:
        for write in writes:
            match write:
                case RequeueAfter(seconds):
                    self._will_act_for(key, self._actor.ctx.timer_cause)
                    self.queue.add_after(key, seconds, now)
                case Rest(seconds):
                    self.queue.rest(key, seconds, now)

    async def _write(self, key: str, writes: Sequence[Write]) -> None:
        try:
            failure = await self._carrier.carry_out(
                [write for write in writes if not isinstance(write, Inquire)], self._record
            )
        except Unfinished as doubt:
            self._actor.ctx.log.debug("look again", controller=self.controller.name, key=key, reason=str(doubt))
            self.queue.retry(key, self._actor.ctx.now)
            self._will_act_for(key, self._actor.ctx.cause)
        else:
            self._note(key, failure)
            if failure is None:
                await self._inquire(key, writes)
        self.queue.done(key, self._actor.ctx.now)
        self._actor.wake()

    async def _inquire(self, key: str, writes: Sequence[Write]) -> None:
        for write in writes:
            if isinstance(write, Inquire):
                self._answers[key] = await self._carrier.inquire(write)
                self._will_act_for(key, self._actor.ctx.cause)
                self.queue.add(key, self._actor.ctx.now)

    def _note(self, key: str, failure: Failure | None) -> None:
        if failure is None or is_ending_namespace(failure.error):
            self._succeeded(key)
            return
        if is_refusal(failure.error):
            self._failures[key] = failure
        delay_s = self.queue.retry(key, self._actor.ctx.now)
        self._will_act_for(key, self._actor.ctx.cause)
        self._actor.ctx.log.debug(
            "write refused",
            controller=self.controller.name,
            key=key,
            reason=f"{type(failure.error).__name__}: {failure.error}",
            retry_in_s=delay_s,
        )

    def _will_act_for(self, key: str, cause: Span | TraceContext | None) -> None:
        """The next pass over the key, unless something else asks for it first."""
        if cause is not None:
            self._causes.setdefault(key, cause)

    def _succeeded(self, key: str) -> None:
        self.queue.forget(key)
        self._failures.pop(key, None)

    def _record(self, event: Write) -> None:
        assert isinstance(event, Event)
        self._recorder.record(event, self.controller.told_by or self.controller.name)


def total(activities: Sequence[Activity]) -> Activity:
    """What several controllers do together; settled when all are."""
    columns = list(
        zip(*((a.queued, a.working, a.delayed, a.passes, a.writes, a.retries) for a in activities), strict=True)
    )
    return Activity(all(activity.settled for activity in activities), *(sum(column) for column in columns))
