"""A pod worker in conversation: what it wants when, and what its status says of it."""

from __future__ import annotations

from typing import Any

from actors.kubelet import actions as do
from actors.kubelet.actions import Failed, Gone, Lost
from actors.kubelet.facts import PodFacts
from protocols.objects import Object
from tests.kubelet.talk import START, Talk, container, deleted, pod

SIDECAR = container("proxy", restartPolicy="Always")


def names(talk: Talk) -> list[str]:
    return sorted(each.name for each in talk.ledger.running())


# -- starting ---------------------------------------------------------------------------------------------------------


def test_a_pod_starts_step_by_step_and_its_status_follows() -> None:
    talk = Talk(pod())

    assert talk.step() == [do.RunSandbox(0)]
    assert (talk.status["phase"], talk.state()) == ("Pending", {"waiting": {"reason": "ContainerCreating"}})
    talk.do(talk.pending[0])
    assert talk.step() == [do.Pull("main")]
    talk.do(talk.pending[0])
    assert talk.step() == [do.Create("main", 0, talk.facts.sandbox)]
    talk.do(talk.pending[0])
    [start] = talk.step()
    talk.do(start)

    assert talk.step() == []
    assert (talk.status["phase"], talk.status["podIP"], talk.condition("Ready")) == ("Running", "127.65.1.2", "True")
    assert talk.reasons() == ["Pulled", "Created", "Started"]


def test_nothing_is_done_before_the_runtime_has_been_listed() -> None:
    talk = Talk(pod())
    talk.worker.uncertain = True

    assert talk.step() == []


def test_a_lost_answer_stops_everything_until_the_runtime_has_been_listed() -> None:
    talk = Talk(pod())
    [run_sandbox] = talk.step()
    talk.happen(run_sandbox)

    talk.do(run_sandbox, Lost())
    before = list(talk.step())
    talk.relist()

    assert (before, talk.step()) == ([], [do.Pull("main")])


def test_a_kubelet_that_starts_again_lets_its_containers_run() -> None:
    talk = Talk(pod())
    talk.run(100)

    again = Talk(talk.worker.pod, talk.ledger)
    again.run(100)

    assert (len(again.starts), again.restarts(), again.status["phase"]) == (0, 0, "Running")


def test_containers_wait_for_their_volumes_and_the_user_is_told_why() -> None:
    talk = Talk(pod(volumes=[{"name": "config", "configMap": {"name": "missing"}}]))
    talk.refuse[do.PublishVolumes] = Failed("", 'configmap "missing" not found')

    talk.run(3)

    assert (names(talk), talk.state()["waiting"]["reason"]) == ([], "ContainerCreating")
    assert "FailedMount" in talk.reasons()
    talk.refuse.clear()
    talk.run(3)
    assert names(talk) == ["main"]


def test_volumes_that_change_are_published_again_every_minute() -> None:
    talk = Talk(pod(volumes=[{"name": "config", "configMap": {"name": "config"}}]))
    talk.run(59)

    assert talk.step() == []
    talk.now += 2
    assert talk.step() == [do.PublishVolumes()]


def test_an_image_that_cannot_be_run_is_waited_for_with_the_hint_in_sight() -> None:
    talk = Talk(pod())
    talk.refuse[do.Pull] = Failed("ErrImagePull", "give the container a command")

    talk.run(1)
    assert talk.state()["waiting"] == {"reason": "ErrImagePull", "message": "give the container a command"}
    talk.run(15)

    assert talk.state()["waiting"]["reason"] == "ImagePullBackOff"
    assert "give the container a command" in talk.state()["waiting"]["message"]


def test_another_image_is_tried_at_once() -> None:
    talk = Talk(pod())
    talk.refuse[do.Pull] = Failed("ErrImagePull", "no")
    talk.run(100)

    talk.refuse.clear()
    talk.worker.pod_changed(pod(container(image="better")))
    talk.run()

    assert names(talk) == ["main"]


