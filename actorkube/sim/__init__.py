"""The simulated world: a deterministic loop, network and disks, faults by seed or by schedule. Knows no Kubernetes."""

from actorkube.sim.conditions import Conditions, Constant, Exponential, LongTail, Uniform
from actorkube.sim.disk import DiskConditions
from actorkube.sim.faults import (
    Ambush,
    BadReads,
    Clog,
    Crash,
    Drift,
    Drop,
    Fault,
    FullDisk,
    LossyLink,
    Outage,
    Partition,
    Pause,
    Rot,
    Skew,
    SlowDisk,
    SlowLink,
    play,
)
from actorkube.sim.nemesis import Swarm, nemesis
from actorkube.sim.network import Packet
from actorkube.sim.trace import first_difference
from actorkube.sim.world import World

__all__ = [
    "Ambush",
    "BadReads",
    "Clog",
    "Conditions",
    "Constant",
    "Crash",
    "DiskConditions",
    "Drift",
    "Drop",
    "Exponential",
    "Fault",
    "FullDisk",
    "LongTail",
    "LossyLink",
    "Outage",
    "Packet",
    "Partition",
    "Pause",
    "Rot",
    "Skew",
    "SlowDisk",
    "SlowLink",
    "Swarm",
    "Uniform",
    "World",
    "first_difference",
    "nemesis",
    "play",
]
