"""What `top` and `trace` look at: a cluster, through its API server, or systems of one's own, through one of them."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from actorkube.cli.api import Api
from actorkube.cli.errors import CliError
from actorkube.runtime.built_in import OBSERVER
from actorkube.runtime.log import Quiet
from actorkube.runtime.observers import Observers
from actorkube.runtime.settings import Settings
from actorkube.runtime.system import System
from protocols.errors import Answer, AskError
from protocols.observe import AskPeers

if TYPE_CHECKING:
    from actorkube.runtime.tcp import Endpoint

KEY = "ACTORKUBE_KEY"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--kubeconfig", metavar="FILE", help="of the cluster (default: KUBECONFIG, or ~/.actorkube/kubeconfig)")
    own = parser.add_argument_group("systems of your own, without a cluster")
    own.add_argument(
        "--system",
        metavar="NAME@WHERE",
        type=_place,
        help="one of them, at HOST:PORT or the path of a unix socket; whom it is linked to is looked at, too",
    )
    own.add_argument(
        "--key-file", metavar="FILE", help=f"the key of its transport, but for a newline (default: what {KEY} says)"
    )


@contextlib.asynccontextmanager
async def observers(options: argparse.Namespace) -> AsyncIterator[Observers]:
    """Not looked for yet (`find`). Raises CliError where the first of them does not answer."""
    if options.system is None:
        with Api(options.kubeconfig) as api:
            yield api.observers()
        return
    name, endpoint = options.system
    system = _visitor(name, endpoint, _key(options.key_file))
    await system.start()
    try:
        await _greet(system, name)
        found = Observers.seen_from(system, name)
        found.left_out = frozenset([system.name])
        yield found
    finally:
        await system.stop()


async def _greet(visitor: System, name: str) -> None:
    try:
        await visitor.ask(visitor.ref(f"{name}/{OBSERVER}"), AskPeers())
    except (Answer, AskError) as error:
        raise CliError(str(error), "is that system running, is its name right, and its key? see --help") from None


def _visitor(name: str, endpoint: Endpoint, key: bytes) -> System:
    from actorkube.runtime.tcp import TcpTransport

    transport = TcpTransport(key=key, book={name: endpoint}, settings=Settings(connect_all=False))
    return System(f"actorkube-{os.getpid()}", transport, log=Quiet())


def _key(file: str | None) -> bytes:
    if file is None:
        if not os.environ.get(KEY):
            raise CliError("systems are visited with their key", f"say it in {KEY}, or name its file with --key-file")
        return os.environb[KEY.encode()]
    try:
        return Path(file).expanduser().read_bytes().removesuffix(b"\n")
    except OSError as error:
        raise CliError(f"cannot read {file}: {error.strerror}", "name the file of the key with --key-file") from None


def _place(text: str) -> tuple[str, Endpoint]:
    name, at, where = text.partition("@")
    port = re.fullmatch(r"\[?([^/]+?)\]?:(\d{1,5})", where)
    if not (name and at and where and (port or "/" in where)):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME@HOST:PORT, nor NAME@/PATH/OF/SOCKET")
    return name, (port[1], int(port[2])) if port else where
