"""What everything else of an API server stands on: the way to the store, what is known of it, who may do what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actorkube.runtime import Context
from actors.apiserver.access.authorizer import Authorizer
from actors.apiserver.access.policy import default_policy
from actors.apiserver.admission.stored import StoredInCache
from actors.apiserver.cache import Cache
from actors.apiserver.causes import Causes
from actors.apiserver.commits import Commits
from actors.apiserver.custom.served import Served
from actors.apiserver.feed import Feed
from actors.apiserver.schema.types import Types
from actors.apiserver.store import Store

if TYPE_CHECKING:
    from actors.apiserver.encryption.sealing import Encryption


@dataclass(frozen=True, slots=True)
class Core:
    types: Types
    causes: Causes
    store: Store
    cache: Cache
    feed: Feed
    commits: Commits
    authorizer: Authorizer
    stored: StoredInCache
    served: Served

    @classmethod
    def of(
        cls,
        ctx: Context,
        etcd: Sequence[str],
        encryption: Encryption | None,
        types: Types,
        *,
        sole_writer: bool = False,
    ) -> Core:
        causes, cache = Causes(), Cache()
        store = Store(ctx, etcd, causes, encryption, sole_writer=sole_writer)
        feed = Feed(ctx, store, cache, causes)
        commits = Commits(ctx, store, feed, cache)
        authorizer = Authorizer(cache, default_policy())
        return cls(types, causes, store, cache, feed, commits, authorizer, StoredInCache(cache), Served(cache, types))
