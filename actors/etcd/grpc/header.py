"""What every answer of etcd begins with: which cluster, which member, at which revision, in which term."""

from __future__ import annotations

from typing import Any

from actors.etcd.grpc.replica import Replica


class Header:
    """`cluster_id` is the number of a store that began empty; a restored one says its own."""

    def __init__(self, cluster_id: int, member_id: int, replica: Replica) -> None:
        self.cluster_id = cluster_id
        self.member_id = member_id
        self._replica = replica

    def fill(self, header: Any, revision: int = 0) -> None:
        """revision 0: the newest that was heard of."""
        replica = self._replica
        if revision > replica.revision:
            replica.revision = revision
        header.cluster_id = replica.cluster or self.cluster_id
        header.member_id = self.member_id
        header.revision = revision or replica.revision
        header.raft_term = replica.term

    def identify(self, header: Any) -> None:
        """Without a revision: the answer is not about keys."""
        header.cluster_id = self._replica.cluster or self.cluster_id
        header.member_id = self.member_id
        header.raft_term = self._replica.term
