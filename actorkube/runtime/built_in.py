"""Actors that every system has: they come to life, and their modules are imported, when they are first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actorkube.runtime.waits import WAITS
from protocols.address import actor_id

if TYPE_CHECKING:
    from actorkube.runtime.system import System

OBSERVER = "observer"
NAMES = "names"
NAMES_ID = actor_id(NAMES)
BUILT_IN = {actor_id(name): name for name in (OBSERVER, NAMES, WAITS)}


def spawn_built_in(system: System, number: int) -> None:
    """One of BUILT_IN."""
    match BUILT_IN[number]:
        case "observer":
            from actorkube.runtime.observer import Observer

            system.spawn(lambda: Observer(system), OBSERVER)
        case "names":
            from actorkube.runtime.names import Names

            system.spawn(lambda: Names(system), NAMES)
        case "waits":
            from actorkube.runtime.far_waits import FarWaits

            system.spawn(lambda: FarWaits(system), WAITS)
