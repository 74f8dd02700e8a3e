"""etcdserverpb.Watch: many watches in one stream, each with a number, each a stream of the member here.

A reader that is slow is not written to: then its watches take nothing from the store, where each is but a cursor.
Progress that a client asks for is told when all its watches have been handed all there was when it was asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from actorkube.runtime import Context, Stream
from actors.etcd.grpc import convert
from actors.etcd.grpc.access import Access
from actors.etcd.grpc.calls import Call, Method
from actors.etcd.grpc.header import Header
from actors.etcd.grpc.messages import message
from actors.etcd.grpc.replica import Replica
from actors.etcd.grpc.status import NO_LEADER, Refused, refused
from protocols.errors import Answer, AskError
from protocols.etcd import Compacted, WatchKeys, WatchResponse

WATCHES_MAX = 16_384  # of one stream
WINDOW = 16  # items that a watch may have in hand
NOTIFY_S = 5.0  # how often a watch is told of progress that nobody asked for
LOOK_AGAIN_S = 0.01
INVALID_ID, ALL_IDS = -1, -1
NO_PUT, NO_DELETE = 0, 1
_RESPONSE = message("etcdserverpb.WatchResponse")

Background = Callable[[Coroutine[Any, Any, object], str], "asyncio.Task[object]"]


class Watches:
    """`streams`: those that are open, for whoever notices that nobody leads."""

    def __init__(self, ctx: Context, replica: Replica, header: Header, background: Background, access: Access) -> None:
        self._ctx = ctx
        self._replica = replica
        self._header = header
        self._background = background
        self._access = access
        self.streams: dict[Call, None] = {}

    def methods(self) -> dict[bytes, Method]:
        return {b"/etcdserverpb.Watch/Watch": Method(message("etcdserverpb.WatchRequest"), stream=self.watch)}

    async def watch(self, call: Call) -> None:
        session = Session(self._ctx, self._replica, self._header, self._background, self._access, call)
        self.streams[call] = None
        try:
            await session.run()
        finally:
            self.streams.pop(call, None)
            session.close()

    def nobody_leads(self) -> None:
        """Those who want to know are told, and look elsewhere."""
        for call in list(self.streams):
            if call.has_leader:
                call.fail(NO_LEADER)


class Session:
    """One stream of a client."""

    def __init__(
        self, ctx: Context, replica: Replica, header: Header, background: Background, access: Access, call: Call
    ) -> None:
        self._ctx = ctx
        self._replica = replica
        self._header = header
        self._background = background
        self._access = access
        self._call = call
        self._watches: dict[int, Watch] = {}
        self._next = 0
        self._progress: asyncio.Task[object] | None = None
        self._uncreated = 0
        self._waiter: asyncio.Future[None] | None = None

    async def run(self) -> None:
        while (request := await self._call.next()) is not None:
            await self._call.room()
            match request.WhichOneof("is"):
                case "create_request":
                    await self._create(request.create_request)
                case "cancel_request":
                    await self._cancel(request.cancel_request.watch_id)
                case "progress_request":
                    if self._progress is None or self._progress.done():
                        self._progress = self._background(self._tell_progress(), "watch progress")
        await asyncio.get_running_loop().create_future()  # who asks for no more watches still hears of those there are

    def close(self) -> None:
        for watch in self._watches.values():
            watch.close()
        if self._progress is not None:
            self._progress.cancel()

    def send(self, revision: int | None, **fields: Any) -> None:
        """revision 0: the newest that was heard of; None: none, as where etcd says that one is compacted."""
        response = _RESPONSE(**fields)
        if revision is None:
            self._header.identify(response.header)
        else:
            self._header.fill(response.header, revision)
        self._call.send(response)

    def newest(self, revision: int) -> int:
        """That was heard of."""
        return max(revision, self._replica.revision)

    async def _create(self, request: Any) -> None:
        user, reason = "", self._fault(request)
        if not reason:
            try:
                user = self._access.user(self._call)
            except Refused as refusal:
                reason = refusal.as_go_says()
        if reason:
            await self._all_are_created()
            self._refuse(reason)
            return
        number = request.watch_id or self._free_number()
        keys = WatchKeys(
            request.key or b"\0",
            request.range_end,
            request.start_revision,
            request.prev_kv,
            request.progress_notify,
            NO_PUT in request.filters,
            NO_DELETE in request.filters,
            request.fragment,
            user,
        )
        stream = self._ctx.stream(self._replica.local, keys, WINDOW)
        self._watches[number] = watch = Watch(self, self._call, number, stream, request.start_revision > 0)
        self._uncreated += 1
        watch.task = self._background(watch.run(), "watch")

    def _refuse(self, reason: str) -> None:
        self.send(0, watch_id=INVALID_ID, created=True, canceled=True, cancel_reason=reason)

    async def _all_are_created(self) -> None:
        """Clients take what is said to be created for what they asked for first."""
        while self._uncreated:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def created(self) -> None:
        """A watch has said that it is, or why not."""
        self._uncreated -= 1
        if not self._uncreated and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fault(self, request: Any) -> str:
        """Why there can be no such watch, in etcd's words; "" if there can."""
        if request.start_revision < 0:
            return Compacted.etcd_text
        if request.watch_id == INVALID_ID or (request.watch_id and request.watch_id in self._watches):
            return "mvcc: duplicate watch ID provided on the WatchStream"
        if len(self._watches) >= WATCHES_MAX:
            return "etcdserver: too many watches in one stream"
        if request.range_end not in (b"", b"\0") and request.key >= request.range_end:
            return "mvcc: watcher range is empty"
        return ""

    def _free_number(self) -> int:
        """What is refused takes none."""
        while self._next in self._watches:
            self._next += 1
        self._next += 1
        return self._next - 1

    async def _cancel(self, number: int) -> None:
        await self._all_are_created()
        watch = self._watches.pop(number, None)
        if watch is not None:
            watch.close()
            self.send(0, watch_id=number, canceled=True)

    def ended(self, watch: Watch, error: Answer | AskError | None) -> None:
        """By the member here: compacted, or it ends. A member that ends takes the stream with it."""
        self._watches.pop(watch.number, None)
        if not isinstance(error, Answer):
            self._call.fail(NO_LEADER)
            return
        if not watch.created:
            self.created()
        if isinstance(error, Compacted):
            if not watch.created:
                self.send(0, watch_id=watch.number, created=True)
            compacted = int(error.details.get("compact_revision") or 0)
            fields = {"canceled": True, "compact_revision": compacted, "cancel_reason": error.etcd_text}
            self.send(None, watch_id=watch.number, **fields)
        elif watch.created:
            self.send(0, watch_id=watch.number, canceled=True, cancel_reason=refused(error).as_go_says())
        else:
            self._refuse(refused(error).as_go_says())

    async def _tell_progress(self) -> None:
        """What the member had handed over when it said its revision came before it said so."""
        while True:
            revision = (await self._replica.status()).revision
            if all(watch.is_in_step for watch in self._watches.values()):
                break
            await asyncio.sleep(LOOK_AGAIN_S)
        for watch in list(self._watches.values()):
            await watch.idle()
        await self._call.room()
        self.send(revision, watch_id=ALL_IDS)


