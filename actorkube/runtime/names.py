"""The actor that keeps names and groups across systems: each system has one, from the moment names are used in it.

It watches the names actors of all systems that it knows, and tells them what changes among its own. When one cannot be
reached, its entries are dropped; when it can again, both send all they have. Every few seconds it says where it is,
so that whatever got lost is noticed. Systems tell each other only of their own actors, each directly.

They also say whom they are linked to, so links are made with acquaintances of acquaintances (as Erlang's nodes do,
until all are connected). Where none can be made, one of those who have one is asked every few seconds which names the
other has: so it is known here who holds a name, and whoever wants to talk to it is told that it cannot be reached.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from actorkube.runtime.acquaintances import SYSTEMS_MAX, Circle
from actorkube.runtime.actor import Actor, Ref
from actorkube.runtime.built_in import NAMES
from actorkube.runtime.monitors import Down
from actorkube.runtime.registry import NAMES_MAX, Registry
from protocols.address import Address, actor_id
from protocols.errors import BadRequest
from protocols.message import Message
from protocols.names import (
    Acquaintance,
    Acquaintances,
    AcquaintancesWanted,
    Hearsay,
    HearsayWanted,
    NameLost,
    NamesChanged,
    NamesDigest,
    NamesState,
    NamesWanted,
)

if TYPE_CHECKING:
    from actorkube.runtime.system import System

LOOK_EVERY_S = 2.0
LOOK_SOON_S = 0.1  # many acquaintances that are made at once are told of at once


FROM_PEERS = (
    NamesState,
    NamesChanged,
    NamesDigest,
    NamesWanted,
    AcquaintancesWanted,
    Acquaintances,
    HearsayWanted,
    Hearsay,
)


class LookAround(Message):
    """A tick: is there a system that we do not know yet, or one that knows us not as we are?"""


class Introduce(Message):
    """A tick: we have got to know somebody, or somebody is gone."""


class Names(Actor):
    def __init__(self, system: System) -> None:
        self._system = system
        if system.registry is None:  # it outlives this actor's crashes
            life = random.Random(f"{system.seed}/names").getrandbits(48)
            system.registry = Registry(system.name, life)
        self.registry = system.registry
        self._peers: dict[str, None] = {}  # whose names actors are watched
        self._circle = Circle()
        self._learned: dict[str, tuple[str, int]] = {}  # addresses that others have told us
        self._through: dict[str, str] = {}  # whom we are not linked to, and whom we ask for its names
        self._through_at = (-1, -1)

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
            case Introduce():
                self._tell_all(self._digest())
            case Down(address):
                self._on_down(Address.parse(address))
            case _ if isinstance(message, FROM_PEERS):
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
        self._ask_through_others()
        for peer in sorted({*self._system.transport.peers(), *self._peers} - {self._system.name}):
            ref = Ref(Address(peer, NAMES))
            self._approach(ref)
            self.ctx.tell(ref, self._digest())

    def _approach(self, ref: Ref) -> None:
        if ref.address.system not in self._peers:
            self._meet(ref)
            self.ctx.tell(ref, NamesWanted())

    def _digest(self) -> NamesDigest:
        return NamesDigest(self.registry.own.life, self.registry.own.version, self.registry.known)

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
                is_new = self.registry.replica(peer) is None
                self.registry.replace(peer, message)
                self._resolve()
                if is_new:
                    self._introduce()
            case NamesChanged(added=added):
                replica = self.registry.others.get(peer)
                if replica is not None and len(replica.entries) + len(added) > NAMES_MAX:
                    raise BadRequest(f"more names than a system may have ({NAMES_MAX})")
                if self.registry.change(peer, message):
                    self._resolve()
                else:
                    self.ctx.tell(sender, NamesWanted())
            case NamesDigest(life, version, known):
                if not self.registry.is_current(peer, life, version):
                    self.ctx.tell(sender, NamesWanted())
                if not self._circle.is_current(peer, life, known):
                    self.ctx.tell(sender, AcquaintancesWanted())
            case NamesWanted():
                self.ctx.tell(sender, self.registry.state())
            case AcquaintancesWanted() | Acquaintances() | HearsayWanted() | Hearsay():
                self._on_acquaintance(sender, message)

    def _on_down(self, address: Address) -> None:
        if address.system == self._system.name:
            self._tell_all(self.registry.gone(address.actor))
        else:
            self._peers.pop(address.system, None)
            self._circle.drop(address.system)
            if self.registry.unreachable(address.system):
                self._introduce()

    # -- systems that others know ---------------------------------------------------------------------------------

    def _introduce(self) -> None:
        """Soon: when many come at once, it is said once."""
        self.registry.known += 1
        if not any(isinstance(timer.message, Introduce) for timer in self.ctx.timers):
            self.ctx.after(LOOK_SOON_S, Introduce(), key=Introduce)

    def _on_acquaintance(self, sender: Ref, message: Message) -> None:
        peer = sender.address.system
        match message:
            case AcquaintancesWanted():
                self.ctx.tell(sender, self._acquaintances())
            case Acquaintances():
                self._get_to_know(peer, message)
            case HearsayWanted(system, life, version):
                state = self.registry.hearsay(system)
                if state is None:
                    self.ctx.tell(sender, Hearsay(system, False, 0, 0, ()))
                elif (state.life, state.version) != (life, version):
                    self.ctx.tell(sender, Hearsay(system, True, state.life, state.version, state.entries))
            case Hearsay() if self._through.get(message.system) == peer:
                self._hear(peer, message)

    def _acquaintances(self) -> Acquaintances:
        addresses = self._system.transport.addresses()
        known = [peer for peer in self._peers if self.registry.replica(peer) is not None][: SYSTEMS_MAX - 1]
        systems = tuple(Acquaintance(peer, *addresses.get(peer, ("", 0))) for peer in (self._system.name, *known))
        return Acquaintances(self.registry.own.life, self.registry.known, systems)

    def _get_to_know(self, peer: str, said: Acquaintances) -> None:
        try:
            self._circle.take(peer, said)
        except ValueError as error:
            raise BadRequest(str(error)) from error
        for known in said.systems:
            if known.system != self._system.name:
                self._learn(known, peer)
                self._approach(Ref(Address(known.system, NAMES)))

    def _learn(self, known: Acquaintance, teller: str) -> None:
        """Of a system that we are linked to, only its own word counts, and is passed on."""
        system, address = known.system, (known.host, known.port)
        is_its_word = system == teller
        if not known.host or self._learned.get(system) == address or len(self._learned) >= SYSTEMS_MAX:
            return
        if is_its_word or self.registry.replica(system) is None:
            self._learned[system] = address
            self._system.transport.learn(system, address, teller)
            if is_its_word:
                self._introduce()

    def _ask_through_others(self) -> None:
        if self._through_at != (now := (self.registry.known, self._circle.changes)):
            self._through_at = now
            self._choose_tellers()
        for system, teller in self._through.items():
            heard = self.registry.heard(system)
            life, version = (0, 0) if heard is None else (heard.life, heard.version)
            self.ctx.tell(Ref(Address(teller, NAMES)), HearsayWanted(system, life, version))

    def _choose_tellers(self) -> None:
        met = {system for system in self.registry.others if self.registry.replica(system) is not None}
        self._through = self._circle.tellers({self._system.name, *met})
        for system, replica in list(self.registry.others.items()):
            if replica.teller and replica.teller != self._through.get(system):
                self.registry.drop(system)
        for system in [system for system in self._learned if system not in self._through and system not in met]:
            del self._learned[system]
            self._system.transport.unlearn(system)

    def _hear(self, teller: str, said: Hearsay) -> None:
        if len(said.entries) > NAMES_MAX:
            raise BadRequest(f"{len(said.entries)} names are more than a system may have")
        if self.registry.replica(said.system) is not None:
            return  # it has told us itself since
        if said.known:
            self.registry.replace(said.system, NamesState(said.life, said.version, said.entries), teller)
            self._resolve()
        else:
            self.registry.drop(said.system)

    def _resolve(self) -> None:
        lost, change = self.registry.yield_lost()
        self._tell_all(change)
        for actor, name, holder in lost:
            self.ctx.log.warning("name lost", name=name, actor=actor, holder=str(holder))
            cell = self._system.cell(actor_id(actor))
            if cell is not None:
                cell.signal(NameLost(name, str(holder)))

    def _tell_all(self, change: NamesChanged | NamesDigest | None) -> None:
        if change is not None:
            for peer in self._peers:
                self.ctx.tell(Ref(Address(peer, NAMES)), change)
