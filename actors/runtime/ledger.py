"""What the runtime knows: sandboxes and containers, and the only ways in which they change.

A container goes CREATED -> RUNNING -> EXITED and never back; a restart is a new container with a higher attempt. Ids
follow from what a thing is (pod uid, name, attempts), so asking twice for the same thing gives the same thing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import msgspec

from actors.runtime.addresses import Addresses, NoAddressLeft
from protocols.cri import (
    ContainerConfig,
    ContainerNotFound,
    ContainerRefused,
    ContainerState,
    ContainerStatus,
    LinuxContainerResources,
    LinuxContainerUser,
    PodSandboxConfig,
    PodSandboxStatus,
    SandboxState,
)


@dataclass(slots=True)
class Sandbox:
    id: str
    config: PodSandboxConfig
    created_at: float
    state: SandboxState = "SANDBOX_READY"
    ip: str = ""
    containers: dict[str, Container] = field(default_factory=dict)

    @property
    def uid(self) -> str:
        return self.config.metadata.uid

    def status(self) -> PodSandboxStatus:
        return PodSandboxStatus(self.id, self.config.metadata, self.state, self.created_at, self.ip)


@dataclass(slots=True)
class Container:
    id: str
    sandbox: Sandbox
    config: ContainerConfig
    created_at: float
    state: ContainerState = "CONTAINER_CREATED"
    started_at: float = 0
    finished_at: float = 0
    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    image_ref: str = ""
    user: LinuxContainerUser | None = None

    @property
    def name(self) -> str:
        return self.config.metadata.name

    def status(self) -> ContainerStatus:
        return ContainerStatus(
            self.id,
            self.sandbox.id,
            self.config.metadata,
            self.state,
            self.created_at,
            self.started_at,
            self.finished_at,
            self.exit_code,
            self.signal,
            self.reason,
            self.message,
            self.config.image,
            self.image_ref,
            self.config.resources,
            self.user,
        )


@dataclass(slots=True)
class Ledger:
    addresses: Addresses | None = None
    sandboxes: dict[str, Sandbox] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)

    def restore(self, sandbox: Sandbox) -> None:
        """Take over what the backend found of an earlier life."""
        self.sandboxes[sandbox.id] = sandbox
        self.containers.update(sandbox.containers)

    # -- sandboxes ------------------------------------------------------------------------------------------------

    def run_sandbox(self, config: PodSandboxConfig, now: float) -> tuple[Sandbox, bool]:
        """The sandbox, and whether it is new."""
        known = self.sandboxes.get(sandbox_id(config))
        if known is not None:
            return known, False
        sandbox = Sandbox(sandbox_id(config), config, now)
        sandbox.ip = self._address(config.host_network)
        self.sandboxes[sandbox.id] = sandbox
        return sandbox, True

    def stop_sandbox(self, sandbox: Sandbox) -> None:
        if sandbox.ip and not sandbox.config.host_network and self.addresses is not None:
            self.addresses.give_back(sandbox.ip)
        sandbox.state, sandbox.ip = "SANDBOX_NOTREADY", ""

    def remove_sandbox(self, sandbox: Sandbox) -> bool:
        """Whether it was the last one of its pod."""
        assert not sandbox.containers
        self.stop_sandbox(sandbox)
        del self.sandboxes[sandbox.id]
        return not any(other.uid == sandbox.uid for other in self.sandboxes.values())

    def sandbox(self, id: str) -> Sandbox:
        if id not in self.sandboxes:
            raise ContainerNotFound(f"there is no pod sandbox {id}")
        return self.sandboxes[id]

    def _address(self, host_network: bool) -> str:
        if self.addresses is None:
            raise ContainerRefused(
                "the node has no podCIDR yet, so pods cannot have addresses", {"reason": "NetworkNotReady"}
            )
        try:
            return self.addresses.node if host_network else self.addresses.take()
        except NoAddressLeft as error:
            raise ContainerRefused(str(error), {"reason": "FailedCreatePodSandBox"}) from error

    # -- containers -----------------------------------------------------------------------------------------------

    def create(self, sandbox: Sandbox, config: ContainerConfig, now: float) -> tuple[Container, bool]:
        """The container, and whether it is new. Refused while another attempt of the same container is not over."""
        known = self.containers.get(container_id(sandbox, config))
        if known is not None:
            return known, False
        if sandbox.state != "SANDBOX_READY":
            raise ContainerRefused(f"pod sandbox {sandbox.id} is stopped", {"reason": "CreateContainerError"})
        for other in sandbox.containers.values():
            if other.name == config.metadata.name and other.state != "CONTAINER_EXITED":
                raise ContainerRefused(
                    f"container {other.name} is {other.state} as attempt {other.config.metadata.attempt}",
                    {"reason": "CreateContainerError"},
                )
        container = Container(container_id(sandbox, config), sandbox, config, now)
        self.containers[container.id] = sandbox.containers[container.id] = container
        return container, True

    def started(self, container: Container, now: float) -> None:
        assert container.state == "CONTAINER_CREATED", container
        container.state, container.started_at = "CONTAINER_RUNNING", now

    def resized(self, container: Container, resources: LinuxContainerResources) -> None:
        container.config = msgspec.structs.replace(container.config, resources=resources)

    def exited(
        self, container: Container, exit_code: int, signal: int, now: float, message: str = "", reason: str = ""
    ) -> None:
        assert container.state != "CONTAINER_EXITED", container
        container.state, container.finished_at = "CONTAINER_EXITED", now
        container.exit_code, container.signal, container.message = exit_code, signal, message
        container.reason = reason or ("Completed" if exit_code == 0 else "Error")

    def remove(self, container: Container) -> None:
        if container.state == "CONTAINER_RUNNING":
            raise ContainerRefused(f"container {container.id} runs: stop it first", {"reason": "ContainerRunning"})
        del self.containers[container.id]
        del container.sandbox.containers[container.id]

    def container(self, id: str) -> Container:
        if id not in self.containers:
            raise ContainerNotFound(f"there is no container {id}")
        return self.containers[id]

    def running(self) -> list[Container]:
        return [container for container in self.containers.values() if container.state == "CONTAINER_RUNNING"]

    def check(self) -> None:
        """Invariants: one live instance a container, every container has its sandbox, no address twice."""
        live = [(c.sandbox.id, c.name) for c in self.containers.values() if c.state != "CONTAINER_EXITED"]
        assert len(live) == len(set(live)), live
        assert all(self.sandboxes.get(c.sandbox.id) is c.sandbox for c in self.containers.values())
        ips = [s.ip for s in self.sandboxes.values() if s.ip and not s.config.host_network]
        assert len(ips) == len(set(ips)) or (self.addresses is not None and self.addresses.shared), ips


def sandbox_id(config: PodSandboxConfig) -> str:
    return _digest(f"{config.metadata.uid}/{config.metadata.attempt}")


def container_id(sandbox: Sandbox, config: ContainerConfig) -> str:
    return _digest(f"{sandbox.id}/{config.metadata.name}/{config.metadata.attempt}")


def _digest(what: str) -> str:
    return hashlib.blake2b(what.encode(), digest_size=32).hexdigest()
