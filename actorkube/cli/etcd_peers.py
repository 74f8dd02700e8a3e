"""Members of one store on several machines: where they listen for each other, and what one elsewhere needs to join.

Members of `etcd serve` meet over unix sockets; with `--peer-port` they listen over TCP, too, under mutual TLS with
certificates of the store's own authority (DIR/pki/links). A join file is a secret: it holds one member's key.
"""

from __future__ import annotations

import argparse
import json
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from actorkube.cli.data import REPLICAS, write_private
from actorkube.cli.errors import CliError
from actorkube.runtime.certificates import Issued, private_directory
from actorkube.runtime.identity import Identity, LinkAuthority

LINKS = "pki/links"
PEERS = "etcd-peers.json"  # where the members of a store listen for those on other machines, while it runs

Place = tuple[str, int]


def add_peer_arguments(parser: argparse.ArgumentParser, which: str) -> None:
    parser.add_argument("--peer-host", default="127.0.0.1", metavar="HOST", help="where to listen for other members")
    parser.add_argument("--peer-port", type=int, metavar="PORT", help=f"{which} (default: no member is elsewhere)")


def listen_for_peers(host: str, first: int, names: Sequence[str]) -> dict[str, socket.socket]:
    """On ports that follow one another. Raises CliError."""
    listeners: dict[str, socket.socket] = {}
    for name, port in zip(names, range(first, first + len(names)), strict=True):
        try:
            listeners[name] = socket.create_server((host, port), backlog=64)
        except (OSError, OverflowError) as error:
            for listener in listeners.values():
                listener.close()
            raise CliError(
                f"port {port} of {host} cannot be had: {error}", "choose another with --peer-port"
            ) from error
    return listeners


def note_peers(data: Path, listeners: Mapping[str, socket.socket]) -> None:
    places = {name: listener.getsockname()[:2] for name, listener in listeners.items()}
    write_private(data / PEERS, json.dumps(places).encode())


def forget_peers(data: Path) -> None:
    (data / PEERS).unlink(missing_ok=True)


def place_of(text: str) -> tuple[str, Place]:
    """NAME=HOST:PORT. Raises CliError."""
    name, equals, place = text.partition("=")
    host, colon, port = place.rpartition(":")
    if not (name and equals and host and colon and port.isdecimal() and int(port) < 1 << 16):
        raise CliError(f"{text!r} says of no member where it is", "give --peer NAME=HOST:PORT")
    return name, (host.strip("[]"), int(port))


@dataclass(frozen=True)
class JoinFile:
    """`peers` are members by name, `begun_with` how many replicas began the store; the others are PEM."""

    member: str
    cluster: str
    begun_with: int
    peers: dict[str, Place]
    ca: str
    certificate: str
    key: str

    @classmethod
    def issue(cls, data: Path, cluster: str, member: str) -> JoinFile:
        """For a member of the store in that directory, which runs; with a new certificate."""
        try:
            peers = {str(name): (str(host), int(port)) for name, (host, port) in _read(data / PEERS).items()}
        except OSError:
            raise CliError(
                "the members do not listen for members on other machines", "start them with `etcd serve --peer-port`"
            ) from None
        authority = LinkAuthority(data / LINKS, cluster, time.time())
        authority.renew(member)
        files = Issued.at(data / LINKS, member)
        pem = (authority.ca_file.read_text(), files.cert_file.read_text(), files.key_file.read_text())
        return cls(member, cluster, int((data / REPLICAS).read_text()), peers, *pem)

    @classmethod
    def read(cls, path: Path, member: str) -> JoinFile:
        hint = "give the file that `actorkube etcd member join-file` wrote for it"
        try:
            fields = _read(path)
            found = cls(**{**fields, "peers": {name: (host, port) for name, (host, port) in fields["peers"].items()}})
        except OSError as error:
            raise CliError(f"cannot read {path}: {error.strerror}", hint) from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise CliError(f"{path} is not a join file", hint) from None
        if found.member != member:
            raise CliError(f"{path} is for {found.member}, not for {member}", hint)
        return found

    def write(self, path: Path) -> None:
        try:
            write_private(path, json.dumps(asdict(self)).encode())
        except OSError as error:
            raise CliError(f"cannot write {path}: {error.strerror}", "choose another place") from None

    def identity(self, directory: Path) -> Identity:
        """Kept in the member's own directory."""
        pki = private_directory(directory / "pki")
        files = Issued.at(pki, self.member)
        for path, text in ((pki / "ca.crt", self.ca), (files.cert_file, self.certificate), (files.key_file, self.key)):
            write_private(path, text.encode())
        return Identity(self.cluster, pki / "ca.crt", files.cert_file, files.key_file)


def _read(path: Path) -> dict[str, Any]:
    found = json.loads(path.expanduser().read_bytes())
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found
