"""The other members, as this one reaches them: where each is, and what is better said to them a little later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from actorkube.runtime import Ref, Timer
from actorkube.runtime.actor import Context
from actors.etcd.raft.types import Outgoing
from protocols.message import Message
from protocols.raft import AppendEntries, CommitAdvanced, Configuration

TELL_COMMIT_S = 0.002
REFS_MAX = 1_000  # members there have been


class TellCommit(Message):
    """A timer's tick: followers have not been told how far the log is committed."""


class Peers:
    def __init__(self, ctx: Context, addresses: Mapping[str, str]) -> None:
        self._ctx = ctx
        self._addresses = dict(addresses)
        self._refs = {name: ctx.ref(address) for name, address in addresses.items()}
        self._learnt: Configuration | None = None
        self._minded = ""
        self._put_off: dict[str, CommitAdvanced] = {}  # by the member that it is for
        self._put_off_timer: Timer | None = None
        self._waits_since: float | None = None  # the oldest news of a commit that no append has told since

    def address(self, name: str) -> str:
        """Where it is, "" if nobody has said so."""
        return self._addresses.get(name, "")

    def ref(self, name: str) -> Ref | None:
        return self._refs.get(name)

    def learn(self, configuration: Configuration) -> None:
        """The log says who belongs to it, and where."""
        if configuration is self._learnt:
            return
        self._learnt = configuration
        self._addresses |= configuration.addresses
        self._refs |= {name: self._ctx.ref(address) for name, address in configuration.addresses.items() if address}

    def knows(self, name: str) -> bool:
        return name in self._refs

    def meet(self, name: str, sender: Ref | None) -> None:
        """Somebody of whom the log has not said yet where it is, is answered where it wrote from."""
        if name not in self._refs and sender is not None and len(self._refs) < REFS_MAX:
            self._refs[name] = sender

    def mind(self, leader: str) -> None:
        """Be told by a Down when it cannot be reached any more."""
        if leader == self._minded:
            return
        if (ref := self._refs.get(self._minded)) is not None:
            self._ctx.unwatch(ref)
        self._minded = leader
        if (ref := self._refs.get(leader)) is not None:
            self._ctx.watch(ref)

    def lost(self) -> str:
        """Who was minded, and cannot be reached."""
        name, self._minded = self._minded, ""
        return name

    def tell(self, name: str, message: Message) -> None:
        if (ref := self._refs.get(name)) is not None:
            self._ctx.tell(ref, message)

    def send(self, messages: Sequence[Outgoing]) -> None:
        """How far the log is committed is said by the next append, or a little later if none comes: under load, the
        followers are woken half as often."""
        for to, message in messages:
            kind = type(message)  # quicker than isinstance
            if kind is CommitAdvanced:
                assert isinstance(message, CommitAdvanced)
                self._put_off[to] = message
                continue
            self.tell(to, message)
            if kind is AppendEntries:
                self._put_off.pop(to, None)
                if not self._put_off:
                    self._waits_since = None
        if self._put_off:
            self.tell_commit_later()

    def tell_commit_later(self) -> None:
        if self._waits_since is None:
            self._waits_since = self._ctx.now
        if self._put_off_timer is None:
            self._put_off_timer = self._ctx.after(TELL_COMMIT_S, TellCommit())

    def must_tell_commit(self) -> bool:
        """At the timer's tick. Where one append follows the other, they tell it: then the tick comes again."""
        self._put_off_timer = None
        if self._waits_since is None:
            return False
        left_s = self._waits_since + TELL_COMMIT_S - self._ctx.now
        if left_s > TELL_COMMIT_S / 10:
            self._put_off_timer = self._ctx.after(left_s, TellCommit())
            return False
        return True

    def tell_commit(self, newer: Sequence[Outgoing]) -> None:
        """What was put off, and what nobody has been told at all."""
        self._waits_since = None
        for to, message in [*self._put_off.items(), *newer]:
            self.tell(to, message)
        self._put_off.clear()
