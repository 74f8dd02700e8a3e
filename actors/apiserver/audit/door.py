"""The audit of what actors ask for by message: the same events as for REST, under the path that REST would have."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import orjson

from actors.apiserver.access.attributes import Attributes
from actors.apiserver.audit.event import Facts
from actors.apiserver.audit.trail import Record, Trail
from actors.apiserver.callers import Caller
from actors.apiserver.custom.served import Served
from actors.apiserver.messages import Asked, attributes_of
from protocols import api
from protocols.errors import AskError, ServerTimeout, StatusError
from protocols.message import Message
from protocols.objects import decode_object

T = TypeVar("T", bound=Message)


class DoorAudit:
    def __init__(self, trail: Trail, served: Served, new_id: Callable[[], str]) -> None:
        self._trail = trail
        self._served = served
        self._new_id = new_id

    async def around(self, message: Asked, caller: Caller, answer: Awaitable[T]) -> T:
        """The answer, when it has been written what was asked and how it ended."""
        record = self.begin(message, caller)
        try:
            found = await answer
        except StatusError as refusal:
            record.complete(refusal.code, refusal.status())
            raise
        except AskError as error:
            record.complete(ServerTimeout.code, ServerTimeout(str(error)).status())
            raise
        record.complete(201 if isinstance(message, api.Create) else 200, reply=_json(record, found))
        return found

    def begin(self, message: Asked, caller: Caller) -> Record:
        """Whether it is allowed is decided next; a refusal says so in its status."""
        asked = attributes_of(message)
        resource = self._served.find(message.resource)
        version = resource.version if resource is not None else ""
        now = self._trail.now()
        record = Record(self._trail, Facts(self._new_id(), _path(asked, version), "actor", (), now, caller, asked))
        record.facts.version = version
        record.received(caller, asked)
        if record.wants_request and isinstance(message, api.Create | api.Update):
            record.facts.body = orjson.dumps(decode_object(message.body))
        return record


def _path(asked: Attributes, version: str) -> str:
    root = f"/apis/{asked.group}/{version}" if asked.group else f"/api/{version or 'v1'}"
    where = f"/namespaces/{asked.namespace}" if asked.namespace and asked.resource != "namespaces" else ""
    return "/".join(filter(None, [f"{root}{where}/{asked.resource}", asked.name, asked.subresource]))


def _json(record: Record, found: Message) -> bytes | None:
    if not record.wants_response or not isinstance(found, api.Stored):
        return None
    return orjson.dumps(decode_object(found.body, found.revision))
