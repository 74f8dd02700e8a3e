"""The container runtime's door: CRI's calls, field names and states (k8s.io/cri-api runtime.v1), as messages.

A request has the name of CRI's call; where that is a noun (ContainerStatus, Version) it begins with `Get`. Calls that
change something answer with the new status, which saves the question that would follow. Times are seconds since the
epoch (CRI: nanoseconds), 0 where it has not happened.

Three calls are not CRI's: `PublishVolume`, because kubelet and runtime need not share a disk here; `ProbeNetwork`,
because a simulated container has no socket to connect to; `ReadContainerLog`, for both reasons.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from protocols.api import LogChunk
from protocols.errors import Answer
from protocols.message import Done, Lane, Message, Request, Streaming

SandboxState = Literal["SANDBOX_READY", "SANDBOX_NOTREADY"]
ContainerState = Literal["CONTAINER_CREATED", "CONTAINER_RUNNING", "CONTAINER_EXITED", "CONTAINER_UNKNOWN"]
ContainerEventType = Literal[
    "SUBSCRIBED",
    "CONTAINER_CREATED_EVENT",
    "CONTAINER_STARTED_EVENT",
    "CONTAINER_STOPPED_EVENT",
    "CONTAINER_DELETED_EVENT",
]


class ContainerNotFound(Answer):
    """There is no such container or sandbox (any more)."""


class ImageUnusable(Answer):
    """The image cannot become a container: `ErrImagePull` on the pod. The message says what to do instead."""


class ContainerRefused(Answer):
    """The runtime cannot make or start it as asked. Details: `reason`, as it stands on the pod."""


class PodSandboxMetadata(msgspec.Struct, frozen=True, array_like=True):
    name: str
    uid: str
    namespace: str
    attempt: int = 0


class PodSandboxConfig(msgspec.Struct, frozen=True, array_like=True):
    """`host_network` is CRI's namespace option NODE: the pod shares the node's address."""

    metadata: PodSandboxMetadata
    hostname: str = ""
    host_network: bool = False
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class PodSandboxStatus(Message):
    """`ip` is CRI's network.ip, "" when the pod has no address (any more)."""

    id: str
    metadata: PodSandboxMetadata
    state: SandboxState
    created_at: float
    ip: str = ""


class ContainerMetadata(msgspec.Struct, frozen=True, array_like=True):
    name: str
    attempt: int = 0


class Mount(msgspec.Struct, frozen=True, array_like=True):
    """`name` is the volume's, for runtimes that cannot mount and hand out paths instead."""

    container_path: str
    host_path: str
    readonly: bool = False
    name: str = ""


class LinuxContainerResources(msgspec.Struct, frozen=True, array_like=True):
    """0 means unlimited."""

    cpu_shares: int = 0
    cpu_quota: int = 0
    cpu_period: int = 100_000
    memory_limit_in_bytes: int = 0


class LinuxContainerUser(msgspec.Struct, frozen=True, array_like=True):
    """Whose process it is; `supplemental_groups` has the first of its groups, too."""

    uid: int = 0
    gid: int = 0
    supplemental_groups: tuple[int, ...] = (0,)


class ContainerConfig(msgspec.Struct, frozen=True, array_like=True):
    """`stdin`: its input stays open for whoever attaches; `stdin_once`: until the first of them has ended it."""

    metadata: ContainerMetadata
    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    envs: dict[str, str] = {}
    mounts: tuple[Mount, ...] = ()
    resources: LinuxContainerResources = LinuxContainerResources()
    annotations: dict[str, str] = {}
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    user: LinuxContainerUser = LinuxContainerUser()


class ContainerStatus(Message):
    """`signal` is 0, or the signal that ended the process; exit_code is then 128 + signal, as everywhere. `user` says
    as whom it runs, whatever was asked for."""

    id: str
    pod_sandbox_id: str
    metadata: ContainerMetadata
    state: ContainerState
    created_at: float
    started_at: float = 0
    finished_at: float = 0
    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    image: str = ""
    image_ref: str = ""
    resources: LinuxContainerResources = LinuxContainerResources()
    user: LinuxContainerUser | None = None


class PodSandboxList(Message):
    items: tuple[PodSandboxStatus, ...]


class ContainerList(Message):
    containers: tuple[ContainerStatus, ...]


class RunPodSandbox(Request[PodSandboxStatus]):
    """Idempotent: the same uid and attempt is the same sandbox."""

    config: PodSandboxConfig


class StopPodSandbox(Request[PodSandboxStatus]):
    """Kill what still runs in it and give its address back."""

    pod_sandbox_id: str


