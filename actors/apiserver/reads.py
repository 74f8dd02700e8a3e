"""Get, list and watch, out of the watch cache, as current as the caller asks for.

Without a resourceVersion a read sees every write acknowledged before it began; with "0" it takes the cache as it is;
with another it waits for at least that revision. A list in pages stays at the revision of its first page.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from actors.apiserver.answers import not_found
from actors.apiserver.cache import Cache, Watcher
from actors.apiserver.calls import Call
from actors.apiserver.feed import Feed
from actors.apiserver.item import Item
from actors.apiserver.lists import Asked, KeptList, KeptLists
from actors.apiserver.selectors import Selection, select
from protocols.errors import BadRequest, Expired, Timeout

CURRENT = -1  # a revision that means: everything acknowledged so far

_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)
_LIST_TOO_OLD = "The resourceVersion for the provided list is too old."


@dataclass(frozen=True, slots=True)
class Query:
    """What a list or watch is about; revision as in the module's first paragraph, 0 being "as it is"."""

    labels: str = ""
    fields: str = ""
    limit: int = 0
    token: str = ""
    revision: int = CURRENT
    exact: bool = False


class Listing(NamedTuple):
    """`remaining` is 0 where it is not known: a selector may leave fewer."""

    items: list[Item]
    revision: int
    token: str
    remaining: int


def is_kept(call: Call, query: Query) -> bool:
    """Whether it is a list of all that is selected now, and nobody has to be asked how its objects are shown."""
    whole = not (query.limit or query.token or query.exact)
    custom = call.resource.custom
    return whole and call.resource.stored and (custom is None or custom.webhook is None)


class Reads:
    def __init__(self, cache: Cache, feed: Feed) -> None:
        self._cache = cache
        self._feed = feed
        self._lists = KeptLists()

    def sizes(self) -> dict[str, int]:
        return self._cache.sizes()

    async def get(self, call: Call, revision: int = CURRENT) -> Item:
        await self._fresh(revision)
        item = self._cache.get(call.resource.storage, call.key)
        if item is None:
            raise not_found(call.resource, call.name)
        return item

    async def list(self, call: Call, query: Query) -> Listing:
        selection = self.selection(call, query)
        resource = self._cache.of(call.resource.storage)
        wanted, after = _decode_token(query.token) if query.token else (query.revision, "")
        is_exact = query.exact or bool(query.token and wanted != CURRENT)
        await self._fresh(wanted, may_come=not is_exact)
        revision = wanted if is_exact else self._cache.revision
        try:
            page = resource.page(selection, query.limit, after, revision if is_exact else 0)
        except Expired:
            if not query.token:
                raise Expired(_LIST_TOO_OLD) from None
            raise Expired(_TOO_OLD, goes_on_with=_encode_token(CURRENT, after)) from None
        token = _encode_token(revision, page.last) if page.last else ""
        return Listing(page.items, revision, token, page.remaining if selection.everything else 0)

    async def kept_list(self, call: Call, query: Query, form: str) -> KeptList:
        """What `list` would find, where `is_kept`; of now, so to be read before anything else is awaited."""
        selection = self.selection(call, query)
        await self._fresh(query.revision)
        view = call.resource
        asked = Asked(view.storage, view.api_version, form, call.namespace, query.labels, query.fields)
        return self._lists.find(asked, self._cache.of(view.storage), selection, view, self._cache.revision)

    async def watch(self, call: Call, query: Query, revision: int, wake: Callable[[], None]) -> Watcher:
        if not await self._reaches(revision):
            raise Expired(f"resource version {revision} is not one of this store, which is at {self._cache.revision}")
        return self._cache.of(call.resource.storage).watch(self.selection(call, query), revision, wake)

    async def confirm(self) -> None:
        """Wait until the cache holds every write that was acknowledged before this call, by whichever API server."""
        await self._feed.confirm()

    def selection(self, call: Call, query: Query) -> Selection:
        resource = call.resource
        selectable = resource.selectable if resource.custom is not None else None
        return select(resource.storage, call.namespace, query.labels, query.fields, selectable, resource.group_resource)

    @property
    def revision(self) -> int:
        """What the cache has seen; a watcher that has nothing left to read has seen it too."""
        return self._cache.revision

    async def _fresh(self, revision: int, *, may_come: bool = True) -> None:
        """`may_come`: whether who asks is to ask again soon where there is no such revision yet."""
        if revision == CURRENT:
            await self._feed.confirm()
        elif not await self._reaches(revision):
            message = f"Timeout: Too large resource version: {revision}, current: {self._cache.revision}"
            cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
            raise Timeout(message, {"causes": [cause], **({"retryAfterSeconds": 1} if may_come else {})})

    async def _reaches(self, revision: int) -> bool:
        """Whether there is such a revision (yet); the cache has it then."""
        if self._cache.revision < revision:
            await self._feed.confirm()
        return self._cache.revision >= revision


_VERSION = "meta.k8s.io/v1"
_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


class _Token(msgspec.Struct):
    """As Kubernetes writes it; `start` is the last key of the page before, and a zero byte. `rv` CURRENT: what comes
    after that key now, whatever has happened since."""

    v: str = ""
    rv: int = 0
    start: str = ""


_token_decoder = msgspec.json.Decoder(_Token)


def _encode_token(revision: int, last: str) -> str:
    token = _Token(_VERSION, revision, f"{last}\0")
    return base64.urlsafe_b64encode(msgspec.json.encode(token)).decode().rstrip("=")


def _decode_token(text: str) -> tuple[int, str]:
    wrong = next((index for index, character in enumerate(text) if character not in _ALPHABET), None)
    if wrong is not None or len(text) % 4 == 1:
        raise _no_token(f"illegal base64 data at input byte {len(text) - 1 if wrong is None else wrong}")
    try:
        token = _token_decoder.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, msgspec.DecodeError):
        raise _no_token("it is no token of this server") from None
    if token.v != _VERSION:
        raise _no_token(f"server does not recognize this encoded version {token.v}")
    if token.rv == 0:
        raise _no_token(f"incorrect encoded start resourceVersion (version {_VERSION})")
    if not token.start:
        raise _no_token(f"encoded start key empty (version {_VERSION})")
    if token.rv < CURRENT or ".." in token.start.split("/"):
        raise _no_token(token.start)
    return token.rv, token.start.removesuffix("\0")


def _no_token(why: str) -> BadRequest:
    return BadRequest(f"invalid continue token: continue key is not valid: {why}")
