"""What a replica says of itself."""

from __future__ import annotations

from actorkube import __version__
from actors.etcd.mvcc.store import Store
from actors.etcd.raft.core import Raft
from protocols.etcd import StatusResponse


def status_of(
    member: str, leader: str, raft: Raft, store: Store, db_bytes: int, errors: tuple[str, ...], quota_bytes: int
) -> StatusResponse:
    """`leader` is its address, or ""; `db_bytes` are those on the disk."""
    return StatusResponse(
        member,
        leader,
        raft.term,
        store.revision,
        raft.log.committed,
        raft.log.applied,
        version=__version__,
        db_bytes=db_bytes,
        in_use_bytes=store.keyspace.bytes,
        last_index=raft.log.last_index,
        errors=errors,
        learner=member in raft.log.configuration.learners,
        compact_revision=max(store.compacted, 0),
        cluster=store.cluster,
        auth_version=store.auth.version,
        quota_bytes=quota_bytes,
    )
