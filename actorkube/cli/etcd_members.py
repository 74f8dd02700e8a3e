"""`actorkube etcd member|move-leader|join`: change who belongs to the store of a running cluster.

It talks to the members over the sockets in the cluster's data directory, so it is for that user on that machine. A
member that joins is a process of its own; it calls all others, who need not know where it is. On another machine it
reads a join file instead of that directory, and calls those over TCP.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import secrets
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from actorkube.cli.composition import composition
from actorkube.cli.data import REPLICAS, cluster_name
from actorkube.cli.errors import CliError, tell_of
from actorkube.cli.etcd_peers import JoinFile, listen_for_peers, place_of
from actorkube.cli.etcd_serve import listen, tls_of
from actorkube.runtime.identity import Identity
from actorkube.runtime.log import Quiet
from actorkube.runtime.system import System
from actorkube.runtime.tcp import Endpoint, TcpTransport
from protocols.errors import Answer, AskError, NotSent
from protocols.etcd import NotLeader
from protocols.etcd_members import (
    LearnerNotReady,
    MemberAdd,
    MemberDemote,
    MemberList,
    MemberPromote,
    MemberRemove,
    Members,
    MoveLeader,
)
from protocols.message import Lane, Request

R = TypeVar("R")

PREFIX = "etcd-"
WITHIN_S = 15.0
CATCH_UP_S = 60.0
PAUSE_S = 0.1
DIAL_S = 0.5


def command(options: argparse.Namespace) -> int:
    if options.action == "join":
        return _join(options)
    if options.action == "join-file":
        return _write_join_file(options)
    if options.action == "add" and not options.name.startswith(PREFIX):
        raise CliError(f"{options.name!r} is no name for a member", f"let it begin with {PREFIX}, as in {PREFIX}3")
    code = _ask(options, request_of(options))
    if options.action == "add":
        join = f"python -m actorkube etcd join {options.name} --data {options.data} --dir ITS_OWN"
        print(f"start it: {join}", flush=True)
        return _ask(options, MemberPromote(options.name), CATCH_UP_S) if options.wait else code
    return code


def request_of(options: argparse.Namespace) -> Request[Any]:
    match options.action:
        case "add":
            return MemberAdd(options.name, f"{options.name}/etcd")
        case "remove":
            return MemberRemove(options.name)
        case "promote":
            return MemberPromote(options.name)
        case "demote":
            return MemberDemote(options.name)
        case "move-leader":
            return MoveLeader(options.name)
        case _:
            return MemberList()


def _ask(options: argparse.Namespace, request: Request[Any], catch_up_s: float = 0.0) -> int:
    try:
        answer = asyncio.run(_asked(Path(options.data).expanduser(), request, catch_up_s))
    except Answer as refusal:
        raise CliError(refusal.message, "see `actorkube etcd member list`") from None
    except AskError as error:
        raise CliError(f"it may have happened: {error}", "see `actorkube etcd member list`") from None
    if isinstance(answer, Members):
        for member in answer.members:
            role = "learner" if member.learner else "leader" if member.name == answer.leader else "voter"
            print(f"{member.name:20} {member.id:016x}  {role:8} {member.address}")
    return 0


async def _asked(data: Path, request: Request[R], catch_up_s: float) -> R:
    """Asks whoever leads; a learner that has to catch up may take as long as that."""
    book = members_at(data)
    system = System("operator", TcpTransport(key=key_of(data), book=book), log=Quiet())
    await system.start()
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        names, turn, leader = sorted(book), 0, ""
        while loop.time() < began + WITHIN_S + catch_up_s:
            ref = system.ref(leader or f"{names[turn % len(names)]}/etcd")
            try:
                return await system.ask(ref, request, timeout_s=WITHIN_S)
            except NotLeader as refusal:
                known = refusal.details["leader"]
                leader = known if known.partition("/")[0] in book else ""
            except LearnerNotReady:
                if loop.time() > began + catch_up_s:
                    raise
            except NotSent:
                leader = ""
            turn += 1
            await asyncio.sleep(PAUSE_S)
    finally:
        await system.stop()
    raise CliError("no member of the store leads", f"see the logs in {data / 'logs'}")


# -- a member of its own ----------------------------------------------------------------------------------------------


class Reach(NamedTuple):
    """How a member gets to the others: `book` says where systems listen, `members` which of them belong to the store.
    `begun_with` is how many replicas it began with; `listeners` are its own sockets."""

    key: bytes
    book: dict[str, Endpoint]
    members: Sequence[str]
    begun_with: int
    listeners: Sequence[socket.socket]
    identity: Identity | None = None


def _write_join_file(options: argparse.Namespace) -> int:
    data, target = Path(options.data).expanduser(), Path(options.file).expanduser()
    JoinFile.issue(data, cluster_name(key_of(data)), options.name).write(target)
    print(f"{target}: a secret, for {options.name} alone")
    print(f"on its machine: python -m actorkube etcd join {options.name} --join {target.name} --dir ITS_OWN")
    return 0


def _reach(options: argparse.Namespace, directory: Path) -> Reach:
    if options.join:
        return _far_reach(options, directory)
    data = Path(options.data).expanduser()
    book: dict[str, Endpoint] = {name: path for name, path in systems_at(data).items() if name != options.name}
    members = [name for name in members_at(data) if name != options.name]
    check_is_nobodys(options.name, data)
    listener = _listen(sockets_of(data) / f"{options.name}.sock")
    return Reach(key_of(data), book, members, int((data / REPLICAS).read_text()), (listener,))


def check_is_nobodys(name: str, data: Path) -> None:
    """A second one under a member's name, with a directory of its own, has forgotten what the first one promised, and
    the others would believe it. Raises CliError."""
    if (data / name).exists():
        raise CliError(f"{name} is one of those that are started with the store", "join under a name that was added")
    with socket.socket(socket.AF_UNIX) as caller:
        if caller.connect_ex(str(sockets_of(data) / f"{name}.sock")) == 0:
            raise CliError(f"{name} runs already", "stop that one first, or join under another name that was added")


def _far_reach(options: argparse.Namespace, directory: Path) -> Reach:
    given = JoinFile.read(Path(options.join), options.name)
    book: dict[str, Endpoint] = {**given.peers, **dict(place_of(text) for text in options.peer)}
    book.pop(options.name, None)
    listeners: Sequence[socket.socket] = ()
    if options.peer_port is not None:
        listeners = tuple(listen_for_peers(options.peer_host, options.peer_port, [options.name]).values())
    nobodys = secrets.token_bytes(32)  # over TCP, certificates take the place of the key
    return Reach(nobodys, book, sorted(book), given.begun_with, listeners, given.identity(directory))


def _join(options: argparse.Namespace) -> int:
    import uvloop

    directory = Path(options.dir).expanduser()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    tls = tls_of(options)
    doors = listen(options.client_port, 1) if options.client_port else []
    reach = _reach(options, directory)
    uvloop.run(_serve(options.name, reach, directory, Doors(doors, tls, options.trusted_ca_file or "")))
    return 0


class Doors(NamedTuple):
    """Where etcd's clients may come in, if anywhere."""

    listeners: Sequence[socket.socket]
    certificate: tuple[str, str] | None
    client_ca: str


