"""Unix sockets of one run: where systems of this machine listen for each other, in a directory of their user alone."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import tempfile
from pathlib import Path

PATH_MAX = 107  # unix(7): sun_path has 108 bytes, one of them ends it
NAME_MAX = 40
DIRECTORY = "sockets"


def socket_path(data: Path, name: str) -> Path:
    """Where that one listens in a run that has begun."""
    return (data.absolute() / DIRECTORY).resolve() / _file_name(name)


class Sockets:
    """Bound before the processes are forked; the files are removed by `close`, the sockets end with their processes.

    They lie in the data directory, or below /tmp where its path is too long for a socket's address; a link in the data
    directory says where.
    """

    def __init__(self, data: Path) -> None:
        self._directory = data.absolute() / DIRECTORY
        self._link: Path | None = None
        if len(os.fsencode(self._directory)) + 1 + NAME_MAX > PATH_MAX:
            self._link, self._directory = self._directory, Path(tempfile.mkdtemp(prefix="actorkube-", dir="/tmp"))
            self._link.unlink(missing_ok=True)  # left by a run that was killed
            self._link.symlink_to(self._directory)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory.chmod(0o700)

    def listen(self, system: str) -> socket.socket:
        path = self._directory / _file_name(system)
        path.unlink(missing_ok=True)  # left by a run that was killed: the data directory is locked, so it is over
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(256)
        return listener

    def close(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)
        if self._link is not None:
            self._link.unlink(missing_ok=True)


def _file_name(system: str) -> str:
    name = f"{system}.sock"
    return name if len(os.fsencode(name)) <= NAME_MAX else hashlib.sha256(name.encode()).hexdigest()[:NAME_MAX]
