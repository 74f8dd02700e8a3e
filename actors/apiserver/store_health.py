"""Whether the store answers, for who asks how the server is. One question is under way at a time, for all who wait.

As kube-apiserver's check of etcd: a linearizable read, which must be answered within two seconds
(`--etcd-healthcheck-timeout`).
"""

from __future__ import annotations

import asyncio

from actorkube.runtime import Context
from actors.apiserver.store import Store
from protocols.errors import Answer, AskError

WITHIN_S = 2.0


class StoreHealth:
    def __init__(self, ctx: Context, store: Store) -> None:
        self._ctx = ctx
        self._store = store
        self._question: asyncio.Future[bool] | None = None

    async def answers(self) -> bool:
        if self._question is None:
            self._question = asyncio.get_running_loop().create_future()
            self._ctx.background(self._ask(self._question), "store health")
        return await asyncio.shield(self._question)

    async def _ask(self, question: asyncio.Future[bool]) -> None:
        good = False
        try:
            async with asyncio.timeout(WITHIN_S):
                await self._store.revision()
            good = True
        except (TimeoutError, Answer, AskError):
            pass
        finally:
            self._question = None
            question.set_result(good)
