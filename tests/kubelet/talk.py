"""A conversation with a pod worker: pods in a line, outcomes in words, and a runtime in memory that answers truly."""

from __future__ import annotations

from typing import Any

from actors.kubelet import actions as do
from actors.kubelet.actions import Action, Failed, Gone, Ok, Outcome, Tell
from actors.kubelet.container_config import container_config, sandbox_config
from actors.kubelet.facts import PodFacts
from actors.kubelet.pod_worker import PodWorker
from actors.kubelet.status import Node, pod_status
from actors.runtime.addresses import Addresses
from actors.runtime.ledger import Container, Ledger
from protocols.cri import ContainerRefused
from protocols.objects import Object

START = 1_767_225_600.0
NODE = Node("127.64.0.1", "sim")


def container(name: str = "main", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "label", "command": ["run"], **fields}


def pod(*containers: dict[str, Any], **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web-0", "namespace": "default", "uid": "uid-1"},
        "spec": {
            "restartPolicy": "Always",
            "nodeName": "node-1",
            "containers": list(containers or [container()]),
            **spec,
        },
        "status": {"phase": "Pending"},
    }


def deleted(pod: Object, grace_s: int = 30) -> Object:
    metadata = {"deletionTimestamp": "2026-01-01T00:00:30Z", "deletionGracePeriodSeconds": grace_s}
    return {**pod, "metadata": {**pod["metadata"], **metadata}}


class Talk:
    """A worker, its clock, and a true runtime. `step` says what the worker wants; `do` lets one of it happen."""

    def __init__(self, pod: Object, ledger: Ledger | None = None) -> None:
        self.now = START
        self.ledger = ledger or Ledger(Addresses("127.65.1.0/24"))
        self.facts = PodFacts()
        self.worker = PodWorker(pod, self.facts, self.now)
        self.relist()
        self.pending: list[Action] = []
        self.told: list[Tell] = []
        self.refuse: dict[type, Failed] = {}
        self.probe_answers: dict[str, bool] = {}
        self.starts: dict[str, list[float]] = {}
        self.deleted_from_api = False

    # -- the clock and the worker ---------------------------------------------------------------------------------

    def step(self) -> list[Action]:
        for action in self.worker.step(self.now):
            (self.told if isinstance(action, Tell) else self.pending).append(action)  # type: ignore[arg-type]
        self.worker.check()
        self.ledger.check()
        return self.pending

    def do(self, action: Action, outcome: Outcome | None = None) -> None:
        """It happens (or it does not, and `outcome` says so), and the worker hears of it."""
        self.pending.remove(action)
        self.worker.done(action, outcome or self.happen(action), self.now)

    def run(self, seconds: float = 0.0, leaving: Action | None = None) -> None:
        """Everything that is wanted (but `leaving`) happens at once, and time passes, for so many seconds."""
        until = self.now + seconds
        for _ in range(1000):
            while wanted := [action for action in self.step() if action is not leaving]:
                for action in wanted:
                    self.do(action)
            if self.worker.wake_at > until:
                break
            self.now = max(self.now, self.worker.wake_at)
        else:
            raise AssertionError("the worker does not come to rest")
        self.now = until

    def relist(self) -> None:
        sandboxes = [sandbox.status() for sandbox in self.ledger.sandboxes.values()]
        containers = [each.status() for each in self.ledger.containers.values()]
        self.facts.relisted(sandboxes, containers, self.facts.copy(), self.now)
        self.worker.relisted()

    # -- the world ------------------------------------------------------------------------------------------------

    def happen(self, action: Action) -> Outcome:
        if type(action) in self.refuse:
            return self.refuse[type(action)]
        ledger, now = self.ledger, self.now
        match action:
            case do.RunSandbox(attempt):
                return Ok(ledger.run_sandbox(sandbox_config(self.worker.pod, attempt), now)[0].status())
            case do.StopSandbox(id):
                sandbox = ledger.sandboxes.get(id)
                if sandbox is None:
                    return Gone()
                ledger.stop_sandbox(sandbox)
                return Ok(sandbox.status())
            case do.RemoveSandbox(id):
                if id in ledger.sandboxes:
                    for each in list(ledger.sandboxes[id].containers.values()):
                        ledger.remove(each)
                    ledger.remove_sandbox(ledger.sandboxes[id])
            case do.Pull():
                return Ok(text="label")
            case do.Create(name, attempt, sandbox_status):
                return self._create(name, attempt, sandbox_status.id)
            case do.Start(name, id):
                return self._start(name, id)
            case do.Update(_, id, resources):
                if id not in ledger.containers:
                    return Gone()
                ledger.resized(ledger.containers[id], resources)
                return Ok(ledger.containers[id].status())
            case do.Stop(_, id):
                if id not in ledger.containers:
                    return Gone()
                if ledger.containers[id].state == "CONTAINER_RUNNING":
                    ledger.exited(ledger.containers[id], 143, 15, now)
                return Ok(ledger.containers[id].status())
            case do.Remove(id):
                if id in ledger.containers:
                    ledger.remove(ledger.containers[id])
            case do.Probe(kind=kind):
                return Ok() if self.probe_answers.get(kind, True) else Failed("ProbeFailed", "no answer")
            case do.DeletePod():
                self.deleted_from_api = True
        return Ok()

    def _create(self, name: str, attempt: int, sandbox_id: str) -> Outcome:
        if sandbox_id not in self.ledger.sandboxes:
            return Gone()
        config = container_config(self.worker.workers[name].spec, attempt, {}, {})
        try:
            return Ok(self.ledger.create(self.ledger.sandboxes[sandbox_id], config, self.now)[0].status())
        except ContainerRefused as refusal:
            return Failed("CreateContainerError", refusal.message)

    def _start(self, name: str, id: str) -> Outcome:
        each = self.ledger.containers.get(id)
        if each is None:
            return Gone()
        if each.state == "CONTAINER_CREATED":
            self.ledger.started(each, self.now)
            self.starts.setdefault(name, []).append(self.now)
        return Ok(each.status())

    def running(self, name: str = "main") -> Container | None:
        return next((each for each in self.ledger.running() if each.name == name), None)

    def exits(self, code: int = 1, name: str = "main", signal: int = 0) -> None:
        """The running instance ends by itself, and the worker hears of it."""
        each = self.running(name)
        assert each is not None, f"{name} does not run"
        self.ledger.exited(each, code, signal, self.now)
        self.facts.container_seen(each.status())

    def forgets_everything(self) -> None:
        """The runtime loses its memory, and what ran with it."""
        self.ledger.containers.clear()
        self.ledger.sandboxes.clear()
        self.ledger.addresses = Addresses("127.65.1.0/24")
        self.relist()

    # -- reading --------------------------------------------------------------------------------------------------

    @property
    def status(self) -> dict[str, Any]:
        """As it would be written; the worker's pod then has it, as after a write."""
        status = pod_status(self.worker, NODE, self.now)
        self.worker.pod = {**self.worker.pod, "status": status}
        return status

    def state(self, name: str = "main") -> dict[str, Any]:
        return self._entry(name)["state"]

    def last_state(self, name: str = "main") -> dict[str, Any]:
        return self._entry(name)["lastState"]

    def restarts(self, name: str = "main") -> int:
        return int(self._entry(name)["restartCount"])

    def condition(self, type: str) -> str:
        return next((c["status"] for c in self.status["conditions"] if c["type"] == type), "absent")

    def reasons(self) -> list[str]:
        return [event.reason for event in self.told]

    def _entry(self, name: str) -> dict[str, Any]:
        status = self.status
        entries = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
        return next(entry for entry in entries if entry["name"] == name)
