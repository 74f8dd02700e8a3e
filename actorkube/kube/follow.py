"""Keeping a view up to date: watch, resume where the stream was cut, list again when that is too long ago."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

from actorkube.kube.servers import ApiServers
from actorkube.kube.view import View
from actorkube.runtime import Context, Ref
from protocols.api import Watch
from protocols.errors import Answer, AskError, BadRequest, Expired, NotFound, NotSent

_WINDOW = 256
_PAUSE_FIRST_S = 0.02
_PAUSE_MAX_S = 1.0
_PAUSE_ABSENT_MAX_S = 10.0  # a resource that is not served: this version of the API has none, or not yet
_PAUSE_NEVER_S = 300.0  # one of Kubernetes' own, which another version of the server may serve
_PAUSE_UNSENT_MAX_S = 0.1  # trying to reach somebody who is not there yet costs nobody anything
_LIFE_MIN_S = 300.0  # a stream is renewed after 5 to 10 minutes, so one that died unnoticed costs no more than that


async def follow(
    ctx: Context, api: Ref | ApiServers, view: View, on_synced: Callable[[], None] | None = None
) -> NoReturn:
    """Feed the view for ever. `on_synced` is called once, when it shows everything for the first time.

    Of a resource that may be absent (`View`), and that is not served, there are no objects: that is everything.
    """
    servers, pause_s = ApiServers.of(api), _PAUSE_FIRST_S
    while True:
        server = servers.ref
        before, pause_max_s = view.revision, _PAUSE_MAX_S
        try:
            async with asyncio.timeout(_LIFE_MIN_S * (1 + ctx.random.random())):
                await _stream(ctx, server, view, on_synced)
        except Expired:
            view.revision = 0
        except TimeoutError:
            continue
        except (Answer, AskError) as error:
            if isinstance(error, NotFound | BadRequest | NotSent):  # actors are told by BadRequest what is not served
                pause_max_s = _PAUSE_UNSENT_MAX_S if isinstance(error, NotSent) else _PAUSE_ABSENT_MAX_S
                if view.may_be_absent and not isinstance(error, NotSent):
                    pause_s = pause_max_s = _PAUSE_NEVER_S
                    _absent(view, ctx.now, on_synced)
            servers.failed(server, error)
            ctx.log.debug("watch ended", resource=view.resource, revision=view.revision, reason=repr(error))
        pause_s = _PAUSE_FIRST_S if view.revision != before else min(2 * pause_s, pause_max_s)
        await ctx.sleep(pause_s * (0.5 + ctx.random.random()))


async def _stream(ctx: Context, api: Ref, view: View, on_synced: Callable[[], None] | None) -> None:
    """One stream, to its end. A list that was cut short begins anew: its revisions come in no order."""
    if not view.revision:
        view.begin_list()
    watch = Watch(view.resource, view.namespace, view.label_selector, view.field_selector, view.revision)
    async with ctx.stream(api, watch, window=_WINDOW) as stream:
        async for event in stream:
            was_synced = view.synced
            view.apply(event, ctx.now)
            if view.synced and not was_synced and on_synced is not None:
                on_synced()


def _absent(view: View, now: float, on_synced: Callable[[], None] | None) -> None:
    was_synced = view.synced
    view.absent(now)
    if not was_synced and on_synced is not None:
        on_synced()
