"""Sees to it at every start that the default policy is stored: what is missing is added, what users added stays.

What carries the annotation rbac.authorization.kubernetes.io/autoupdate with the value "false" is left as it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from actorkube.runtime import Context
from actors.apiserver.access.policy import default_policy
from actors.apiserver.access.reconcile import NEW, reconciled
from actors.apiserver.cache import Cache
from actors.apiserver.callers import SELF
from actors.apiserver.calls import Call
from actors.apiserver.changes import Changes
from actors.apiserver.commits import Commits
from actors.apiserver.deletion import Deletion
from actors.apiserver.feed import Feed
from actors.apiserver.rules.prepare import prepare_create
from actors.apiserver.schema.resources import find
from protocols.errors import AlreadyExists, Answer, AskError, NotFound
from protocols.objects import Object, key_of, name_of, namespace_of

_CREATED_AT_ONCE = 100
_RETRY_S = 0.2


class PolicyKeeper:
    def __init__(self, ctx: Context, cache: Cache, feed: Feed, commits: Commits, changes: Changes) -> None:
        self._ctx = ctx
        self._cache = cache
        self._feed = feed
        self._commits = commits
        self._changes = changes

    async def run(self) -> None:
        """Returns when everything is there, however long the store takes to answer."""
        while True:
            try:
                await self._create_missing()
                return await self._amend()
            except (Answer, AskError) as error:
                self._ctx.log.info("the default policy is not stored yet", error=str(error))
                await self._ctx.sleep(_RETRY_S)

    async def _create_missing(self) -> None:
        """In few transactions: at the first start all of it is missing, and the cluster waits for it."""
        while missing := [each for each in default_policy() if self._cache.get(each[0], key_of(each[1])) is None]:
            for start in range(0, len(missing), _CREATED_AT_ONCE):
                await self._create_all(missing[start : start + _CREATED_AT_ONCE])
            await self._feed.confirm()

    async def _create_all(self, some: Sequence[tuple[str, Object]]) -> None:
        prepared = []
        for group_resource, obj in some:
            resource = find(group_resource)
            assert resource is not None, group_resource
            prepared.append(
                (resource, prepare_create(resource, obj, now=self._ctx.now, uid=self._ctx.uuid(), suffix=""))
            )
        await self._commits.create_all(prepared)

    async def _amend(self) -> None:
        for group_resource, wanted in default_policy():
            item = self._cache.get(group_resource, key_of(wanted))
            if item is None:
                continue  # somebody deletes it at this moment: then it comes back at the next start
            outcome = reconciled(item.object(), wanted)
            if outcome is NEW:
                await self._replace(group_resource, wanted)
            elif outcome is not None:
                await self._change(group_resource, wanted)

    async def _change(self, group_resource: str, wanted: Object) -> None:
        try:
            await self._changes.change(_call(group_resource, wanted), lambda old: _amended(old, wanted), as_is=True)
        except NotFound:
            return

    async def _replace(self, group_resource: str, wanted: Object) -> None:
        """A binding to another role cannot be changed, only made anew."""
        with contextlib.suppress(NotFound):
            await self._changes.remove(_call(group_resource, wanted), Deletion())
        try:
            await self._changes.create(_call(group_resource, wanted), {**wanted})
        except AlreadyExists:
            return  # another server was quicker


def _amended(old: Object, wanted: Object) -> Object:
    outcome = reconciled(old, wanted)
    return outcome if isinstance(outcome, dict) else old


def _call(group_resource: str, obj: Object) -> Call:
    resource = find(group_resource)
    assert resource is not None, group_resource
    return Call(SELF, resource, namespace_of(obj), name_of(obj), untracked=True)
