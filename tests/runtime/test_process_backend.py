"""Containers as real processes: exit codes, logs, TERM and KILL, nobody left behind, a restart of the shim."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actorkube.runtime import Ref, System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actors.runtime import procfs
from actors.runtime.actor import RuntimeShim
from actors.runtime.process import ProcessBackend
from protocols.cri import (
    ContainerConfig,
    ContainerMetadata,
    ContainerNotFound,
    ContainerRefused,
    ContainerStatus,
    CreateContainer,
    ExecSync,
    GetContainerEvents,
    GetContainerStats,
    GetContainerStatus,
    ImageUnusable,
    LinuxContainerResources,
    ListContainers,
    ListPodSandbox,
    Mount,
    PodSandboxConfig,
    PodSandboxMetadata,
    PodSandboxStatus,
    ProbeNetwork,
    PublishVolume,
    PullImage,
    ReadContainerLog,
    RemoveContainer,
    RemovePodSandbox,
    RunPodSandbox,
    StartContainer,
    StopContainer,
    StopPodSandbox,
    UpdateContainerResources,
    UpdateRuntimeConfig,
)
from protocols.message import Request

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pidfds, /proc and loopback addresses are Linux's")
SLEEP = ("sleep", "1000")


class Node:
    """A shim with a process backend, and what a kubelet would do with it, in one line each."""

    def __init__(self, system: System, directory: Path) -> None:
        self.system = system
        self.directory = directory
        self.shim: Ref = system.spawn(lambda: RuntimeShim(lambda: ProcessBackend(directory)), "runtime")

    async def ask(self, request: Request) -> object:
        return await self.system.ask(self.shim, request, timeout_s=10)

    async def pod(self, uid: str = "uid-1", attempt: int = 0) -> PodSandboxStatus:
        await self.ask(UpdateRuntimeConfig("127.65.1.0/24"))
        return await self.ask(RunPodSandbox(PodSandboxConfig(PodSandboxMetadata("web-0", uid, "default", attempt))))

    async def create(self, *command: str, name: str = "main", pod: str = "uid-1", **config: object) -> ContainerStatus:
        sandbox = await self.pod(pod)
        config = ContainerConfig(ContainerMetadata(name), config.pop("image", "label"), command, **config)
        return await self.ask(CreateContainer(sandbox.id, config))

    async def run(self, *command: str, **config: object) -> ContainerStatus:
        created = await self.create(*command, **config)
        return await self.ask(StartContainer(created.id))

    async def ended(self, id: str) -> ContainerStatus:
        async with self.system.stream(self.shim, GetContainerEvents()) as events:
            await anext(events)
            status = await self.ask(GetContainerStatus(id))
            while status.state != "CONTAINER_EXITED":
                event = await anext(events)
                status = event.status if event.status.id == id else status
        return status

    async def log(self, id: str, **request: object) -> str:
        async with self.system.stream(self.shim, ReadContainerLog(id, **request)) as chunks:
            return b"".join([chunk.data async for chunk in chunks]).decode()

    async def first_line(self, id: str) -> str:
        """Wait until it has written a line: it is up, and its handlers are installed."""
        async with self.system.stream(self.shim, ReadContainerLog(id, follow=True)) as chunks:
            return (await anext(chunks)).data.decode()


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    system = System("node-1-runtime", LocalNetwork().transport(), seed=1, log=Quiet())
    await system.start()
    yield Node(system, tmp_path)
    await system.stop()
    assert [pid for pid in procfs.marked_processes() if os.getpid() in ancestors(pid)] == []


def ancestors(pid: int) -> list[int]:
    found = []
    while pid > 1 and (stat := procfs.process_stat(pid)) is not None:
        found.append(pid := stat.parent)
    return found


async def gone(pid: int) -> bool:
    """Whether the process ends; the orphan sweep needs a few turns."""
    for _ in range(400):
        stat = procfs.process_stat(pid)
        if stat is None or stat.zombie:
            return True
        await asyncio.sleep(0.005)
    return False


async def test_reports_the_exit_code_of_a_command(node: Node) -> None:
    started = await node.run("sh", "-c", "exit 7")

    status = await node.ended(started.id)

    assert (started.state, status.exit_code, status.signal, status.reason) == ("CONTAINER_RUNNING", 7, 0, "Error")
    assert status.finished_at >= status.started_at > 0


async def test_reports_the_signal_that_killed_a_container(node: Node) -> None:
    started = await node.run("sh", "-c", "kill -SEGV $$")

    status = await node.ended(started.id)

    assert (status.exit_code, status.signal) == (128 + signal.SIGSEGV, signal.SIGSEGV)


async def test_a_killed_process_of_a_container_is_noticed(node: Node) -> None:
    started = await node.run("sh", "-c", "echo $$; exec sleep 1000")
    os.kill(int(await node.first_line(started.id)), signal.SIGKILL)

    status = await node.ended(started.id)

    assert (status.exit_code, status.signal) == (137, signal.SIGKILL)


async def test_keeps_every_line_of_both_outputs_also_one_without_newline(node: Node) -> None:
    started = await node.run("sh", "-c", "echo out; echo err >&2; printf 'no newline'")
    await node.ended(started.id)

    assert sorted((await node.log(started.id)).splitlines()) == ["err", "no newline", "out"]


async def test_keeps_output_that_was_written_just_before_the_end(node: Node) -> None:
    started = await node.run("python3", "-S", "-c", "print('x' * 79, sep='', end='\\n' * 1); print('y\\n' * 30000)")
    await node.ended(started.id)

    assert (await node.log(started.id)).count("y\n") == 30_000


async def test_a_log_can_be_followed_to_the_end_from_its_last_lines(node: Node) -> None:
    started = await node.run("sh", "-c", "echo 1; echo 2; echo 3; sleep 0.05; echo 4")
    await node.first_line(started.id)

    followed = await node.log(started.id, follow=True)
    tail = await node.log(started.id, tail_lines=2)

    assert (followed, tail) == ("1\n2\n3\n4\n", "3\n4\n")


async def test_stop_asks_with_term_and_lets_the_container_finish(node: Node) -> None:
    started = await node.run("sh", "-c", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done")
    await node.first_line(started.id)

    status = await node.ask(StopContainer(started.id, 5))

    assert (status.exit_code, status.signal) == (3, 0)
    assert (await node.log(started.id)).splitlines()[-1] == "bye"


async def test_term_reaches_the_children_that_the_first_process_waits_for(node: Node) -> None:
    child = "trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.01; done"  # sh tells of a killed sleep on stderr
    started = await node.run("sh", "-c", f"trap 'wait; exit 0' TERM; ({child}) 2>/dev/null & wait")
    await node.first_line(started.id)

    status = await node.ask(StopContainer(started.id, 5))

    assert (status.exit_code, await node.log(started.id)) == (0, "up\nbye\n")


async def test_stop_kills_a_container_that_ignores_term_when_its_grace_is_over(node: Node) -> None:
    started = await node.run("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.01; done")
    await node.first_line(started.id)

    status = await node.ask(StopContainer(started.id, 0.05))

    assert (status.exit_code, status.signal) == (137, signal.SIGKILL)


async def test_asking_again_to_stop_can_only_shorten_the_grace(node: Node) -> None:
    started = await node.run("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.01; done")
    await node.first_line(started.id)

    answers = await asyncio.gather(*(node.ask(StopContainer(started.id, grace)) for grace in (1000, 0.05, 1000)))

    assert [status.signal for status in answers] == [signal.SIGKILL] * 3


async def test_children_in_the_group_end_with_the_first_process(node: Node) -> None:
    started = await node.run("sh", "-c", "sleep 1000 & echo $!; exit 0")
    child = int(await node.first_line(started.id))

    await node.ended(started.id)

    assert await gone(child)


async def test_a_daemon_that_left_the_session_ends_with_its_container(node: Node) -> None:
    started = await node.run("sh", "-c", "setsid sh -c 'sleep 1000 & echo $!; wait' & wait")
    daemon_child = int(await node.first_line(started.id))
    assert procfs.process_stat(daemon_child) is not None

    await node.ask(StopContainer(started.id, 0))

    assert await gone(daemon_child)


async def test_a_daemon_of_a_running_container_is_left_alone(node: Node) -> None:
    started = await node.run("sh", "-c", "setsid sh -c 'sleep 1000 & echo $!'; exec sleep 1000")
    daemon = int(await node.first_line(started.id))
    other = await node.run("true", name="other")
    await node.ended(other.id)
    await asyncio.sleep(0.05)  # the sweep after the other's end has run

    stat = procfs.process_stat(daemon)

    assert stat is not None and not stat.zombie and stat.parent == os.getpid()


async def test_nothing_of_the_host_environment_leaks_into_a_container(node: Node, monkeypatch: object) -> None:
    os.environ["ACTORKUBE_TEST_SECRET"] = "secret"
    started = await node.run("env", envs={"GREETING": "hello", "HOME": "/nowhere"})
    del os.environ["ACTORKUBE_TEST_SECRET"]
    await node.ended(started.id)

    env = dict(line.split("=", 1) for line in (await node.log(started.id)).splitlines())

    assert "ACTORKUBE_TEST_SECRET" not in env
    assert (env["GREETING"], env["HOME"], env["HOSTNAME"], env["POD_IP"]) == (
        "hello",
        "/nowhere",
        "web-0",
        "127.65.1.2",
    )


async def test_pods_have_addresses_of_their_own_that_can_be_bound(node: Node) -> None:
    first, second = await node.pod("uid-1"), await node.pod("uid-2")

    for ip in (first.ip, second.ip):
        with socket.socket() as listener:
            listener.bind((ip, 0))

    assert (first.ip, second.ip) == ("127.65.1.2", "127.65.1.3")


async def test_a_volume_is_a_link_in_the_working_directory_and_a_path_in_the_environment(node: Node) -> None:
    await node.pod()
    volume = await node.ask(PublishVolume("uid-1", "app-config", {"greeting": b"hello", "deep/er": b"x"}))
    mounts = (Mount("/etc/config", volume.host_path, True, "app-config"),)
    script = 'cat etc/config/greeting "$ACTORKUBE_VOLUME_APP_CONFIG/deep/er"; echo; read line; cat etc/config/greeting'

    started = await node.run("sh", "-c", script.replace("read line", "true"), mounts=mounts)
    await node.ended(started.id)

    assert await node.log(started.id) == "hellox\nhello\n"


async def test_a_volume_shows_new_files_and_no_old_ones_after_an_update(node: Node) -> None:
    await node.pod()
    await node.ask(PublishVolume("uid-1", "config", {"a": b"1", "b": b"1"}))

    path = Path((await node.ask(PublishVolume("uid-1", "config", {"b": b"2", "c/d": b"2"}))).host_path)

    visible = sorted(name for name in os.listdir(path) if not name.startswith(".."))
    assert (visible, (path / "b").read_bytes(), (path / "c" / "d").read_bytes()) == (["b", "c"], b"2", b"2")


async def test_an_image_that_names_a_directory_is_where_commands_are_found(node: Node, tmp_path: Path) -> None:
    app = tmp_path / "app"
    (app / "bin").mkdir(parents=True)
    for path, text in (("bin/serve", "echo serve in $PWD"), ("entrypoint", "echo entrypoint $1")):
        (app / path).write_text(f"#!/bin/sh\n{text}\n")
        (app / path).chmod(0o755)

    by_command = await node.run("/bin/serve", image=f"file://{app}", name="a")
    by_entrypoint = await node.run(image=str(app), args=("now",), name="b")
    await asyncio.gather(node.ended(by_command.id), node.ended(by_entrypoint.id))

    assert await node.log(by_command.id) == f"serve in {app}\n"
    assert await node.log(by_entrypoint.id) == "entrypoint now\n"


async def test_an_image_that_is_only_a_label_needs_a_command_and_says_so(node: Node) -> None:
    with pytest.raises(ImageUnusable, match=r'image "nginx:1.27" is only a label here.*Give the container a `command`'):
        await node.create(image="nginx:1.27")
    with pytest.raises(ImageUnusable, match="the container has no image"):
        await node.ask(PullImage("", False))
    with pytest.raises(ImageUnusable, match="there is no directory /nowhere/at/all"):
        await node.ask(PullImage("/nowhere/at/all", True))

    assert (await node.ask(PullImage("nginx:1.27", True))).image_ref == "nginx:1.27"
    assert (await node.ask(ListContainers())).containers == ()


async def test_a_command_that_does_not_exist_is_refused_in_the_words_of_runc(node: Node) -> None:
    created = await node.create("no-such-program")

    with pytest.raises(
        ContainerRefused, match=r'exec: "no-such-program": executable file not found in \$PATH'
    ) as refusal:
        await node.ask(StartContainer(created.id))

    assert refusal.value.details["reason"] == "RunContainerError"


async def test_exec_answers_output_and_exit_code_and_ends_at_its_deadline(node: Node) -> None:
    started = await node.run(*SLEEP, envs={"GREETING": "hello"})

    result = await node.ask(ExecSync(started.id, ("sh", "-c", "echo $GREETING; echo no >&2; exit 4"), 5))
    with pytest.raises(ContainerRefused, match=r"timed out after 0\.05s"):
        await node.ask(ExecSync(started.id, SLEEP, 0.05))

    assert (result.stdout, result.stderr, result.exit_code) == (b"hello\n", b"no\n", 4)
    assert (await node.ask(GetContainerStats(started.id))).process_count == 1


async def test_a_memory_limit_makes_allocations_fail(node: Node) -> None:
    limits = LinuxContainerResources(memory_limit_in_bytes=64 * 1024 * 1024)

    started = await node.run("python3", "-S", "-c", "bytearray(256 * 1024 * 1024)", resources=limits)
    status = await node.ended(started.id)

    assert status.exit_code == 1
    assert "MemoryError" in await node.log(started.id)


def amounts(memory_mib: int, shares: int = 0) -> LinuxContainerResources:
    return LinuxContainerResources(cpu_shares=shares, memory_limit_in_bytes=memory_mib * 1024 * 1024)


async def test_other_amounts_count_at_once_for_all_that_runs_in_a_container(node: Node) -> None:
    script = "sleep 1000 & echo $$ $!; wait"
    started = await node.run("sh", "-c", script, pod="resized", resources=amounts(64, 1024))
    pids = [int(pid) for pid in (await node.first_line(started.id)).split()]
    before = [resource.prlimit(pid, resource.RLIMIT_DATA)[0] for pid in pids]

    updated = await node.ask(UpdateContainerResources(started.id, amounts(128, 102)))
    command = await node.ask(ExecSync(started.id, ("sh", "-c", "until ulimit -d | grep 131072; do :; done"), 5))

    after = [resource.prlimit(pid, resource.RLIMIT_DATA)[0] for pid in pids]
    assert (before, after) == ([64 << 20] * 2, [128 << 20] * 2)
    assert [os.getpriority(os.PRIO_PROCESS, pid) for pid in pids] == [5, 5]
    assert (command.stdout, updated.state, updated.resources) == (b"131072\n", "CONTAINER_RUNNING", amounts(128, 102))


async def test_no_limit_is_set_below_what_is_used(node: Node) -> None:
    script = "held = b'x' * (32 << 20); print(len(held), flush=True); import time; time.sleep(1000)"
    started = await node.run("python3", "-S", "-c", script, pod="full", resources=amounts(256))
    await node.first_line(started.id)

    with pytest.raises(
        ContainerRefused, match=r"attempting to set container memory limit \(8388608\) below current us"
    ):
        await node.ask(UpdateContainerResources(started.id, amounts(8)))

    assert (await node.ask(GetContainerStatus(started.id))).resources == amounts(256)


async def test_a_status_tells_as_whom_it_runs_whatever_was_asked_for(node: Node) -> None:
    started = await node.run("python3", "-S", "-c", "import os; print(os.getuid(), os.getgid())")

    user = (await node.ask(GetContainerStatus(started.id))).user

    assert user is not None and await node.first_line(started.id) == f"{user.uid} {user.gid}\n"
    assert user.gid in user.supplemental_groups


async def test_network_probes_tell_a_listener_from_nobody(node: Node) -> None:
    started = await node.run(*SLEEP)
    server = await asyncio.start_server(answer_503, "127.65.1.2", 0)
    port = server.sockets[0].getsockname()[1]

    tcp = await node.ask(ProbeNetwork(started.id, "tcp", port, 5))
    http = await node.ask(ProbeNetwork(started.id, "http", port, 5, path="/healthz"))
    server.close()
    await server.wait_closed()
    refused = await node.ask(ProbeNetwork(started.id, "http", port, 5))

    assert (tcp.success, http.success, refused.success) == (True, False, False)
    assert http.output == "HTTP probe failed with statuscode: 503"
    assert refused.output.endswith("connect: connection refused")


async def answer_503(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if await reader.read(1024):
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    writer.close()


async def test_creating_twice_is_creating_once_and_a_second_instance_is_refused(node: Node) -> None:
    first, again = await node.create(*SLEEP), await node.create(*SLEEP)
    await asyncio.gather(node.ask(StartContainer(first.id)), node.ask(StartContainer(first.id)))

    with pytest.raises(ContainerRefused, match="is CONTAINER_RUNNING as attempt 0"):
        config = ContainerConfig(ContainerMetadata("main", 1), "label", SLEEP)
        await node.ask(CreateContainer(first.pod_sandbox_id, config))

    assert first.id == again.id
    assert (await node.ask(GetContainerStats(first.id))).process_count == 1


async def test_removing_a_pod_leaves_no_file_of_it(node: Node) -> None:
    started = await node.run(*SLEEP)
    await node.ask(PublishVolume("uid-1", "data"))
    await node.ask(StopContainer(started.id, 0))
    await node.ask(StopPodSandbox(started.pod_sandbox_id))

    await node.ask(RemoveContainer(started.id))
    await node.ask(RemovePodSandbox(started.pod_sandbox_id))

    assert list((node.directory / "pods").iterdir()) == []
    with pytest.raises(ContainerNotFound):
        await node.ask(GetContainerStatus(started.id))


async def test_a_shim_that_crashed_ends_what_ran_and_remembers_it_as_ended(node: Node) -> None:
    started = await node.run("sh", "-c", "echo $$; setsid sleep 1000 & echo $!; exec sleep 1000")
    await node.first_line(started.id)
    over = await node.run("sh", "-c", "exit 5", name="over")
    await node.ended(over.id)
    cell = node.system._cells[node.shim.actor_id]

    cell.crash(RuntimeError("a test breaks the shim"))

    statuses = {status.metadata.name: status for status in (await node.ask(ListContainers())).containers}
    pids = [int(line) for line in (await node.log(started.id)).split()]
    assert (statuses["main"].state, statuses["main"].exit_code) == ("CONTAINER_EXITED", 137)
    assert "runtime was restarted" in statuses["main"].message
    assert (statuses["over"].state, statuses["over"].exit_code) == ("CONTAINER_EXITED", 5)
    assert [sandbox.state for sandbox in (await node.ask(ListPodSandbox())).items] == ["SANDBOX_NOTREADY"]
    assert all([await gone(pid) for pid in pids])


SHIM = """
import asyncio, pathlib, sys
from tests.runtime.test_process_backend import LocalNetwork, Node, Quiet, System

async def main() -> None:
    system = System("node-1-runtime", LocalNetwork().transport(), seed=1, log=Quiet())
    await system.start()
    node = Node(system, pathlib.Path(sys.argv[1]))
    started = await node.run("sh", "-c", "setsid sleep 1000 & echo $$ $!; exec sleep 1000")
    print(await node.first_line(started.id), flush=True)
    await asyncio.sleep(1000)

asyncio.run(main())
"""


@pytest.mark.slow
async def test_a_shim_that_was_killed_takes_its_containers_along_and_the_next_one_ends_the_rest(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    shim = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SHIM, str(tmp_path), cwd=root, stdout=asyncio.subprocess.PIPE
    )
    assert shim.stdout is not None
    first, daemon = [int(pid) for pid in (await shim.stdout.readline()).split()]

    shim.kill()
    await shim.wait()
    assert await gone(first)
    assert not (stat := procfs.process_stat(daemon)) or not stat.zombie
    system = System("node-1-runtime", LocalNetwork().transport(), seed=1, log=Quiet())
    await system.start()
    [status] = (await Node(system, tmp_path).ask(ListContainers())).containers
    await system.stop()

    assert (await gone(daemon), status.exit_code) == (True, 137)
