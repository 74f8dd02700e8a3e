"""etcdserverpb.Lease: Grant, Revoke, KeepAlive (a stream), TimeToLive, Leases."""

from __future__ import annotations

import os
from typing import Any

from actors.etcd.grpc.access import Access
from actors.etcd.grpc.calls import Call, Method
from actors.etcd.grpc.header import Header
from actors.etcd.grpc.messages import message
from actors.etcd.grpc.replica import Replica
from actors.etcd.grpc.status import Code, Refused
from protocols.etcd import LeaseGrant, LeaseKeepAlive, LeaseList, LeaseRevoke, LeaseTimeToLive, Status

TTL_S_MIN = 2  # what is shorter is granted so long, as by etcd: elections may take as much


class Leases:
    def __init__(self, replica: Replica, header: Header, access: Access) -> None:
        self._replica = replica
        self._header = header
        self._guard = access.guard

    def methods(self) -> dict[bytes, Method]:
        def request(name: str) -> Any:
            return message(f"etcdserverpb.{name}Request")

        keep_alive = Method(request("LeaseKeepAlive"), stream=self.keep_alive)
        leases = Method(request("LeaseLeases"), plain=self.leases)
        return {
            b"/etcdserverpb.Lease/LeaseGrant": Method(request("LeaseGrant"), plain=self.grant),
            b"/etcdserverpb.Lease/LeaseRevoke": Method(request("LeaseRevoke"), plain=self.revoke),
            b"/etcdserverpb.Lease/LeaseKeepAlive": keep_alive,
            b"/etcdserverpb.Lease/LeaseTimeToLive": Method(request("LeaseTimeToLive"), plain=self.time_to_live),
            b"/etcdserverpb.Lease/LeaseLeases": leases,
            b"/etcdserverpb.KV/LeaseLeases": leases,  # where etcd before 3.4 had it
        }

    async def grant(self, request: Any, call: Call) -> Any:
        asked = LeaseGrant(max(request.TTL, TTL_S_MIN), request.ID or _unguessed())
        granted = await self._replica.asked(self._guard(asked, call), call.timeout_s)
        return self._response("LeaseGrant", ID=granted.lease, TTL=granted.ttl_s)

    async def revoke(self, request: Any, call: Call) -> Any:
        await self._replica.asked(self._guard(LeaseRevoke(request.ID), call), call.timeout_s)
        status = await self._replica.asked(Status(), call.timeout_s)
        self._replica.saw(status.revision)  # at which its keys are gone
        return self._response("LeaseRevoke")

    async def keep_alive(self, call: Call) -> None:
        """One answer for each request, in order; a lease that is not there (any more) has a time to live of 0."""
        while (request := await call.next()) is not None:
            try:
                kept = await self._replica.asked(self._guard(LeaseKeepAlive(request.ID), call), call.timeout_s)
                ttl_s = kept.ttl_s
            except Refused as refused:
                if refused.code is not Code.NOT_FOUND:
                    raise
                ttl_s = 0
            await call.room()
            call.send(self._response("LeaseKeepAlive", ID=request.ID, TTL=ttl_s))

    async def time_to_live(self, request: Any, call: Call) -> Any:
        left = await self._replica.asked(self._guard(LeaseTimeToLive(request.ID, request.keys), call), call.timeout_s)
        times = {"ID": request.ID, "TTL": left.left_s, "grantedTTL": left.ttl_s}
        return self._response("LeaseTimeToLive", **times, keys=left.keys)

    async def leases(self, _: Any, call: Call) -> Any:
        found = await self._replica.asked(self._guard(LeaseList(), call), call.timeout_s)
        status = message("etcdserverpb.LeaseStatus")
        return self._response("LeaseLeases", leases=[status(ID=lease) for lease in found.leases])

    def _response(self, name: str, **fields: Any) -> Any:
        response = message(f"etcdserverpb.{name}Response")(**fields)
        self._header.fill(response.header)
        return response


def _unguessed() -> int:
    """A number that no client remembers from another store, as a small one might be. 63 bits, not 0."""
    return int.from_bytes(os.urandom(8), "big") >> 1 or 1
