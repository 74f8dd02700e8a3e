"""The actor that keeps names and groups across systems: each system has one, from the moment names are used in it.

It watches the names actors of all systems that it knows, and tells them what changes among its own. When one cannot be
reached, its entries are dropped; when it can again, both send all they have. Every few seconds it says where it is,
so that whatever got lost is noticed. Systems tell each other only of their own actors, each directly: two that have no
link and cannot make one do not know each other's names.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from actorkube.runtime.actor import Actor, Ref
from actorkube.runtime.monitors import Down
from actorkube.runtime.registry import NAMES_MAX, Registry
from actorkube.runtime.system import NAMES
from protocols.address import Address, actor_id
from protocols.errors import BadRequest
from protocols.message import Message
from protocols.names import NameLost, NamesChanged, NamesDigest, NamesState, NamesWanted

if TYPE_CHECKING:
    from actorkube.runtime.system import System

LOOK_EVERY_S = 2.0


class LookAround(Message):
    """A tick: is there a system that we do not know yet, or one that knows us not as we are?"""


class Names(Actor):
    def __init__(self, system: System) -> None:
        self._system = system
        if system.registry is None:  # it outlives this actor's crashes
            life = random.Random(f"{system.seed}/names").getrandbits(48)
            system.registry = Registry(system.name, life)
        self.registry = system.registry
        self._peers: dict[str, None] = {}  # whose names actors are watched

    async def on_start(self) -> None:
        for peer in list(self.registry.others):
            self.registry.drop(peer)
        for actor in self.registry.actors():
            self.ctx.watch(Ref(Address(self._system.name, actor)))
        self.ctx.every(LOOK_EVERY_S, LookAround())
        self._look_around()

    def receive(self, message: Message) -> object:
        match message:
            case LookAround():
                self._look_around()
            case Down(address):
                self._on_down(Address.parse(address))
            case NamesState() | NamesChanged() | NamesDigest() | NamesWanted():
                sender = self.ctx.sender
                if sender is None or sender.address.actor != NAMES or sender.address.system == self._system.name:
                    raise BadRequest("names are told by the names actor of another system")
                self._on_peer(sender, message)
        return None

    # -- what actors of this system want --------------------------------------------------------------------------

    def register(self, name: str, actor: str) -> bool:
        holder = self.registry.lookup(name)
        if holder is not None and holder != Address(self._system.name, actor):
            return False
        self._add(name, actor, unique=True)
        return True

    def join(self, group: str, actor: str) -> None:
        self._add(group, actor, unique=False)

    def leave(self, name: str, actor: str, *, unique: bool) -> None:
        self._tell_all(self.registry.remove(name, actor, unique=unique))

    def _add(self, name: str, actor: str, *, unique: bool) -> None:
        change = self.registry.add(name, actor, unique=unique)
        self._tell_all(change)
        if change is not None:
            self.ctx.watch(Ref(Address(self._system.name, actor)))

    # -- other systems --------------------------------------------------------------------------------------------

    def _look_around(self) -> None:
        for peer in sorted({*self._system.transport.peers(), *self._peers} - {self._system.name}):
            ref = Ref(Address(peer, NAMES))
            if peer not in self._peers:
                self._meet(ref)
                self.ctx.tell(ref, NamesWanted())
            own = self.registry.own
            self.ctx.tell(ref, NamesDigest(own.life, own.version))

    def _meet(self, ref: Ref) -> None:
        if ref.address.system not in self._peers:
            self._peers[ref.address.system] = None
            self.ctx.watch(ref)

    def _on_peer(self, sender: Ref, message: Message) -> None:
        peer = sender.address.system
        self._meet(sender)
        match message:
            case NamesState(entries=entries):
                if len(entries) > NAMES_MAX:
                    raise BadRequest(f"{len(entries)} names are more than a system may have")
                self.registry.replace(peer, message)
                self._resolve()
            case NamesChanged(added=added):
                replica = self.registry.others.get(peer)
                if replica is not None and len(replica.entries) + len(added) > NAMES_MAX:
                    raise BadRequest(f"more names than a system may have ({NAMES_MAX})")
                if self.registry.change(peer, message):
                    self._resolve()
                else:
                    self.ctx.tell(sender, NamesWanted())
            case NamesDigest(life, version):
                if not self.registry.is_current(peer, life, version):
                    self.ctx.tell(sender, NamesWanted())
            case NamesWanted():
                self.ctx.tell(sender, self.registry.state())

    def _on_down(self, address: Address) -> None:
        if address.system == self._system.name:
            self._tell_all(self.registry.gone(address.actor))
        else:
            self._peers.pop(address.system, None)
            self.registry.drop(address.system)

    def _resolve(self) -> None:
        lost, change = self.registry.yield_lost()
        self._tell_all(change)
        for actor, name, holder in lost:
            self.ctx.log.warning("name lost", name=name, actor=actor, holder=str(holder))
            cell = self._system.cell(actor_id(actor))
            if cell is not None:
                cell.signal(NameLost(name, str(holder)))

    def _tell_all(self, change: NamesChanged | None) -> None:
        if change is not None:
            for peer in self._peers:
                self.ctx.tell(Ref(Address(peer, NAMES)), change)
