"""All observers that can be reached from one system, neighbour by neighbour: a question to everybody in one call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeVar, cast

from actorkube.runtime.actor import Context
from actorkube.runtime.built_in import OBSERVER
from actorkube.runtime.observer import PATH_MAX, relay_of
from actorkube.runtime.system import System
from protocols.errors import Answer, AskError
from protocols.message import Message, Request, decode
from protocols.observe import AskPeers, AskSpans, SpanReport

R = TypeVar("R", bound=Message)

SYSTEMS_MAX = 5000
ASK_TIMEOUT_S = 5.0


Ask = Callable[[tuple[str, ...], Request[Any]], Awaitable[Message]]


class Observers:
    """`first` is a system that can be reached; `paths` says how each other one is asked, () being the first itself.

    `ask(path, request)` is how. It raises Answers and AskErrors.
    """

    def __init__(self, ask: Ask, first: str) -> None:
        self._ask = ask
        self.silent: set[str] = set()  # who is somebody's neighbour, and did not answer when it was asked last
        self.left_out: frozenset[str] = frozenset()  # who is not looked for
        self.paths: dict[str, tuple[str, ...]] = {first: ()}

    @classmethod
    def seen_from(cls, asker: System | Context, first: str, timeout_s: float = ASK_TIMEOUT_S) -> Observers:
        """By messages of a system, or an actor, that has a link to the first one."""
        observer = asker.ref(f"{first}/{OBSERVER}")

        async def ask(path: tuple[str, ...], request: Request[Any]) -> Message:
            if not path:
                direct: Message = await asker.ask(observer, request, timeout_s)
                return direct
            answer = await asker.ask(observer, relay_of(path, request), timeout_s)
            return decode(answer.number, answer.body)

        return cls(ask, first)

    async def find(self) -> None:
        """Ask everybody for neighbours, until nobody new turns up. Who does not answer is left out."""
        fringe = list(self.paths)
        while fringe and len(self.paths) < SYSTEMS_MAX:
            answers = await asyncio.gather(*(self.ask(name, AskPeers()) for name in fringe))
            found: dict[str, tuple[str, ...]] = {}
            for name, answer in zip(fringe, answers, strict=True):
                if answer is None:
                    del self.paths[name]
                elif len(self.paths[name]) < PATH_MAX:
                    found |= {peer: (*self.paths[name], peer) for peer in answer.peers if peer not in found}
            known = {*self.paths, *self.left_out}
            new = {peer: path for peer, path in found.items() if peer not in known}
            self.paths |= new
            fringe = list(new)

    async def ask(self, name: str, request: Request[R]) -> R | None:
        """None: it did not answer."""
        try:
            answer = cast(R, await self._ask(self.paths[name], request))
        except (Answer, AskError):
            self.silent.add(name)
            return None
        self.silent.discard(name)
        return answer

    async def ask_all(self, request: Request[R], names: Collection[str] | None = None) -> dict[str, R]:
        """The answers by system, of those (or all) that answered."""
        some = list(self.paths if names is None else names)
        answers = await asyncio.gather(*(self.ask(name, request) for name in some))
        return {name: answer for name, answer in zip(some, answers, strict=True) if answer is not None}

    async def spans(self, trace_id: str = "", limit: int = 4096) -> list[SpanReport]:
        """Of all systems, in the order in which they began."""
        answers = await self.ask_all(AskSpans(trace_id, limit))
        return sorted((span for answer in answers.values() for span in answer.spans), key=lambda span: span.began)
