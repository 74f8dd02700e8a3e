"""Looking into the cluster over REST: `GET /metrics` for Prometheus, `POST /observe` for `actorkube top` and `trace`.

The body of the second is one `Relay` (protocols/observe.py) in MessagePack, for the observer at the end of its path;
with an empty path for the API server's own, which also tells where objects came from (AskHistory). The answer is a
`Relayed`. So who may administer the cluster can look into all of it with a kubeconfig, wherever its processes are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from actorkube.runtime import Context
from actorkube.runtime.built_in import OBSERVER
from actorkube.runtime.metrics_page import ANSWER_WITHIN_S, scrape, text_of
from actorkube.runtime.observer import relay_of
from actorkube.runtime.observers import Observers
from actorkube.runtime.tracing import NOT_FOLLOWED, because
from actors.apiserver.rest.render import Reply
from protocols.api import AskHistory
from protocols.errors import BadRequest, NotFound, ServiceUnavailable
from protocols.message import UnknownMessage, decode, encode
from protocols.observe import AskExposition, Exposition, Relay, Relayed

METRICS_PATH = "/metrics"
OBSERVE_PATH = "/observe"
MSGPACK = "application/msgpack"
BODY_BYTES_MAX = 64 * 1024


async def metrics(context: Context, system: str, told: Callable[[], Callable[[], bytes]]) -> Reply:
    """Of all systems that can be reached from here (SYSTEMS_MAX of metrics_page.py), or of one, then with what its
    actors count. Raises NotFound.

    `told`: what this one has besides, as `Actor.exposition` wants it.
    """
    from actorkube.runtime.exposition import CONTENT_TYPE

    own = context.self_ref.address.system
    if system and system != own:
        other = await _exposition(context, system)
        return Reply(other.text, content_type=other.content_type)
    scraped = await scrape(context, system)
    if not scraped.reports:
        raise ServiceUnavailable(f"{own} does not answer")
    more, text = told(), await text_of(scraped)
    return Reply(text + await asyncio.to_thread(more), content_type=CONTENT_TYPE)


async def _exposition(context: Context, system: str) -> Exposition:
    with because(NOT_FOLLOWED):
        observers = Observers.seen_from(context, context.self_ref.address.system, ANSWER_WITHIN_S)
        await observers.find()
        if system not in observers.paths:
            raise NotFound(f'system "{system}" not found; there are {", ".join(sorted(observers.paths))}')
        told = await observers.ask(system, AskExposition())
    if told is None:
        raise ServiceUnavailable(f"{system} does not answer")
    return told


async def observe(context: Context, body: bytes) -> Reply:
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
