"""The binding cycle: PreBind and Bind of one pod, in the background, and what came of it.

Whether a binding whose answer is lost has happened is found out by looking, for as long as that takes: until then the
pod stays assumed on its node, so that nobody is given its room.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from actorkube.kube.client import Client
from actorkube.kube.view import Entry, View
from actorkube.runtime import Context
from actorkube.runtime.probe import probe
from actors.scheduler.counts import Counts, clock
from actors.scheduler.framework import Attempt, Profile, Skip
from actors.scheduler.plugin_failure import PluginFailed
from actors.scheduler.queue import QueuedPod, SchedulingQueue
from actors.scheduler.waiting_pods import Refused
from protocols.errors import Answer, AskError, NotFound, Unknown
from protocols.objects import Object, split_key, uid_of
from protocols.rules.pods import node_of

if TYPE_CHECKING:
    from actors.scheduler.extended import Extended

_LOOK_PAUSE_S = 0.2
K = TypeVar("K")


class Bound(NamedTuple):
    """The pod has the node."""


class Gone(NamedTuple):
    """There is nothing left to bind: the pod is gone, or somebody else has placed it."""


class Failed(NamedTuple):
    """It is to be tried again later."""

    message: str


Outcome = Bound | Gone | Refused | Failed


class AttemptOver(Exception):
    """The pod is gone, or was placed by somebody else, while its attempt waited for something."""


class Changes:
    """Who waits for news of an object: `tell` wakes them, `lose` ends the waits of a pod's attempt."""

    def __init__(self) -> None:
        self._about: dict[tuple[str, str], dict[asyncio.Future[None], None]] = {}
        self._of_pod: dict[str, dict[asyncio.Future[None], None]] = {}

    @property
    def is_empty(self) -> bool:
        return not self._about and not self._of_pod

    def tell(self, resource: str, key: str, old: Entry | None, new: Entry | None) -> None:
        for future in self._about.get((resource, key), ()) if self._about else ():
            if not future.done():
                future.set_result(None)

    def lose(self, pod: str) -> None:
        for future in self._of_pod.get(pod, ()) if self._of_pod else ():
            if not future.done():
                future.set_exception(AttemptOver(pod))

    async def wait(self, pod: str, resource: str, key: str, timeout_s: float) -> bool:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        about, of_pod = self._about.setdefault((resource, key), {}), self._of_pod.setdefault(pod, {})
        about[future] = of_pod[future] = None
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError:
            return False
        finally:
            _drop(self._about, (resource, key), future)
            _drop(self._of_pod, pod, future)
        return True


def _drop(waits: dict[K, dict[asyncio.Future[None], None]], key: K, future: asyncio.Future[None]) -> None:
    del waits[key][future]
    if not waits[key]:
        del waits[key]


class Binding:
    """The `Handle` of one attempt. `rests(True)`: it waits for others and holds no place among those under way."""

    def __init__(self, cycle: BindingCycle, attempt: Attempt, queued: QueuedPod, rests: Callable[[bool], None]) -> None:
        self.client = cycle.client
        self._cycle = cycle
        self._attempt = attempt
        self._queued = queued
        self._rests = rests

    @property
    def now(self) -> float:
        return self._cycle.ctx.now

    async def pause(self, seconds: float) -> None:
        await self._cycle.ctx.sleep(seconds)

    async def changed(self, resource: str, key: str, timeout_s: float) -> bool:
        if not self._cycle.queue.is_current(self._queued):
            raise AttemptOver(self._attempt.pod.key)
        self._rests(True)
        try:
            return await self._cycle.changes.wait(self._attempt.pod.key, resource, key, timeout_s)
        finally:
            self._rests(False)


class BindingCycle:
    def __init__(self, ctx: Context, client: Client, pods: View, queue: SchedulingQueue, counts: Counts) -> None:
        self.ctx = ctx
        self.counts = counts
        self.client = client
        self.queue = queue
        self.changes = Changes()
        self.extended: Extended | None = None
        self._pods = pods

    async def run(
        self, profile: Profile, attempt: Attempt, queued: QueuedPod, rests: Callable[[bool], None]
    ) -> Outcome:
        handle = Binding(self, attempt, queued, rests)
        began = clock()
        refused = await self._pre_bind(profile, attempt, handle)
        if profile.pre_bind:
            self.counts.point("PreBind", _status(refused), profile.name, began)
        if refused is not None:
            return refused
        began = clock()
        outcome = await self._bind(profile, attempt, handle)
        self.counts.point("Bind", _status(outcome), profile.name, began)
        return outcome

    async def _pre_bind(self, profile: Profile, attempt: Attempt, handle: Binding) -> Outcome | None:
        for plugin in profile.pre_bind:
            try:
                refusal = await plugin.pre_bind(attempt, handle)
            except AttemptOver:
                return Gone()
            except Exception as error:  # a plugin may be anybody's code
                return Failed(self._blame(attempt, plugin.name, error))
            if refusal is not None:
                return Refused(plugin.name, refusal)
        return None

    async def _bind(self, profile: Profile, attempt: Attempt, handle: Binding) -> Outcome:
        if self.extended is not None and (told := await self.extended.bind(attempt.pod, attempt.node)) is not None:
            return await self._look(attempt, told.message) if isinstance(told, Failed) else told
        for plugin in profile.bind:
            try:
                answer = await plugin.bind(attempt, handle)
            except Unknown:
                probe("scheduler: the answer to a binding is lost")
                return await self._look(attempt, "the answer to its binding was lost")
            except (NotFound, AttemptOver):
                return Gone()
            except (Answer, AskError) as error:
                return Failed(f"binding rejected: {error}")
            except Exception as error:  # it may have bound the pod before
                return await self._look(attempt, self._blame(attempt, plugin.name, error))
            if not isinstance(answer, Skip):
                return Bound()
        return Failed("binding rejected: every Bind plugin has skipped the pod")

    async def _look(self, attempt: Attempt, doubt: str) -> Outcome:
        """The binding may or may not have happened: believe it until the API server tells."""
        namespace, name = split_key(attempt.pod.key)
        while True:
            try:
                stored = await self.client.get_stored("pods", name, namespace)
            except NotFound:
                return Gone()
            except (Answer, AskError):
                await self.ctx.sleep(_LOOK_PAUSE_S)
                continue
            self._pods.wrote(stored, self.ctx.now)
            if attempt.state.is_assumed(attempt.pod):
                return Failed(doubt)
            probe("scheduler: a binding in doubt had happened")
            return Bound() if _is_on(self._pods.get(attempt.pod.key), attempt) else Gone()

    def _blame(self, attempt: Attempt, plugin: str, error: Exception) -> str:
        self.ctx.log.error("a plugin failed", pod=attempt.pod.key, plugin=plugin, exc_info=error)
        return str(PluginFailed(plugin, error))


def _status(outcome: Outcome | None) -> str:
    """Of an extension point, as metrics say it."""
    if outcome is None or isinstance(outcome, Bound):
        return "Success"
    return "Unschedulable" if isinstance(outcome, Refused) else "Error"


def _is_on(pod: Object | None, attempt: Attempt) -> bool:
    return pod is not None and uid_of(pod) == attempt.pod.uid and node_of(pod) == attempt.node
