"""The kubelet in the simulated world: pods from the API to the runtime and back, through restarts and lost answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actorkube.sim import World
from actors.apiserver.schema.types import DEFAULT_VERSION
from protocols.errors import BadRequest, NotFound
from protocols.objects import encode_object
from protocols.rules.conditions import condition_is
from tests.kubelet import node_world
from tests.kubelet.node_world import KUBELET, RUNTIME, SPEC, NodeWorld, run


def test_a_node_registers_with_its_addresses_resources_and_lease() -> None:
    async def scenario(node: NodeWorld) -> None:
        registered = await node.client.get("nodes", "node-1")
        await node.world.sleep(30)
        lease = await node.client.get("leases.coordination.k8s.io", "node-1", "kube-node-lease")

        status = registered["status"]
        assert registered["spec"]["podCIDR"] == "127.65.1.0/24"
        assert registered["metadata"]["labels"]["kubernetes.io/hostname"] == "node-1"
        assert status["addresses"][0] == {"type": "InternalIP", "address": "127.64.0.1"}
        assert (status["allocatable"]["cpu"], status["allocatable"]["pods"]) == ("8", "110")
        assert (condition_is(registered, "Ready"), status["nodeInfo"]["containerRuntimeVersion"]) == (True, "sim://1")
        assert lease["spec"]["renewTime"] >= "2026-01-01T00:00:20"

    run(scenario)


@pytest.mark.parametrize(("served", "version"), [("", DEFAULT_VERSION), ("1.33", "1.33")])
def test_a_kubelet_is_of_the_kubernetes_that_its_cluster_serves(served: str, version: str) -> None:
    async def scenario(node: NodeWorld) -> None:
        info = (await node.client.get("nodes", "node-1"))["status"]["nodeInfo"]

        assert info["kubeletVersion"] == f"v{version}.0+actorkube"

    run(scenario, spec=replace(SPEC, kubernetes_version=served))


def test_a_node_says_that_its_runtime_is_down_and_that_it_is_back() -> None:
    async def scenario(node: NodeWorld) -> None:
        async def is_ready() -> bool:
            return condition_is(await node.client.get("nodes", "node-1"), "Ready")

        async def is_not_ready() -> bool:
            return not await is_ready()

        node.world.crash(RUNTIME)
        await node.world.until(is_not_ready, within_s=60)
        await node.world.restart(RUNTIME)
        await node.world.until(is_ready, within_s=60)

    run(scenario)


def test_events_tell_what_a_node_has_become() -> None:
    async def scenario(node: NodeWorld) -> None:
        async def told() -> list[str]:
            events = await node.client.list("events", "default")
            return [each["reason"] for each in events if each["involvedObject"]["kind"] == "Node"]

        pressures = {"NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID"}
        await node.world.sleep(30)
        assert sorted(await told()) == sorted(["Starting", *pressures])

        known = await node.client.get("nodes", "node-1")
        await node.client.update("nodes", {**known, "spec": {**known["spec"], "unschedulable": True}})
        node.world.crash(RUNTIME)
        await node.world.sleep(60)
        await node.world.restart(RUNTIME)
        await node.world.sleep(60)

        [event] = [each for each in await node.client.list("events", "default") if each["reason"] == "NodeReady"]
        assert sorted(await told()) == sorted(
            ["Starting", *pressures, "NodeNotSchedulable", "NodeNotReady", "NodeReady"]
        )
        assert (event["message"], event["source"]) == (
            "Node node-1 status is now: NodeReady",
            {"component": "kubelet", "host": "node-1"},
        )
        assert event["involvedObject"] == {"kind": "Node", "name": "node-1", "uid": "node-1"}

    run(scenario)


def test_a_pod_runs_becomes_ready_and_leaves_nothing_behind_when_it_is_deleted() -> None:
    async def scenario(node: NodeWorld) -> None:
        probe = {"httpGet": {"port": 8080}, "periodSeconds": 10}
        main = {"name": "main", "image": "label", "command": ["run"], "readinessProbe": probe}
        await node.create(sim={"ready-after": "0.3", "term-seconds": "2"}, containers=[main])

        ready = await node.ready(within_s=2)
        await node.delete()
        await node.gone(within_s=5)

        assert (ready["status"]["phase"], ready["status"]["podIP"]) == ("Running", "127.65.1.2")
        await node.world.until(node.is_empty)
        assert {"Pulled", "Created", "Started", "Killing"} <= {reason for reason, _ in await node.events()}

    run(scenario)


def test_environment_and_volumes_come_from_config_maps_secrets_and_the_pod() -> None:
    async def scenario(node: NodeWorld) -> None:
        source = {"configMapKeyRef": {"name": "config", "key": "greeting"}}
        main = {
            "name": "main",
            "image": "label",
            "command": ["run", "$(GREETING)"],
            "env": [
                {"name": "GREETING", "valueFrom": source},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            ],
            "volumeMounts": [{"name": "keys", "mountPath": "/etc/keys"}],
        }
        await node.create(containers=[main], volumes=[{"name": "keys", "secret": {"secretName": "keys"}}])
        await node.world.sleep(3)
        assert node.running() == []

        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys", "namespace": "default"}}
        await node.client.create("secrets", {**secret, "data": {"key": "c2VjcmV0"}})
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config", "namespace": "default"}}
        await node.client.create("configmaps", {**config, "data": {"greeting": "hello"}})
        await node.ready()

        [container] = node.shim._ledger.containers.values()
        assert container.config.command == ("run", "hello")
        assert container.config.envs == {"GREETING": "hello", "IP": "127.65.1.2"}
        assert container.config.mounts[0].container_path == "/etc/keys"
        assert any("secret" in message for reason, message in await node.events() if reason == "FailedMount")

    run(scenario)


@pytest.mark.parametrize("served", ["", "1.32", "1.30"])
def test_a_status_tells_what_is_mounted_and_as_whom_it_runs(served: str) -> None:
    minor = int((served or DEFAULT_VERSION).partition(".")[2])

    async def scenario(node: NodeWorld) -> None:
        mounts = [
            {"name": "scratch", "mountPath": "/scratch"},
            {"name": "scratch", "mountPath": "/seen", "readOnly": True},
        ]
        main = {"name": "main", "image": "label", "volumeMounts": mounts, "securityContext": {"runAsUser": 1000}}
        context = {"runAsUser": 1, "runAsGroup": 3000, "supplementalGroups": [4000], "fsGroup": 2000}
        volumes = [{"name": "scratch", "emptyDir": {}}]

        await node.create(containers=[main], volumes=volumes, securityContext=context)
        [status] = (await node.ready())["status"]["containerStatuses"]

        seen = {**mounts[1], "recursiveReadOnly": "Disabled"}
        user = {"linux": {"uid": 1000, "gid": 3000, "supplementalGroups": [3000, 4000, 2000]}}
        assert status.get("volumeMounts") == ([mounts[0], seen] if minor >= 31 else None)
        assert status.get("user") == (user if minor >= 33 else None)

    run(scenario, spec=replace(SPEC, kubernetes_version=served))


def test_a_crashing_container_backs_off_in_the_api_and_its_previous_log_can_be_read() -> None:
    async def scenario(node: NodeWorld) -> None:
        await node.create(sim={"exit-after": "1", "exit-code": "3"})

        def loops(pod: dict) -> bool:
            return "waiting" in (state := pod["status"]["containerStatuses"][0]["state"]) and (
                state["waiting"]["reason"] == "CrashLoopBackOff"
            )

        looping = await node.reaches("web", lambda pod: pod["status"].get("containerStatuses") and loops(pod))

        status = looping["status"]["containerStatuses"][0]
        assert (status["restartCount"], status["lastState"]["terminated"]["exitCode"]) == (1, 3)
        assert await node.log() == "main starts, attempt 1\n"
        assert "BackOff" in {reason for reason, _ in await node.events()}
        await node.reaches("web", lambda pod: pod["status"]["containerStatuses"][0]["restartCount"] == 2)
        assert await node.log(previous=True) == "main starts, attempt 1\n"

    run(scenario)


def test_logs_are_refused_in_kubernetes_words() -> None:
    async def scenario(node: NodeWorld) -> None:
        await node.create(sim={"pull-seconds": "1000"})
        await node.world.sleep(1)

        with pytest.raises(BadRequest, match='container "main" in pod "web" is waiting to start: ContainerCreating'):
            await node.log()
        with pytest.raises(BadRequest, match='previous terminated container "main" in pod "web" not found'):
            await node.log(previous=True)
        with pytest.raises(BadRequest, match="container other is not valid for pod web"):
            await node.log(container="other")
        with pytest.raises(NotFound, match='pods "nobody" not found'):
            await node.log("nobody")

    run(scenario)


def test_a_pod_that_does_not_fit_fails_with_the_reason() -> None:
    async def scenario(node: NodeWorld) -> None:
        resources = {"requests": {"cpu": "5"}}
        containers = [{"name": "main", "image": "label", "command": ["run"], "resources": resources}]
        await node.create("fits", containers=containers)
        await node.ready("fits")

        await node.create("does-not", containers=containers)
        await node.create("elsewhere", nodeSelector={"disk": "ssd"})
        refused = await node.reaches("does-not", lambda pod: pod["status"].get("phase") == "Failed")
        stranger = await node.reaches("elsewhere", lambda pod: pod["status"].get("phase") == "Failed")

        assert refused["status"]["reason"] == "OutOfcpu"
        assert "requested: 5000, used: 5000, capacity: 8000" in refused["status"]["message"]
        assert stranger["status"]["reason"] == "NodeAffinity"
        await node.delete("does-not")
        await node.gone("does-not")

    run(scenario)


def test_containers_go_on_when_only_the_kubelet_restarts() -> None:
    async def scenario(node: NodeWorld) -> None:
        await node.create()
        before = await node.ready()
        [instance] = node.shim._ledger.containers

        node.world.crash(KUBELET)
        await node.world.sleep(20)
        assert node.running() == ["main"]
        await node.world.restart(KUBELET)
        await node.world.sleep(20)
        after = await node.ready()

        assert list(node.shim._ledger.containers) == [instance]
        assert after["status"] == before["status"]

    run(scenario)


def test_a_pod_deleted_while_its_kubelet_was_down_is_ended_when_it_is_back() -> None:
    async def scenario(node: NodeWorld) -> None:
        for name in ("gracefully", "at-once"):
            await node.create(name)
            await node.ready(name)
        node.world.crash(KUBELET)
        await node.delete("gracefully")
        await node.delete("at-once", grace_s=0)

        await node.world.restart(KUBELET)
        await node.gone("gracefully")

        await node.world.until(node.is_empty, within_s=60)

    run(scenario)


def test_pods_run_again_when_the_runtime_has_lost_everything() -> None:
    async def scenario(node: NodeWorld) -> None:
        await node.create()
        await node.ready()

        node.world.crash(RUNTIME)
        await node.world.sleep(3)
        await node.world.restart(RUNTIME)
        again = await node.reaches("web", lambda pod: pod["status"]["containerStatuses"][0]["restartCount"] == 1)

        assert again["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 137
        await node.ready()
        assert node.running() == ["main"]

    run(scenario)


def test_a_status_that_was_written_from_an_old_view_is_made_again() -> None:
    async def scenario(node: NodeWorld) -> None:
        await node.create(readinessGates=[{"conditionType": "example.com/gate"}])
        waiting = await node.reaches("web", lambda pod: condition_is(pod, "ContainersReady"))
        assert not condition_is(waiting, "Ready")

        gate = {"type": "example.com/gate", "status": "True"}
        conditions = [*waiting["status"]["conditions"], gate]
        waiting["metadata"].pop("resourceVersion")
        await node.client.update_status("pods", {**waiting, "status": {**waiting["status"], "conditions": conditions}})
        ready = await node.ready()

        assert condition_is(ready, "example.com/gate")

    run(scenario)


def test_a_settled_node_writes_nothing_but_its_heartbeats() -> None:
    async def scenario(node: NodeWorld) -> None:
        await node.create()
        await node.ready()
        await node.world.sleep(5)
        before = await node.pod()

        await node.world.sleep(200)

        assert await node.pod() == before

    run(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_pods_come_and_go_through_crashes_and_partitions(seed: int) -> None:
    async def scenario(node: NodeWorld) -> None:
        world, chance = node.world, node.world.chance("test")
        world.always("one instance each", lambda: not world.is_up(RUNTIME) or node.shim._ledger.check())
        names = [f"pod-{number}" for number in range(6)]
        for name in names:
            await node.create(name, sim={"exit-after": "15"} if name == "pod-0" else {"term-seconds": "1"})
        for _ in range(6):
            match chance.choice(["kubelet", "runtime", "partition", "api", "delete"]):
                case "kubelet":
                    world.crash(KUBELET)
                case "runtime":
                    world.crash(RUNTIME)
                case "partition":
                    world.partition({KUBELET}, {chance.choice(["apiserver", RUNTIME])})
                case "api":
                    world.crash("apiserver")
                case "delete" if len(names) > 3 and world.is_up("apiserver"):
                    await node.delete(names.pop())
            await world.sleep(chance.uniform(0, 15))
            if chance.random() < 0.5:
                await world.recover()
        await world.recover()
        await world.sleep(60)  # until silent crashes have been noticed

        async def is_well() -> bool:
            pods = await node.client.list("pods", "default")
            ready = {pod["metadata"]["name"] for pod in pods if condition_is(pod, "Ready")}
            return {*names[1:]} <= ready and len(pods) == len(names) and len(node.kubelet._workers) == len(names)

        await world.converges(is_well, within_s=120)
        for name in names:
            await node.delete(name)
        await world.until(node.is_empty, within_s=120)

    run(scenario, seed)


def test_the_same_seed_gives_the_same_trace() -> None:
    async def scenario(world: World) -> None:
        await node_world.boot(world)
        node = await node_world.enter(world)
        await node.create(sim={"exit-after": "2"})
        await node.reaches("web", lambda pod: encode_object(pod) and node.instances() > 1)

    World.check(scenario, seed=5)
