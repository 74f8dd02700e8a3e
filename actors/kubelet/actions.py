"""What a pod worker may ask for, and what it is told about the outcome. All values; executor.py does them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from protocols.cri import ContainerStatus, LinuxContainerResources, PodSandboxStatus

ProbeKind = Literal["startup", "liveness", "readiness"]


class PublishVolumes(msgspec.Struct, frozen=True):
    """Make every volume of the pod exist with its present content."""


class RunSandbox(msgspec.Struct, frozen=True):
    attempt: int


class StopSandbox(msgspec.Struct, frozen=True):
    id: str


class RemoveSandbox(msgspec.Struct, frozen=True):
    id: str


class Pull(msgspec.Struct, frozen=True):
    container: str


class Create(msgspec.Struct, frozen=True):
    container: str
    attempt: int
    sandbox: PodSandboxStatus


class Start(msgspec.Struct, frozen=True):
    container: str
    id: str


class Update(msgspec.Struct, frozen=True):
    """Give a running instance other amounts."""

    container: str
    id: str
    resources: LinuxContainerResources


class Stop(msgspec.Struct, frozen=True):
    container: str
    id: str
    grace_s: float


class Remove(msgspec.Struct, frozen=True):
    id: str


class RunHook(msgspec.Struct, frozen=True):
    """A lifecycle hook; `hook` is the handler (`exec`, `httpGet`, `sleep`)."""

    container: str
    id: str
    kind: Literal["postStart", "preStop"]
    hook: dict[str, Any]
    timeout_s: float


class Probe(msgspec.Struct, frozen=True):
    container: str
    id: str
    kind: ProbeKind
    probe: dict[str, Any]


class DeletePod(msgspec.Struct, frozen=True):
    """Everything has ended: take the object out of the API."""


class Tell(msgspec.Struct, frozen=True):
    """An event for the user. It has no outcome. `names_pod`: the message ends with which pod it is."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    container: str = ""
    names_pod: bool = False


Action = (
    PublishVolumes
    | RunSandbox
    | StopSandbox
    | RemoveSandbox
    | Pull
    | Create
    | Start
    | Update
    | Stop
    | Remove
    | RunHook
    | Probe
    | DeletePod
    | Tell
)


class Ok(msgspec.Struct, frozen=True):
    """It happened; with the new status where the runtime has one, or text where there is something to say."""

    status: ContainerStatus | PodSandboxStatus | None = None
    text: str = ""


class Failed(msgspec.Struct, frozen=True):
    """It was refused, or the hook or probe failed. `reason` stands on the pod, `message` explains."""

    reason: str
    message: str


class Gone(msgspec.Struct, frozen=True):
    """The thing that it was about does not exist (any more)."""


class Lost(msgspec.Struct, frozen=True):
    """Nobody knows whether it happened: look before deciding more."""


Outcome = Ok | Failed | Gone | Lost
