"""etcdserverpb.Cluster: MemberList, MemberRemove, MemberPromote; and what a member is to etcd's clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.etcd.grpc.calls import Call, Method
from actors.etcd.grpc.header import Header
from actors.etcd.grpc.messages import message
from actors.etcd.grpc.replica import Replica
from actors.etcd.grpc.status import Code, Refused
from protocols.etcd_members import Member, MemberList, MemberNotFound, MemberPromote, MemberRemove, Members

NOT_FOUND = Refused(Code[MemberNotFound.grpc_code], MemberNotFound.etcd_text)


class Cluster:
    """`client_urls`: by the name of a member, where its door is; its actor's address stands for the peers' URL."""

    def __init__(self, replica: Replica, header: Header, client_urls: Mapping[str, str]) -> None:
        self._replica = replica
        self._header = header
        self._client_urls = client_urls

    def methods(self) -> dict[bytes, Method]:
        def method(name: str, plain: Any) -> Method:
            return Method(message(f"etcdserverpb.{name}Request"), plain=plain)

        return {
            b"/etcdserverpb.Cluster/MemberList": method("MemberList", self.list),
            b"/etcdserverpb.Cluster/MemberAdd": method("MemberAdd", self.elsewhere),
            b"/etcdserverpb.Cluster/MemberUpdate": method("MemberUpdate", self.elsewhere),
            b"/etcdserverpb.Cluster/MemberRemove": method("MemberRemove", self.remove),
            b"/etcdserverpb.Cluster/MemberPromote": method("MemberPromote", self.promote),
        }

    async def list(self, request: Any, call: Call) -> Any:
        found = await self._replica.asked(MemberList(serializable=not request.linearizable), call.timeout_s)
        return self._response("MemberList", found)

    async def remove(self, request: Any, call: Call) -> Any:
        name = await self._name(request.ID, call)
        return self._response("MemberRemove", await self._replica.asked(MemberRemove(name), call.timeout_s))

    async def promote(self, request: Any, call: Call) -> Any:
        name = await self._name(request.ID, call)
        return self._response("MemberPromote", await self._replica.asked(MemberPromote(name), call.timeout_s))

    async def elsewhere(self, _: Any, call: Call) -> Any:
        """Here a member is known by a name that is given with it, and etcd's messages have no room for one."""
        raise Refused(Code.UNIMPLEMENTED, "etcdserver: members are added by name: python -m actorkube etcd member add")

    async def _name(self, number: int, call: Call) -> str:
        found = await self._replica.asked(MemberList(), call.timeout_s)
        return name_of(number, found)

    def _response(self, name: str, found: Members) -> Any:
        response = message(f"etcdserverpb.{name}Response")()
        self._header.fill(response.header)
        for member in found.members:
            self._add(response.members.add(), member)
        return response

    def _add(self, described: Any, member: Member) -> None:
        described.ID = member.id
        described.name = member.name
        described.isLearner = member.learner
        described.peerURLs.append(f"actorkube://{member.address}")
        if url := self._client_urls.get(member.name):
            described.clientURLs.append(url)


def name_of(number: int, found: Members) -> str:
    """Raises Refused."""
    for member in found.members:
        if member.id == number:
            return member.name
    raise NOT_FOUND
