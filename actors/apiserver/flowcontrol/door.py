"""What actors ask by message passes the gate that REST does, so that none of them keeps the others waiting.

Only the control plane of the cluster itself does not: nobody who has joined can have its names (callers.py).
"""

from __future__ import annotations

from functools import lru_cache

from actors.apiserver.access.attributes import Attributes
from actors.apiserver.callers import Caller, is_component
from actors.apiserver.custom.served import Served
from actors.apiserver.flowcontrol.gate import Extent, Gate, Pass
from actors.apiserver.messages import Asked, attributes_of
from protocols import api
from protocols.csi import DeleteVolume, name_of_volume
from protocols.message import Message

_BINDING = Attributes("create", "", "pods", "binding")


class DoorGate:
    def __init__(self, gate: Gate, served: Served) -> None:
        self._gate = gate
        self._served = served

    def admit(self, message: Message, system: str | None, caller: Caller) -> Pass | None:
        """As `Gate.admit`; None also for who is waved through. `system`: whose actor asks; None: one of the cluster."""
        if system is None or _is_waved_through(system):
            return None
        asked = _asked(message)
        if asked is None:
            return None
        resource = self._served.find(f"{asked.resource}.{asked.group}" if asked.group else asked.resource)
        return self._gate.admit(caller, asked, resource, lambda: _extent(message))


@lru_cache(maxsize=4096)
def _is_waved_through(system: str) -> bool:
    """A further scheduler may have joined, and is somebody's like any other."""
    return is_component(system, schedulers_join=True)


def _asked(message: Message) -> Attributes | None:
    match message:
        case api.Bind():
            return _BINDING
        case api.AskHistory():
            return Attributes("get", "", message.resource, "", message.namespace, message.name)
        case DeleteVolume():
            return Attributes("delete", "", "persistentvolumes", name=name_of_volume(message.volume_id))
    return attributes_of(message) if isinstance(message, Asked) else None


def _extent(message: Message) -> Extent:
    match message:
        case api.List():
            return Extent(message.limit, bool(message.label_selector or message.field_selector))
        case api.Watch():
            return Extent(0, bool(message.label_selector or message.field_selector), not message.revision)
    return Extent()
