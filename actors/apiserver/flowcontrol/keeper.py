"""Keeps the flow schemas and priority levels of every cluster, and says of each schema whether its level is there.

What is missing comes back, also what is only suggested: who does not want it changes it instead. Every API server does
this; it is harmless twice. Source: "API Priority and Fairness: Maintenance of the mandatory and suggested objects".
"""

from __future__ import annotations

from actorkube.runtime import Context
from actors.apiserver.cache import Cache
from actors.apiserver.callers import SELF
from actors.apiserver.calls import Call
from actors.apiserver.changed import Looked, until_changed
from actors.apiserver.changes import Changes, Decide
from actors.apiserver.commits import Commits
from actors.apiserver.feed import Feed
from actors.apiserver.flowcontrol.defaults import LEVELS, SCHEMAS, default_objects
from actors.apiserver.flowcontrol.upkeep import judged, restored
from actors.apiserver.rules.prepare import prepare_create
from actors.apiserver.schema.resources import Resource, find
from protocols.errors import Answer, AskError, NotFound
from protocols.objects import Object, key_of, name_of

_RETRY_S = 0.2


class FlowKeeper:
    def __init__(self, ctx: Context, cache: Cache, feed: Feed, commits: Commits, changes: Changes) -> None:
        self._ctx = ctx
        self._cache = cache
        self._feed = feed
        self._commits = commits
        self._changes = changes
        self._looked_at = 0  # the revision of the cache when the last look began

    async def prepare(self) -> None:
        """Returns when everything is there, however long the store takes to answer."""
        while True:
            try:
                return await self._look()
            except (Answer, AskError) as error:
                self._ctx.log.info("flow schemas are looked at again later", error=str(error))
                await self._ctx.sleep(_RETRY_S)

    async def run(self) -> None:
        while True:
            await until_changed(self._cache, (Looked(SCHEMAS), Looked(LEVELS)), self._looked_at)
            await self.prepare()

    async def _look(self) -> None:
        self._looked_at = self._cache.revision
        while missing := [each for each in default_objects() if self._cache.get(each[0], key_of(each[1])) is None]:
            await self._commits.create_all([self._new(where, obj) for where, obj in missing])
            await self._feed.confirm()
        for where, wanted in default_objects():
            item = self._cache.get(where, key_of(wanted))
            if item is not None and restored(item.object(), wanted) is not None:
                await self._restore(where, wanted)
        for item in list(self._cache.of(SCHEMAS).items.values()):
            if self._judged(item.object()) is not None:
                await self._judge(item.object())

    def _new(self, where: str, obj: Object) -> tuple[Resource, Object]:
        resource = find(where)
        assert resource is not None, where
        new = prepare_create(resource, obj, now=self._ctx.now, uid=self._ctx.uuid(), suffix="")
        if where == SCHEMAS:  # the levels of all of them come with them
            new = judged(new, True, self._ctx.now) or new
        return resource, new

    def _judged(self, schema: Object) -> Object | None:
        level = schema["spec"]["priorityLevelConfiguration"]["name"]
        return judged(schema, self._cache.get(LEVELS, level) is not None, self._ctx.now)

    async def _restore(self, where: str, wanted: Object) -> None:
        await self._change(where, name_of(wanted), lambda old: restored(old, wanted) or old)

    async def _judge(self, schema: Object) -> None:
        await self._change(SCHEMAS, name_of(schema), lambda old: self._judged(old) or old)

    async def _change(self, where: str, name: str, decide: Decide) -> None:
        resource = find(where)
        assert resource is not None, where
        try:
            await self._changes.change(Call(SELF, resource, name=name, untracked=True), decide, as_is=True)
        except NotFound:
            return  # gone meanwhile
