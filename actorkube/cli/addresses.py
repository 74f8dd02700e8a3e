"""Addresses of a cluster on one machine: a block of the loopback network of its own, and its listening sockets.

On Linux every 127.x.y.z can be bound without privileges, so nodes, pods and services get real addresses of their own.
A cluster holds a lock socket in its block; the next cluster on the machine takes the next block.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from pathlib import Path

from actorkube.cli.errors import CliError

FIRST_BLOCK = 64
LAST_BLOCK = 124
BLOCK_STEP = 4
LOCK_PORT = 10250
API_PORT = 6443
API_PORT_TRIES = 50


@dataclass(frozen=True)
class Block:
    """127.<octet>.0.0/14: nodes in the first /16, pods in the second, services in the third, load balancers after."""

    octet: int

    def node_ip(self, number: int) -> str:
        return f"127.{self.octet}.0.{number}"

    def pod_cidr(self, number: int) -> str:
        return f"127.{self.octet + 1}.{number}.0/24"

    @property
    def service_cidr(self) -> str:
        return f"127.{self.octet + 2}.0.0/16"

    @property
    def load_balancer_cidr(self) -> str:
        return f"127.{self.octet + 3}.0.0/24"


def take_block(data: Path) -> tuple[Block, socket.socket]:
    """The block that this data directory used before, or the first free one; held as long as the socket is open."""
    remembered = data / "network"
    candidates = list(range(FIRST_BLOCK, LAST_BLOCK + 1, BLOCK_STEP))
    if remembered.exists():
        candidates = [int(remembered.read_text())]
    for octet in candidates:
        held = _bind(f"127.{octet}.255.254", LOCK_PORT)
        if held is not None:
            remembered.write_text(f"{octet}\n")
            return Block(octet), held
    raise CliError(
        "no free block of loopback addresses (127.64.0.0 to 127.127.255.255)", "stop another cluster on this machine"
    )


def listen_for_api(port: int | None, data: Path) -> socket.socket:
    """The REST socket: the port asked for, else the one used before, else the first free one from 6443 on."""
    remembered = data / "api-port"
    if port is None and remembered.exists():
        port = int(remembered.read_text())
    ports = [port] if port else list(range(API_PORT, API_PORT + API_PORT_TRIES))
    for candidate in ports:
        listener = _bind("127.0.0.1", candidate, explicit=port is not None)
        if listener is not None:
            remembered.write_text(f"{candidate}\n")
            return listener
    raise CliError(f"port {ports[0]} is in use", "stop what listens there, or choose another with --api-port")


def listen_for_more(first: socket.socket, count: int, data: Path) -> list[socket.socket]:
    """The REST sockets of further API servers: each the port used before, else the next free one after the others'."""
    found = [first]
    for number in range(2, count + 1):
        remembered = data / f"api-port-{number}"
        after = found[-1].getsockname()[1] + 1
        ports = list(range(after, after + API_PORT_TRIES))
        if remembered.exists():
            ports.insert(0, int(remembered.read_text()))
        listener = next((bound for port in ports if (bound := _bind("127.0.0.1", port)) is not None), None)
        if listener is None:
            raise CliError(f"no free port from {after} on", "choose another one for the first API server: --api-port")
        remembered.write_text(f"{listener.getsockname()[1]}\n")
        found.append(listener)
    return found[1:]


def listen_anywhere() -> socket.socket:
    """A loopback socket on a port that the system picks, for actors."""
    return socket.create_server(("127.0.0.1", 0), backlog=256)


def _bind(host: str, port: int, *, explicit: bool = False) -> socket.socket | None:
    try:
        return socket.create_server((host, port), backlog=256)
    except OSError as error:
        if error.errno == errno.EACCES and explicit:
            raise CliError(f"no permission to listen on port {port}", "choose one above 1023 with --api-port") from None
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            return None
        raise
