"""`kubectl logs`: a container's log, asked of the kubelet of the pod's node and passed on as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web

from actorkube.runtime import Context, Stream
from actors.apiserver.rest.audit import has_started
from actors.apiserver.rest.params import Params
from actors.apiserver.rest.render import Reply
from actors.apiserver.rules.field import FieldErrors, forbidden, invalid_value, refusal
from actors.apiserver.schema.times import time_problem
from protocols.api import LogChunk, ReadLog
from protocols.errors import AskError, BadRequest, StatusError
from protocols.objects import Object, name_of, namespace_of
from protocols.rules.pods import node_of, only_container
from protocols.rules.times import seconds_of

_FIRST_CHUNK_WITHIN_S = 1.0  # a refusal comes quickly; after that the answer begins, whether or not there is output
_NUMBERS = ("sinceSeconds", "tailLines", "limitBytes")
_CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")


def log_request(pod: Object, params: Params, now: float) -> ReadLog:
    """What to ask the kubelet. Raises BadRequest as Kubernetes does."""
    since_s: float = params.number("sinceSeconds", -1)
    if (since := _since(params.text("sinceTime"))) is not None:
        since_s = max(0.0, now - since)
    return ReadLog(
        namespace=namespace_of(pod),
        pod=name_of(pod),
        container=choose_container(pod, params.text("container")),
        follow=params.flag("follow"),
        previous=params.flag("previous"),
        timestamps=params.flag("timestamps"),
        tail_lines=params.number("tailLines", -1),
        since_s=since_s,
        limit_bytes=params.number("limitBytes", -1),
    )


def choose_container(pod: Object, wanted: str) -> str:
    spec: dict[str, Any] = pod.get("spec") or {}
    lists = [[container["name"] for container in spec.get(field) or ()] for field in _CONTAINER_LISTS]
    if wanted:
        if not any(wanted in names for names in lists):
            raise BadRequest(f"container {wanted} is not valid for pod {name_of(pod)}")
        return wanted
    return only_container(pod)


def check_options(name: str, params: Params) -> None:
    """Before anybody looks for the pod. Raises BadRequest, Invalid."""
    for number in _NUMBERS:
        params.number(number)
    _since(params.text("sinceTime"))
    if errors := list(_errors(params)):
        raise refusal("PodLogOptions", "", "PodLogOptions", name, errors)


def _since(text: str) -> float | None:
    try:
        return seconds_of(text) if text else None
    except ValueError:
        raise BadRequest(time_problem(text, "date-time")) from None


def _errors(params: Params) -> FieldErrors:
    if params.has("stream"):  # which streams: a feature that is not on
        yield forbidden("stream", "may not be specified")
    if params.number("tailLines") < 0:
        yield invalid_value("tailLines", params.number("tailLines"), "must be greater than or equal to 0")
    for field in ("limitBytes", "sinceSeconds"):
        if params.number(field, 1) < 1:
            yield invalid_value(field, params.number(field), "must be greater than 0")
    if params.has("sinceSeconds") and params.text("sinceTime"):
        yield forbidden("[]", "at most one of `sinceTime` or `sinceSeconds` may be specified")


async def stream_log(
    context: Context,
    request: web.BaseRequest,
    pod: Object,
    params: Params,
    unanswered: Callable[[str, Exception], StatusError],
) -> Reply | web.StreamResponse:
    node = node_of(pod)
    message = log_request(pod, params, context.now)
    if not node:
        return Reply(b"", 204, "text/plain")  # it has said nothing yet
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    async with context.stream(context.ref(f"{node}-kubelet/kubelet"), message) as stream:
        first = asyncio.ensure_future(_next(stream))
        try:
            try:
                await asyncio.wait_for(asyncio.shield(first), _FIRST_CHUNK_WITHIN_S)
            except TimeoutError:
                pass  # a quiet container that is followed
            except AskError as error:
                raise unanswered(node, error) from None
            await response.prepare(request)
            has_started(request, response)
            chunk = await first
            while chunk is not None:
                await response.write(chunk)
                chunk = await _next(stream)
            await response.write_eof()
        except (ConnectionError, AskError):
            response.force_close()  # the client left, or the kubelet did in the middle of it
        finally:
            first.cancel()
    return response


async def _next(stream: Stream[LogChunk]) -> bytes | None:
    try:
        return (await anext(stream)).data
    except StopAsyncIteration:
        return None
