"""One container of a pod: what should be done about it next, from what the runtime said and what was tried before.

The pod worker decides *whether* a container should run; this decides *how* it gets there: pull, create, start, hooks,
probes, restart with back-off; and how it ends: preStop hook, TERM, KILL. At most one action that changes the container
is under way at a time; its outcome comes back through `done`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from actors.kubelet.actions import (
    Action,
    Create,
    Failed,
    Ok,
    Outcome,
    Probe,
    Pull,
    Remove,
    RunHook,
    Start,
    Stop,
    Tell,
    Update,
)
from actors.kubelet.backoff import Backoff, Retry
from actors.kubelet.container_config import linux_resources
from actors.kubelet.facts import PodFacts
from actors.kubelet.probes import Probes, is_supported
from actors.kubelet.resize import Resources, needs_restart
from actors.kubelet.slots import Slots
from protocols.cri import ContainerStatus, PodSandboxStatus

Kind = Literal["main", "init", "sidecar", "ephemeral"]
AFTER_HOOK_S = 2.0  # what a container always gets after its preStop hook (minimumGracePeriodInSeconds)
_PROBE_KEYS = ("startupProbe", "livenessProbe", "readinessProbe")


@dataclass(slots=True)
class Waiting:
    reason: str
    message: str = ""


@dataclass(slots=True)
class Stopping:
    """How an instance is being ended: by when, and how far that has got."""

    id: str
    deadline: float
    hook: dict[str, Any] | None
    hook_done: bool = False
    asked_for: float = math.inf  # the deadline of the last Stop


@dataclass(slots=True)
class ContainerWorker:
    spec: dict[str, Any]
    kind: Kind
    pod_policy: str
    facts: PodFacts
    slots: Slots
    grace_s: float = 30.0
    base_attempt: int = -1  # the last attempt that the API remembers, for when the runtime has forgotten it
    waiting: Waiting | None = None
    image_ref: str = ""
    crash: Backoff = field(default_factory=Backoff)
    pulls: Retry = field(default_factory=lambda: Retry(Backoff()))
    creates: Retry = field(default_factory=lambda: Retry(Backoff(1, 60)))
    probes: Probes | None = None
    stopping: Stopping | None = None
    told_backoff: str = ""
    resizing: bool = False  # what it was given is not in force yet
    before: Resources = field(default_factory=dict)  # what is in force until then
    updates: Retry = field(default_factory=lambda: Retry(Backoff(1, 60)))
    update_error: str = ""
    _ended: tuple[str, float] = ("", 0.0)
    _ended_at_start: str = ""  # the instance that could not be started and is going to be reported as ended
    _replaced: str = ""  # the instance that was stopped for one with other amounts, or of another image

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def newest(self) -> ContainerStatus | None:
        return self.facts.newest(self.name)

    @property
    def attempt(self) -> int:
        """The last one, -1 when there was none."""
        newest = self.newest
        return max(newest.metadata.attempt if newest else -1, self.base_attempt)

    @property
    def began(self) -> bool:
        """Some instance of it has been started."""
        newest = self.newest
        return self.attempt > 0 or ((newest is None or newest.state != "CONTAINER_CREATED") and self.attempt == 0)

    @property
    def started(self) -> bool:
        """Running, and its startup probe (if it has one) has succeeded."""
        return (probes := self._current_probes()) is not None and probes.started

    @property
    def ready(self) -> bool:
        return (probes := self._current_probes()) is not None and probes.ready

    def _current_probes(self) -> Probes | None:
        """The probes of the newest instance while it runs."""
        newest = self.newest
        if newest is None or newest.state != "CONTAINER_RUNNING" or self.probes is None:
            return None
        return self.probes if self.probes.id == newest.id else None

    def spec_changed(self, spec: dict[str, Any]) -> None:
        """Of a container that exists only the image may change; a running instance is replaced then."""
        if spec.get("image") != self.spec.get("image"):
            self.image_ref = ""
            self.pulls.succeeded()
        self.spec = spec

    # -- what it may use ------------------------------------------------------------------------------------------

    @property
    def resources(self) -> Resources:
        """What it was given."""
        return self.spec.get("resources") or {}

    @property
    def in_force(self) -> Resources:
        return self.before if self.resizing else self.resources

    def give(self, resources: Resources) -> None:
        """From now on it has these; if not at once, then soon."""
        self.before, self.resizing = self.in_force, True
        self.spec = {**self.spec, "resources": resources}
        self.updates.succeeded()
        self.update_error = ""

    def look_at_resize(self) -> None:
        """What has no process has what it was given from its start."""
        newest, wanted = self.newest, linux_resources(self.resources)
        if newest is not None and newest.state == "CONTAINER_RUNNING":
            self.resizing = newest.resources != wanted
        else:
            has_other = newest is not None and newest.state == "CONTAINER_CREATED" and newest.resources != wanted
            self.resizing = has_other or self.name in self.slots

    def _resize(self, running: ContainerStatus, now: float) -> None:
        if needs_restart(self.spec, self.before, self.resources):
            self._replaced = running.id
            self.stop(now + self.grace_s, f"Container {self.name} resize requires restart", now)
        elif now < self.updates.due_at:
            self.slots.wake(self.updates.due_at)
        else:
            update = Update(self.name, running.id, linux_resources(self.resources))
            self.slots.emit(f"{self.name}/update", update)

    def _updated(self, outcome: Outcome, now: float) -> None:
        if isinstance(outcome, Ok):
            self.updates.succeeded()
            self.update_error = ""
        elif isinstance(outcome, Failed):
            self.updates.failed(now)
            self.update_error = outcome.message

    def will_restart(self, exit_code: int) -> bool:
        if (newest := self.newest) is not None and newest.id == self._replaced:
            return True
        if self.kind in ("sidecar", "ephemeral"):
            return self.kind == "sidecar"
        if self.pod_policy == "Always":
            return self.kind == "main" or exit_code != 0
        return self.pod_policy == "OnFailure" and exit_code != 0

    # -- towards running ------------------------------------------------------------------------------------------

    def keep_running(self, sandbox: PodSandboxStatus, now: float) -> None:
        newest = self.newest
        if newest is None:
            if self.kind != "ephemeral" or self.attempt < 0:  # one that the runtime has forgotten has had its run
                self._begin(sandbox, None, now)
        elif newest.state == "CONTAINER_RUNNING":
            self._tend(newest, now)
        elif newest.state == "CONTAINER_CREATED":
            self._start(newest, sandbox)
        elif (self.kind == "init" and newest.pod_sandbox_id != sandbox.id) or self.will_restart(newest.exit_code):
            self._begin(sandbox, newest, now)

    def _begin(self, sandbox: PodSandboxStatus, ended: ContainerStatus | None, now: float) -> None:
        """A new instance: when the back-off is over, pull what is not pulled, then create."""
        if self.name in self.slots:  # it is being pulled or created: the back-off is over
            return
        if ended is not None and self._backs_off(ended, now):
            return
        retry = self.creates if self.image_ref else self.pulls
        if now < retry.due_at:
            self.slots.wake(retry.due_at)
        elif not self.image_ref:
            self.slots.emit(self.name, Pull(self.name))
        else:
            created = self.slots.emit(self.name, Create(self.name, self.attempt + 1, sandbox))
            if created and ended is not None and ended.id != self._replaced:
                self.crash.tried(self._failed_at(ended, now), now)

    def _backs_off(self, ended: ContainerStatus, now: float) -> bool:
        until = self.crash.until(self._failed_at(ended, now))
        if now >= until or ended.id == self._replaced:
            return False
        text = f"back-off {_duration(self.crash.delay_s)} restarting failed container={self.name}"
        self.waiting = Waiting("CrashLoopBackOff", text)
        if self.told_backoff != ended.id:
            self.told_backoff = ended.id
            text = f"Back-off restarting failed container {self.name}"
            self.slots.tell(Tell("Warning", "BackOff", text, self.name, names_pod=True))
        self.slots.wake(until)
        return True

    def _failed_at(self, ended: ContainerStatus, now: float) -> float:
        """When it ended, by this clock: the runtime's may differ, and back-off must not depend on that."""
        if self._ended[0] != ended.id:
            self._ended = (ended.id, min(ended.finished_at or now, now))
        return self._ended[1]

    def _start(self, created: ContainerStatus, sandbox: PodSandboxStatus) -> None:
        outdated = self.resizing and created.resources != linux_resources(self.resources)
        if outdated or created.image != self._image() or created.pod_sandbox_id != sandbox.id:
            self.slots.emit(self.name, Remove(created.id))
        elif created.id != self._ended_at_start:
            self.slots.emit(self.name, Start(self.name, created.id))

    def _tend(self, running: ContainerStatus, now: float) -> None:
        """A running instance: is it healthy, and still what the pod asks for?"""
        if self.probes is None or self.probes.id != running.id:
            self.probes = Probes(self.spec, running.id, min(running.started_at, now))
            self._tell_unsupported_probes()
        if self.stopping is not None and self.stopping.id == running.id:
            self.stop(self.stopping.deadline, "", now)
        elif running.image != self._image():
            self._replaced = running.id
            self.stop(now + self.grace_s, f"Container {self.name} definition changed, will be restarted", now)
        elif (failed := self.probes.failed) is not None:
            grace_s = float(failed.probe.get("terminationGracePeriodSeconds") or self.grace_s)
            self.stop(now + grace_s, f"Container {self.name} failed {failed.kind} probe, will be restarted", now)
        else:
            if self.resizing:
                self._resize(running, now)
            self._probe(self.probes, now)

    def _probe(self, probes: Probes, now: float) -> None:
        for state in probes.due(now):
            state.in_flight = self.slots.emit(
                f"{self.name}/{state.kind}/{probes.id}", Probe(self.name, probes.id, state.kind, dict(state.probe))
            )
        self.slots.wake(probes.next_at)

    def _tell_unsupported_probes(self) -> None:
        for key in _PROBE_KEYS:
            if self.spec.get(key) and not is_supported(self.spec[key]):
                text = f"{key} of container {self.name} is not carried out: only exec, httpGet and tcpSocket are"
                self.slots.tell(Tell("Warning", "Unhealthy", text, self.name))

    # -- towards the end ------------------------------------------------------------------------------------------

    def stop(self, deadline: float, why: str, now: float) -> None:
        """End the running instance by `deadline`; calling it again can only make that earlier."""
        newest = self.newest
        if newest is None or newest.state != "CONTAINER_RUNNING":
            return
        stopping = self._stopping(newest.id, deadline, why)
        stopping.deadline = min(stopping.deadline, deadline)
        left_s = stopping.deadline - now
        if stopping.hook is not None and not stopping.hook_done and left_s > 0:
            self.slots.emit(
                f"{self.name}/preStop/{newest.id}", RunHook(self.name, newest.id, "preStop", stopping.hook, left_s)
            )
            self.slots.wake(stopping.deadline)
        elif stopping.asked_for > stopping.deadline:
            stopping.asked_for = stopping.deadline
            least_s = AFTER_HOOK_S if stopping.hook_done else 0.0
            self.slots.emit(
                f"{self.name}/stop/{stopping.deadline}/{newest.id}", Stop(self.name, newest.id, max(left_s, least_s))
            )

    def _stopping(self, id: str, deadline: float, why: str) -> Stopping:
        if self.stopping is None or self.stopping.id != id:
            hook = (self.spec.get("lifecycle") or {}).get("preStop")
            self.stopping = Stopping(id, deadline, hook)
            self.slots.tell(Tell("Normal", "Killing", why or f"Stopping container {self.name}", self.name))
        return self.stopping

    # -- outcomes -------------------------------------------------------------------------------------------------

    def done(self, action: Action, outcome: Outcome, asked_at: float, now: float) -> None:
        match action:
            case Pull():
                self._pulled(outcome, now)
            case Create():
                self._created(outcome, now)
            case Start(id=id):
                self._start_done(id, outcome)
            case Update():
                self._updated(outcome, now)
            case RunHook(kind="preStop"):
                self._pre_stop_done(outcome)
            case RunHook() if isinstance(outcome, Failed):
                self.slots.tell(Tell("Warning", "FailedPostStartHook", outcome.message, self.name))
                self.stop(now + self.grace_s, f"Container {self.name} failed its postStart hook", now)
            case Probe(id=id, kind=kind):
                if self.probes is not None and self.probes.id == id:
                    if told := self.probes.judge(kind, outcome, asked_at, now):
                        self.slots.tell(Tell("Warning", "Unhealthy", told, self.name))
            case Stop():
                if self.stopping is not None and not isinstance(outcome, Ok):
                    self.stopping.asked_for = math.inf

    def _pulled(self, outcome: Outcome, now: float) -> None:
        if isinstance(outcome, Ok):
            self.image_ref = outcome.text
            text = f'Container image "{self._image()}" already present on machine'
            self.slots.tell(Tell("Normal", "Pulled", text, self.name))
            self.waiting = None
            self.pulls.succeeded()
        elif isinstance(outcome, Failed):
            text = f'Failed to pull image "{self._image()}": {outcome.message}'
            self.slots.tell(Tell("Warning", "Failed", text, self.name))
            self.pulls.failed(now)
            self.waiting = Waiting(outcome.reason, outcome.message)
            if self.pulls.failures > 1:
                text = f'Back-off pulling image "{self._image()}": {outcome.reason}: {outcome.message}'
                self.waiting = Waiting("ImagePullBackOff", text)

    def _created(self, outcome: Outcome, now: float) -> None:
        if isinstance(outcome, Ok):
            self.slots.tell(Tell("Normal", "Created", f"Created container: {self.name}", self.name))
            self.waiting = None
            self.creates.succeeded()
        elif isinstance(outcome, Failed):
            self.slots.tell(Tell("Warning", "Failed", f"Error: {outcome.message}", self.name))
            self.creates.failed(now)
            self.waiting = Waiting(outcome.reason, outcome.message)

    def _start_done(self, id: str, outcome: Outcome) -> None:
        if isinstance(outcome, Ok):
            self.slots.tell(Tell("Normal", "Started", f"Started container {self.name}", self.name))
            self.waiting = None
            if hook := (self.spec.get("lifecycle") or {}).get("postStart"):
                self.slots.emit(f"{self.name}/postStart/{id}", RunHook(self.name, id, "postStart", hook, 3600.0))
        elif isinstance(outcome, Failed):
            self.slots.tell(Tell("Warning", "Failed", f"Error: {outcome.message}", self.name))
            self.waiting = Waiting(outcome.reason, outcome.message)
            self._ended_at_start = id

    def _pre_stop_done(self, outcome: Outcome) -> None:
        if isinstance(outcome, Failed):
            self.slots.tell(Tell("Warning", "FailedPreStopHook", outcome.message, self.name))
        if self.stopping is not None:
            self.stopping.hook_done = True

    def _image(self) -> str:
        return str(self.spec.get("image") or "")


def _duration(seconds: float) -> str:
    """As Go prints it: 10s, 1m20s, 5m0s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
