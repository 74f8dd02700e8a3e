"""Keeps APIServices true: those of what this server serves exist, those of others say whether their server answers.

Every API server does this; it is harmless twice. Others' servers are asked when something about them changes, and every
30 s; what they then say of their resources is what discovery shows.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from typing import Protocol

from actorkube.runtime import Context
from actors.apiserver.admission.stored import Stored
from actors.apiserver.aggregation.remotes import Remotes, Said
from actors.apiserver.aggregation.services import (
    Problem,
    Remote,
    is_left_over,
    judged,
    local,
    problem_of,
)
from actors.apiserver.cache import Cache
from actors.apiserver.callers import SELF
from actors.apiserver.calls import Call
from actors.apiserver.changed import Looked, until_changed
from actors.apiserver.changes import Changes
from actors.apiserver.commits import Commits
from actors.apiserver.custom.names import DEFINITIONS
from actors.apiserver.custom.served import Served
from actors.apiserver.deletion import Deletion
from actors.apiserver.feed import Feed
from actors.apiserver.rules.prepare import prepare_create
from actors.apiserver.schema.resources import Resource, find
from protocols.errors import AlreadyExists, Answer, AskError, NotFound
from protocols.objects import Object, name_of
from protocols.rules.api_services import API_SERVICES, noted

EVERY_S = 30.0
_RETRY_S = 1.0


class Asker(Protocol):
    async def ask(self, remote: Remote) -> Said | Problem:
        """What the server behind it says of itself, or why that is not known."""


class ApiServiceKeeper:
    """`asker` is None where there is no network of sockets: then nobody else's server can be asked."""

    def __init__(
        self,
        ctx: Context,
        cache: Cache,
        feed: Feed,
        stored: Stored,
        commits: Commits,
        changes: Changes,
        served: Served,
        remotes: Remotes,
        asker: Asker | None,
    ) -> None:
        self._ctx = ctx
        self._cache = cache
        self._feed = feed
        self._stored = stored
        self._commits = commits
        self._changes = changes
        self._served = served
        self._remotes = remotes
        self._asker = asker

    async def prepare(self) -> None:
        """Returns when what there is from the beginning has its APIServices, however long the store takes."""
        while True:
            try:
                await self._register()
                return await self._feed.confirm()  # or they would be missed again
            except (Answer, AskError) as error:
                self._ctx.log.info("API services are not stored yet", error=str(error))
                await self._ctx.sleep(_RETRY_S)

    async def run(self) -> None:
        while True:
            revision = self._cache.revision
            try:
                await self._register()
                await asyncio.gather(*(self._check(remote) for remote in self._remotes.all()))
            except (Answer, AskError) as error:
                self._ctx.log.info("API services are looked at again later", error=str(error))
                await self._ctx.sleep(_RETRY_S)
                continue
            others = self._remotes.all()
            within_s = EVERY_S if others else None
            await until_changed(self._cache, _looked_at(others), revision, within_s)

    # -- of this server -------------------------------------------------------------------------------------------

    async def _register(self) -> None:
        wanted = local(self._served.all(), self._ctx.now)
        there = self._cache.of(API_SERVICES).items
        missing = [obj for name, obj in wanted.items() if name not in there]
        if missing and not there:
            await self._commits.create_all([(_resource(), self._prepared(obj)) for obj in missing])
            return
        for obj in missing:
            with contextlib.suppress(AlreadyExists):
                await self._commits.put(_call(name_of(obj)), self._prepared(obj), 0)
        for obj in self._stored.of(API_SERVICES):
            if is_left_over(obj, wanted):
                with contextlib.suppress(NotFound):
                    await self._changes.remove(_call(name_of(obj)), Deletion())

    def _prepared(self, obj: Object) -> Object:
        made = prepare_create(_resource(), obj, now=self._ctx.now, uid=self._ctx.uuid(), suffix="")
        return {**made, "status": obj["status"]}

    # -- of others ------------------------------------------------------------------------------------------------

    async def _check(self, remote: Remote) -> None:
        problem = await self._problem(remote)
        said = self._remotes.said.get(remote.name)
        served = noted(said.resources) if said is not None else ""

        def found_out(obj: Object) -> Object:
            return judged(obj, problem, served, self._ctx.now)

        with contextlib.suppress(NotFound):
            await self._changes.change(_call(remote.name), found_out, as_is=True)

    async def _problem(self, remote: Remote) -> Problem | None:
        key = f"{remote.reference.get('namespace') or ''}/{remote.reference.get('name') or ''}"
        problem = problem_of(remote, self._stored.get("services", key), self._stored.get("endpoints", key))
        if problem is not None:
            return problem
        if self._asker is None:
            return Problem("FailedDiscoveryCheck", "this API server has no network to ask others on")
        outcome = await self._asker.ask(remote)
        if isinstance(outcome, Problem):
            return outcome
        self._remotes.hear(remote, outcome)
        return None


def _looked_at(others: Sequence[Remote]) -> Iterator[Looked]:
    yield from (Looked(DEFINITIONS), Looked(API_SERVICES))
    for remote in others:
        namespace, name = remote.reference.get("namespace") or "", remote.reference.get("name") or ""
        yield from (Looked(kind, namespace, name) for kind in ("services", "endpoints"))


def _resource() -> Resource:
    resource = find(API_SERVICES)
    assert resource is not None
    return resource


def _call(name: str) -> Call:
    return Call(SELF, _resource(), name=name)
