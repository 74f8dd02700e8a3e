"""Who listens to container events: each reader has its own bounded backlog, and one that falls behind is sent off."""

from __future__ import annotations

from collections import deque

from actorkube.runtime import Outlet
from protocols.cri import ContainerEvent, ContainerEventType, ContainerRefused, ContainerStatus

BEHIND_MAX = 4096


class Listeners:
    def __init__(self) -> None:
        self._backlogs: dict[Outlet, deque[ContainerEvent]] = {}

    def add(self, outlet: Outlet) -> None:
        self._backlogs[outlet] = deque([ContainerEvent("SUBSCRIBED")])
        outlet.on_ready = lambda: self._flush(outlet)
        outlet.on_closed = lambda: self._forget(outlet)
        self._flush(outlet)

    def tell(self, type: ContainerEventType, status: ContainerStatus) -> None:
        event = ContainerEvent(type, status)
        for outlet, backlog in list(self._backlogs.items()):
            backlog.append(event)
            self._flush(outlet)

    def _flush(self, outlet: Outlet) -> None:
        backlog = self._backlogs.get(outlet)
        while backlog and outlet.credit > 0:
            outlet.send(backlog.popleft())
        if backlog and len(backlog) > BEHIND_MAX:
            outlet.end(ContainerRefused("too many events behind: list again", {"reason": "EventsLost"}))

    def _forget(self, outlet: Outlet) -> None:
        self._backlogs.pop(outlet, None)
