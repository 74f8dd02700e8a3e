"""`kubectl exec`, `attach` and port-forward, as the API server asks: find what runs, pass both directions on."""

from __future__ import annotations

from collections.abc import AsyncIterator

from actorkube.runtime import Context, Ref
from actors.kubelet.pod_worker import PodWorker
from protocols.cri import ContainerNotFound, ContainerRefused, ContainerStatus
from protocols.errors import AskError, BadRequest, InternalError, NotFound
from protocols.exec import (
    IDLE_S,
    WINDOW,
    AttachToContainer,
    AttachToPod,
    ConnectPort,
    ExecInContainer,
    ExecInPod,
    ExecInput,
    ExecItem,
    ForwardPort,
    ResizeTerminal,
)
from protocols.message import Done


def exec_in_pod(ctx: Context, runtime: Ref, worker: PodWorker, request: ExecInPod) -> AsyncIterator[ExecItem]:
    """A command that cannot be started is an item that says so: the client's session has begun by then."""
    id = running_instance(worker, request).id
    wanted = ExecInContainer(id, request.cmd, request.stdin, request.tty)
    return _items(ctx, runtime, wanted, not_running(request))


def attach_to_pod(ctx: Context, runtime: Ref, worker: PodWorker, request: AttachToPod) -> AsyncIterator[ExecItem]:
    wanted = AttachToContainer(running_instance(worker, request).id, request.stdin)
    return _items(ctx, runtime, wanted, not_running(request))


async def _items(
    ctx: Context, runtime: Ref, wanted: ExecInContainer | AttachToContainer, gone: NotFound
) -> AsyncIterator[ExecItem]:
    try:
        async with ctx.stream(runtime, wanted, window=WINDOW) as items:
            async for item in items:
                yield item
    except ContainerRefused as error:
        yield ExecItem(ended=True, error=error.message)
    except ContainerNotFound as error:
        raise gone from error
    except AskError as error:
        raise InternalError(f"the container runtime does not answer: {error}") from error


async def forward_port(ctx: Context, runtime: Ref, worker: PodWorker, request: ForwardPort) -> AsyncIterator[ExecItem]:
    wanted = ConnectPort(running_sandbox(worker, request), request.port)
    try:
        async with ctx.stream(runtime, wanted, window=WINDOW) as items:
            async for item in items:
                yield item
    except (ContainerRefused, ContainerNotFound) as error:
        raise pod_not_running(request) from error
    except AskError as error:
        raise InternalError(f"the container runtime does not answer: {error}") from error


def running_sandbox(worker: PodWorker, request: ForwardPort) -> str:
    for status in worker.facts.containers.values():
        if status.state == "CONTAINER_RUNNING":
            return status.pod_sandbox_id
    raise pod_not_running(request)


def pod_not_running(request: ForwardPort) -> BadRequest:
    return BadRequest(f'unable to forward port {request.port}: pod "{request.pod}" is not running')


async def forward(ctx: Context, runtime: Ref, message: ExecInput | ResizeTerminal) -> Done:
    """A command that does not read keeps its writer waiting, and nobody else."""
    return await ctx.ask(runtime, message, timeout_s=IDLE_S)


def running_instance(worker: PodWorker, request: ExecInPod | AttachToPod) -> ContainerStatus:
    if request.container not in worker.workers:
        raise BadRequest(f"container {request.container} is not valid for pod {request.pod}")
    for status in worker.facts.attempts(request.container):
        if status.state == "CONTAINER_RUNNING":
            return status
    raise not_running(request)


def not_running(request: ExecInPod | AttachToPod) -> NotFound:
    return NotFound(f'container not found ("{request.container}")')
