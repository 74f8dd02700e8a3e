"""Looking into the cluster over REST: `GET /metrics` for Prometheus, `POST /observe` for `actorkube top` and `trace`.

The body of the second is one `Relay` (protocols/observe.py) in MessagePack, for the observer at the end of its path;
with an empty path for the API server's own, which also tells where objects came from (AskHistory). The answer is a
`Relayed`. So who may administer the cluster can look into all of it with a kubeconfig, wherever its processes are.
"""

from __future__ import annotations

from typing import Any

import msgspec

from actorkube.runtime import Context
from actorkube.runtime.observer import relay_of
from actorkube.runtime.system import OBSERVER
from actorkube.runtime.tracing import NOT_FOLLOWED, because
from actors.apiserver.callers import Caller
from actors.apiserver.rest.render import Reply
from protocols.api import AskHistory
from protocols.errors import BadRequest, Forbidden
from protocols.message import UnknownMessage, decode, encode
from protocols.observe import AskExposition, Relay, Relayed

METRICS_PATH = "/metrics"
OBSERVE_PATH = "/observe"
MSGPACK = "application/msgpack"
BODY_BYTES_MAX = 64 * 1024


async def metrics(context: Context) -> Reply:
    """Of the API server's own system."""
    with because(NOT_FOLLOWED):
        exposition = await context.ask(_observer(context), AskExposition())
    return Reply(exposition.text, content_type=exposition.content_type)


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