def test_an_image_changed_in_place_replaces_the_container() -> None:
    talk = Talk(pod())
    talk.run(100)

    talk.worker.pod_changed({**pod(container(image="newer")), "status": talk.status})
    talk.run()

    assert (talk.running().config.image, talk.restarts()) == ("newer", 1)
    assert "definition changed" in next(event.message for event in talk.told if event.reason == "Killing")
    assert "BackOff" not in talk.reasons()


def test_who_is_started_again_at_once_is_not_said_to_back_off_meanwhile() -> None:
    talk = Talk(pod())
    talk.run(1)

    talk.exits()
    [create] = talk.step()
    talk.step()
    assert "BackOff" not in talk.reasons() and "CrashLoopBackOff" not in str(talk.state())
    talk.do(create)
    talk.run(1)
    talk.exits()
    talk.run(1)

    [told] = [event for event in talk.told if event.reason == "BackOff"]
    assert (told.message, told.names_pod) == ("Back-off restarting failed container main", True)


def test_another_image_is_run_even_where_nothing_is_started_again() -> None:
    talk = Talk(pod(restartPolicy="Never"))
    talk.run(100)

    talk.worker.pod_changed({**pod(container(image="newer"), restartPolicy="Never"), "status": talk.status})
    talk.run()

    assert (talk.running().config.image, talk.status["phase"]) == ("newer", "Running")


# -- init containers and sidecars -------------------------------------------------------------------------------------


def test_init_containers_run_one_after_another_before_the_others() -> None:
    talk = Talk(pod(initContainers=[container("first"), container("second")]))

    talk.run()
    assert (names(talk), talk.status["phase"]) == (["first"], "Pending")
    assert talk.state("main") == {"waiting": {"reason": "PodInitializing"}}
    talk.exits(0, "first")
    talk.run()
    assert (names(talk), talk.condition("Initialized")) == (["second"], "False")
    talk.exits(0, "second")
    talk.run()

    assert (names(talk), talk.condition("Initialized"), talk.status["phase"]) == (["main"], "True", "Running")
    assert talk.state("first")["terminated"]["reason"] == "Completed"


def test_a_failed_init_container_is_repeated_or_fails_the_pod_as_its_policy_says() -> None:
    again, never = (
        Talk(pod(restartPolicy=policy, initContainers=[container("init")])) for policy in ("OnFailure", "Never")
    )

    for talk in (again, never):
        talk.run()
        talk.exits(1, "init")
        talk.run()

    assert (names(again), again.restarts("init")) == (["init"], 1)
    assert (names(never), never.status["phase"]) == ([], "Failed")


def test_sidecars_run_beside_the_others_and_hold_them_up_until_they_have_started() -> None:
    probe = {"httpGet": {"port": 80}, "periodSeconds": 1}
    talk = Talk(pod(initContainers=[{**SIDECAR, "startupProbe": probe}, container("init")]))
    talk.probe_answers["startup"] = False

    talk.run(1)
    assert names(talk) == ["proxy"]
    talk.probe_answers["startup"] = True
    talk.run(1)
    assert names(talk) == ["init", "proxy"]
    talk.exits(0, "init")
    talk.run()

    assert names(talk) == ["main", "proxy"]


def test_a_sidecar_is_started_again_without_disturbing_the_others() -> None:
    talk = Talk(pod(restartPolicy="Never", initContainers=[SIDECAR]))
    talk.run()

    talk.exits(1, "proxy")
    talk.run()

    assert (names(talk), talk.restarts("proxy"), talk.restarts("main")) == (["main", "proxy"], 1, 0)


def test_sidecars_end_after_the_others_and_do_not_keep_a_pod_from_completing() -> None:
    talk = Talk(pod(restartPolicy="Never", initContainers=[SIDECAR, container("log", restartPolicy="Always")]))
    talk.run()

    talk.exits(0, "main")
    stopped = []
    for _ in range(2):
        [stop] = talk.step()
        stopped.append(stop.container)
        talk.do(stop)
    talk.run()

    assert (stopped, talk.status["phase"]) == (["log", "proxy"], "Succeeded")


def test_a_deleted_pod_ends_its_sidecars_last() -> None:
    talk = Talk(pod(initContainers=[SIDECAR]))
    talk.run()
    talk.worker.pod_changed(deleted(pod(initContainers=[SIDECAR])))

    [first] = talk.step()
    talk.do(first)
    [second] = talk.step()

    assert (first.container, second.container) == ("main", "proxy")


