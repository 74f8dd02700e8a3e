"""Links and transports: how two systems are joined. The system knows these two interfaces, not what is behind them.

A link delivers frames at most once and in order while it lasts; when it ends, a suffix may be lost, never the middle,
and both systems are told by `link_lost`.
"""

from __future__ import annotations

import abc
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from protocols.message import Lane

if TYPE_CHECKING:
    from actorkube.runtime.actor import Ref
    from actorkube.runtime.asks import Pending
    from actorkube.runtime.envelope import LinkCall
    from actorkube.runtime.stream import Outlet
    from actorkube.runtime.system import System


Address = tuple[str, int]  # host and port; a path of this machine and 0; in worlds without addresses, the name and 0


class Traffic(NamedTuple):
    """What went over a link, and what waits to be written."""

    frames_sent: int = 0
    bytes_sent: int = 0
    frames_received: int = 0
    bytes_received: int = 0
    outbox_bytes: int = 0


class Census(NamedTuple):
    """What a transport knows about its links: those that are there, how many to each peer were opened so far, and what
    was refused on connections, by reason."""

    links: Sequence[Link] = ()
    opened: Mapping[str, int] = {}
    refused: Mapping[str, int] = {}


class Link(abc.ABC):
    """One direction-less connection to the system `peer`."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.lane = Lane.BULK
        self.fate = ""  # why it ended, for people, as far as that is known
        self.home: System | None = None  # whose link to send on this is, as long as it is that
        self.asks: dict[int, Pending] = {}  # by correlation id: ours, that wait for an outcome over it
        self.is_asked = False  # `Asks` knows of it
        self.streams: dict[int, None] = {}  # correlation ids of those that we read over it
        self.calls: dict[int, LinkCall] = {}  # what the peer may still take back: its asks, sends, streams to open
        self.outlets: dict[int, Outlet] = {}  # streams that we feed over it
        self.announced: dict[int, None] = {}  # actor ids whose names the peer has been told
        self.names: dict[int, Ref] = {}  # actors of the peer, by the id that it told us

    @abc.abstractmethod
    def send(self, kind: int, type_id: int, target: int, sender: int, corr: int, number: int, body: bytes) -> bool:
        """Queue one frame. False: it will not be sent (link down, or its bounded queue is full)."""

    def writable(self) -> bool:
        """Whether there is room for new work (tell, ask, stream). False: the peer reads slowly, or not at all."""
        return True

    async def room(self) -> None:
        """Returns when there is room again, or when the link has ended."""
        return

    def traffic(self) -> Traffic:
        """As far as it is counted."""
        return Traffic()


class Familiars:
    """Whom a system can dial in a world without addresses: those that it knows from the start (None: all), and those
    that it has learned of."""

    def __init__(self, knows: Collection[str] | None = None) -> None:
        self._knows = knows
        self._learned: dict[str, None] = {}

    def __contains__(self, peer: str) -> bool:
        return self._knows is None or peer in self._knows or peer in self._learned

    def learn(self, peer: str) -> None:
        if peer not in self:
            self._learned[peer] = None

    def unlearn(self, peer: str) -> None:
        self._learned.pop(peer, None)


class Loopback(Link):
    """A system's link to itself, the same in every world: what is sent is a frame in the next loop turn."""

    def __init__(self, system: System) -> None:
        super().__init__(system.name)
        self._system = system

    def send(self, kind: int, type_id: int, target: int, sender: int, corr: int, number: int, body: bytes) -> bool:
        system = self._system
        arguments = (self, kind, type_id, target, sender, corr, number, body)
        system.loop.call_soon(system.on_frame, *arguments, context=system.context)
        return True


class Transport(abc.ABC):
    """Where links come from. One transport belongs to one system. `sees_all`: every peer is `near`."""

    sees_all: ClassVar[bool] = True

    @abc.abstractmethod
    async def start(self, system: System) -> None:
        """Begin to accept links; frames go to system.on_frame, ends to system.link_lost."""

    @abc.abstractmethod
    def link(self, peer: str, lane: Lane) -> Link | None:
        """The link to a peer, dialled if need be. None: the peer is not known."""

    def why_not(self, peer: str, lane: Lane) -> str:
        """Why `link` gives none now, for people: what follows "system x"."""
        return "is not known or not reachable"

    def flush(self) -> None:
        """What was sent in this loop turn leaves now, where it otherwise would at its end."""
        return

    def peers(self) -> Sequence[str]:
        """Systems that a link can be made to, by their names."""
        return ()

    def addresses(self) -> Mapping[str, Address]:
        """Where systems listen that a link can be made to, this one included, as far as others can use it."""
        return {}

    def learn(self, peer: str, address: Address, teller: str) -> None:
        """The teller says where a system listens; whoever knows it already, or does not believe it, does nothing."""
        return

    def unlearn(self, peer: str) -> None:
        """Nobody knows that system any more. What was not learned is kept."""
        return

    def near(self, peer: str) -> System | None:
        """A system that is in the same process: for those who look on."""
        return None

    def census(self) -> Census:
        """For those who look on."""
        return Census()

    def cut(self, unheard: Collection[str]) -> None:
        """A fault: from now on nothing gets here that these peers say; of all others, everything."""
        raise NotImplementedError(f"{type(self).__name__} cannot be cut")

    @abc.abstractmethod
    async def stop(self) -> None:
        """End all links and stop accepting."""
