"""Whatever happens, in whatever order: a pod worker never starts a container twice, never against its policy, never
too soon; and when the world is good again it gets where it should be.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from actors.kubelet import actions as do
from actors.kubelet.actions import Action, Failed, Lost
from actors.runtime.addresses import Addresses
from actors.runtime.ledger import Container, Ledger
from tests.kubelet.talk import Talk, container, deleted, pod


class End(NamedTuple):
    sandbox: str
    at: float
    code: int


HOOK = {"preStop": {"exec": {"command": ["bye"]}}}
PROBES = {
    "livenessProbe": {"tcpSocket": {"port": 1}, "periodSeconds": 5},
    "readinessProbe": {"tcpSocket": {"port": 1}, "periodSeconds": 5},
}
CALM = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)


@st.composite
def pods(draw: st.DrawFn) -> dict[str, Any]:
    mains = [container("main", **draw(st.sampled_from([{}, PROBES, {"lifecycle": HOOK}])))]
    mains += draw(st.sampled_from([[], [container("other")]]))
    inits = draw(
        st.sampled_from([[], [container("init")], [container("init"), container("side", restartPolicy="Always")]])
    )
    volumes = draw(st.sampled_from([[], [{"name": "v", "emptyDir": {}}]]))
    return pod(
        *mains,
        restartPolicy=draw(st.sampled_from(["Always", "OnFailure", "Never"])),
        initContainers=inits,
        volumes=volumes,
    )


class RememberingLedger(Ledger):
    """Also knows who ended, in which sandbox, when and how."""

    def __init__(self) -> None:
        super().__init__(Addresses("127.65.1.0/24"))
        self.ends: dict[str, list[End]] = {}

    def exited(self, container: Container, exit_code: int, signal: int, now: float, *rest: str) -> None:
        self.ends.setdefault(container.name, []).append(End(container.sandbox.id, now, exit_code))
        super().exited(container, exit_code, signal, now, *rest)


class Watchful(Talk):
    """Checks every wish for a new instance: allowed by the policy, and not before the back-off is over."""

    def __init__(self, pod: dict[str, Any]) -> None:
        self.memory = RememberingLedger()
        self.patience: dict[str, tuple[float, float]] = {}  # name -> the delay for the next crash, the last restart
        super().__init__(pod, self.memory)

    def step(self) -> list[Action]:
        before = len(self.pending)
        for action in super().step()[before:]:
            if isinstance(action, do.Create):
                self._check(action, self.memory.ends.get(action.container, []))
        return self.pending

    def _check(self, create: do.Create, ends: list[End]) -> None:
        if not ends:
            return
        worker, last = self.worker.workers[create.container], ends[-1]
        if worker.kind == "main" or last.sandbox == create.sandbox.id:
            assert worker.kind == "sidecar" or worker.pod_policy != "Never", (
                "started again although its policy is Never"
            )
            assert last.code != 0 or worker.pod_policy == "Always" or worker.kind == "sidecar", "it had completed"
        delay, restarted = self.patience.get(create.container, (0.0, 0.0))
        if last.at - restarted > 600:
            delay = 0.0
        assert self.now >= last.at + delay, f"restarted {self.now - last.at} s after its end, not {delay}"
        self.patience[create.container] = (min(max(10.0, 2 * delay), 300.0), self.now)


@pytest.mark.slow
@CALM
@given(pod=pods(), data=st.data())
def test_no_order_of_events_breaks_a_worker(pod: dict[str, Any], data: st.DataObject) -> None:
    talk = Watchful(pod)

    for _ in range(data.draw(st.integers(0, 60), label="turns")):
        talk.step()
        _something_happens(talk, pod, data)

    _end_well(talk, pod)


def _something_happens(talk: Watchful, pod: dict[str, Any], data: st.DataObject) -> None:
    running = [each.name for each in talk.ledger.running()]
    choices = ["wait", "relist", *(["done"] * 4 if talk.pending else []), *(["lost", "fail"] if talk.pending else [])]
    choices += ["exit", "old news"] if running else []
    match data.draw(st.sampled_from(choices), label="event"):
        case "wait":
            talk.now += data.draw(st.sampled_from([0.01, 1.0, 9.0, 30.0, 400.0]), label="seconds")
        case "relist":
            talk.relist()
        case "done":
            talk.do(data.draw(st.sampled_from(talk.pending), label="done"))
        case "lost":
            action = data.draw(st.sampled_from(talk.pending), label="lost")
            if data.draw(st.booleans(), label="it happened"):
                talk.happen(action)
            talk.do(action, Lost())
        case "fail":
            can_fail = [each for each in talk.pending if isinstance(each, do.Pull | do.Create | do.Probe | do.RunHook)]
            if can_fail:
                talk.do(data.draw(st.sampled_from(can_fail), label="fail"), Failed("Refused", "for once"))
        case "exit":
            talk.exits(
                data.draw(st.sampled_from([0, 1]), label="code"), data.draw(st.sampled_from(running), label="who")
            )
        case "old news":
            seen = [each.status() for each in talk.ledger.running()]
            talk.step()
            for status in seen:
                talk.facts.container_seen(status)
    assert len(running) == len(set(running))


def _end_well(talk: Watchful, pod: dict[str, Any]) -> None:
    """With every answer given, the pod comes to where its policy says; and deleted, it leaves nothing behind."""
    talk.relist()
    talk.run(700)
    for init in [each for each in talk.worker.inits if each.kind == "init"]:
        while talk.running(init.name) is not None:
            talk.exits(0, init.name)
            talk.run(700)
    if not talk.worker.terminal:
        wanted = {each.name for each in talk.worker.mains if not _is_over(talk, each.name, each.pod_policy)}
        assert {each.name for each in talk.ledger.running() if each.name in ("main", "other")} == wanted
    assert talk.step() == []

    talk.worker.pod_changed(deleted({**pod, "status": talk.status}))
    talk.run(100)
    assert talk.deleted_from_api and not talk.ledger.running()
    talk.worker.pod_gone()
    talk.run(100)
    assert talk.worker.finished and not talk.ledger.sandboxes


def _is_over(talk: Watchful, name: str, policy: str) -> bool:
    """Judged by the runtime's memory alone."""
    code = talk.memory.ends[name][-1].code if talk.running(name) is None else None
    return code is not None and (policy == "Never" or (policy == "OnFailure" and code == 0))
