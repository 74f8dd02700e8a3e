"""Faults of a running cluster of many processes: changed in its file, carried out by each process."""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from actorkube.cli.data import FAULTS, write_private
from actorkube.cli.sockets import socket_path
from actorkube.runtime.control_socket import ControlError, NoReply, ask_control
from actorkube.runtime.faults import Faults
from actorkube.runtime.faulty import LOOK

HEARD_WITHIN_S = 5.0


def begin_faults(data: Path, hosts: list[str]) -> None:
    """A cluster starts without any."""
    write_private(data / FAULTS, msgspec.json.encode(Faults(tuple(hosts))))


def change_faults(data: Path, change: Callable[[Faults], Faults]) -> list[str]:
    """Returns when every process that runs has carried it out; the names of those that are stopped: they will when
    they go on. Who is down finds it in the file. Raises FileNotFoundError where no such cluster is, and KeyError."""
    file = data / FAULTS
    with _locked(file):
        faults = change(msgspec.json.decode(file.read_bytes(), type=Faults))
        write_private(file, msgspec.json.encode(faults))
        running = json.loads((data / "processes.json").read_text())
        return [host for host in faults.hosts if host in running and not _told(data, host)]


def _told(data: Path, host: str) -> bool:
    try:
        ask_control(socket_path(data, f"{host}.control"), LOOK, HEARD_WITHIN_S)
    except NoReply:
        return False
    except ControlError:  # it ended meanwhile
        return True
    return True


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Two who change it do so one after the other."""
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