class Watch:
    def __init__(
        self, session: Session, call: Call, number: int, stream: Stream[WatchResponse], has_start: bool
    ) -> None:
        self._has_start = has_start
        self._session = session
        self._call = call
        self._stream = stream
        self._notified_at = 0.0
        self._busy = False
        self._idlers: list[asyncio.Future[None]] = []
        self.number = number
        self.created = False
        self.task: asyncio.Task[object]

    @property
    def is_in_step(self) -> bool:
        """The member had credit left, so nothing was held back when it last could send."""
        return self.created and self._stream.buffered < WINDOW // 2

    async def idle(self) -> None:
        """Returns when all that was in hand has been sent."""
        if self._busy or self._stream.pending():
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idlers.append(waiter)
            await waiter

    def close(self) -> None:
        self._stream.close()
        self.task.cancel()
        self._release()

    async def run(self) -> None:
        try:
            async with self._stream as stream:
                async for response in stream:
                    self._busy = True
                    await self._call.room()
                    self._hand_on(response)
                    self._busy = False
                    if not stream.pending():
                        self._release()
            self._session.ended(self, None)
        except (Answer, AskError) as error:
            self._session.ended(self, error)
        finally:
            self._release()

    def _hand_on(self, response: WatchResponse) -> None:
        if not self.created:
            self.created = True
            # One of now begins where it says; one of the past hears of the present: it begins where it was told to.
            revision = self._session.newest(response.revision) if self._has_start else response.revision
            self._session.send(revision, watch_id=self.number, created=True)
            self._session.created()
        elif response.events or response.fragment:
            events = [convert.event(event) for event in response.events]
            fields = {"fragment": response.fragment, "events": events}
            self._session.send(response.revision, watch_id=self.number, **fields)
        elif (now := asyncio.get_running_loop().time()) - self._notified_at >= NOTIFY_S:
            self._notified_at = now
            self._session.send(response.revision, watch_id=self.number)

    def _release(self) -> None:
        idlers, self._idlers = self._idlers, []
        for waiter in idlers:
            if not waiter.done():
                waiter.set_result(None)
