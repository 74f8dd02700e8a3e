"""etcdserverpb.Cluster: members that are listed, come and go; and what a member is to etcd's clients.

A member's name and its actor's address are in the URL of its peers: actorkube://etcd-3/etcd. etcdctl lets no such URL
pass: so http://etcd-3:2380 means the same, and no port has a meaning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from actors.etcd.grpc.access import Access
from actors.etcd.grpc.calls import Call, Method
from actors.etcd.grpc.header import Header
from actors.etcd.grpc.messages import message
from actors.etcd.grpc.replica import Replica
from actors.etcd.grpc.status import Code, Refused
from protocols.etcd_members import (
    Member,
    MemberAdd,
    MemberList,
    MemberNotFound,
    MemberPromote,
    MemberRemove,
    Members,
)

SCHEME = "actorkube://"
BAD_URLS = Refused(Code.INVALID_ARGUMENT, "etcdserver: given member URLs are invalid")
STAYS = Refused(Code.UNIMPLEMENTED, "etcdserver: a member stays at its address: add another one, and remove this one")
NOT_FOUND = Refused(Code[MemberNotFound.grpc_code], MemberNotFound.etcd_text)
_URL = re.compile(
    rf"{SCHEME}(?P<system>[a-z][a-z0-9-]{{0,62}})/(?P<actor>[a-z][a-z0-9-]{{0,62}})"
    r"|https?://(?P<host>[a-z][a-z0-9-]{0,62}):[0-9]{1,5}"
)


class Cluster:
    """`client_urls`: by the name of a member, where its door is; its actor's address stands for the peers' URL."""

    def __init__(self, replica: Replica, header: Header, client_urls: Mapping[str, str], access: Access) -> None:
        self._replica = replica
        self._header = header
        self._client_urls = client_urls
        self._access = access

    def methods(self) -> dict[bytes, Method]:
        def method(name: str, plain: Any) -> Method:
            return Method(message(f"etcdserverpb.{name}Request"), plain=plain)

        return {
            b"/etcdserverpb.Cluster/MemberList": method("MemberList", self.list),
            b"/etcdserverpb.Cluster/MemberAdd": method("MemberAdd", self.add),
            b"/etcdserverpb.Cluster/MemberUpdate": method("MemberUpdate", self.update),
            b"/etcdserverpb.Cluster/MemberRemove": method("MemberRemove", self.remove),
            b"/etcdserverpb.Cluster/MemberPromote": method("MemberPromote", self.promote),
        }

    async def list(self, request: Any, call: Call) -> Any:
        self._access.user(call)  # who must be somebody
        found = await self._replica.asked(MemberList(serializable=not request.linearizable), call.timeout_s)
        return self._response("MemberList", found)

    async def remove(self, request: Any, call: Call) -> Any:
        await self._access.require_root(call)
        name = await self._name(request.ID, call)
        return self._response("MemberRemove", await self._replica.asked(MemberRemove(name), call.timeout_s))

    async def promote(self, request: Any, call: Call) -> Any:
        await self._access.require_root(call)
        name = await self._name(request.ID, call)
        return self._response("MemberPromote", await self._replica.asked(MemberPromote(name), call.timeout_s))

    async def add(self, request: Any, call: Call) -> Any:
        await self._access.require_root(call)
        address = address_in(request.peerURLs)
        name = address.partition("/")[0]
        found = await self._replica.asked(MemberAdd(name, address, request.isLearner), call.timeout_s)
        response = self._response("MemberAdd", found)
        for member in response.members:
            if member.name == name:
                response.member.CopyFrom(member)
        return response

    async def update(self, request: Any, call: Call) -> Any:
        """Where a member is said to be where it is already, nothing needs to be done."""
        await self._access.require_root(call)
        found = await self._replica.asked(MemberList(), call.timeout_s)
        name = name_of(request.ID, found)
        if Member(name, address_in(request.peerURLs)) not in [Member(one.name, one.address) for one in found.members]:
            raise STAYS
        return self._response("MemberUpdate", found)

    async def _name(self, number: int, call: Call) -> str:
        found = await self._replica.asked(MemberList(), call.timeout_s)
        return name_of(number, found)

    def _response(self, name: str, found: Members) -> Any:
        response = message(f"etcdserverpb.{name}Response")()
        self._header.identify(response.header)
        for member in found.members:
            self._add(response.members.add(), member)
        return response

    def _add(self, described: Any, member: Member) -> None:
        described.ID = member.id
        described.name = member.name
        described.isLearner = member.learner
        described.peerURLs.append(SCHEME + member.address)
        if url := self._client_urls.get(member.name):
            described.clientURLs.append(url)


def name_of(number: int, found: Members) -> str:
    """Raises Refused."""
    for member in found.members:
        if member.id == number:
            return member.name
    raise NOT_FOUND


def address_in(urls: Sequence[str]) -> str:
    """Of the actor that one such URL names. Raises Refused."""
    found = _URL.fullmatch(urls[0]) if len(urls) == 1 else None
    if found is None:
        raise BAD_URLS
    return f"{found['system'] or found['host']}/{found['actor'] or 'etcd'}"
