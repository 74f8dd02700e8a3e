"""What the API server itself writes: what a cluster has from its start on, and where its servers are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from actorkube.runtime import Context
from actors.apiserver.bootstrap import (
    SERVICE,
    SERVICE_CIDRS,
    cluster_info,
    first_objects,
    proxy_trust,
    service_cidr,
    token_tracking,
)
from actors.apiserver.cache import Cache
from actors.apiserver.callers import SELF
from actors.apiserver.calls import Call
from actors.apiserver.changed import Looked, until_changed
from actors.apiserver.changes import Changes
from actors.apiserver.deletion import Deletion
from actors.apiserver.pipeline import Pipeline
from actors.apiserver.schema.resources import find
from actors.apiserver.tls import FRONT_PROXY
from protocols.errors import AlreadyExists, Answer, AskError, NotFound, ServiceUnavailable
from protocols.objects import Object, key_of, name_of, namespace_of

if TYPE_CHECKING:
    from actors.apiserver.rest.config import RestConfig

_MANAGER = "kube-apiserver"
_RETRY_S = 0.2
_AGAIN_S = 10.0


class OwnWrites:
    """Each is tried until the store has it: a server serves nothing before."""

    def __init__(self, ctx: Context, pipeline: Pipeline, changes: Changes) -> None:
        self._ctx = ctx
        self._pipeline = pipeline
        self._changes = changes

    async def bootstrap(self, first_ip: str, network: str, rest: RestConfig | None, *, leading: bool) -> None:
        """`first_ip`: the service's through which pods reach the API, of the `network` of all services.
        `leading`: this one's address is published."""
        for group_resource, obj in first_objects(first_ip):
            await self.until_stored(partial(self._create, group_resource, obj))
        await self.until_stored(partial(self._create, *token_tracking(self._ctx.now)))
        if self._pipeline.served.find(SERVICE_CIDRS) is not None:
            await self.until_stored(partial(self._tell_range, *service_cidr(network, self._ctx.now)))
        if rest is None or rest.ca_file is None:
            return
        if rest.proxy_ca_file is not None:
            trust = proxy_trust(rest.ca_file.read_text(), rest.proxy_ca_file.read_text(), FRONT_PROXY)
            await self.until_stored(partial(self._replace, *trust))
        if leading:
            host, port = rest.address
            info = cluster_info(rest.ca_file.read_bytes(), f"https://{host}:{port}")
            await self.until_stored(partial(self._merge, *info))

    async def until_stored(self, write: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await write()
            except (ServiceUnavailable, AskError) as error:
                self._ctx.log.info("waiting for the store", error=str(error))
                await self._ctx.sleep(_RETRY_S)

    async def _create(self, group_resource: str, obj: Object) -> None:
        with suppress(AlreadyExists):
            await self._pipeline.create(_own_call(group_resource, obj), {**obj})

    async def _tell_range(self, group_resource: str, obj: Object) -> None:
        """Created, it has no status yet, as every object that has a subresource for it."""
        await self._create(group_resource, obj)

        def ready(old: Object) -> Object:
            return {**old, "status": old.get("status") or obj["status"]}

        await self._changes.change(_own_call(group_resource, obj), ready, applied=True, as_is=True)

    async def write_endpoints(self, group_resource: str, obj: Object, gone: bool) -> None:
        if gone:
            with suppress(NotFound):
                await self._pipeline.delete(_own_call(group_resource, obj), Deletion())
            return
        await self._replace(group_resource, obj)

    async def keep(self, cache: Cache, first_ip: str, write_endpoints: Callable[[], Awaitable[None]] | None) -> None:
        """For ever: what no cluster can be without comes back when somebody deletes it (`kubectl delete svc --all`):
        the namespaces, the Service `kubernetes` and where it leads. kube-apiserver looks every 10 s."""
        wanted = [(kind, obj) for kind, obj in first_objects(first_ip) if kind in ("namespaces", "services")]
        looked = [Looked(kind, namespace_of(obj), name_of(obj)) for kind, obj in wanted]
        looked += [Looked(kind, *SERVICE) for kind in ("endpoints", "endpointslices.discovery.k8s.io")]
        while True:
            revision = cache.revision
            try:
                for group_resource, obj in wanted:
                    if cache.get(group_resource, key_of(obj)) is None:
                        await self._create(group_resource, obj)
                if write_endpoints is not None:
                    await write_endpoints()
            except (Answer, AskError) as error:
                self._ctx.log.info("what was deleted is made again later", error=str(error))
                await self._ctx.sleep(_AGAIN_S)
                continue
            await until_changed(cache, looked, revision)

    async def _merge(self, group_resource: str, obj: Object) -> None:
        """What others have put into it stays; no webhook is asked, which may live in the cluster that starts here."""

        def merged(old: Object) -> Object:
            return {**old, "data": {**(old.get("data") or {}), **obj["data"]}}

        try:
            await self._changes.change(_own_call(group_resource, obj), merged, applied=True, as_is=True)
        except NotFound:
            await self._create(group_resource, obj)

    async def _replace(self, group_resource: str, obj: Object) -> None:
        try:
            await self._pipeline.update(_own_call(group_resource, obj), {**obj})
        except NotFound:
            await self._create(group_resource, obj)


def _own_call(group_resource: str, obj: Object) -> Call:
    resource = find(group_resource)
    assert resource is not None, group_resource
    return Call(SELF, resource, namespace_of(obj), name_of(obj), manager=_MANAGER, untracked=True)
