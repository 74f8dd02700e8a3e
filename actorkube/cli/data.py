"""The data directory: a cluster's state, locked while it runs, stamped with the version of its format.

VERSION  lock  etcd-replicas  network  pki/  cluster.key  join.json  join-GUEST.json  processes.json  faults.json
kubeconfig  joined/  logs/  serving/  sockets/  <system>/<actor>/...
and, where time is virtual, control.sock and clock
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from actorkube.cli.errors import CliError
from actorkube.runtime.disk import write_whole

FORMAT = "actorkube-data 1"
REPLICAS = "etcd-replicas"  # with how many the store was begun
REPLICAS_DEFAULT = 3
CLOCK = "clock"  # how far a virtual clock was ahead of real time, in seconds, when it was looked at last
SOCKET = "control.sock"  # where a cluster whose time is virtual is controlled
SCHEDULER_CONFIG = "scheduler-config"  # which file configures its scheduler, if one does
LINKS = "pki/links"  # certificates of links
REVOKED = f"{LINKS}/revoked.json"  # guests that may not call any more
JOINED = "joined"  # who has joined on this machine, as long as it runs
LOCK = "lock"
FAULTS = "faults.json"  # of a cluster of many processes, as long as it runs


class DataDirectory:
    """Opened exclusively; a temporary one is removed at `close`."""

    def __init__(self, path: str | None) -> None:
        self.temporary = path is None
        self.path = Path(tempfile.mkdtemp(prefix="actorkube-")) if path is None else Path(path).expanduser()
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = self._take_lock()
            self._check_version()
            (self.path / "logs").mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise CliError(
                f"cannot keep data in {self.path}: {error.strerror}", "choose a directory of your own with --data"
            ) from None

    def close(self) -> None:
        if self.temporary:
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)

    def note_scheduler_config(self, file: str | None) -> None:
        """So that others can decide as this cluster's scheduler does."""
        noted = self.path / SCHEDULER_CONFIG
        if file is None:
            noted.unlink(missing_ok=True)
        else:
            noted.write_text(str(Path(file).expanduser().absolute()))

    def cluster_key(self) -> bytes:
        """The secret that actors of this cluster prove to each other; made at the first start."""
        path = self.path / "cluster.key"
        if not path.exists():
            write_private(path, secrets.token_hex(32).encode())
        return bytes.fromhex(path.read_text())

    def cluster_name(self) -> str:
        return cluster_name(self.cluster_key())

    def ahead_s(self, now: float) -> float:
        """How far what was written is ahead of real time, because a virtual clock was; 0: it is not (any more)."""
        clock = self.path / CLOCK
        if not clock.exists():
            return 0.0
        return max(0.0, clock.stat().st_mtime + float(clock.read_text()) - now)

    def begin_store(self, wanted: int | None = None) -> int:
        """With how many replicas the store begins, or was begun. Another number of them on what is there would be
        another store, whose majority has never heard of the first: raises CliError."""
        path = self.path / REPLICAS
        begun = _number(path) or len({wal.parent for wal in self.path.glob("etcd-*/etcd/*.wal")})
        if begun and wanted not in (None, begun):
            raise CliError(
                f"the store in {self.path} was begun with {begun} replica{'s' * (begun != 1)}, not {wanted}",
                "leave the number out; `actorkube etcd member add` changes who belongs to a running store",
            )
        replicas = begun or wanted or REPLICAS_DEFAULT
        if not path.exists():
            write_whole(path, b"%d\n" % replicas)
        return replicas

    def _take_lock(self) -> int:
        fd = os.open(self.path / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(fd, 32).decode().strip() or "unknown"
            os.close(fd)
            raise CliError(
                f"the data directory {self.path} is in use by another cluster (process {owner})",
                "stop that one, or choose another directory with --data",
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return fd

    def _check_version(self) -> None:
        version = self.path / "VERSION"
        if not version.exists():
            if any(p.name != LOCK for p in self.path.iterdir()):
                raise CliError(
                    f"{self.path} holds something that is not a cluster's data", "choose an empty directory with --data"
                )
            version.write_text(FORMAT + "\n")
        found = version.read_text().strip()
        if found != FORMAT:
            raise CliError(
                f"{self.path} holds data of another version ({found[:40]!r}, this is {FORMAT!r})",
                "use the version that wrote it, or choose another directory with --data",
            )


def cluster_name(key: bytes) -> str:
    """A name that no other cluster has, for its certificates: follows from the key, and does not give it away."""
    return f"actorkube-{hashlib.sha256(key).hexdigest()[:12]}"


def _number(path: Path) -> int:
    """0 where none is written down."""
    if not path.exists():
        return 0
    text = path.read_text().strip()
    if not text.isdecimal():
        raise CliError(f"{path} says {text[:40]!r}, which is no number of replicas", "write the number there")
    return int(text)


def write_private(path: Path, data: bytes) -> None:
    """Replace a file that only its owner may read."""
    beside = path.with_name(path.name + ".tmp")
    fd = os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
    beside.rename(path)
