"""Looking into the cluster over REST: `GET /metrics` for Prometheus, `POST /observe` for `actorkube top` and `trace`.

The body of the second is one `Relay` (protocols/observe.py) in MessagePack, for the observer at the end of its path;
with an empty path for the API server's own, which also tells where objects came from (AskHistory). The answer is a
`Relayed`. So who may administer the cluster can look into all of it with a kubeconfig, wherever its processes are.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from actorkube.runtime import Context
from actorkube.runtime.observer import relay_of
from actorkube.runtime.observers import Observers
from actorkube.runtime.system import OBSERVER
from actorkube.runtime.tracing import NOT_FOLLOWED, because
from actors.apiserver.callers import Caller
from actors.apiserver.rest.render import Reply
from protocols.api import AskHistory
from protocols.errors import BadRequest, Forbidden, NotFound, ServiceUnavailable
from protocols.message import UnknownMessage, decode, encode
from protocols.observe import Inspect, Relay, Relayed

METRICS_PATH = "/metrics"
OBSERVE_PATH = "/observe"
MSGPACK = "application/msgpack"
BODY_BYTES_MAX = 64 * 1024
METRICS_SYSTEMS_MAX = 256  # one costs about 2 ms of processor time
ANSWER_WITHIN_S = 2.0  # Prometheus gives up after 10


async def metrics(context: Context, system: str = "") -> Reply:
    """Of all systems that can be reached from here (at most METRICS_SYSTEMS_MAX), or of one. Raises NotFound."""
    from actorkube.runtime.exposition import CONTENT_TYPE, render

    own = context.self_ref.address.system
    with because(NOT_FOLLOWED):
        observers = Observers.seen_from(context, own, ANSWER_WITHIN_S)
        if system != own:
            await observers.find()
        if system and system not in observers.paths:
            raise NotFound(f'system "{system}" not found; there are {", ".join(sorted(observers.paths))}')
        names = [system] if system else list(observers.paths)[:METRICS_SYSTEMS_MAX]  # the nearest first: own
        answers = await observers.ask_all(Inspect(), names)
    if not answers:
        raise ServiceUnavailable(f"{names[0]} does not answer")
    first, *others = answers.values()
    silent = () if system else sorted(observers.silent)
    # In a thread: for a large cluster this is half a second, and the API server has others to serve.
    text = await asyncio.get_running_loop().run_in_executor(None, render, first, others, silent)
    return Reply(text, content_type=CONTENT_TYPE)


async def observe(context: Context, caller: Caller, body: bytes) -> Reply:
    if not caller.trusted:
        raise Forbidden(f'forbidden: User "{caller.user}" cannot post path "{OBSERVE_PATH}"')
    with because(NOT_FOLLOWED):  # who looks on does not want to see himself
        relayed = await _relayed(context, _relay(body))
    return Reply(encode(relayed), content_type=MSGPACK)


async def _relayed(context: Context, relay: Relay) -> Relayed:
    if relay.path:
        return await context.ask(_observer(context), relay)
    question = _decoded(relay.number, relay.body)
    if isinstance(question, AskHistory):
        history = await context.ask(context.self_ref, question)
        return Relayed(history.type_id, encode(history))
    return await context.ask(_observer(context), relay_of((context.self_ref.address.system,), question))


def _observer(context: Context) -> Any:
    return context.ref(f"{context.self_ref.address.system}/{OBSERVER}")


def _relay(body: bytes) -> Relay:
    message = _decoded(Relay.type_id, body)
    assert isinstance(message, Relay)
    return message


def _decoded(number: int, body: bytes) -> Any:
    try:
        return decode(number, body)
    except (UnknownMessage, msgspec.MsgspecError) as error:
        raise BadRequest(f"the body is no question for an observer: {error}") from None
