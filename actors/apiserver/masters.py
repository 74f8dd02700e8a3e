"""Which API servers live: each says so in the store, and all see to it that the Service `kubernetes` leads to them.

A server's key hangs on a lease that it keeps alive, so that of a server that died goes by itself (as kube-apiserver's
`--endpoint-reconciler-type=lease`). A single server has nobody to agree with; it only writes where it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from actorkube.runtime import Context
from actors.apiserver.bootstrap import SERVICE, endpoints_of
from actors.apiserver.cache import Cache
from actors.apiserver.item import Item
from actors.apiserver.keys import claim_key
from actors.apiserver.store import Store
from protocols.errors import Answer, AskError
from protocols.etcd import LeaseNotFound
from protocols.objects import Object, labels_of

KIND = "apiserver"
TTL_S = 15
LOOK_EVERY_S = 5.0
_SLICES = "endpointslices.discovery.k8s.io"

# Writes an object of the server's own (its group resource, the object), or deletes it (True).
Write = Callable[[str, Object, bool], Awaitable[None]]


class Masters:
    """`address`: where clients reach this server, as host and port. `alone`: there are no others."""

    def __init__(
        self, ctx: Context, store: Store, cache: Cache, address: tuple[str, int], write: Write, *, alone: bool
    ) -> None:
        self._ctx = ctx
        self._store = store
        self._cache = cache
        self._name = ctx.self_ref.address.system
        self._address = address
        self._write = write
        self._alone = alone
        self._lease = 0

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                await self._announce()
                await self.write_endpoints()
            except (Answer, AskError) as error:
                self._ctx.log.info("the API servers are looked at again later", error=str(error))
            await self._ctx.sleep(LOOK_EVERY_S)

    async def write_endpoints(self) -> None:
        wanted = endpoints_of(self._living())
        for group_resource, obj in wanted:
            if not self._is_stored(group_resource, obj):
                await self._write(group_resource, obj, False)
        names = {obj["metadata"]["name"] for group_resource, obj in wanted if group_resource == _SLICES}
        for item in list(self._cache.of(_SLICES).of(SERVICE[0])):
            if item.name.startswith(f"{SERVICE[1]}-") and item.name not in names:
                await self._forget(item)

    async def _forget(self, item: Item) -> None:
        if labels_of(obj := item.object()).get("kubernetes.io/service-name") == SERVICE[1]:
            await self._write(_SLICES, obj, True)

    async def _announce(self) -> None:
        try:
            if self._lease:
                await self._store.keep_alive(self._lease)
        except LeaseNotFound:
            self._lease = 0  # it was away for too long
        if not self._lease:
            lease = await self._store.grant_lease(TTL_S)
            host, port = self._address
            await self._store.put(claim_key(KIND, self._name), f"{host}:{port}".encode(), lease)
            self._lease = lease

    def _living(self) -> Mapping[str, tuple[str, int]]:
        """By name, this one included."""
        found = {self._name: self._address}
        if self._alone:
            return found
        for name, text in self._cache.claims.get(KIND, {}).items():
            host, _, port = text.rpartition(":")
            found.setdefault(name, (host, int(port)))
        return dict(sorted(found.items()))

    def _is_stored(self, group_resource: str, wanted: Object) -> bool:
        item = self._cache.get(group_resource, f"{SERVICE[0]}/{wanted['metadata']['name']}")
        stored = item.object() if item is not None else {}
        return all(stored.get(field) == wanted.get(field) for field in ("subsets", "endpoints", "ports"))
