"""Fills the Secrets that ask for a token of a service account, and takes them away with their account.

It runs in each API server, where the key is that signs; two that do it come to the same, for what is there stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actorkube.runtime import Context
from actors.apiserver.cache import Cache, Watcher
from actors.apiserver.callers import SELF
from actors.apiserver.calls import Call
from actors.apiserver.changes import Changes
from actors.apiserver.deletion import Deletion
from actors.apiserver.feed import Feed
from actors.apiserver.item import Item
from actors.apiserver.schema.resources import find
from actors.apiserver.selectors import select
from actors.apiserver.tokens.secrets import TYPE, account_key, filled, is_orphan
from protocols.errors import Answer, AskError, Expired, NotFound
from protocols.objects import Object, split_key, uid_of

_SECRETS, _ACCOUNTS = "secrets", "serviceaccounts"
_OF_TYPE = f"type={TYPE}"
_RETRY_S = 1.0
_EVENTS_TAKEN = 256


class SecretKeeper:
    """`sign`: a token for an account, to be kept in a Secret."""

    def __init__(
        self,
        ctx: Context,
        cache: Cache,
        feed: Feed,
        changes: Changes,
        ca_pem: bytes,
        sign: Callable[[Object, Object], str],
    ) -> None:
        self._ctx = ctx
        self._cache = cache
        self._feed = feed
        self._changes = changes
        self._ca_pem = ca_pem
        self._sign = sign
        self._changed = asyncio.Event()
        self._watchers: dict[str, Watcher] = {}
        self._owed: dict[str, None] = {}  # keys of Secrets to look at

    async def run(self) -> None:
        self._look_at_everything()
        try:
            while True:
                self._take()
                for key in list(self._owed):
                    await self._settle(key)
                if not self._owed:
                    await self._changed.wait()
                    self._changed.clear()
        finally:
            self._close()

    def _look_at_everything(self) -> None:
        self._close()
        for resource, selection in ((_SECRETS, select(_SECRETS, "", "", _OF_TYPE)), (_ACCOUNTS, select(_ACCOUNTS))):
            watcher = self._cache.of(resource).watch(selection, self._cache.revision, self._changed.set)
            self._watchers[resource] = watcher
        self._owe("")

    def _owe(self, namespace: str) -> None:
        """Every such Secret of a namespace ("": of all)."""
        selection = select(_SECRETS, namespace, "", _OF_TYPE)
        self._owed.update(dict.fromkeys(item.key for item in self._cache.of(_SECRETS).page(selection).items))

    def _take(self) -> None:
        try:
            while changes := self._watchers[_SECRETS].take(_EVENTS_TAKEN):
                self._owed.update(dict.fromkeys(change.item.key for change in changes if change.type != "DELETED"))
            while changes := self._watchers[_ACCOUNTS].take(_EVENTS_TAKEN):
                for namespace in dict.fromkeys(each.item.namespace for each in changes if each.type == "DELETED"):
                    self._owe(namespace)
        except Expired:
            self._look_at_everything()

    async def _settle(self, key: str) -> None:
        try:
            item = self._cache.get(_SECRETS, key)
            if item is not None:
                await self._look(item)
            self._owed.pop(key, None)
        except (Answer, AskError) as error:
            self._ctx.log.info("a token is kept later", secret=key, error=str(error))
            await self._ctx.sleep(_RETRY_S)

    async def _look(self, item: Item) -> None:
        secret = item.object()
        if secret.get("type") != TYPE or not account_key(secret):
            return None
        if is_orphan(secret, self._account(secret)):
            await self._feed.confirm()  # what is new may only not be known yet
            if is_orphan(secret, self._account(secret)):
                return await self._remove(item.key, secret)
        try:
            await self._changes.change(_call(item.key), self._filled, as_is=True)
        except NotFound:
            return None

    def _filled(self, secret: Object) -> Object:
        account = self._account(secret)
        return secret if account is None else filled(secret, account, self._ca_pem, self._sign)

    def _account(self, secret: Object) -> Object | None:
        item = self._cache.get(_ACCOUNTS, account_key(secret))
        return item.object() if item is not None else None

    async def _remove(self, key: str, secret: Object) -> None:
        try:
            await self._changes.remove(_call(key), Deletion(uid=uid_of(secret)))
        except NotFound:
            return

    def _close(self) -> None:
        for watcher in self._watchers.values():
            watcher.close()


def _call(key: str) -> Call:
    resource = find(_SECRETS)
    assert resource is not None
    return Call(SELF, resource, *split_key(key))