class RemovePodSandbox(Request[Done]):
    """Forget it with its containers, logs and volumes. It is no error when there is none."""

    pod_sandbox_id: str


class ListPodSandbox(Request[PodSandboxList]):
    pass


class CreateContainer(Request[ContainerStatus]):
    """Idempotent: the same sandbox, name and attempt is the same container."""

    pod_sandbox_id: str
    config: ContainerConfig


class StartContainer(Request[ContainerStatus]):
    container_id: str


class StopContainer(Request[ContainerStatus]):
    """TERM, and KILL after `timeout_s`; answered when it has exited. Asking again may only shorten the time left."""

    container_id: str
    timeout_s: float


class UpdateContainerResources(Request[ContainerStatus]):
    """From now on it has these. Refused, with nothing changed, where it uses more than that already."""

    container_id: str
    linux: LinuxContainerResources


class RemoveContainer(Request[Done]):
    """Forget it and its log. It is no error when there is none; a running one is refused."""

    container_id: str


class ListContainers(Request[ContainerList]):
    pass


class GetContainerStatus(Request[ContainerStatus]):
    container_id: str


class ExecSyncResult(Message):
    stdout: bytes
    stderr: bytes
    exit_code: int


class ExecSync(Request[ExecSyncResult]):
    """Run a command beside a container and wait. Ends with `ContainerRefused` (reason Timeout) when time is up."""

    container_id: str
    cmd: tuple[str, ...]
    timeout_s: float


class ContainerEvent(Message):
    """CRI's ContainerEventResponse for one container: its status after the event (None for SUBSCRIBED)."""

    container_event_type: ContainerEventType
    status: ContainerStatus | None = None


class GetContainerEvents(Streaming[ContainerEvent]):
    """Events from now on; the first item is SUBSCRIBED, so what is listed after it misses nothing.

    A reader that falls too far behind is ended with `ContainerRefused`: list again.
    """

    lane = Lane.CONTROL


class ReadContainerLog(Streaming[LogChunk]):
    """A container's log in its own lines; `since` is seconds since the epoch, -1 means unset, as in `ReadLog`."""

    container_id: str
    follow: bool = False
    timestamps: bool = False
    tail_lines: int = -1
    since: float = -1
    limit_bytes: int = -1


class ContainerStatsSample(Message):
    """cpu is the time used since the start; memory the resident set of all its processes."""

    container_id: str
    usage_core_nano_seconds: int
    working_set_bytes: int
    process_count: int


class GetContainerStats(Request[ContainerStatsSample]):
    container_id: str


class ContainerStatsList(Message):
    stats: tuple[ContainerStatsSample, ...]


class ListContainerStats(Request[ContainerStatsList]):
    """Of every container that runs."""


class RuntimeVersion(Message):
    runtime_name: str
    runtime_version: str
    runtime_api_version: str = "v1"


class GetVersion(Request[RuntimeVersion]):
    pass


class RuntimeCondition(msgspec.Struct, frozen=True, array_like=True):
    type: Literal["RuntimeReady", "NetworkReady"]
    status: bool
    reason: str = ""
    message: str = ""


class RuntimeStatus(Message):
    conditions: tuple[RuntimeCondition, ...]


class GetRuntimeStatus(Request[RuntimeStatus]):
    pass


class UpdateRuntimeConfig(Request[Done]):
    """Tell the runtime the range of addresses for pods. The first one wins while pods have addresses from it."""

    pod_cidr: str


class PulledImage(Message):
    image_ref: str


class PullImage(Request[PulledImage]):
    """`has_command`: the container brings its own command, so that an image which is only a label is enough."""

    image: str
    has_command: bool
    annotations: dict[str, str] = msgspec.field(default_factory=dict)


class PublishedVolume(Message):
    host_path: str


class PublishVolume(Request[PublishedVolume]):
    """Make a pod's volume exist with exactly these files (None: keep what is there), all at once for readers.

    Modes are permission bits. Volumes go when their pod's last sandbox is removed.
    """

    pod_uid: str
    volume: str
    files: dict[str, bytes] | None = None
    modes: dict[str, int] = msgspec.field(default_factory=dict)
    default_mode: int = 0o644


class NetworkProbeResult(Message):
    success: bool
    output: str = ""


class ProbeNetwork(Request[NetworkProbeResult]):
    """Does a connection to the pod succeed (scheme "tcp"), or a GET answer with 200 to 399?

    The runtime asks because it owns the pod's network. `host` "" means the pod's own address.
    """

    container_id: str
    scheme: Literal["tcp", "http", "https"]
    port: int
    timeout_s: float
    host: str = ""
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
