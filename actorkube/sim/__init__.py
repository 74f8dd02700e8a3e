"""The simulated world: a deterministic loop, network and disks, faults by seed or by schedule. Knows no Kubernetes."""

from actorkube.sim.disk import DiskConditions
from actorkube.sim.faults import (
    Ambush,
    Clog,
    Crash,
    Drop,
    Fault,
    FullDisk,
    Outage,
    Partition,
    Pause,
    Swarm,
    nemesis,
    play,
)
from actorkube.sim.network import Conditions, Packet
from actorkube.sim.trace import first_difference
from actorkube.sim.world import World

__all__ = [
    "Ambush",
    "Clog",
    "Conditions",
    "Crash",
    "DiskConditions",
    "Drop",
    "Fault",
    "FullDisk",
    "Outage",
    "Packet",
    "Partition",
    "Pause",
    "Swarm",
    "World",
    "first_difference",
    "nemesis",
    "play",
]
