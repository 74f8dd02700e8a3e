"""An actor of your own: removes ConfigMaps with the label `expires=5m` five minutes after they were made.

It looks twice a minute, by the cluster's clock, and keeps nothing in mind between two looks: so it may be killed, or
cut off, at any moment.
"""

from __future__ import annotations

from datetime import datetime

from actorkube.kube.client import Client
from actorkube.runtime import Actor
from protocols.errors import AskError, StatusError
from protocols.message import Message
from protocols.objects import Object, meta

LOOK_EVERY_S = 30.0
LIFE_S = 300.0


class JanitorDue(Message):
    """It is time to look."""


class Janitor(Actor):
    async def on_start(self) -> None:
        self._client = Client(self.ctx)
        self.ctx.every(LOOK_EVERY_S, JanitorDue())

    def receive(self, message: Message) -> object:
        return self._look()

    async def _look(self) -> None:
        try:
            for config_map in await self._client.list("configmaps", label_selector="expires=5m"):
                if self.ctx.now - _made_at(config_map) >= LIFE_S:
                    await self._client.delete("configmaps", meta(config_map)["name"], meta(config_map)["namespace"])
        except (AskError, StatusError):
            return  # the API server is away, or somebody else was quicker: look again next time


def _made_at(obj: Object) -> float:
    return datetime.fromisoformat(meta(obj)["creationTimestamp"]).timestamp()