# -- restarting -------------------------------------------------------------------------------------------------------


def test_the_first_crash_is_answered_at_once_and_later_ones_after_growing_pauses() -> None:
    talk = Talk(pod())
    talk.run()

    pauses = []
    for _ in range(7):
        talk.exits(1)
        ended = talk.now
        talk.run(301)
        pauses.append(talk.starts["main"][-1] - ended)

    assert pauses == [0, 10, 20, 40, 80, 160, 300]


def test_a_crash_looping_container_waits_in_sight() -> None:
    talk = Talk(pod())
    talk.run()
    for _ in range(2):
        talk.exits(7)
        talk.run()

    waiting = talk.state()["waiting"]

    assert waiting["reason"] == "CrashLoopBackOff"
    assert waiting["message"] == "back-off 10s restarting failed container=main pod=web-0_default(uid-1)"
    assert (talk.last_state()["terminated"]["exitCode"], talk.restarts()) == (7, 1)
    assert (talk.status["phase"], talk.condition("Ready"), talk.reasons().count("BackOff")) == ("Running", "False", 1)


def test_what_ended_a_container_is_told_by_its_exit_code_alone() -> None:
    """No kubelet fills in `signal`: with it, `kubectl get pods` would print Signal:9 where others see Error."""
    talk = Talk(pod())
    talk.run()
    talk.exits(137, signal=9)
    talk.run()

    ended = talk.last_state()["terminated"]

    assert (ended["exitCode"], ended["reason"]) == (137, "Error")
    assert "signal" not in ended


def test_a_container_that_ran_ten_minutes_is_forgiven() -> None:
    talk = Talk(pod())
    talk.run()
    for _ in range(3):
        talk.exits(1)
        talk.run(301)

    talk.run(700)
    talk.exits(1)
    ended = talk.now
    talk.run()

    assert talk.starts["main"][-1] == ended


def test_policies_decide_whether_an_end_is_the_end() -> None:
    phases = {}
    for policy in ("Always", "OnFailure", "Never"):
        for code in (0, 1):
            talk = Talk(pod(restartPolicy=policy))
            talk.run()
            talk.exits(code)
            talk.run()
            phases[policy, code] = (talk.status["phase"], names(talk))

    assert phases == {
        ("Always", 0): ("Running", ["main"]),
        ("Always", 1): ("Running", ["main"]),
        ("OnFailure", 0): ("Succeeded", []),
        ("OnFailure", 1): ("Running", ["main"]),
        ("Never", 0): ("Succeeded", []),
        ("Never", 1): ("Failed", []),
    }


def test_only_the_last_ended_instance_is_kept() -> None:
    talk = Talk(pod())
    talk.run()
    for _ in range(4):
        talk.exits(1)
        talk.run(301)

    assert sorted(each.config.metadata.attempt for each in talk.ledger.containers.values()) == [3, 4]


def test_a_container_that_cannot_be_created_says_why_and_is_tried_again() -> None:
    talk = Talk(pod())
    talk.refuse[do.Create] = Failed("CreateContainerConfigError", 'secret "db" not found')

    talk.run(5)
    waiting = talk.state()["waiting"]
    talk.refuse.clear()
    talk.run(60)

    assert waiting == {"reason": "CreateContainerConfigError", "message": 'secret "db" not found'}
    assert (names(talk), talk.restarts()) == (["main"], 0)


# -- probes and hooks -------------------------------------------------------------------------------------------------


def test_readiness_decides_about_traffic_and_liveness_about_life() -> None:
    probe = {"tcpSocket": {"port": 80}, "periodSeconds": 10, "failureThreshold": 3}
    talk = Talk(pod(container(readinessProbe=probe, livenessProbe=probe)))
    talk.run(15)
    assert talk.condition("Ready") == "True"

    talk.probe_answers["readiness"] = False
    talk.run(40)
    assert (talk.condition("Ready"), talk.restarts()) == ("False", 0)
    talk.probe_answers["liveness"] = False
    talk.run(40)

    assert talk.restarts() == 1
    assert any(event.message == "Container main failed liveness probe, will be restarted" for event in talk.told)


