"""What a pod worker may ask for, and what it is told about the outcome. All values; executor.py does them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from protocols.cri import ContainerStatus, PodSandboxStatus

ProbeKind = Literal["startup", "liveness", "readiness"]


@dataclass(frozen=True, slots=True)
class PublishVolumes:
    """Make every volume of the pod exist with its present content."""


@dataclass(frozen=True, slots=True)
class RunSandbox:
    attempt: int


@dataclass(frozen=True, slots=True)
class StopSandbox:
    id: str


@dataclass(frozen=True, slots=True)
class RemoveSandbox:
    id: str


@dataclass(frozen=True, slots=True)
class Pull:
    container: str


@dataclass(frozen=True, slots=True)
class Create:
    container: str
    attempt: int
    sandbox: PodSandboxStatus


@dataclass(frozen=True, slots=True)
class Start:
    container: str
    id: str


@dataclass(frozen=True, slots=True)
class Stop:
    container: str
    id: str
    grace_s: float


@dataclass(frozen=True, slots=True)
class Remove:
    id: str


@dataclass(frozen=True, slots=True)
class RunHook:
    """A lifecycle hook; `hook` is the handler (`exec`, `httpGet`, `sleep`)."""

    container: str
    id: str
    kind: Literal["postStart", "preStop"]
    hook: dict[str, Any]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Probe:
    container: str
    id: str
    kind: ProbeKind
    probe: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Everything has ended: take the object out of the API."""


@dataclass(frozen=True, slots=True)
class Tell:
    """An event for the user. It has no outcome."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    container: str = ""


Action = (
    PublishVolumes
    | RunSandbox
    | StopSandbox
    | RemoveSandbox
    | Pull
    | Create
    | Start
    | Stop
    | Remove
    | RunHook
    | Probe
    | DeletePod
    | Tell
)


@dataclass(frozen=True, slots=True)
class Ok:
    """It happened; with the new status where the runtime has one, or text where there is something to say."""

    status: ContainerStatus | PodSandboxStatus | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """It was refused, or the hook or probe failed. `reason` stands on the pod, `message` explains."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The thing that it was about does not exist (any more)."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Nobody knows whether it happened: look before deciding more."""


Outcome = Ok | Failed | Gone | Lost
