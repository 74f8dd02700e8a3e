"""Objects of custom resources in the version that somebody wants, where a webhook converts them (custom/conversion.py).

What was converted is kept beside the object's bytes (item.py), so each revision of an object is converted once for each
version that is asked for, and whoever shows, compares or judges it need not wait again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from actors.apiserver.custom.conversion import TIMEOUT_S, ConversionWebhook, Wanted, converted, failed, review
from actors.apiserver.item import Item
from actors.apiserver.outward.client import Client, Unreachable
from actors.apiserver.schema.resources import Resource
from protocols.objects import Object, encode_object

AT_ONCE = 500  # objects in one review


class Conversions:
    def __init__(self, client: Client, new_uid: Callable[[], str]) -> None:
        self._client = client
        self._new_uid = new_uid

    def concern(self, resource: Resource) -> bool:
        """Whether its objects may have to be prepared at all."""
        return _webhook_of(resource) is not None

    async def prepare(self, resource: Resource, items: Iterable[Item]) -> None:
        """Afterwards each of them can be shown as this resource. Raises ConversionFailed."""
        webhook = _webhook_of(resource)
        if webhook is None:
            return
        waiting = []
        for item in items:
            if item.made or item.is_prepared(resource):
                continue
            obj = item.object()
            if obj["apiVersion"] == resource.api_version:
                item.keep_prepared(resource, item.body)
            else:
                waiting.append((item, obj))
        for start in range(0, len(waiting), AT_ONCE):
            some = waiting[start : start + AT_ONCE]
            made = await self._asked(webhook, resource, [obj for _, obj in some])
            for (item, _), obj in zip(some, made, strict=True):
                item.keep_prepared(resource, encode_object(obj))

    async def converted(self, resource: Resource, obj: Object) -> Object:
        """One object in the version of the resource; as it is, where no webhook converts. Raises ConversionFailed."""
        webhook = _webhook_of(resource)
        if webhook is None or not obj or obj["apiVersion"] == resource.api_version:
            return obj
        (made,) = await self._asked(webhook, resource, [obj])
        return made

    async def to_store(self, resource: Resource, obj: Object) -> Object:
        """An object of the resource in the version in which it is kept."""
        return obj if resource.custom is None else await self.converted(resource.custom.storage, obj)

    async def _asked(self, webhook: ConversionWebhook, resource: Resource, objects: list[Object]) -> list[Object]:
        wanted = Wanted(self._new_uid(), resource.api_version, objects)
        try:
            body = await self._client.post(webhook.config, review(webhook, wanted), TIMEOUT_S)
        except Unreachable as error:
            raise failed(wanted, error) from None
        return converted(webhook, wanted, body)


def _webhook_of(resource: Resource) -> ConversionWebhook | None:
    return resource.custom.webhook if resource.custom is not None else None