def test_a_server_that_needs_a_moment_is_ready_soon_after_and_nobody_is_alarmed() -> None:
    talk = Talk(pod(container(readinessProbe={"httpGet": {"port": 80}})))
    talk.probe_answers["readiness"] = False
    talk.run(0.06)

    talk.probe_answers["readiness"] = True
    talk.run(0.2)

    assert (talk.condition("Ready"), "Unhealthy" in talk.reasons()) == ("True", False)


def test_liveness_waits_for_the_startup_probe() -> None:
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 10}
    talk = Talk(pod(container(startupProbe={**probe, "failureThreshold": 30}, livenessProbe=probe)))
    talk.probe_answers |= {"startup": False, "liveness": False}

    talk.run(200)
    assert talk.restarts() == 0
    talk.probe_answers["startup"] = True
    talk.run(40)

    assert talk.restarts() == 1


def test_a_container_is_not_ready_before_it_has_started() -> None:
    talk = Talk(pod(container(startupProbe={"tcpSocket": {"port": 80}, "failureThreshold": 30})))
    talk.probe_answers["startup"] = False
    talk.run(20)
    assert (talk.condition("Ready"), talk.status["containerStatuses"][0]["started"]) == ("False", False)

    talk.probe_answers["startup"] = True
    talk.run(10)

    assert talk.condition("Ready") == "True"


def test_a_startup_probe_that_never_succeeds_ends_the_container() -> None:
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 10, "failureThreshold": 3}
    talk = Talk(pod(container(startupProbe=probe)))
    talk.probe_answers["startup"] = False

    talk.run(19)
    assert talk.restarts() == 0
    talk.run(2)

    assert talk.restarts() == 1


def test_a_probe_of_a_kind_that_is_not_carried_out_is_told_and_never_succeeds() -> None:
    talk = Talk(pod(container(readinessProbe={"grpc": {"port": 80}})))

    talk.run(100)

    assert (talk.condition("Ready"), talk.reasons().count("Unhealthy")) == ("False", 1)


def test_hooks_run_after_the_start_and_before_the_end() -> None:
    hooks = {"postStart": {"exec": {"command": ["hello"]}}, "preStop": {"exec": {"command": ["bye"]}}}
    talk = Talk(pod(container(lifecycle=hooks)))
    for _ in range(4):
        talk.do(talk.step()[0])
    [post_start] = talk.step()
    talk.do(post_start)

    talk.worker.pod_changed(deleted(pod(container(lifecycle=hooks)), 30))
    [pre_stop] = talk.step()
    talk.now += 10
    talk.do(pre_stop, Failed("", "exit code 1"))
    [stop] = talk.step()

    assert (post_start.kind, pre_stop.kind, pre_stop.timeout_s, stop.grace_s) == ("postStart", "preStop", 30, 20)
    assert "FailedPreStopHook" in talk.reasons()


def test_a_hook_cannot_use_up_all_of_the_grace() -> None:
    hooks = {"preStop": {"exec": {"command": ["slow"]}}}
    talk = Talk(pod(container(lifecycle=hooks)))
    talk.run()
    talk.worker.pod_changed(deleted(pod(container(lifecycle=hooks)), 30))
    [pre_stop] = talk.step()

    talk.now += 31
    [_, stop] = talk.step()
    talk.do(pre_stop)

    assert isinstance(stop, do.Stop)
    assert talk.step() == [stop]


# -- ending -----------------------------------------------------------------------------------------------------------


def test_a_deleted_pod_ends_gracefully_and_leaves_the_api_when_nothing_runs() -> None:
    talk = Talk(pod())
    talk.run()
    talk.worker.pod_changed(deleted(pod(), 20))

    [stop] = talk.step()
    assert (stop.grace_s, talk.deleted_from_api) == (20, False)
    talk.do(stop)
    [stop_sandbox] = talk.step()
    talk.do(stop_sandbox)
    assert talk.step() == [do.DeletePod()]
    talk.do(talk.pending[0])
    talk.worker.pod_gone()
    talk.run()

    assert (talk.worker.finished, talk.ledger.sandboxes, talk.ledger.containers) == (True, {}, {})


