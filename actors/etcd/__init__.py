"""The replicated key-value store: etcd's architecture and semantics, as an actor per replica.

`raft/` agrees on a log, `wal.py` keeps it, `mvcc/` is what the log means; `actor.py` waits and sends.
"""
