"""What somebody holds open: `kubectl exec`, `attach`, port-forward, from API server down to runtime.

What a command prints is a stream with credit, so a reader that stops reading stops the command's output and nothing
else. What it is sent goes the other way as requests, answered when the command has taken the bytes: one under way per
session. The stream is the session: closing it ends the command.
"""

from __future__ import annotations

from protocols.message import Done, Message, Request, Streaming

WINDOW = 8  # items under way on each leg of the way
CHUNK_BYTES_MAX = 64 * 1024  # of one item
IDLE_S = 4 * 3600.0  # the kubelet's streamingConnectionIdleTimeout

STDOUT, STDERR = 1, 2


class ExecItem(Message):
    """One of: first of all the session's name; output of channel STDOUT or STDERR; last of all how it ended.

    A terminal has no STDERR. `exit_code` is 128 + signal for a killed command; `error` says why it never started.
    """

    session: str = ""
    channel: int = 0
    data: bytes = b""
    ended: bool = False
    exit_code: int = 0
    error: str = ""


class ExecInPod(Streaming[ExecItem]):
    """API server to kubelet. Ends with BadRequest or NotFound, in Kubernetes' words, where it cannot be."""

    namespace: str
    pod: str
    container: str
    cmd: tuple[str, ...]
    stdin: bool = False
    tty: bool = False


class ExecInContainer(Streaming[ExecItem]):
    """Kubelet to runtime: CRI's Exec, over messages. Ends with ContainerRefused or ContainerNotFound."""

    container_id: str
    cmd: tuple[str, ...]
    stdin: bool = False
    tty: bool = False


class AttachToPod(Streaming[ExecItem]):
    """API server to kubelet: the output of a container's own process from now on, and its input. As ExecInPod ends."""

    namespace: str
    pod: str
    container: str
    stdin: bool = False
    tty: bool = False


class AttachToContainer(Streaming[ExecItem]):
    """Kubelet to runtime: CRI's Attach, over messages. Ends with ContainerRefused or ContainerNotFound.

    When the container ends, the last item says so, with exit code 0 whatever the container's was. A reader that stops
    reading stops the container's output, as everywhere; a writer's `last` closes the input of a `stdin_once` container.
    """

    container_id: str
    stdin: bool = False


class ForwardPort(Streaming[ExecItem]):
    """API server to kubelet: one connection to a port of a pod. What comes from there is STDOUT; input is ExecInput."""

    namespace: str
    pod: str
    port: int


class ConnectPort(Streaming[ExecItem]):
    """Kubelet to runtime: CRI's PortForward for one connection, over messages."""

    pod_sandbox_id: str
    port: int


class ExecInput(Request[Done]):
    """Bytes for the command's standard input; `last`: nothing comes after them. Answered when they are taken.

    Bytes for a command that has ended, or that has closed its input, are dropped.
    """

    session: str
    data: bytes
    last: bool = False


class ResizeTerminal(Request[Done]):
    """Columns and rows of the session's terminal; without a terminal it means nothing."""

    session: str
    width: int
    height: int
