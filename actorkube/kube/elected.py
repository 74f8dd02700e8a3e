"""An actor that is one of several candidates: while it leads, its child works; when it leads no more, the child ends.

The child begins anew each time, from what the API server says, so nothing that a leader believed outlives its term.
When the candidate is stopped its child has ended already, and the lease is given back, so that another follows at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from actorkube.kube.client import Client
from actorkube.kube.election import JITTER, LEASES, Election, LeaderElection
from actorkube.kube.servers import API, ApiServers
from actorkube.runtime import Actor, Ref
from actorkube.runtime.probe import probe
from protocols.controller import Activity, AskActivity
from protocols.errors import Answer, AskError, Conflict, NotFound
from protocols.message import Message

RELEASE_WITHIN_S = 1.0  # when a whole cluster stops, the API server may be gone already
LATE_S = 20.0
STANDBY = Activity(True, 0, 0, 0, 0, 0, 0)


class Elected(Actor):
    """`worker`: makes the child, which answers AskActivity. The lease says the name of this actor's system."""

    def __init__(self, worker: Callable[[], Actor], config: LeaderElection, api: str | Sequence[str] = API) -> None:
        self._api_addresses = api
        self._worker = worker
        self._config = config
        self._child: Ref | None = None

    async def on_start(self) -> None:
        identity = f"{self.ctx.self_ref.address.system}_{self.ctx.uuid()}"
        self._election = Election(self._config, identity)
        api = ApiServers.known(self.ctx, self._api_addresses)
        self._client = Client(self.ctx, api, timeout_s=self._config.renew_deadline_s / 2)
        self._campaigning = self.ctx.background(self._campaign(), "leader election")

    async def on_stop(self) -> None:
        self._campaigning.cancel()
        if self._election.leads:
            with suppress(TimeoutError, Answer, AskError):
                async with asyncio.timeout(RELEASE_WITHIN_S):
                    await self._release()

    async def receive(self, message: Message) -> Message | None:
        if not isinstance(message, AskActivity):
            return None
        return STANDBY if self._child is None else await self.ctx.ask(self._child, message)

    def live_checks(self) -> Mapping[str, bool]:
        """kube-scheduler's watchdog: a leader that goes on although it could not renew its lease."""
        election = self._election
        return {"leaderElection": not election.leads or self.ctx.now < election.must_renew_by + LATE_S}

    @property
    def leads(self) -> bool:
        return self._child is not None

    async def _campaign(self) -> None:
        while True:
            await self._attempt()
            if self._election.leads and self._child is None:
                probe("election: a candidate leads")
                self.ctx.log.info("leads", lease=self._config.name, identity=self._election.identity)
                self._child = self.ctx.spawn(self._worker, "leader")
            if self._child is not None and not self._election.leads:
                probe("election: a leader could not renew its lease in time")
                self.ctx.log.warning("leads no more", lease=self._config.name, identity=self._election.identity)
                child, self._child = self._child, None
                await self.ctx.kill(child)
            pause_s = self._config.retry_period_s
            await self.ctx.sleep(pause_s if self._election.leads else pause_s * (1 + JITTER * self.ctx.random.random()))

    async def _attempt(self) -> None:
        """Acquire or renew. A leader tries until its time is up."""
        while True:
            left_s = self._election.must_renew_by - self.ctx.now if self._election.leads else None
            try:
                async with asyncio.timeout(left_s):
                    mine = await self._write()
            except TimeoutError:
                self._election.lost()
                return
            if mine is not None or not self._election.leads:
                return
            await self.ctx.sleep(
                min(self._config.retry_period_s, max(0.0, self._election.must_renew_by - self.ctx.now))
            )

    async def _release(self) -> None:
        """A renewal that is under way may be faster: then once more, with what it wrote."""
        while True:
            lease = await self._client.get(LEASES, self._config.name, self._config.namespace)
            released = self._election.released(lease, self.ctx.now)
            if released is None:
                return
            with suppress(Conflict):
                await self._client.update(LEASES, released)
                return

    async def _write(self) -> bool | None:
        """True: the lease is ours. False: another's. None: nobody answered, or somebody was faster."""
        asked_at = self.ctx.now
        try:
            try:
                lease = await self._client.get(LEASES, self._config.name, self._config.namespace)
            except NotFound:
                lease = None
            wanted = self._election.wanted(lease, self.ctx.now)
            if wanted is None:
                self._election.lost()
                return False
            if lease is None:
                await self._client.create(LEASES, wanted)
            else:
                await self._client.update(LEASES, wanted)
        except (Answer, AskError) as error:
            self.ctx.log.debug("lease not written", lease=self._config.name, reason=repr(error))
            return None
        self._election.written(asked_at)
        return True
