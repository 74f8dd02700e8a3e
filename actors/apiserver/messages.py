"""What a message of an actor asks for, as REST would have said it."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.apiserver.access.attributes import Attributes, name_selected
from protocols import api
from protocols.errors import BadRequest
from protocols.message import Message

_VERBS: dict[type[Message], str] = {
    api.Get: "get",
    api.List: "list",
    api.Watch: "watch",
    api.Create: "create",
    api.Update: "update",
    api.Patch: "patch",
    api.Delete: "delete",
    api.DeleteCollection: "deletecollection",
}
Asked = api.Get | api.List | api.Watch | api.Create | api.Update | api.Patch | api.Delete | api.DeleteCollection


def attributes_of(message: Asked) -> Attributes:
    plural, _, group = message.resource.partition(".")
    name = getattr(message, "name", "") or name_selected(getattr(message, "field_selector", ""))
    namespace = name if message.resource == "namespaces" else message.namespace
    return Attributes(_VERBS[type(message)], group, plural, getattr(message, "subresource", ""), namespace, name)


def decoded(body: bytes) -> Any:
    """What a message carries. Raises BadRequest."""
    try:
        return msgspec.msgpack.decode(body)
    except msgspec.DecodeError as error:
        raise BadRequest(f"the body is not MessagePack: {error}") from None
