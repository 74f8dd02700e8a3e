"""`actorkube etcd snapshot save FILE --endpoints ...`: a copy over etcd's API, from our members or from a real etcd."""

from __future__ import annotations

import argparse
import asyncio
import importlib
from pathlib import Path
from typing import Any

from actorkube.cli.errors import CliError


def add_copy_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags for TLS are etcdctl's."""
    whence = parser.add_mutually_exclusive_group(required=True)
    whence.add_argument("--data", metavar="DIR", help="the cluster's data directory, or a member's")
    whence.add_argument(
        "--endpoints",
        metavar="HOST:PORT[,...]",
        help="where members are called by etcd's clients; https:// before it, or --cacert: over TLS",
    )
    parser.add_argument("--cacert", default="", metavar="FILE", help="the authority of the members' certificates")
    parser.add_argument("--cert", default="", metavar="FILE", help="a certificate to show them")
    parser.add_argument("--key", default="", metavar="FILE", help="its key")


def save_over_network(options: argparse.Namespace, target: Path) -> int:
    copying = importlib.import_module("actors.etcd.external.copy")
    try:
        endpoint = asyncio.run(copying.save_copy(_address(options), target))
    except copying.NotCopied as error:
        raise CliError(str(error), "name members that run, as etcdctl would reach them") from None
    except OSError as error:
        raise CliError(f"cannot write {target}: {error.strerror}", "choose another place, with room") from None
    print(f"{target}: {_content(target)}, from {endpoint}")
    return 0


def _address(options: argparse.Namespace) -> Any:
    address = importlib.import_module("actors.etcd.external.address")
    schemes, places = set(), []
    for part in options.endpoints.split(","):
        scheme, separator, place = part.strip().rpartition("://")
        schemes.add(scheme if separator else "")
        places.append(place)
    if not schemes <= {"", "http", "https"} or len(schemes) > 1:
        raise CliError(f"{options.endpoints!r} are no endpoints", "give HOST:PORT, separated by commas")
    tls = "https" in schemes or bool(options.cacert)
    try:
        return address.parse(
            f"{'etcds' if tls else 'etcd'}://{','.join(places)}", options.cacert, options.cert, options.key
        )
    except ValueError as error:
        raise CliError(str(error), "give HOST:PORT, separated by commas") from None


def _content(target: Path) -> str:
    files = importlib.import_module("actors.etcd.files")
    try:
        store = files.read_copy(target).store
    except files.Unsound:
        return f"{target.stat().st_size:,} bytes, a database of etcd's own (restore it with etcdutl)"
    return f"revision {store.revision}, {len(store.keyspace):,} keys"
