"""Carrying out what a reconciler decided, and learning from each answer.

An answer enters the view at once. A write that failed, or whose answer was lost, leaves its object in doubt: it is read
again, past every cache, until somebody answers, and only then may its key be reconciled again. Creates and deletes in
a row go out side by side in batches of 1, 2, 4, ... (as Kubernetes' slow start): a refusal stops the pass early.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from actorkube.kube.client import Client
from actorkube.kube.controller import Failure
from actorkube.kube.view import Entry, View
from actorkube.kube.writes import (
    Ask,
    Confirm,
    ConfirmNone,
    Create,
    Delete,
    DeleteAll,
    Event,
    Inquire,
    Look,
    Patch,
    Update,
    Write,
)
from actorkube.runtime import Context
from actorkube.runtime.tracing import because_of_answer
from protocols.api import Stored
from protocols.errors import (
    AlreadyExists,
    Answer,
    AskError,
    Conflict,
    ConversionFailed,
    InternalError,
    NotFound,
    ServerTimeout,
    ServiceUnavailable,
)
from protocols.message import Message
from protocols.objects import Object, decode_object, meta
from protocols.rules.owners import is_deleting

_BATCH_MAX = 64
_PAUSE_S = 0.1
_DOUBTFUL = (
    *(AskError, AlreadyExists, Conflict, NotFound, InternalError, ServerTimeout, ServiceUnavailable),
    ConversionFailed,  # of the answer, maybe: the write has happened
)

Record = Callable[[Event], None]


class Unfinished(Exception):
    """The pass ends here, and its key needs another look; nothing was refused."""


class Carrier:
    """`failure = await carrier.carry_out(writes)`; raises Unfinished, or what is no answer (a bug)."""

    def __init__(self, ctx: Context, client: Client, views: Mapping[str, View]) -> None:
        self.writes = 0
        self._ctx = ctx
        self._client = client
        self._views = views

    async def carry_out(self, writes: Sequence[Write], record: Record) -> Failure | None:
        """Carry out in order. The refusal that ended the pass is returned; doubt about its object is cleared."""
        for row in rows(writes):
            for batch in growing(row):
                outcomes = await asyncio.gather(
                    *(self._attempt(write, record) for write in batch), return_exceptions=True
                )
                for outcome in outcomes:
                    if isinstance(outcome, BaseException):
                        raise outcome
                failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
                if failures:
                    return failures[0]
        return None

    async def inquire(self, inquiry: Inquire) -> Message | Answer | AskError:
        try:
            answer: Message = await self._client.ask(inquiry.request)
            return answer
        except (Answer, AskError) as error:
            return error

    async def _attempt(self, write: Write, record: Record) -> Failure | None:
        if isinstance(write, Event):
            record(write)
            return None
        try:
            await self._do(write)
        except (Answer, AskError) as error:
            await self._clear_doubt(write, error)
            if isinstance(error, AskError):
                raise Unfinished(str(error)) from error
            if is_refusal(error) and not is_ending_namespace(error):
                _tell(record, getattr(write, "lament", None), error)
            return Failure(write, error)
        _tell(record, getattr(write, "announce", None))
        return None

    async def _do(self, write: Write) -> None:
        client = self._client
        self.writes += 1
        match write:
            case Create(resource, obj):
                self._learn(resource, await client.create_stored(resource, obj))
            case Update(resource, obj, subresource):
                self._learn(resource, await client.update_stored(resource, obj, subresource))
            case Patch(resource, namespace, name, patch, type, subresource):
                self._learn(resource, await client.patch_stored(resource, name, patch, namespace, type, subresource))
            case Delete():
                await self._delete(write)
            case DeleteAll(resource, namespace):
                if await client.delete_all(resource, namespace):
                    raise Unfinished(f"{resource} in {namespace} were still there")
            case Confirm():
                await self._confirm(write)
            case ConfirmNone():
                await self._confirm_none(write)
            case Ask(request):
                await client.ask(request)
            case Look(resource, namespace, name, uid):
                await self._look(resource, namespace, name, uid)
                raise Unfinished(f"looked at {resource} {namespace}/{name}")

    async def _delete(self, write: Delete) -> None:
        """That it is not there is success. (A Conflict is doubt: the look at it shows whose name that is now.)"""
        key = _key(write.namespace, write.name)
        try:
            stored = await self._client.delete_stored(
                write.resource,
                write.name,
                write.namespace,
                write.uid,
                write.revision,
                write.grace_s,
                write.propagation,
            )
        except NotFound:
            self._bury(write.resource, key, write.uid)
        else:
            if lives_on(decode_object(stored.body)):
                self._learn(write.resource, stored)
            else:
                self._bury(write.resource, key, write.uid)

    # -- doubt ----------------------------------------------------------------------------------------------------

    async def _clear_doubt(self, write: Write, error: Answer | AskError) -> None:
        if isinstance(write, Create | Update | Patch | Delete) and isinstance(error, _DOUBTFUL):
            await self._look(write.resource, write.namespace, write.name, _uid(write))

    async def _look(self, resource: str, namespace: str, name: str, uid: str) -> None:
        """Read until somebody answers, or nobody is expected to: it is not watched any more."""
        watched = resource in self._views
        while True:
            try:
                stored = await self._client.get_stored(resource, name, namespace)
            except NotFound:
                self._vanished(resource, _key(namespace, name), uid)
                return
            except (Answer, AskError) as error:
                if watched and resource not in self._views:
                    raise Unfinished(f"{resource} are watched no more") from error
                self._ctx.log.debug("cannot look", resource=resource, name=name, reason=repr(error))
                await self._ctx.sleep(_PAUSE_S * (0.5 + self._ctx.random.random()))
            else:
                self._learn(resource, stored)
                if uid and meta(decode_object(stored.body)).get("uid") != uid:
                    self._bury(resource, _key(namespace, name), uid)
                return

    async def _confirm(self, write: Confirm) -> None:
        resource, namespace, name = write.resource, write.namespace, write.name
        # What is said to be gone may never have been there: that name and uid need not belong together.
        await self._look(resource, namespace, name, "" if write.gone else write.uid)
        if not is_so(write, self._views[resource].entry(_key(namespace, name))):
            raise Unfinished(f"{resource} {namespace}/{name} is not what it was")

    async def _confirm_none(self, write: ConfirmNone) -> None:
        if any(write.is_one(obj) for obj in await self._client.list(write.resource, write.namespace)):
            raise Unfinished(f"there are {write.resource} in {write.namespace} that should not be")

    # -- views ----------------------------------------------------------------------------------------------------

    def _learn(self, resource: str, stored: Stored) -> None:
        view = self._views.get(resource)
        if view is not None:
            with because_of_answer():  # whoever sees it in the view sees what was written, not that it was decided
                view.wrote(stored, self._ctx.now)

    def _bury(self, resource: str, key: str, uid: str) -> None:
        view = self._views.get(resource)
        if view is not None:
            with because_of_answer():
                view.deleted(key, uid, self._ctx.now)

    def _vanished(self, resource: str, key: str, uid: str) -> None:
        """Nobody has that name: neither the uid that was meant, nor the one that the view shows."""
        view = self._views.get(resource)
        if view is None:
            return
        entry = view.entry(key)
        for dead in dict.fromkeys(filter(None, (uid, entry.uid if entry is not None else ""))):
            view.deleted(key, dead, self._ctx.now)


def is_so(confirm: Confirm, entry: Entry | None) -> bool:
    """Whether what is there now is what was to be confirmed."""
    if confirm.gone or not confirm.uid:
        return entry is None or (confirm.gone and entry.uid != confirm.uid)
    return entry is not None and entry.uid == confirm.uid and not is_deleting(entry.peek())


def rows(writes: Iterable[Write]) -> Iterator[list[Write]]:
    """Neighbours that may go out side by side: creates, or deletes, of one resource."""
    row: list[Write] = []
    for write in writes:
        if row and not _side_by_side(row[-1], write):
            yield row
            row = []
        row.append(write)
    if row:
        yield row


def growing(row: Sequence[Write]) -> Iterator[Sequence[Write]]:
    size, position = 1, 0
    while position < len(row):
        yield row[position : position + size]
        position += size
        size = min(2 * size, _BATCH_MAX)


def lives_on(obj: Object) -> bool:
    """Whether an object that was asked to go is still there: finalizers or a grace period hold it."""
    metadata = meta(obj)
    held = metadata.get("finalizers") or metadata.get("deletionGracePeriodSeconds")
    return bool(metadata.get("deletionTimestamp") and held)


def is_refusal(error: Answer) -> bool:
    """Somebody decided against it; not a race that another look resolves."""
    return not isinstance(error, AlreadyExists | Conflict | NotFound)


def is_ending_namespace(error: Answer) -> bool:
    """Nothing is created in a namespace that is being deleted: no reason to complain, or to try again."""
    return any(cause.get("reason") == "NamespaceTerminating" for cause in error.details.get("causes") or ())


def _side_by_side(one: Write, other: Write) -> bool:
    if isinstance(one, Create) and isinstance(other, Create):
        return one.resource == other.resource
    return isinstance(one, Delete) and isinstance(other, Delete) and one.resource == other.resource


def _tell(record: Record, event: Event | None, error: Answer | None = None) -> None:
    if event is not None:
        message = event.message if error is None else f"{event.message}{error.message}"
        record(Event(event.about, event.type, event.reason, message))


def _key(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def _uid(write: Create | Update | Patch | Delete) -> str:
    """The uid that the write was about, as far as it says."""
    match write:
        case Delete():
            return write.uid
        case Update():
            return str(meta(write.obj).get("uid") or "")
        case Patch() if isinstance(write.patch, dict):
            return str((write.patch.get("metadata") or {}).get("uid") or "")
    return ""
