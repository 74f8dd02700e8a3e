"""How much memory does a replica's state take: a million keys, a start from their snapshot, and a long soak of writes?

    python -m bench.store_memory [keys]

Keys of 32 bytes, values of 256. Each part runs in a process of its own; what is told is the memory that it has to
itself (RSS) and the most that it ever had.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from actors.etcd.mvcc.dump import Dump
from actors.etcd.mvcc.hash import HashWalk
from actors.etcd.mvcc.store import Store
from actors.etcd.raft.types import Mark
from actors.etcd.snapshot import encode_snapshot, read_snapshot
from actors.etcd.upkeep import Compactor
from protocols.etcd import Compact, Op, Txn

MIB = 1 << 20
BATCH = 1_000
SOAK_KEYS = 100_000
SOAK_WRITES = 2_000_000


def put(number: int, value: int) -> Txn:
    return Txn((), (Op("put", b"/registry/pods/default/pod-%08d" % number, b"%08d" % value + bytes(248)),))


def fill(path: Path, keys: int) -> None:
    store = Store()
    began = time.process_time()
    for number in range(keys):
        store.apply(put(number, number))
        house(store, number)
    told("written", keys, began)
    began, dump = time.process_time(), Dump(store)
    with path.open("wb") as file:
        for piece in encode_snapshot(Mark(keys, 1), dump):
            file.write(piece)
    dump.close()
    told(f"snapshot of {path.stat().st_size // MIB} MiB written", keys, began)
    began, walk = time.process_time(), HashWalk(store, store.revision)
    while not walk.done:
        walk.step()
    walk.close()
    told(f"hash {walk.hash:08x}", keys, began)


def start(path: Path, keys: int) -> None:
    began = time.process_time()
    with path.open("rb") as file:
        loaded = read_snapshot(file.read)
    assert len(loaded.store.keyspace) == keys
    told("started from the snapshot", keys, began)


def soak(_path: Path, keys: int) -> None:
    store, keys = Store(), min(keys, SOAK_KEYS)
    began = time.process_time()
    for number in range(SOAK_WRITES):
        store.apply(put(number * 7919 % keys, number))
        house(store, number)
        if (number + 1) % (SOAK_WRITES // 5) == 0:
            told(f"after {number + 1:,} writes to {keys:,} keys", SOAK_WRITES // 5, began)
            began = time.process_time()


def house(store: Store, number: int, compactor: Compactor = Compactor(5_000, 0.0)) -> None:  # noqa: B008
    """What the leader and each turn do."""
    if number % BATCH == 0:
        oldest = compactor.due(store.revision, store.compacted, 0.0)
        if oldest is not None:
            store.apply(Compact(oldest))
        store.scrub(4 * BATCH)


def told(what: str, count: int, began: float) -> None:
    took = time.process_time() - began
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    memory = pages * resource.getpagesize() // MIB
    print(
        f"{what:45} {memory:5} MiB (at most {most:5})  {took:6.2f} s CPU, {took / count * 1e6:5.2f} µs each", flush=True
    )


def alone(part: Callable[[Path, int], None], path: Path, keys: int) -> None:
    process = multiprocessing.get_context("spawn").Process(target=part, args=(path, keys))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{part.__name__} failed")


def main() -> None:
    keys = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as directory:
        for part in (fill, start, soak):
            alone(part, Path(directory) / "snap", keys)


if __name__ == "__main__":
    main()
