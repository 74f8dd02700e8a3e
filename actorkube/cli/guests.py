"""`actorkube guests`: who may join a cluster from outside, under which name, and who may not any more.

Each guest has a join file of its own, `join-NAME.json`, whose authority signs for that guest alone. A revocation is a
line in a file that the API server looks at, also when it starts again; it is final, as a name that comes back would
bring back the certificates that were made under it.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import fcntl
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from actorkube.cli.data import LINKS, REVOKED, write_private
from actorkube.cli.errors import CliError
from actorkube.cli.faults import linked_guests
from actorkube.cli.join import Join
from actorkube.cli.time import data_of_options
from actorkube.runtime.certificates import Issued
from actorkube.runtime.guests import LABEL, SHARED, Revoked, is_of, read_revoked
from actorkube.runtime.identity import LinkAuthority, guest_files

ANSWERS_WITHIN_S = 10.0
WORDS = "say guests list, guests add NAME, or guests revoke NAME"


def command(options: argparse.Namespace) -> int:
    data = data_of_options(options)
    if not (data / "join.json").exists():
        raise CliError(
            f"nobody can join the cluster in {data}", "one in many processes (the default) keeps a join.json"
        )
    match options.action, options.names:
        case "list", []:
            return _list(data)
        case "add", [name]:
            return _add(data, name)
        case "revoke", [name]:
            return _revoke(data, name)
    raise CliError(f"{options.action} whom?", WORDS)


def write_joins(
    data: Path,
    apiservers: Mapping[str, tuple[str, int]],
    octet: int,
    cluster: str,
    *,
    elects: bool = False,
    kubernetes_version: str = "",
) -> None:
    """The join files of all guests that are not revoked, and of nobody else."""
    revoked = _revoked(data)
    more = dict(apiservers)
    shared = Join(
        more.pop("apiserver"),
        octet,
        cluster,
        *("", "", ""),
        elects=elects,
        data=str(data.absolute()),
        kubernetes_version=kubernetes_version,
        more=more,
    )
    for name in guests_of_data(data):
        if name in revoked.names:
            join_file(data, name).unlink(missing_ok=True)
        else:
            _join(data, name, shared).write(join_file(data, name))


def guests_of_data(data: Path) -> list[str]:
    """Whom this cluster has made an authority for, the shared one first."""
    named = sorted(file.stem for file in (data / LINKS / "guests.d").glob("*.crt"))
    return [SHARED, *named] if guest_files(data / LINKS, SHARED).exists else named


def join_file(data: Path, name: str) -> Path:
    return data / ("join.json" if name == SHARED else f"join-{name}.json")


def _join(data: Path, name: str, shared: Join) -> Join:
    """What all guests are told, for one of them."""
    signer = guest_files(data / LINKS, name)
    ca = Issued.at(data / LINKS, "ca").cert_file
    believed, own, key = (file.read_text() for file in (ca, signer.cert_file, signer.key_file))
    return replace(shared, ca=believed, signer=own, signer_key=key, guest=name)


def _revoked(data: Path) -> Revoked:
    try:
        return read_revoked(data / REVOKED)
    except OSError as error:
        raise CliError(
            str(error.strerror), "nobody joins until it does; what it said is lost: revoke them again"
        ) from None


# -- what is asked ----------------------------------------------------------------------------------------------------


def _list(data: Path) -> int:
    revoked, linked = _revoked(data), linked_guests(data, ANSWERS_WITHIN_S)
    rows = [("GUEST", "SYSTEMS NOW", "REVOKED", "JOIN FILE")]
    for name in dict.fromkeys([*guests_of_data(data), *revoked.names]):
        systems = "unknown" if linked is None else " ".join(linked.get(name, ())) or "-"
        file = join_file(data, name)
        rows.append((name, systems, revoked.names.get(name, "-"), str(file) if file.exists() else "-"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _add(data: Path, name: str) -> int:
    if not LABEL.fullmatch(name) or name == SHARED:
        raise CliError(f"{name!r} is no name for a guest", "lower-case letters, digits and dashes, as in node-4")
    with _locked(data):
        if name in _revoked(data).names:
            raise CliError(f"{name} was revoked, and its certificates would be good again", "choose another name")
        if name in guests_of_data(data):
            raise CliError(f"{name} is a guest already", f"its join file is {join_file(data, name)}")
        given = Join.read(data / "join.json")
        LinkAuthority(data / LINKS, given.cluster, time.time()).guests(name)
        _join(data, name, given).write(join_file(data, name))
    print(f"{name} joins with {join_file(data, name)}: it is a secret")
    return 0


def _revoke(data: Path, name: str) -> int:
    linked = linked_guests(data, ANSWERS_WITHIN_S) or {}
    shared = [system for system in linked.get(SHARED, ()) if is_of(name, system)]
    if name not in guests_of_data(data) and not shared:
        raise CliError(f"there is no guest {name}", f"there are {', '.join(guests_of_data(data))}; see guests list")
    with _locked(data):
        when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        revoked = _revoked(data).adding(name, when)
        write_private(data / REVOKED, msgspec.json.encode(revoked))
        if name in guests_of_data(data) and name != SHARED:
            join_file(data, name).unlink(missing_ok=True)
    _say_what_follows(data, name, [*linked.get(name, ()), *shared], is_shared=bool(shared))
    return 0


def _say_what_follows(data: Path, name: str, before: list[str], *, is_shared: bool) -> None:
    left = linked_guests(data, ANSWERS_WITHIN_S)
    if left is None:
        print(f"{name} is revoked; the cluster does not run, or does not answer: it will know when it starts")
    else:
        ended = ", ".join(before) or "none"
        print(f"{name} is revoked; links ended: {ended}")
    if is_shared:
        print(
            "whoever has join.json can come back under another name: give guests join files of their own (guests add)"
        )


@contextlib.contextmanager
def _locked(data: Path) -> Iterator[None]:
    with (data / REVOKED).with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
