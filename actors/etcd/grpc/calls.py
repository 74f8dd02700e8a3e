"""A call as its service sees it: requests that come, answers that go; and the table of what can be called.

Three kinds of methods: `quick` ones are functions that see to it that the call is answered (no task: most calls are
puts and gets), `plain` ones are coroutines that return the answer, `stream` ones send and receive as they like.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, Protocol

from actors.etcd.grpc.framing import REQUEST_BYTES_MAX, Unframer
from actors.etcd.grpc.status import Code, Refused

CALL_S = 7.0  # how long what is asked may take when its client sets no time: etcd's own request timeout
REQUESTS_WAITING_MAX = 20_000  # of one stream; whoever sends more without being served ends it


class Connection(Protocol):
    """What a call needs of the connection that carries it."""

    def answer(self, stream: int, message: bytes) -> None: ...
    def refuse(self, stream: int, refused: Refused) -> None: ...
    def send(self, stream: int, message: bytes) -> None: ...
    def finish(self, stream: int) -> None: ...
    def room(self, stream: int) -> asyncio.Future[None] | None: ...


class Method(NamedTuple):
    request: Any
    quick: Callable[[Any, Call], None] | None = None
    plain: Callable[[Any, Call], Coroutine[Any, Any, Any]] | None = None
    stream: Callable[[Call], Coroutine[Any, Any, None]] | None = None


class Call:
    __slots__ = (
        "_connection",
        "_requests",
        "_waiter",
        "common_name",
        "ended",
        "has_leader",
        "limit_s",
        "method",
        "number",
        "task",
        "timeout_s",
        "token",
        "unframer",
    )

    def __init__(
        self,
        connection: Connection,
        number: int,
        method: Method,
        limit_s: float | None,
        has_leader: bool,
        token: bytes = b"",
        common_name: str = "",
    ) -> None:
        self._connection = connection
        self.number = number
        self.method = method
        self.limit_s = limit_s  # that its client has set, to what may wait for as long as it likes
        self.timeout_s = CALL_S if limit_s is None else limit_s
        self.has_leader = has_leader  # the client wants to hear at once when nobody leads
        self.token = token
        self.common_name = common_name  # in the client's certificate
        self.unframer = Unframer(REQUEST_BYTES_MAX)
        self.task: asyncio.Task[object] | None = None
        self.ended = False  # no more requests
        self._requests: deque[Any] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def reply(self, message: Any) -> None:
        """The one answer."""
        self._connection.answer(self.number, message.SerializeToString())

    def fail(self, refused: Refused) -> None:
        self._connection.refuse(self.number, refused)

    # -- streams --------------------------------------------------------------------------------------------------

    def send(self, message: Any) -> None:
        self._connection.send(self.number, message.SerializeToString())

    async def room(self) -> None:
        """Returns when the reader has taken most of what was sent."""
        while (waiting := self._connection.room(self.number)) is not None:
            await waiting

    def finish(self) -> None:
        self._connection.finish(self.number)

    async def next(self) -> Any:
        """The next request; None when there are no more."""
        while not self._requests:
            if self.ended:
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._requests.popleft()

    def came(self, request: Any) -> None:
        """Raises Refused."""
        if len(self._requests) >= REQUESTS_WAITING_MAX:
            raise Refused(Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests")
        self._requests.append(request)
        self._wake()

    def end(self) -> None:
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
