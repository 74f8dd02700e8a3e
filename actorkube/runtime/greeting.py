"""How two systems meet: each says hello, then each proves that it knows the cluster's key. Decides only, without I/O.

    dialler   HELLO(nonce a) ------>        both say hello at once
              <------ HELLO(nonce b)
              PROOF(b) ------------>        a proof is given when the other's hello is found good
              <------------ PROOF(a)        and whoever has a good proof may send anything else

Over TLS the certificates have proved already who it is; then the key is empty, and the proof only says that the hello
was found good. A side that will not work with the other says why (REFUSED) before it hangs up.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from actorkube.runtime.refusals import Reason, Refused
from protocols.frame import WIRE_VERSION, Caller, Hello
from protocols.message import Lane, table_digest


@dataclass(frozen=True)
class Self:
    """Who greets: one life of a system."""

    system: str
    incarnation: int


class Greeting:
    """One side of a greeting. `expected` is the system that was dialled, None on the side that was called.

    `acceptable` is asked about the other's name and raises Refused: what certificate or place say of it.
    """

    def __init__(
        self,
        who: Self,
        key: bytes,
        nonce: bytes,
        *,
        acceptable: Callable[[str], None],
        expected: str | None = None,
        lane: Lane = Lane.BULK,
        link: int = 0,
        successor: bool = False,
    ) -> None:
        self.expected = expected
        self.peer: Hello | None = None
        self._who = who
        self._key = key
        self._acceptable = acceptable
        self._hello = Hello(
            WIRE_VERSION, who.system, who.incarnation, lane, table_digest(), nonce, link=link, successor=successor
        )

    @property
    def called(self) -> str:
        """The other's name as far as it is known."""
        return self.peer.system if self.peer is not None else self.expected or ""

    def hello(self) -> bytes:
        return msgspec.msgpack.encode(self._hello)

    def on_hello(self, body: bytes) -> bytes:
        """Their hello; returns our proof. Raises Refused."""
        if self.peer is not None:
            raise Refused(Reason.GARBAGE, f"{self.called} says hello twice")
        hello = _decode(body)
        if hello.table != self._hello.table:
            ours, theirs = self._hello.table.hex(), hello.table.hex()
            raise Refused(
                Reason.MESSAGES,
                f"{hello.system} knows other messages than {self._who.system} (table {theirs}, not {ours})",
            )
        if self.expected is not None and hello.system != self.expected:
            raise Refused(Reason.NAME, f"{hello.system} answers where {self.expected} was expected")
        self._acceptable(hello.system)
        self.peer = hello
        return self._proof(hello.nonce, self._who.system, dialled=self.expected is not None)

    def on_proof(self, body: bytes) -> Hello:
        """Their proof; returns who they are. Raises Refused."""
        if self.peer is None:
            raise Refused(Reason.GARBAGE, "a proof before the hello")
        good = self._proof(self._hello.nonce, self.peer.system, dialled=self.expected is None)
        if not hmac.compare_digest(body, good):
            raise Refused(Reason.KEY, f"{self.peer.system} does not know the cluster's key")
        return self.peer

    def _proof(self, nonce: bytes, system: str, *, dialled: bool) -> bytes:
        """Bound to the prover's name and role, so that a proof cannot be reflected."""
        return hmac.new(self._key, nonce + bytes([dialled]) + system.encode(), hashlib.sha256).digest()


def _decode(body: bytes) -> Hello:
    try:
        caller = msgspec.msgpack.decode(body, type=Caller)
        if caller.version != WIRE_VERSION:
            raise Refused(Reason.VERSION, f"{caller.system} speaks wire version {caller.version}, not {WIRE_VERSION}")
        hello = msgspec.msgpack.decode(body, type=Hello)
        Lane(hello.lane)
    except Refused:
        raise
    except ValueError as error:  # msgspec's errors are ValueErrors
        raise Refused(Reason.GARBAGE, f"not a hello: {error}") from error
    return hello
