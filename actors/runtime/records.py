"""What the process backend writes down, so that a shim that starts again knows what it had started before."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from actors.runtime.ledger import Container, Sandbox
from protocols.cri import ContainerConfig, ContainerStatus, PodSandboxConfig, PodSandboxStatus

RESTARTED = "the container runtime was restarted, and process containers end with it"


class SandboxRecord(msgspec.Struct):
    config: PodSandboxConfig
    status: PodSandboxStatus


class Leftover(NamedTuple):
    """A container's first process, named beyond doubt until the machine starts again."""

    pid: int
    start_ticks: int


class ContainerRecord(msgspec.Struct):
    config: ContainerConfig
    status: ContainerStatus
    process: Leftover | None = None


def encode_sandbox(sandbox: Sandbox) -> bytes:
    return msgspec.json.encode(SandboxRecord(sandbox.config, sandbox.status()))


def encode_container(container: Container, process: Leftover | None) -> bytes:
    return msgspec.json.encode(ContainerRecord(container.config, container.status(), process))


def ended_sandbox(data: bytes) -> Sandbox:
    """The sandbox as it is after a restart: stopped, and its address given back. Raises msgspec.MsgspecError."""
    record = msgspec.json.decode(data, type=SandboxRecord)
    return Sandbox(record.status.id, record.config, record.status.created_at, "SANDBOX_NOTREADY")


def ended_container(data: bytes, sandbox: Sandbox, now: float) -> tuple[Container, Leftover | None]:
    """The container as it is after a restart: what ran was killed just now. Raises msgspec.MsgspecError."""
    record = msgspec.json.decode(data, type=ContainerRecord)
    old = record.status
    container = Container(old.id, sandbox, record.config, old.created_at, "CONTAINER_EXITED", old.started_at)
    container.image_ref, container.user = old.image_ref, old.user
    if old.state == "CONTAINER_EXITED":
        container.finished_at, container.exit_code, container.signal = old.finished_at, old.exit_code, old.signal
        container.reason, container.message = old.reason, old.message
    else:
        container.finished_at, container.exit_code, container.signal = now, 137, 9
        container.reason, container.message = "Error", RESTARTED
    return container, record.process