async def _serve(name: str, reach: Reach, directory: Path, doors: Doors) -> None:
    """Until SIGTERM or SIGINT."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    listeners = tuple(reach.listeners)
    transport = TcpTransport(key=reach.key, book=reach.book, listen=listeners, identity=reach.identity)
    system = System(name, transport, disk=directory)
    await system.start()
    actor = importlib.import_module("actors.etcd.actor")
    peers = {other: f"{other}/etcd" for other in reach.members}
    system.spawn(lambda: actor.Etcd(name, peers, joins=True), "etcd")
    opening = asyncio.ensure_future(_open(system, name, reach.begun_with, doors))
    asking = asyncio.ensure_future(_say_if_nobodys(system, name, reach.members))
    print(f"{name} runs; Ctrl-C stops it", flush=True)
    try:
        while not stop.is_set():
            if opening.done():
                opening.result()  # raises what went wrong
            for other in reach.book:  # whoever needs this member finds a link, although nobody knows where it listens
                for lane in Lane:
                    transport.link(other, lane)
            await _wait(stop, DIAL_S)
    finally:
        opening.cancel()
        asking.cancel()
        await system.stop()
        for each in (*listeners, *doors.listeners):
            each.close()
        sys.stdout.flush()


async def _open(system: System, name: str, begun_with: int, doors: Doors) -> None:
    """As soon as the member belongs to the store, and knows it."""
    for listener in doors.listeners:
        url = "{}://{}:{}".format("https" if doors.certificate else "http", *listener.getsockname()[:2])
        root = composition()
        await root.open_door(system, name, begun_with, listener, {name: url}, doors.certificate, doors.client_ca)
        print(f"{name} is open to etcd's clients at {url}", flush=True)


async def _say_if_nobodys(system: System, name: str, members: Sequence[str]) -> None:
    """It waits until it belongs to the store, which may be for ever."""
    for other in members:
        try:
            found = await system.ask(system.ref(f"{other}/etcd"), MemberList(serializable=True), WITHIN_S)
        except (Answer, AskError):
            continue
        if name not in [member.name for member in found.members]:
            tell_of(
                [f"{name} does not belong to the store (yet); `actorkube etcd member add {name} --data DIR` adds it"]
            )
        return


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(64)
    return listener


# -- the running cluster ----------------------------------------------------------------------------------------------


def key_of(data: Path) -> bytes:
    try:
        return bytes.fromhex((data / "cluster.key").read_text())
    except (OSError, ValueError):
        raise CliError(f"{data} is no cluster's data directory", "name the one of `actorkube cluster --data`") from None


def sockets_of(data: Path) -> Path:
    return (data / "sockets").resolve()


def systems_at(data: Path) -> dict[str, str]:
    """Where the cluster's systems listen."""
    paths: Sequence[Path] = sorted(sockets_of(data).glob("*.sock"))
    if not paths:
        raise CliError(f"no cluster of many processes runs in {data}", "start it with `actorkube cluster --data DIR`")
    return {path.stem: str(path) for path in paths}


def members_at(data: Path) -> dict[str, str]:
    """The store's members among them, by their names."""
    return {name: path for name, path in systems_at(data).items() if name.startswith(PREFIX)}
