"""The API server: the only way to the store, for people over REST and for actors by messages, with one pipeline behind.

It has no state that it could not lose: everything is in the store, and its watch cache is read again at every start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from actorkube.runtime import LATER, Actor, Mailbox
from actors.apiserver.allocate import Ranges
from actors.apiserver.bootstrap import endpoints_of, first_objects
from actors.apiserver.cache import Cache
from actors.apiserver.callers import SELF, Caller, of_system
from actors.apiserver.calls import Call
from actors.apiserver.causes import Causes
from actors.apiserver.changes import Changes, Settings
from actors.apiserver.commits import Commits
from actors.apiserver.custom.keeper import Keeper
from actors.apiserver.custom.served import Served
from actors.apiserver.door import Door
from actors.apiserver.feed import Feed
from actors.apiserver.pipeline import Pipeline
from actors.apiserver.reads import Reads
from actors.apiserver.schema.resources import find
from actors.apiserver.schema.types import Types
from actors.apiserver.store import Store
from protocols import api
from protocols.errors import AlreadyExists, AskError, ServiceUnavailable
from protocols.message import Done, Message
from protocols.objects import Object, name_of, namespace_of

if TYPE_CHECKING:
    from actors.apiserver.rest.config import RestConfig

SERVICE_CIDR = "127.66.0.0/16"  # loopback addresses: a userspace proxy can listen on them without being root
_MANAGER = "kube-apiserver"
_RETRY_S = 0.2


class ApiServer(Actor):
    """`etcd`: the addresses of all replicas. `users`: who the systems are that are not components of the cluster.

    `rest` is None in simulation: then only actors are served.
    """

    mailbox = Mailbox(capacity=16_384)
    concurrency = 1024
    cancellable = False  # a write that has begun is carried to its end: the store, the cache and the claims agree then

    def __init__(
        self,
        etcd: Sequence[str],
        *,
        rest: RestConfig | None = None,
        service_cidr: str = SERVICE_CIDR,
        users: Mapping[str, Caller] | None = None,
        toleration_s: int = 300,
    ) -> None:
        self._etcd = etcd
        self._rest = rest
        self._users = users if users is not None else {}
        self._settings = Settings(Ranges.of(service_cidr), toleration_s)
        self._serving = False

    async def on_start(self) -> None:
        """Messages wait until this returns; health is answered from the beginning."""
        causes = Causes()
        store = Store(self.ctx, self._etcd, causes)
        watch_cache = Cache()
        feed = Feed(self.ctx, store, watch_cache, causes)
        commits = Commits(self.ctx, store, feed, watch_cache)
        changes = Changes(self.ctx, watch_cache, feed, commits, _types(), self._settings)
        served = Served(watch_cache, _types())
        tokens = self._rest.tokens if self._rest is not None else {}
        self._pipeline = Pipeline(self.ctx, Reads(watch_cache, feed), changes, _types(), served, tokens.get)
        self._door = Door(self._pipeline, causes)
        if self._rest is not None:
            self._open_rest(self._rest)
        feed.start()
        await feed.loaded()
        await self._bootstrap()
        self.ctx.background(Keeper(self.ctx, watch_cache, feed, changes, served).run(), "definitions")
        self._serving = True
        self.ctx.log.info("serving", revision=watch_cache.revision)

    def receive(self, message: Message) -> object:
        match message:
            case api.Get():
                return self._door.get(message, self._caller())
            case api.List():
                return self._door.list(message, self._caller())
            case api.Watch():
                outlet = self.ctx.outlet()
                self.ctx.background(self._door.open_watch(message, self._caller(), outlet), "open-watch")
                return LATER
            case api.Create():
                return self._door.create(message, self._caller())
            case api.Update():
                return self._door.update(message, self._caller())
            case api.Patch():
                return self._door.patch(message, self._caller())
            case api.Delete():
                return self._door.delete(message, self._caller())
            case api.DeleteCollection():
                return self._door.delete_collection(message, self._caller())
            case api.AskHistory():
                return self._door.history(message, self._caller())
            case api.Ready():
                return Done()
        return super().receive(message)

    def _open_rest(self, config: RestConfig) -> None:
        """Answers health at once, and everything else when the API is open. Ends with the actor, also in a crash."""
        from actors.apiserver.rest.server import RestServer  # aiohttp: 190 ms that simulations need not pay

        server = RestServer(self.ctx, self._pipeline, config, lambda: self._serving)
        self.ctx.background(server.serve(), "rest")

    def _caller(self) -> Caller:
        sender = self.ctx.sender
        return of_system(sender.address.system if sender is not None else None, self._users)

    async def _bootstrap(self) -> None:
        for group_resource, obj in first_objects(self._settings.ranges.first_ip):
            await self._ensure(group_resource, obj, replace=False)
        if self._rest is not None:
            host, port = self._rest.address
            for group_resource, obj in endpoints_of(host, port):
                await self._ensure(group_resource, obj, replace=True)

    async def _ensure(self, group_resource: str, obj: Object, *, replace: bool) -> None:
        resource = find(group_resource)
        assert resource is not None, group_resource
        call = Call(SELF, resource, namespace_of(obj), name_of(obj), manager=_MANAGER, untracked=True)
        while True:
            try:
                return await self._write(call, obj, replace)
            except (ServiceUnavailable, AskError) as error:
                self.ctx.log.info("waiting for the store", error=str(error))
                await self.ctx.sleep(_RETRY_S)

    async def _write(self, call: Call, obj: Object, replace: bool) -> None:
        try:
            await self._pipeline.create(call, {**obj})
        except AlreadyExists:
            if replace:
                await self._pipeline.update(call, {**obj})


@cache
def _types() -> Types:
    """Loaded once a process: a restarted API server finds them decoded."""
    return Types.load()
