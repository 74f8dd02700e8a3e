"""Names across systems: what each system tells the others about the names and groups that its actors are in.

Each system is the only author of its own entries, and numbers its changes: `life` tells one run of a system from the
next, `version` one state of its entries from the next.
"""

from __future__ import annotations

import msgspec

from protocols.message import Lane, Message


class NameEntry(msgspec.Struct, frozen=True, array_like=True):
    """`actor` of the sending system has `name` to itself (`unique`), or is a member of the group of that name.

    `stamp` is a Lamport time: of two that hold one name, the one with the lower (stamp, system, actor) keeps it.
    """

    name: str
    actor: str
    stamp: int
    unique: bool


class NamesState(Message):
    """All entries of the sender."""

    lane = Lane.CONTROL
    life: int
    version: int
    entries: tuple[NameEntry, ...]


class NamesChanged(Message):
    """What led from the version before to this one."""

    lane = Lane.CONTROL
    life: int
    version: int
    added: tuple[NameEntry, ...]
    removed: tuple[NameEntry, ...]


class NamesDigest(Message):
    """Where the sender is: whoever has another state of it asks for all. `known`: as `version`, of whom it knows."""

    lane = Lane.CONTROL
    life: int
    version: int
    known: int = 0


class NamesWanted(Message):
    """Send all entries."""

    lane = Lane.CONTROL


class Acquaintance(msgspec.Struct, frozen=True, array_like=True):
    """A system that the sender is linked to, and where it listens: `host` is a path where `port` is 0; both may be
    unknown ("" and 0): then only that system itself can make a link."""

    system: str
    host: str = ""
    port: int = 0


class AcquaintancesWanted(Message):
    """Say whom you know."""

    lane = Lane.CONTROL


class Acquaintances(Message):
    """All systems that the sender is linked to, so that who does not know them can link to them as well."""

    lane = Lane.CONTROL
    life: int
    known: int
    systems: tuple[Acquaintance, ...]


class HearsayWanted(Message):
    """Of a system that the sender cannot reach, it knows that state: (0, 0) is none. Say what you know beyond it."""

    lane = Lane.CONTROL
    system: str
    life: int
    version: int


class Hearsay(Message):
    """The names (no groups) that actors of `system` have, as the sender was told by it; not `known`: nothing."""

    lane = Lane.CONTROL
    system: str
    known: bool
    life: int
    version: int
    entries: tuple[NameEntry, ...]


class NameLost(Message):
    """To an actor that held `name`: `holder`, in a system that could not be reached then, had it before."""

    name: str
    holder: str
