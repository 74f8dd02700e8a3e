"""A running pod gets other amounts, as far as its node has room (KEP-1287): conversations with its worker."""

from __future__ import annotations

from typing import Any

import pytest

from actors.kubelet.actions import Failed, Update
from actors.kubelet.container_config import linux_resources
from actors.kubelet.pod_worker import PodWorker
from actors.kubelet.resize import Pending, order, problem
from protocols.objects import Object
from protocols.rules.conditions import find_condition
from tests.kubelet.talk import START, Talk, container, pod

GI = 1 << 30
ROOM = {"cpu": 4000, "memory": 4 * GI}


def amounts(cpu: str = "1", memory: str = "1Gi") -> dict[str, Any]:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}


def sized(generation: int, resources: dict[str, Any], **fields: Any) -> Object:
    made = pod(container(resources=resources, **fields))
    made["metadata"]["generation"] = generation
    return made


def asks(talk: Talk, generation: int, resources: dict[str, Any], **fields: Any) -> PodWorker:
    """The pod's spec says so from now on."""
    new = sized(generation, resources, **fields)
    talk.worker.pod_changed({**new, "status": talk.status})
    return talk.worker


def condition(talk: Talk, type: str) -> dict[str, Any]:
    return find_condition(talk.status["conditions"], type) or {}


def entry(talk: Talk) -> dict[str, Any]:
    (found,) = talk.status["containerStatuses"]
    return {"allocated": found.get("allocatedResources"), "resources": found.get("resources")}


def started(**fields: Any) -> Talk:
    talk = Talk(sized(1, amounts(), **fields))
    talk.run()
    assert entry(talk) == {"allocated": amounts()["requests"], "resources": amounts()}
    return talk


def test_what_is_given_is_updated_in_the_container_that_runs_on() -> None:
    talk = started()
    running = talk.running()

    worker = asks(talk, 2, amounts("2", "2Gi"))
    assert worker.asks_for_other_amounts and worker.requests["cpu"] == 1000
    worker.give()
    (update,) = [action for action in talk.step() if isinstance(action, Update)]
    under_way = (condition(talk, "PodResizeInProgress"), entry(talk))
    talk.do(update)
    talk.run()

    assert under_way[0]["status"] == "True" and under_way[0]["observedGeneration"] == 2
    assert under_way[1] == {"allocated": amounts("2", "2Gi")["requests"], "resources": amounts()}
    assert talk.running() is running and running is not None
    assert running.config.resources == linux_resources(amounts("2", "2Gi"))
    assert entry(talk) == {"allocated": amounts("2", "2Gi")["requests"], "resources": amounts("2", "2Gi")}
    assert condition(talk, "PodResizeInProgress") == {} and talk.status["observedGeneration"] == 2
    assert [(each.reason, each.message) for each in talk.told if "Resize" in each.reason] == [
        (
            f"Resize{what.capitalize()}",
            f'Pod resize {what}: {{"containers":[{{"name":"main","resources":{{"limits":{{"memory":"2Gi"}},'
            '"requests":{"cpu":"2","memory":"2Gi"}}}],"generation":2}',
        )
        for what in ("started", "completed")
    ]
    assert worker.requests["cpu"] == 2000 and not worker.asks_for_other_amounts


def test_a_container_is_started_again_where_its_policy_wants_that() -> None:
    policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    talk = started(resizePolicy=policy)
    first = talk.running()

    asks(talk, 2, amounts("2", "1Gi"), resizePolicy=policy).give()
    talk.run()
    after_cpu = talk.running()
    for generation, memory in ((3, "2Gi"), (4, "3Gi")):
        asks(talk, generation, amounts("2", memory), resizePolicy=policy).give()
        talk.run()

    assert after_cpu is first and talk.running() is not first
    assert (talk.restarts(), talk.starts["main"]) == (2, [START] * 3)  # nobody backs off
    assert entry(talk)["resources"] == amounts("2", "3Gi")
    messages = [each.message for each in talk.told if each.reason == "Killing"]
    assert messages == ["Container main resize requires restart"] * 2


def test_what_there_is_no_room_for_waits_and_the_container_keeps_what_it_has() -> None:
    talk = started()
    deferred = Pending(
        "Deferred", "Node didn't have enough resource: cpu, requested: 2000, used: 3000, capacity: 4000", 2
    )

    worker = asks(talk, 2, amounts("2"))
    worker.put_off(deferred)
    worker.put_off(deferred)
    talk.run()
    pending = condition(talk, "PodResizePending")
    talk.exits()
    talk.run()
    again = talk.running()
    asks(talk, 3, amounts())
    talk.run()

    assert (pending["reason"], pending["message"], pending["observedGeneration"]) == (*vars_of(deferred),)
    assert again is not None and again.config.resources == linux_resources(amounts())
    assert condition(talk, "PodResizePending") == {} and entry(talk)["allocated"] == amounts()["requests"]
    assert [each.reason for each in talk.told if "Resize" in each.reason] == ["ResizeDeferred"]


