"""Actors: bounded mailboxes, deadlines, streams with credit, supervision; carried in one process or over TCP.

Knows nothing of Kubernetes. `Actor` is what to write, `System` is where actors live, a transport joins systems.
"""

from actorkube.runtime.actor import LATER, Actor, Context, Ref
from actorkube.runtime.disk import Disk, DiskFull, FileDisk
from actorkube.runtime.group import Child, Group
from actorkube.runtime.mailbox import Loss, Mailbox
from actorkube.runtime.monitors import Down, Exited
from actorkube.runtime.stream import Outlet, Stream
from actorkube.runtime.supervisor import Backoff, Supervision
from actorkube.runtime.system import System
from actorkube.runtime.timer import Timer

__all__ = [
    "LATER",
    "Actor",
    "Backoff",
    "Child",
    "Context",
    "Disk",
    "DiskFull",
    "Down",
    "Exited",
    "FileDisk",
    "Group",
    "Loss",
    "Mailbox",
    "Outlet",
    "Ref",
    "Stream",
    "Supervision",
    "System",
    "Timer",
]
