"""`kubectl logs`, as the API server asks for it: find the right instance of the container, pass its log on."""

from __future__ import annotations

from collections.abc import AsyncIterator

from actorkube.runtime import Context, Ref
from actors.kubelet.container_worker import ContainerWorker
from actors.kubelet.pod_worker import PodWorker
from protocols.api import LogChunk, ReadLog
from protocols.cri import ContainerNotFound, ContainerStatus, ReadContainerLog
from protocols.errors import AskError, BadRequest, InternalError

_PULLS = {"ErrImagePull": "image can't be pulled", "ImagePullBackOff": "trying and failing to pull image"}


async def read_log(ctx: Context, runtime: Ref, worker: PodWorker, request: ReadLog) -> AsyncIterator[LogChunk]:
    since = ctx.now - request.since_s if request.since_s >= 0 else -1
    wanted = ReadContainerLog(
        chosen_instance(worker, request).id,
        follow=request.follow,
        timestamps=request.timestamps,
        tail_lines=request.tail_lines,
        since=since,
        limit_bytes=request.limit_bytes,
    )
    try:
        async with ctx.stream(runtime, wanted) as chunks:
            async for chunk in chunks:
                yield chunk
    except ContainerNotFound as error:
        raise BadRequest(f'the log of container "{request.container}" is not kept any more') from error
    except AskError as error:
        raise InternalError(f"the container runtime does not answer: {error}") from error


def chosen_instance(worker: PodWorker, request: ReadLog) -> ContainerStatus:
    """The newest that has been started, or the one before it. Refused in Kubernetes' words."""
    container = worker.workers.get(request.container)
    if container is None:
        raise BadRequest(f"container {request.container} is not valid for pod {request.pod}")
    started = [status for status in worker.facts.attempts(request.container) if status.started_at or status.exit_code]
    if request.previous:
        ended = started[1:] if started and started[0].state == "CONTAINER_RUNNING" else started
        if not ended:
            raise BadRequest(f'previous terminated container "{request.container}" in pod "{request.pod}" not found')
        return ended[0]
    if not started:
        why = _why_waiting(worker, container)
        raise BadRequest(f'container "{request.container}" in pod "{request.pod}" is waiting to start: {why}')
    return started[0]


def _why_waiting(worker: PodWorker, container: ContainerWorker) -> str:
    if container.waiting is not None:
        return _PULLS.get(container.waiting.reason, container.waiting.reason)
    held_up = container.kind == "main" and worker.inits and not worker.initialized
    return "PodInitializing" if held_up else "ContainerCreating"
