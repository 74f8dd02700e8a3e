"""The kubelet of one node: a worker for each pod that is bound to it, fed by the API and by the runtime.

What may run is decided by the workers (pod_worker.py), which are pure. Here the world is brought to them: the watch of
the node's pods, the runtime's events, timers, the outcomes of their actions; and what they say is carried out.
Containers do not end with the kubelet: one that starts again lists them and goes on.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from actorkube.kube import Client, Recorder, View, follow
from actorkube.kube.servers import API, ApiServers, stay_linked
from actorkube.kube.view import Entry
from actorkube.kube.writes import Event
from actorkube.runtime import Actor, Mailbox, Timer
from actorkube.runtime.tracing import Span
from actors.kubelet.actions import Action, DeletePod, Failed, Ok, Tell
from actors.kubelet.admission import refusal
from actors.kubelet.env import Place
from actors.kubelet.exec import attach_to_pod, exec_in_pod, forward, forward_port
from actors.kubelet.executor import Executor
from actors.kubelet.facts import PodFacts
from actors.kubelet.logs import read_log
from actors.kubelet.machine import SIMULATED, Machine, read_machine
from actors.kubelet.node_agent import NodeAgent
from actors.kubelet.node_status import KUBERNETES_VERSION, NodeIdentity, allocatable, node_reference
from actors.kubelet.pod_worker import PodWorker
from actors.kubelet.resize import DEFERRED, order, problem
from actors.kubelet.runtime_link import RuntimeLink
from actors.kubelet.status import Node, may_be_urgent, pod_name, pod_status
from actors.kubelet.status_writer import StatusWriter
from actors.kubelet.usage import UsageMeter
from protocols.api import Get, ReadLog
from protocols.cri import ListContainerStats, PodSandboxMetadata, PodSandboxStatus
from protocols.csi import DeleteVolume
from protocols.errors import NotFound
from protocols.exec import AttachToPod, ExecInPod, ExecInput, ForwardPort, ResizeTerminal
from protocols.message import Done, Message
from protocols.objects import Object, key_of, uid_of
from protocols.rules.owners import is_deleting
from protocols.rules.pods import is_terminated
from protocols.trace import TraceContext
from protocols.usage import AskNodeUsage, NodeUsage

_RUNTIME_TIMEOUT_S = 5.0
_FIELDS = {
    "main": "containers",
    "init": "initContainers",
    "sidecar": "initContainers",
    "ephemeral": "ephemeralContainers",
}


class StepPod(Message):
    """To itself: a time has come that a pod's worker asked for."""

    uid: str


