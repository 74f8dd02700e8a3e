"""A pod on this node, as a machine: what the API asks for, what the runtime says and the time go in, actions come out.

`step` looks at what is and says what to do; every action comes back through `done` with its outcome. Nothing is done
while the machine is uncertain, that is before the runtime has been listed and after an answer was lost. So a kubelet
that starts again finds its pods as they are and lets them run.

    goal run      volumes and sandbox -> init containers in order -> the others, each kept running as its policy says
    goal stop     preStop hooks, TERM, KILL: first the others, then sidecars from last to first -> sandbox stopped
    then          being deleted: the object leaves the API -> containers, logs and volumes are removed
                  otherwise (it completed, failed, was refused): they stay for `kubectl logs` until it is deleted
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from actors.kubelet.actions import (
    Action,
    Create,
    DeletePod,
    Failed,
    Gone,
    Lost,
    Ok,
    Outcome,
    Probe,
    PublishVolumes,
    Remove,
    RemoveSandbox,
    RunHook,
    RunSandbox,
    Start,
    Stop,
    StopSandbox,
    Tell,
    Update,
)
from actors.kubelet.container_worker import ContainerWorker, Kind
from actors.kubelet.facts import PodFacts
from actors.kubelet.groundwork import Groundwork
from actors.kubelet.resize import Pending, PodResize, Resources, given_before, message, pending_told, told, with_given
from actors.kubelet.slots import Slots
from protocols.cri import ContainerStatus, PodSandboxStatus
from protocols.objects import Object, meta, uid_of
from protocols.rules.owners import is_deleting
from protocols.rules.pods import is_terminated
from protocols.rules.resources import Amounts, pod_requests
from protocols.rules.times import seconds_of

DELETE_RETRY_S = 1.0
_RESIZABLE = ("main", "sidecar")  # those that go on running


class PodWorker:
    """`pod` is the newest object of the API; the worker never changes it."""

    def __init__(self, pod: Object, facts: PodFacts, now: float, refused: Failed | None = None) -> None:
        """`refused`: the node does not admit it; it fails without having run."""
        self.pod = pod
        self.facts = facts
        self.uid = uid_of(pod)
        self.refused = refused
        self.uncertain = True
        self.gone = False  # from the API
        self.terminal = is_terminated(pod)  # a pod that is over never runs again
        self.failure: Failed | None = None  # why it is over, where the containers do not say
        self.start_time = _start_time(pod, now)
        self.slots = Slots(now)
        self._groundwork = Groundwork(facts, self.slots)
        self._stop_since: float | None = None
        self._delete_asked = False
        self._delete_due_at = 0.0
        if refused is not None:
            self.slots.tell(Tell("Warning", refused.reason, refused.message))
        self.workers = {worker.name: worker for worker in self._make_workers()}
        self.mains = [worker for worker in self.workers.values() if worker.kind == "main"]
        self.inits = [worker for worker in self.workers.values() if worker.kind in ("init", "sidecar")]  # in order
        self.resize = PodResize.of(pod)
        # Whether any of its containers that go on running has some: pods of which none has cannot ask for any.
        self.has_amounts = any(worker.resources for worker in self._resizable())
        self.asks_for_other_amounts = self._begin_resizing()
        self._requests: Amounts | None = None

    # -- news -----------------------------------------------------------------------------------------------------

    def pod_changed(self, pod: Object) -> None:
        self.pod = pod
        self._requests = None
        self.terminal = self.terminal or is_terminated(pod)
        self.asks_for_other_amounts = False
        for spec, kind in _container_specs(pod):
            if (worker := self.workers.get(spec["name"])) is None:
                if kind == "ephemeral":
                    self.workers[spec["name"]] = self._make_worker(spec, kind)
            elif kind in _RESIZABLE and _resources(spec) != worker.resources:
                self.asks_for_other_amounts = True
                worker.spec_changed({**spec, "resources": worker.resources})
            else:
                worker.spec_changed(spec)
        if not self.asks_for_other_amounts:
            self.resize.pending = None

    def pod_gone(self) -> None:
        """The API does not have it any more, whoever deleted it."""
        self.gone = True

    def relisted(self) -> None:
        """`facts` are complete as of now."""
        self.uncertain = False

    def done(self, action: Action, outcome: Outcome, now: float) -> None:
        """The outcome of an action that `step` has returned. Call `step` afterwards."""
        self.slots.now = now
        slot, asked_at = self.slots.release(action)
        if isinstance(outcome, Lost) and not isinstance(action, Probe | RunHook | DeletePod):
            self.uncertain = True
        self._learn(outcome)
        match action:
            case RunSandbox():
                self._groundwork.sandbox_run(outcome, now)
            case PublishVolumes():
                self._groundwork.volumes_published(outcome, self._volumes, now)
            case Remove(id=id) if isinstance(outcome, Ok | Gone):
                self.facts.forget_container(id)
            case RemoveSandbox(id=id) if isinstance(outcome, Ok | Gone):
                self._sandbox_removed(id)
            case StopSandbox(id=id) if isinstance(outcome, Gone):
                self.facts.sandbox_gone(id)
            case DeletePod():
                self._delete_done(outcome, now)
            case Start(id=id) | Update(id=id) | Stop(id=id) if isinstance(outcome, Gone):
                self.facts.container_lost(id, now)
        if slot.partition("/")[0] in self.workers:
            self.workers[slot.partition("/")[0]].done(action, outcome, asked_at, now)

    def step(self, now: float) -> list[Action]:
        """What to do now. Look again at `wake_at`, after any outcome and after any news."""
        self.slots.now, self.slots.wake_at = now, math.inf
        if not self.uncertain:
            self._decide(now)
        return self.slots.take()

    # -- reading --------------------------------------------------------------------------------------------------

    @property
    def wake_at(self) -> float:
        return self.slots.wake_at

    @property
    def finished(self) -> bool:
        """Nothing of it is left, neither here nor in the API."""
        return self.gone and not self.uncertain and not self.facts.sandboxes and not self.slots

    @property
    def stopping(self) -> bool:
        return self._stop_since is not None

    @property
    def leaving(self) -> bool:
        """Its object is being taken out of the API: nothing needs to be written about it any more."""
        is_told = self.is_over and is_deleting(self.pod) and self._is_told()
        return self.gone or self._delete_asked or is_told

    @property
    def requests(self) -> Amounts:
        """What it was given of the node."""
        if self._requests is None:
            pod = self._as_given() if self.asks_for_other_amounts else self.pod
            self._requests = pod_requests({"spec": pod.get("spec")})
        return self._requests

    @property
    def ephemerals(self) -> list[ContainerWorker]:
        """They are added while the pod runs (`kubectl debug`), run once, and count for nothing."""
        return [worker for worker in self.workers.values() if worker.kind == "ephemeral"]

    @property
    def initialized(self) -> bool:
        """Every init container has done its work in the present sandbox, and every sidecar has started."""
        return all(self.is_through(init) for init in self.inits)

    @property
    def failed_to_initialize(self) -> bool:
        """An init container has failed and will not be run again."""
        return any(_is_over(init) and init.newest and init.newest.exit_code for init in self.inits)

    @property
    def is_over(self) -> bool:
        """It has been stopped for good, and no process is left."""
        return self.stopping and not self.facts.running() and not self._starting()

    def is_through(self, init: ContainerWorker) -> bool:
        """The containers after this init container need not wait for it (any more)."""
        sandbox = self.facts.sandbox
        return sandbox is not None and _is_through(init, sandbox)

    def will_run_again(self, worker: ContainerWorker) -> bool:
        newest = worker.newest
        return not self.stopping and newest is not None and worker.will_restart(newest.exit_code)

    def check(self) -> None:
        self.facts.check()
        assert not (self.leaving and self._starting()), self.slots

    # -- other amounts --------------------------------------------------------------------------------------------

    def give(self) -> None:
        """The node gives what the pod asks for."""
        for spec, kind in _container_specs(self.pod):
            worker = self.workers[spec["name"]]
            if kind in _RESIZABLE and _resources(spec) != worker.resources:
                worker.give(_resources(spec))
        self.asks_for_other_amounts = False
        generation = max(1, int(meta(self.pod).get("generation") or 0))
        self.resize = PodResize(given=generation)
        self._requests = None
        self.slots.tell(Tell("Normal", "ResizeStarted", message("started", self.pod, generation)))

    def put_off(self, pending: Pending) -> None:
        """The node does not, at least not now."""
        known = self.resize.pending or pending_told(self.pod)
        self.resize.pending, self.resize.shown = pending, True
        if known is None or (known.reason, known.generation) != (pending.reason, pending.generation):
            text = message(pending.reason, self.pod, pending.generation, pending.message)
            self.slots.tell(Tell("Warning", f"Resize{pending.reason}", text))

    def _begin_resizing(self) -> bool:
        """Where an earlier kubelet was; whether the pod asks for something else than that had given."""
        if self.resize.given:
            entries = told(self.pod)
            for worker in self._resizable():
                if worker.name in entries:
                    worker.resizing, worker.before = True, entries[worker.name]["resources"]
        specs = ((spec, self.workers[spec["name"]]) for spec, kind in _container_specs(self.pod) if kind in _RESIZABLE)
        return any(_resources(spec) != worker.resources for spec, worker in specs)

    def _look_at_resize(self) -> None:
        waited = [worker for worker in self._resizable() if worker.resizing]
        for worker in waited:
            worker.look_at_resize()
        still = [worker for worker in waited if worker.resizing]
        error = next((worker.update_error for worker in still if worker.update_error), "")
        if error and error != self.resize.error:
            text = message("error", self._as_given(), self.resize.given, error)
            self.slots.tell(Tell("Warning", "ResizeError", text))
        self.resize.error = error
        if not still:
            text = message("completed", self._as_given(), self.resize.given)
            self.slots.tell(Tell("Normal", "ResizeCompleted", text))
            self.resize.given = 0

    def _resizable(self) -> list[ContainerWorker]:
        return [worker for worker in self.workers.values() if worker.kind in _RESIZABLE]

    def _as_given(self) -> Object:
        return with_given(self.pod, {worker.name: worker.resources for worker in self._resizable()})

    # -- deciding -------------------------------------------------------------------------------------------------

    def _decide(self, now: float) -> None:
        if not self.stopping and self._should_stop(now):
            self._stop_since = now
        if self.stopping:
            self._stop(now)
        else:
            if self.resize.given:
                self._look_at_resize()
            self._run(now)
        self._remove_old()

    def _should_stop(self, now: float) -> bool:
        if self.gone or is_deleting(self.pod) or self.refused is not None or self.terminal:
            return True
        limit_s = self._spec.get("activeDeadlineSeconds")
        if limit_s is not None:
            if now >= self.start_time + limit_s:
                self._over(Failed("DeadlineExceeded", "Pod was active on the node longer than the specified deadline"))
                return True
            self.slots.wake(self.start_time + limit_s)
        return self._is_through()

    def _is_through(self) -> bool:
        """No container is left that runs or will run: it has succeeded or failed."""
        if self.failed_to_initialize or all(_is_over(worker) for worker in self.mains):
            self.terminal = True
        elif self._policy == "Never" and self._lost_its_sandbox():
            self._over(Failed("ContainerStatusUnknown", "The pod's sandbox is gone, and its policy is not to restart"))
        return self.terminal

    def _lost_its_sandbox(self) -> bool:
        sandbox = self.facts.sandbox
        is_lost = sandbox is None or sandbox.state == "SANDBOX_NOTREADY"
        began = any(worker.attempt >= 0 for worker in self.workers.values())
        return is_lost and began and not self.facts.running()

    def _over(self, why: Failed) -> None:
        self.terminal, self.failure = True, why

    def _run(self, now: float) -> None:
        self._groundwork.publish_volumes(self._volumes, now)
        sandbox = self.facts.sandbox
        if sandbox is None or sandbox.state != "SANDBOX_READY":
            self._new_sandbox(now)
        elif self._groundwork.volumes_ready:
            for worker in (*self.ephemerals, *(self.mains if self._initialize(sandbox, now) else ())):
                worker.keep_running(sandbox, now)

    def _new_sandbox(self, now: float) -> None:
        """Whatever ran in the old one must have ended before there is a new one."""
        for worker in self.workers.values():
            worker.stop(now, "Pod sandbox changed, it will be killed and re-created.", now)
        if not self.facts.running():
            self._groundwork.run_sandbox(now)

    def _initialize(self, sandbox: PodSandboxStatus, now: float) -> bool:
        """Drive the init containers, one after another; whether all are through. Sidecars are kept running after."""
        for worker in self.inits:
            if worker.kind == "sidecar" or not _is_through(worker, sandbox):
                worker.keep_running(sandbox, now)
            if not _is_through(worker, sandbox) and not self._mains_began(sandbox):
                return False
        return True

    def _mains_began(self, sandbox: PodSandboxStatus) -> bool:
        """A sidecar that is restarted does not hold up what was started after it."""
        return any(newest.pod_sandbox_id == sandbox.id for worker in self.mains if (newest := worker.newest))

    # -- stopping -------------------------------------------------------------------------------------------------

    def _stop(self, now: float) -> None:
        assert self._stop_since is not None
        deadline = self._stop_since + self._grace_s()
        self._stop_containers(deadline, now)
        if self.is_over:
            self._ended(now)

    def _stop_containers(self, deadline: float, now: float) -> None:
        """All but sidecars at once; then sidecars from last to first, within what is left of the grace period."""
        sidecars = [worker for worker in self.inits if worker.kind == "sidecar"]
        others = [worker for worker in self.workers.values() if worker.kind != "sidecar"]
        for worker in others:
            worker.stop(deadline, "", now)
        if not any(_is_running(worker) for worker in others):
            for worker in reversed(sidecars):
                if _is_running(worker):
                    worker.stop(max(deadline, now), "", now)
                    break

    def _ended(self, now: float) -> None:
        """No process is left."""
        for sandbox in list(self.facts.sandboxes.values()):
            if self.gone:
                self.slots.emit(f"sandbox/{sandbox.id}", RemoveSandbox(sandbox.id))
            elif sandbox.state == "SANDBOX_READY":
                self.slots.emit("sandbox", StopSandbox(sandbox.id))
        if is_deleting(self.pod) and not self._delete_asked and "sandbox" not in self.slots and self._is_told():
            if now < self._delete_due_at:
                self.slots.wake(self._delete_due_at)
            else:
                self.slots.emit("delete", DeletePod())

    def _is_told(self) -> bool:
        """Whoever holds the object by a finalizer (Jobs count their pods so) must see how it ended."""
        return is_terminated(self.pod) or not meta(self.pod).get("finalizers")

    def _grace_s(self) -> float:
        for grace_s in (
            meta(self.pod).get("deletionGracePeriodSeconds"),
            self._spec.get("terminationGracePeriodSeconds"),
        ):
            if grace_s is not None:
                return float(grace_s)
        return 30.0

    def _starting(self) -> bool:
        """Something is under way that may bring a process or a sandbox to life."""
        return self.slots.has(Create, Start, RunSandbox)

    def _remove_old(self) -> None:
        """Of the instances that are over, the last one stays: for its log, and for lastState."""
        for worker in self.workers.values():
            attempts = self.facts.attempts(worker.name)
            for status in attempts[2:]:
                if status.state == "CONTAINER_EXITED":
                    self.slots.emit(f"remove/{status.id}", Remove(status.id))

    # -- outcomes -------------------------------------------------------------------------------------------------

    def _learn(self, outcome: Outcome) -> None:
        status = outcome.status if isinstance(outcome, Ok) else None
        if isinstance(status, ContainerStatus):
            self.facts.container_seen(status)
        elif isinstance(status, PodSandboxStatus):
            self.facts.sandbox_seen(status)

    def _sandbox_removed(self, id: str) -> None:
        self.facts.sandbox_gone(id)
        for container in [c for c in self.facts.containers.values() if c.pod_sandbox_id == id]:
            self.facts.forget_container(container.id)

    def _delete_done(self, outcome: Outcome, now: float) -> None:
        self._delete_asked = isinstance(outcome, Ok)
        self._delete_due_at = now + DELETE_RETRY_S
        self.gone = self.gone or isinstance(outcome, Gone)

    # -- the pod --------------------------------------------------------------------------------------------------

    @property
    def _spec(self) -> dict[str, Any]:
        return self.pod.get("spec") or {}

    @property
    def _volumes(self) -> list[dict[str, Any]]:
        return self._spec.get("volumes") or []

    @property
    def _policy(self) -> str:
        return str(self._spec.get("restartPolicy") or "Always")

    def _make_workers(self) -> list[ContainerWorker]:
        given = given_before(self.pod)
        pod = with_given(self.pod, given) if given else self.pod
        return [self._make_worker(spec, kind) for spec, kind in _container_specs(pod)]

    def _make_worker(self, spec: dict[str, Any], kind: Kind) -> ContainerWorker:
        grace_s = self._spec.get("terminationGracePeriodSeconds")
        return ContainerWorker(
            spec,
            kind,
            self._policy,
            self.facts,
            self.slots,
            30.0 if grace_s is None else float(grace_s),
            _remembered_attempt(self.pod, spec["name"]),
        )


def _container_specs(pod: Object) -> Iterator[tuple[dict[str, Any], Kind]]:
    spec = pod.get("spec") or {}
    for each in spec.get("initContainers") or ():
        yield each, "sidecar" if each.get("restartPolicy") == "Always" else "init"
    for each in spec.get("containers") or ():
        yield each, "main"
    for each in spec.get("ephemeralContainers") or ():
        yield each, "ephemeral"


def _resources(container: dict[str, Any]) -> Resources:
    return container.get("resources") or {}


def _remembered_attempt(pod: Object, name: str) -> int:
    """The last attempt that the API knows to have run, -1 for none."""
    status = pod.get("status") or {}
    for key in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
        for entry in status.get(key) or ():
            if entry.get("name") == name and entry.get("containerID"):
                return int(entry.get("restartCount") or 0)
    return -1


def _is_running(worker: ContainerWorker) -> bool:
    newest = worker.newest
    return newest is not None and newest.state == "CONTAINER_RUNNING"


def _is_over(worker: ContainerWorker) -> bool:
    newest = worker.newest
    return newest is not None and newest.state == "CONTAINER_EXITED" and not worker.will_restart(newest.exit_code)


def _is_through(worker: ContainerWorker, sandbox: PodSandboxStatus) -> bool:
    """An init container that the ones after it need not wait for any more."""
    newest = worker.newest
    if newest is None or newest.pod_sandbox_id != sandbox.id:
        return False
    if worker.kind == "sidecar":
        return worker.started
    return newest.state == "CONTAINER_EXITED" and newest.exit_code == 0


def _start_time(pod: Object, now: float) -> float:
    known = (pod.get("status") or {}).get("startTime")
    return seconds_of(known) if known else now