def test_deleting_again_with_less_grace_ends_it_sooner() -> None:
    talk = Talk(pod())
    talk.run()
    talk.worker.pod_changed(deleted(pod(), 30))
    [first] = talk.step()

    talk.now += 5
    talk.worker.pod_changed(deleted(pod(), 6))
    [_, second] = talk.step()

    assert (first.grace_s, second.grace_s) == (30, 1)


def test_a_pod_held_by_a_finalizer_says_how_it_ended_before_it_is_deleted() -> None:
    held = deleted(pod(restartPolicy="Never"))
    held["metadata"]["finalizers"] = ["batch.kubernetes.io/job-tracking"]
    talk = Talk(pod(restartPolicy="Never"))
    talk.run()
    talk.worker.pod_changed(held)
    talk.run()

    assert (talk.deleted_from_api, talk.status["phase"]) == (False, "Failed")
    talk.run()
    assert talk.deleted_from_api


def test_a_pod_deleted_before_it_could_start_just_leaves() -> None:
    talk = Talk(pod())
    talk.worker.pod_changed(deleted(pod()))

    assert talk.step() == [do.DeletePod()]


def test_a_create_under_way_when_the_pod_is_deleted_is_waited_for() -> None:
    talk = Talk(pod())
    for _ in range(2):
        talk.do(talk.step()[0])
    [create] = talk.step()

    talk.worker.pod_changed(deleted(pod()))
    assert talk.step() == [create]
    talk.do(create)
    talk.run()

    assert (talk.deleted_from_api, names(talk)) == (True, [])


def test_a_pod_that_vanished_from_the_api_is_ended_all_the_same() -> None:
    talk = Talk(pod())
    talk.run()

    talk.worker.pod_gone()
    talk.run()

    assert (talk.worker.finished, talk.deleted_from_api, talk.ledger.sandboxes) == (True, False, {})


def test_a_pod_that_another_one_replaced_is_not_deleted_twice() -> None:
    talk = Talk(pod())
    talk.worker.pod_changed(deleted(pod()))
    [delete] = talk.step()

    talk.do(delete, Gone())

    assert (talk.step(), talk.worker.finished) == ([], True)


def test_a_pod_over_its_deadline_fails() -> None:
    talk = Talk(pod(activeDeadlineSeconds=60))

    talk.run(61)

    assert (talk.status["phase"], talk.status["reason"], names(talk)) == ("Failed", "DeadlineExceeded", [])


def test_a_pod_that_is_over_never_runs_again() -> None:
    over = {**pod(), "status": {"phase": "Failed", "reason": "Evicted", "message": "gone"}}
    talk = Talk(over)

    talk.run(1000)

    assert (talk.starts, talk.status["phase"], talk.status["reason"]) == ({}, "Failed", "Evicted")


# -- a runtime that fails ---------------------------------------------------------------------------------------------


def test_a_runtime_that_lost_everything_gets_a_new_sandbox_and_the_count_goes_on() -> None:
    talk = Talk(pod(initContainers=[container("init")]))
    talk.run()
    talk.exits(0, "init")
    talk.run(100)

    talk.forgets_everything()
    talk.run()
    assert names(talk) == ["init"]
    talk.exits(0, "init")
    talk.run()

    assert (names(talk), talk.restarts(), talk.status["phase"]) == (["main"], 1, "Running")
    assert talk.last_state()["terminated"]["reason"] == "ContainerStatusUnknown"


def test_a_restarted_kubelet_and_a_runtime_that_lost_everything_count_on() -> None:
    talk = Talk(pod())
    talk.run()
    talk.exits(1)
    talk.run(100)
    assert talk.status["phase"] == "Running"

    again = Talk(talk.worker.pod)
    assert (again.state()["waiting"]["reason"], again.last_state()["terminated"]["exitCode"]) == (
        "ContainerCreating",
        137,
    )
    again.run()

    assert (again.restarts(), again.status["phase"]) == (2, "Running")


