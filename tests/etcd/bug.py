"""What a planted bug is, and where those of the store are planted."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
ETCD = "actors/etcd"
CORE = f"{ETCD}/raft/core.py"
LEADERSHIP = f"{ETCD}/raft/leadership.py"
LOG = f"{ETCD}/raft/log.py"
PROGRESS = f"{ETCD}/raft/progress.py"
QUORUM = f"{ETCD}/raft/quorum.py"
CONFCHANGE = f"{ETCD}/raft/confchange.py"
CONFIGURATIONS = f"{ETCD}/raft/configurations.py"
HANDOVER = f"{ETCD}/raft/handover.py"
READ_LEASE = f"{ETCD}/raft/read_lease.py"
KEYS = f"{ETCD}/mvcc/keys.py"
STORE = f"{ETCD}/mvcc/store.py"
LEASES = f"{ETCD}/mvcc/leases.py"
WATCH = f"{ETCD}/mvcc/watch.py"
SPAN = f"{ETCD}/mvcc/span.py"
STATE = f"{ETCD}/mvcc/state.py"
TXN = f"{ETCD}/mvcc/txn.py"
INTEREST = f"{ETCD}/mvcc/interest.py"
UPKEEP = f"{ETCD}/upkeep.py"
WAL = f"{ETCD}/wal.py"
STORAGE = f"{ETCD}/storage.py"
RECORDS = f"{ETCD}/records.py"
SNAPSHOT = f"{ETCD}/snapshot.py"
DUMP = f"{ETCD}/mvcc/dump.py"
ARRIVAL = f"{ETCD}/raft/arrival.py"
REQUESTS = f"{ETCD}/requests.py"
FEEDS = f"{ETCD}/feeds.py"
ACTOR = f"{ETCD}/actor.py"
DISK_WORK = f"{ETCD}/disk_work.py"
RAFT = ("test_raft_core", "test_raft_snapshots", "test_raft_world")
MEMBERS = ("test_raft_members", "test_raft_world")
BY_LEASE = ("test_raft_leases", "test_raft_world")
MVCC = ("test_mvcc", "test_store")
LOG_FORMAT = ("test_wal",)
SNAPSHOTS = ("test_snapshot",)
REPLICA_SET = ("test_etcd_sim", "test_etcd_actor", "test_storage", "test_requests")


class Bug(NamedTuple):
    """In `file`, `right` stands exactly once; `wrong` in its place must make a test of `found_by` fail."""

    name: str
    file: str
    right: str
    wrong: str
    found_by: tuple[str, ...]
