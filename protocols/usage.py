"""What pods use, for `kubectl top`: API server to kubelet."""

from __future__ import annotations

import msgspec

from protocols.message import Message, Request


class ContainerUsage(msgspec.Struct, frozen=True, array_like=True):
    """`cpu_nano_cores`: billionths of a core, the mean of the pod's window; memory is the resident set. `cpu_ns`: the
    processor time since it started, which was at `started_at`, in seconds since the epoch."""

    name: str
    cpu_nano_cores: int
    memory_bytes: int
    cpu_ns: int = 0
    started_at: float = 0.0


class PodUsage(msgspec.Struct, frozen=True, array_like=True):
    """`window_s`: the time over which CPU was measured, which ends at the answer's `time`."""

    namespace: str
    name: str
    uid: str
    window_s: float
    containers: tuple[ContainerUsage, ...]


class NodeUsage(Message):
    """The pods that run on the node, and when that was measured (seconds since the epoch)."""

    time: float
    pods: tuple[PodUsage, ...]


class AskNodeUsage(Request[NodeUsage]):
    pass
