"""Faults of a running cluster of many processes: changed in its file, carried out by each process.

Processes that have joined look at that file too, where they are on the same machine (joined.py). What runs elsewhere is
known to the API servers only, as long as it is linked: what it says can be lost there, nothing else.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from actorkube.cli.data import FAULTS, write_private
from actorkube.cli.errors import CliError
from actorkube.cli.joined import begin_joined, joined
from actorkube.cli.sockets import socket_path
from actorkube.runtime.control_socket import ControlError, NoReply, ask_control
from actorkube.runtime.faults import Faults
from actorkube.runtime.faulty import GUESTS, LOOK

HEARD_WITHIN_S = 5.0
API_SERVERS = ("apiserver", *(f"apiserver-{number}" for number in range(2, 10)))  # as many as a cluster can have


class Heard(NamedTuple):
    """Of a change: who is stopped, and hears of it when it goes on; who is cut off and runs elsewhere."""

    later: list[str]
    elsewhere: list[str]


def begin_faults(data: Path, hosts: list[str]) -> None:
    """A cluster starts without any, and without guests."""
    write_private(data / FAULTS, msgspec.json.encode(Faults(tuple(hosts))))
    begin_joined(data)


def change_faults(data: Path, change: Callable[[Faults], Faults]) -> Heard:
    """Returns when every process that runs has carried it out. Who is down finds it in the file.

    Raises FileNotFoundError where no such cluster is, KeyError, and CliError for what nobody can carry out.
    """
    file = data / FAULTS
    with _locked(file):
        before = msgspec.json.decode(file.read_bytes(), type=Faults)
        controls = _controls(data, before.hosts)
        linked = linked_guests(data, HEARD_WITHIN_S) or {}
        afar = {system for systems in linked.values() for system in systems} - controls.keys()
        away = before.affected() - set(before.hosts) - controls.keys() - afar
        faults = change(before.with_guests(sorted({*controls, *afar, *away} - set(before.hosts))))
        cut_off = _cut_off_from_afar(faults, afar)
        write_private(file, msgspec.json.encode(faults))
        return Heard([host for host, control in controls.items() if not _told(control)], cut_off)


def running(data: Path) -> dict[str, int]:
    """The processes of a cluster and of those that have joined it here, by name."""
    pids: dict[str, int] = json.loads((data / "processes.json").read_text())
    return {**{name: pid for run in joined(data) for name, pid in run.pids.items()}, **pids}


def linked_guests(data: Path, within_s: float) -> dict[str, list[str]] | None:
    """Who is linked to API servers, by guest, once each has looked at who is revoked. None: nobody answers."""
    answers = [answer for name in API_SERVERS if (answer := _guests_of(data, name, within_s)) is not None]
    linked: dict[str, set[str]] = {}
    for guest, systems in (each for answer in answers for each in answer.items()):
        linked.setdefault(guest, set()).update(systems)
    return {guest: sorted(linked[guest]) for guest in sorted(linked)} if answers else None


def _guests_of(data: Path, api_server: str, within_s: float) -> dict[str, list[str]] | None:
    """None: there is no such process, or it does not answer."""
    try:
        answer = ask_control(socket_path(data, f"{api_server}.control"), GUESTS, within_s)
    except (ControlError, OSError):
        return None
    return msgspec.json.decode(answer, type=dict[str, list[str]])


def _controls(data: Path, hosts: Collection[str]) -> dict[str, Path]:
    """Where hosts that run listen for us, the cluster's own and those that have joined."""
    pids = json.loads((data / "processes.json").read_text())
    found = {host: socket_path(data, f"{host}.control") for host in hosts if host in pids}
    for run in joined(data):
        there = Path(run.data)
        found |= {host: socket_path(there, f"{host}.control") for host in run.hosts if host in run.pids}
    return found


def _cut_off_from_afar(faults: Faults, afar: set[str]) -> list[str]:
    """Raises CliError."""
    deaf = {hears for says, hears in faults.cuts if hears in afar and (hears, says) not in faults.cuts}
    if unable := sorted(afar & faults.ahead_s.keys() | deaf):
        raise CliError(
            f"{', '.join(unable)} runs elsewhere: only what it says can be lost",
            "say partition NAME apiserver, without --one-way or with it",
        )
    return sorted(afar & {says for says, _ in faults.cuts})


def _told(control: Path) -> bool:
    try:
        ask_control(control, LOOK, HEARD_WITHIN_S)
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