def vars_of(pending: Pending) -> tuple[str, str, int]:
    return pending.reason, pending.message, pending.generation


def test_a_runtime_that_refuses_is_asked_again_and_the_condition_says_why() -> None:
    talk = started()
    talk.refuse[Update] = Failed("UpdateContainerError", "attempting to set container memory limit (1) below (2)")

    asks(talk, 2, amounts(memory="512Mi")).give()
    talk.run()
    refused = condition(talk, "PodResizeInProgress")
    del talk.refuse[Update]
    talk.run(5)

    assert (refused["reason"], refused["message"][:27]) == ("Error", "attempting to set container")
    assert condition(talk, "PodResizeInProgress") == {} and entry(talk)["resources"] == amounts(memory="512Mi")
    reasons = [each.reason for each in talk.told if "Resize" in each.reason]
    assert reasons == ["ResizeStarted", "ResizeError", "ResizeCompleted"]


def test_a_limit_alone_that_was_asked_for_while_the_kubelet_was_away_is_not_taken_as_given() -> None:
    talk = started()
    more = {**amounts(), "limits": {"memory": "2Gi"}}
    again = Talk({**sized(2, more), "status": talk.status}, talk.ledger)
    again.run()

    assert again.worker.asks_for_other_amounts
    again.worker.give()
    again.run()

    running = again.running()
    assert running is not None and running.config.resources == linux_resources(more)


@pytest.mark.parametrize("phase", ["pending", "given", "unseen"])
def test_a_kubelet_that_starts_again_goes_on_where_the_other_was(phase: str) -> None:
    talk = started()
    worker = asks(talk, 2, amounts("2"))
    if phase == "pending":
        worker.put_off(Pending("Infeasible", "no", 2))
    elif phase == "given":
        worker.give()
        talk.step()

    status = talk.status
    again = Talk({**worker.pod, "status": status}, talk.ledger)
    again.run()

    assert again.worker.asks_for_other_amounts == (phase != "given")
    assert again.worker.requests["cpu"] == (2000 if phase == "given" else 1000)
    running = again.running()
    assert running is not None and running.config.resources == linux_resources(
        amounts("2" if phase == "given" else "1")
    )
    if phase == "pending":
        again.worker.put_off(Pending("Infeasible", "no", 2))
    again.step()
    assert [each.reason for each in again.told] == (["ResizeCompleted"] if phase == "given" else [])


def test_a_container_that_does_not_run_has_the_new_amounts_when_it_starts() -> None:
    talk = Talk(sized(1, amounts()))
    (create,) = until(talk, "Create")
    talk.do(create)
    asks(talk, 2, amounts("2")).give()
    talk.run()

    running = talk.running()
    assert running is not None and running.config.resources == linux_resources(amounts("2"))
    assert condition(talk, "PodResizeInProgress") == {} and "ResizeCompleted" in talk.reasons()


def until(talk: Talk, action: str) -> list[Any]:
    """Everything happens up to such an action."""
    for _ in range(20):
        wanted = talk.step()
        if found := [each for each in wanted if type(each).__name__ == action]:
            return found
        for each in list(wanted):
            talk.do(each)
    raise AssertionError(f"no {action}")


def test_a_pod_without_amounts_tells_of_none() -> None:
    talk = Talk(pod())
    talk.run()

    assert entry(talk) == {"allocated": None, "resources": None}
    assert "observedGeneration" not in talk.status


@pytest.mark.parametrize(
    ("cpu", "memory", "told"),
    [
        ("2", "1Gi", None),
        (
            "3",
            "1Gi",
            ("Deferred", "Node didn't have enough resource: cpu, requested: 3000, used: 2000, capacity: 4000"),
        ),
        ("5", "1Gi", ("Infeasible", "Node didn't have enough capacity: cpu, requested: 5000, capacity: 4000")),
        (
            "5",
            "5Gi",
            ("Infeasible", f"Node didn't have enough capacity: memory, requested: {5 * GI}, capacity: {4 * GI}"),
        ),
    ],
)
def test_a_node_says_why_it_does_not_give_what_is_asked(cpu: str, memory: str, told: tuple[str, str] | None) -> None:
    found = problem(sized(7, amounts(cpu, memory)), ROOM, [{"cpu": 1500, "memory": GI}, {"cpu": 500}])

    assert (found and (found.reason, found.message, found.generation)) == (told and (*told, 7))


def test_who_wants_no_more_comes_first_then_the_important_ones_then_who_waits_longest() -> None:
    has = {"cpu": 1000, "memory": GI}
    important = sized(2, amounts("2"))
    important["spec"]["priority"] = 10
    waiting = {"less": (sized(2, amounts("500m")), 9.0), "late": (sized(2, amounts("2")), 5.0)}
    waiting |= {"early": (sized(2, amounts("2")), 1.0), "important": (important, 7.0)}

    first = sorted(waiting, key=lambda name: order(waiting[name][0], has, waiting[name][1]))

    assert first == ["less", "important", "early", "late"]