class Kubelet(Actor):
    """`machine` None: read from the machine it runs on, unless the runtime is simulated.

    `lease_renew_s`: how often the node's lease says that it is alive; it must fit several times into the node monitor's
    grace period. `in_cloud`: nothing is scheduled here until a cloud controller manager has initialised the node.
    `kubernetes_version`: of the API that is served, such as "1.33"; "" for the newest that is the default.
    """

    mailbox = Mailbox(capacity=8192)
    concurrency = 256

    def __init__(
        self,
        node: str,
        *,
        runtime: str,
        node_ip: str,
        pod_cidr: str,
        api: str | Sequence[str] = API,
        labels: dict[str, str] | None = None,
        machine: Machine | None = None,
        lease_renew_s: float = 10.0,
        in_cloud: bool = False,
        kubernetes_version: str = "",
    ) -> None:
        of_node = tuple((labels or {}).items())
        version = kubernetes_version or KUBERNETES_VERSION
        self._identity = NodeIdentity(node, node_ip, pod_cidr, of_node, in_cloud, version)
        self._runtime_address = runtime
        self._api_addresses = api
        self._machine = machine
        self._lease_renew_s = lease_renew_s
        self._workers: dict[str, PodWorker] = {}  # by uid
        self._timers: dict[str, tuple[float, Timer]] = {}
        self._awaiting_list: dict[str, int] = {}  # uncertain workers, and the list that will do
        self._ends: dict[str, Span | TraceContext | None] = {}  # why pods that are being deleted are, by uid
        self._meter = UsageMeter()
        self._listed = asyncio.Event()
        self._synced = False
        self._lacks_room = False  # for what some pod asks to have more of

    async def on_start(self) -> None:
        ctx = self.ctx
        self._runtime = ctx.ref(self._runtime_address)
        self._api = ApiServers.known(ctx, self._api_addresses)
        self._client = Client(ctx, self._api)
        self._events = Recorder(ctx, self._client, "kubelet", self._identity.name)
        self._pods = View("pods", field_selector=f"spec.nodeName={self._identity.name}")
        self._pods.on_change(self._on_pod)
        self._nodes = View("nodes", field_selector=f"metadata.name={self._identity.name}")
        self._statuses = StatusWriter(ctx, self._client, self._pods, self._status)
        self._link = RuntimeLink(
            ctx, self._runtime, self._identity.pod_cidr, self._step, self._on_listed, self._on_runtime_lost
        )
        ctx.background(self._link.follow(), "runtime")
        if len(self._api.all) > 1:
            question = Get("nodes", self._identity.name)
            ctx.background(stay_linked(ctx, self._api, question, self._lease_renew_s), "links to API servers")
        ctx.background(self._begin(), "begin")

    def receive(self, message: Message) -> object:
        match message:
            case StepPod(uid):
                self._timers.pop(uid, None)
                self._step(uid)
                return None
            case ReadLog():
                return read_log(self.ctx, self._runtime, self._worker_named(message), message)
            case ExecInPod():
                return exec_in_pod(self.ctx, self._runtime, self._worker_named(message), message)
            case AttachToPod():
                return attach_to_pod(self.ctx, self._runtime, self._worker_named(message), message)
            case ForwardPort():
                return forward_port(self.ctx, self._runtime, self._worker_named(message), message)
            case AskNodeUsage():
                return self._usage()
            case DeleteVolume():
                return self._passed_on(message)
            case ExecInput() | ResizeTerminal():
                return forward(self.ctx, self._runtime, message)
        return super().receive(message)

    async def _passed_on(self, message: DeleteVolume) -> Done:
        return await self.ctx.ask(self._runtime, message, timeout_s=_RUNTIME_TIMEOUT_S)

    async def _usage(self) -> NodeUsage:
        stats = (await self.ctx.ask(self._runtime, ListContainerStats(), timeout_s=_RUNTIME_TIMEOUT_S)).stats
        pods = ((worker.pod, worker.facts.running()) for worker in self._workers.values())
        return self._meter.measure(pods, stats, self.ctx.now)

    async def _begin(self) -> None:
        """First what runs already, then the node, then its pods: so each is there when the next one needs it."""
        ctx, api = self.ctx, self._api
        await self._listed.wait()
        runtime = self._link.version
        assert runtime is not None
        machine = self._machine or (SIMULATED if runtime.runtime_name == "sim" else read_machine())
        self._place = Place(self._identity.name, self._identity.ip, "", allocatable(machine))
        self._executor = Executor(ctx, self._client, self._runtime, self._place, runtime.runtime_name == "sim")
        version = f"{runtime.runtime_name}://{runtime.runtime_version}"
        self._agent = NodeAgent(
            ctx,
            self._client,
            self._nodes,
            self._identity,
            machine,
            version,
            lambda: self._link.trouble,
            self._lease_renew_s,
            self._tell_of_node,
        )
        self._node = await self._agent.register()
        self._tell_of_node("Starting", "Starting kubelet.")
        ctx.background(self._agent.run(self._node), "node")
        ctx.background(follow(ctx, api, self._nodes), "watch node")
        ctx.background(follow(ctx, api, self._pods, self._on_pods_synced), "watch pods")

    # -- what the API says ----------------------------------------------------------------------------------------

    def _on_pods_synced(self) -> None:
        """Those that the node has taken already come first: they have their resources."""
        self._synced = True
        pods = sorted(self._pods.list(), key=lambda pod: "startTime" not in (pod.get("status") or {}))
        for pod in pods:
            self._see(pod)
        self._give_what_fits()
        self._end_orphans()

    def _on_pod(self, key: str, old: Entry | None, new: Entry | None) -> None:
        if not self._synced:
            return
        if old is not None and (new is None or new.uid != old.uid):
            self._gone(old.uid)
        if new is not None:
            self._seen(new.peek())

    def _seen(self, pod: Object) -> None:
        if self._see(pod).asks_for_other_amounts:
            self._give_what_fits()

    def _see(self, pod: Object) -> PodWorker:
        uid = uid_of(pod)
        if is_deleting(pod):
            self._ends.setdefault(uid, self.ctx.cause)
        if worker := self._workers.get(uid):
            worker.pod_changed(pod)
        else:
            worker = PodWorker(pod, self._link.of_pod(uid), self.ctx.now, self._refusal(pod))
            self._add(worker)
        self._step(uid)
        return worker

    def _gone(self, uid: str) -> None:
        if worker := self._workers.get(uid):
            worker.pod_gone()
            self._step(uid)

    def _refusal(self, pod: Object) -> Failed | None:
        """Only a pod that is new here can be refused; one that has begun has been admitted."""
        if "startTime" in (pod.get("status") or {}) or is_terminated(pod) or is_deleting(pod):
            return None
        node = self._nodes.get(self._identity.name) or self._node
        used = [worker.requests for worker in self._workers.values() if not worker.stopping]
        return refusal(pod, node, self._place.allocatable, used)

    def _give_what_fits(self) -> None:
        """To pods that ask for other amounts than they were given, one after the other, as far as there is room."""
        asking = [each for each in self._workers.values() if each.asks_for_other_amounts and not each.stopping]
        asking.sort(key=lambda each: order(each.pod, each.requests, each.start_time))
        self._lacks_room = False
        for worker in asking:
            used = [each.requests for each in self._workers.values() if each is not worker and not each.stopping]
            pending = problem(worker.pod, self._place.allocatable, used)
            if pending is None:
                worker.give()
            else:
                worker.put_off(pending)
                self._lacks_room = self._lacks_room or pending.reason == DEFERRED
            self._step(worker.uid)

    # -- what the runtime says ------------------------------------------------------------------------------------

    def _on_listed(self, turn: int) -> None:
        self._listed.set()
        for uid, wanted in list(self._awaiting_list.items()):
            if wanted <= turn:
                del self._awaiting_list[uid]
                self._workers[uid].relisted()
        for uid in list(self._workers):
            self._step(uid)
        if self._synced:
            self._end_orphans()
            self._agent.look()

    def _on_runtime_lost(self) -> None:
        turn = self._link.request_list()
        for uid, worker in self._workers.items():
            worker.uncertain = True
            self._awaiting_list[uid] = turn
        if self._synced:
            self._agent.look()

    def _end_orphans(self) -> None:
        """What runs here and whose pod the API does not have: it was deleted while nobody looked."""
        for uid, facts in list(self._link.facts.items()):
            if uid not in self._workers and facts.sandbox is not None:
                orphan = PodWorker(_pod_of(facts.sandbox.metadata, facts), facts, self.ctx.now)
                orphan.pod_gone()
                self._add(orphan)
                self._step(uid)

    # -- workers --------------------------------------------------------------------------------------------------

    def _add(self, worker: PodWorker) -> None:
        self._workers[worker.uid] = worker
        if self._link.trouble:
            self._awaiting_list[worker.uid] = self._link.request_list()
        else:
            worker.relisted()

    def _step(self, uid: str) -> None:
        worker = self._workers.get(uid)
        if worker is None:
            return
        stopped = worker.stopping
        for action in worker.step(self.ctx.now):
            if isinstance(action, Tell):
                self._tell(worker, action)
            else:
                self.ctx.background(self._perform(worker, action), type(action).__name__)
        if worker.uncertain and uid not in self._awaiting_list:
            self._awaiting_list[uid] = self._link.request_list()
        if worker.finished:
            self._drop(uid)
        else:
            self._report(worker)
            self._set_timer(uid, worker.wake_at)
        if self._lacks_room and worker.stopping and not stopped:
            self._give_what_fits()

    async def _perform(self, worker: PodWorker, action: Action) -> None:
        # The last step of many: not the one before it is why the pod goes, but whoever deleted it.
        cause = self._ends.get(worker.uid) if isinstance(action, DeletePod) else None
        with self.ctx.span(f"{type(action).__name__} {key_of(worker.pod)}", cause or self.ctx.cause):
            outcome = await self._executor.perform(worker, action)
        if isinstance(outcome, Ok) and isinstance(outcome.status, PodSandboxStatus):
            self._link.sandbox_known(outcome.status)
        worker.done(action, outcome, self.ctx.now)
        self._step(worker.uid)

    def _report(self, worker: PodWorker) -> None:
        if worker.leaving:
            self._statuses.forget(worker.uid)
        elif not self._statuses.waits(worker.uid) or may_be_urgent(worker):
            if (made := self._status(worker.uid)) is not None:
                self._statuses.want(key_of(worker.pod), *made)

    def _status(self, uid: str) -> tuple[Object, Object] | None:
        """The pod and what its status should be; None while that is not known, or nobody wants to know it any more."""
        worker = self._workers.get(uid)
        if worker is None or worker.leaving or worker.uncertain:
            return None
        runtime = self._link.version.runtime_name if self._link.version else ""
        node = Node(self._identity.ip, runtime, self._identity.minor)
        return worker.pod, pod_status(worker, node, self.ctx.now)

    def _tell(self, worker: PodWorker, event: Tell) -> None:
        if not worker.gone:
            path = (
                f"spec.{_FIELDS[worker.workers[event.container].kind]}{{{event.container}}}" if event.container else ""
            )
            message = f"{event.message} in pod {pod_name(worker.pod)}" if event.names_pod else event.message
            self._events.event(worker.pod, "v1", "Pod", event.type, event.reason, message, field_path=path)

    def _tell_of_node(self, reason: str, message: str) -> None:
        self._events.record(Event(node_reference(self._identity.name), "Normal", reason, message))

    def _set_timer(self, uid: str, at: float) -> None:
        known = self._timers.get(uid)
        if known is not None and known[0] == at:
            return
        if known is not None:
            known[1].cancel()
            del self._timers[uid]
        if at < math.inf:
            self._timers[uid] = (at, self.ctx.after(max(at - self.ctx.now, 0), StepPod(uid)))

    def _drop(self, uid: str) -> None:
        self._set_timer(uid, math.inf)
        del self._workers[uid]
        self._ends.pop(uid, None)
        self._awaiting_list.pop(uid, None)
        self._link.forget(uid)
        self._executor.forget(uid)
        self._statuses.forget(uid)

    def _worker_named(self, request: ReadLog | ExecInPod | AttachToPod | ForwardPort) -> PodWorker:
        entry = self._pods.entry(f"{request.namespace}/{request.pod}")
        worker = self._workers.get(entry.uid) if entry is not None else None
        if worker is None:
            raise NotFound(f'pods "{request.pod}" not found', {"name": request.pod, "kind": "pods"})
        return worker


def _pod_of(metadata: PodSandboxMetadata, facts: PodFacts) -> Object:
    """As much of a pod's object as is left of it in the runtime."""
    names = dict.fromkeys(status.metadata.name for status in facts.containers.values())
    return {
        "metadata": {"name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid},
        "spec": {"containers": [{"name": name} for name in names]},
    }
