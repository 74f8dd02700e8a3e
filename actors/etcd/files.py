"""A replica set's files: read at rest or while it runs, and left as they are; and written for a new one.

Every directory holds what one member vouched for. The log of a member may end in writes that were never acknowledged,
and one member alone may lack the newest that were; the most up-to-date log of a majority has all of them, as it has
when Raft elects. So a copy is made of that one.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from actors.etcd.commands import decode_commands
from actors.etcd.mvcc.dump import Dump
from actors.etcd.mvcc.hash import HashWalk
from actors.etcd.mvcc.store import Store
from actors.etcd.raft.types import START, HardState, Mark
from actors.etcd.snapshot import (
    BLOCK_BYTES,
    DIGEST_BYTES,
    CorruptSnapshot,
    Loaded,
    encode_snapshot,
    is_snapshot,
    read_snapshot,
    snapshot_name,
)
from actors.etcd.wal import CorruptWal, Segment, encode_header, is_segment, member_of, recover, segment_name
from protocols.raft import Entry

READ_ATTEMPTS = 5  # while a member runs, it removes files that it needs no more
HASHED_BYTES = 1 << 20  # of a copy, at a time
FIRST = Mark(1, 1)  # where the log of a new cluster begins


class Unsound(Exception):
    """The files cannot be used. The message says which, and why."""


@dataclass(frozen=True)
class MemberFiles:
    """What a member's directory holds. `entries` follow the snapshot `mark`; some may not have been acknowledged."""

    path: Path
    member: str
    state: HardState
    mark: Mark
    loaded: Loaded | None
    entries: list[Entry]
    sizes: dict[str, int]

    @property
    def last(self) -> Mark:
        return Mark(self.entries[-1].index, self.entries[-1].term) if self.entries else self.mark

    def store(self) -> Store:
        """The state after the last entry."""
        return self.replay()[0]

    def replay(self) -> tuple[Store, int]:
        """The state after the last entry, and the newest revision of which this member knew that it was committed.

        Once: it goes on with the state that was loaded.
        """
        store = self.loaded.store if self.loaded is not None else Store()
        settled = store.revision
        for entry in self.entries:
            for command in () if entry.configures else decode_commands(entry.data):
                store.apply(command, entry.term)
            if entry.index <= self.state.commit:
                settled = store.revision
        store.scrub(1 << 60)
        return store, settled


def member_directories(path: Path) -> list[Path]:
    """The directory itself, if it is a member's, or those of the members of the cluster whose data it holds."""
    if not path.is_dir():
        raise Unsound(f"{path} is not a directory")
    found = [path] if _is_member(path) else sorted([sub for sub in path.glob("*/etcd") if _is_member(sub)])
    if not found:
        raise Unsound(f"{path} holds no store")
    return found


def read_member(path: Path) -> MemberFiles:
    """Everything there is, with every checksum looked at. Raises Unsound."""
    for attempt in range(READ_ATTEMPTS):
        try:
            return _read(path)
        except FileNotFoundError:
            if attempt == READ_ATTEMPTS - 1:
                raise Unsound(f"{path} changes while it is read") from None
        except (CorruptWal, CorruptSnapshot) as error:
            raise Unsound(f"{path}: {error}") from None
    raise AssertionError


def newest(members: Sequence[MemberFiles]) -> MemberFiles:
    """Whose log is the most up to date (Raft 5.4.1)."""
    return max(members, key=lambda found: (found.last.term, found.last.index))


def hash_at(store: Store, revision: int) -> int:
    walk = HashWalk(store, revision)
    while not walk.done:
        walk.step()
    walk.close()
    return walk.hash


def encode_copy(store: Store, mark: Mark) -> Iterator[bytes]:
    dump = Dump(store)
    yield from encode_snapshot(mark, dump)
    dump.close()


def read_copy(path: Path) -> Loaded:
    """Raises Unsound."""
    try:
        with path.open("rb") as file:
            sealed = _is_sealed(file)
            file.seek(0)
            return read_snapshot(file.read, sealed=sealed)
    except CorruptSnapshot as error:
        raise Unsound(f"{path}: {error}") from None


def _is_sealed(file: BinaryIO) -> bool:
    """Whether it came over etcd's API, and as it was sent."""
    left = file.seek(0, os.SEEK_END) - DIGEST_BYTES
    if left < 0 or left % BLOCK_BYTES:
        return False
    file.seek(0)
    digest = hashlib.sha256()
    while left:
        piece = file.read(min(left, HASHED_BYTES))
        digest.update(piece)
        left -= len(piece)
    return file.read() == digest.digest()


def found_cluster(store: Store, bump: int) -> None:
    """Make the state of one cluster that of another, a new one.

    With `bump`, revisions go on so much later, and everything before is compacted: who watched the old cluster beyond
    what the copy has is told to read again, and sees no revision twice with another meaning.
    """
    store.cluster = secrets.randbits(62) + 1
    store.alarms.clear()
    if bump:
        store.revision += bump
        store.compacted = store.revision
        store.events.load(store.revision, [()])


def member_files(store: Store, member: str) -> Iterator[tuple[str, bytes]]:
    """Names and contents of what a member of a new cluster starts from, the snapshot first."""
    yield snapshot_name(FIRST.index), b"".join(encode_copy(store, FIRST))
    yield segment_name(1), encode_header(member, 1, HardState(FIRST.term, "", FIRST.index), FIRST, fresh=True)


def _is_member(path: Path) -> bool:
    return path.is_dir() and any(_counts(file) for file in path.iterdir())


def _counts(file: Path) -> bool:
    return (is_segment(file.name) or is_snapshot(file.name)) and file.is_file()


def _load(path: Path) -> Loaded:
    with path.open("rb") as file:
        return read_snapshot(file.read)


def _read(path: Path) -> MemberFiles:
    sizes = {file.name: file.stat().st_size for file in sorted(path.iterdir()) if _counts(file)}
    loaded = None
    for name in [name for name in sizes if is_snapshot(name)]:
        try:
            loaded = _load(path / name)
        except CorruptSnapshot as error:
            raise CorruptSnapshot(f"{name}: {error}") from None
    mark = loaded.mark if loaded is not None else START
    segments = [Segment(name, (path / name).read_bytes()) for name in sizes if is_segment(name)]
    member = member_of(segments) if segments else path.parent.name
    found = recover(segments, member, mark)
    return MemberFiles(path, member, found.state, mark, loaded, found.entries, sizes)
