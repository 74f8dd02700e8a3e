"""The cloud controller manager's controllers, for one provider."""

from __future__ import annotations

from actorkube.kube.controller import Controller
from actors.cloud.local import LocalProvider
from actors.cloud.node import node_controller
from actors.cloud.provider import Provider
from actors.cloud.service import service_controller


def controllers(provider: Provider | None = None) -> tuple[Controller, ...]:
    """Run them with `ControllerActor(controllers())`."""
    provider = provider or LocalProvider()
    return node_controller(provider), service_controller(provider)