def test_a_pod_that_must_not_restart_fails_when_its_sandbox_is_lost() -> None:
    talk = Talk(pod(restartPolicy="Never"))
    talk.run()
    running = talk.status["phase"]

    again = Talk(talk.worker.pod)
    again.run()

    assert (running, again.status["phase"], again.starts) == ("Running", "Failed", {})


def test_a_new_sandbox_waits_until_what_ran_in_the_lost_one_has_ended() -> None:
    talk = Talk(pod(container("a"), container("b")))
    talk.run()

    [sandbox] = talk.ledger.sandboxes.values()
    talk.ledger.stop_sandbox(sandbox)
    talk.relist()
    first, second = talk.step()
    assert [type(first), type(second)] == [do.Stop, do.Stop]
    talk.do(first)
    assert talk.step() == [second]
    talk.do(second)
    assert talk.step() == [do.RunSandbox(1)]
    talk.run()

    assert (names(talk), talk.restarts("a"), talk.restarts("b")) == (["a", "b"], 1, 1)


def test_a_list_says_nothing_about_what_came_while_it_was_under_way() -> None:
    talk = Talk(pod())
    talk.run()
    asked_before_there_was_a_pod = PodFacts()

    talk.facts.relisted([], [], asked_before_there_was_a_pod, talk.now)
    talk.run(100)

    assert "running" in talk.state()


def test_old_news_do_not_bring_a_container_back() -> None:
    talk = Talk(pod())
    talk.run()
    old = talk.running().status()

    talk.exits(1)
    talk.facts.container_seen(old)
    talk.run()

    assert talk.restarts() == 1


def test_a_probe_answer_about_an_instance_that_is_over_changes_nothing() -> None:
    talk = Talk(pod(container(livenessProbe={"tcpSocket": {"port": 1}, "failureThreshold": 1})))
    for _ in range(4):
        talk.do(talk.step()[0])
    [probe] = talk.step()

    talk.exits(1)
    talk.run(leaving=probe)
    talk.do(probe, Failed("ProbeFailed", "late"))
    talk.run()

    assert (talk.restarts(), talk.now) == (1, START)


# -- ephemeral containers ---------------------------------------------------------------------------------------------


def debugged(pod: Object) -> Object:
    return {**pod, "spec": {**pod["spec"], "ephemeralContainers": [container("debugger")]}}


def ephemeral_state(talk: Talk) -> dict[str, Any]:
    state: dict[str, Any] = talk.status["ephemeralContainerStatuses"][0]["state"]
    return state


def test_an_ephemeral_container_joins_a_running_pod_and_changes_nothing_else() -> None:
    talk = Talk(pod())
    talk.run(10)

    talk.worker.pod_changed(debugged(talk.worker.pod))
    talk.run(10)

    assert names(talk) == ["debugger", "main"] and "running" in ephemeral_state(talk)
    assert (talk.status["phase"], talk.condition("Ready"), len(talk.starts["main"])) == ("Running", "True", 1)
    assert talk.status["ephemeralContainerStatuses"][0]["ready"] is False


def test_an_ephemeral_container_runs_once_whatever_the_pods_policy_is() -> None:
    talk = Talk(pod())
    talk.run(10)
    talk.worker.pod_changed(debugged(talk.worker.pod))
    talk.run(10)

    talk.exits(1, "debugger")
    talk.run(1000)
    again = Talk({**talk.worker.pod, "status": talk.status})  # the runtime has forgotten everything
    again.run(1000)

    assert ephemeral_state(talk)["terminated"]["exitCode"] == 1 and talk.condition("Ready") == "True"
    assert (len(talk.starts["debugger"]), "debugger" in again.starts) == (1, False)


def test_an_ephemeral_container_needs_no_init_container_and_ends_with_its_pod() -> None:
    talk = Talk(debugged(pod(initContainers=[container("stuck")])))
    talk.run(10)
    before = names(talk)

    talk.worker.pod_changed(deleted(talk.worker.pod))
    talk.run(10)

    assert (before, names(talk)) == (["debugger", "stuck"], [])
