"""Waiting for a change of what is stored, without reading it: for those who look again at all of a few kinds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import NamedTuple

from actors.apiserver.cache import Cache, Watcher
from actors.apiserver.selectors import select
from protocols.errors import Answer


class Looked(NamedTuple):
    """All objects of a kind, or one of them."""

    group_resource: str
    namespace: str = ""
    name: str = ""


async def until_changed(cache: Cache, at: Iterable[Looked], revision: int, within_s: float | None = None) -> None:
    """Until one of these has changed since `revision`, or that long has passed."""
    changed = asyncio.Event()
    watchers: list[Watcher] = []
    try:
        for each in at:
            fields = f"metadata.name={each.name}" if each.name else ""
            selection = select(each.group_resource, each.namespace, fields=fields)
            watchers.append(cache.of(each.group_resource).watch(selection, revision, changed.set))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not any(watcher.take(1) for watcher in watchers):
                    await changed.wait()
                    changed.clear()
    except Answer:
        return  # too much has happened since: look again
    finally:
        for watcher in watchers:
            watcher.close()
