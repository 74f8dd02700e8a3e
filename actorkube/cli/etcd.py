"""`actorkube etcd`: look into the files of a store, check them, copy and restore them.

DIR is a cluster's data directory, or that of one member. Nothing that is only read is changed, so the cluster may run
meanwhile; what is written goes into a directory of its own.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

from actorkube.cli.data import DataDirectory
from actorkube.cli.errors import CliError
from actorkube.runtime.disk import write_whole

EPILOG = """\
what:
  serve                            the store alone, open to etcdctl and other clients of etcd (--client-port, --data)
  inspect DIR                      what is in it: members, terms, indexes, revisions, sizes, segments
  verify DIR                       read all of it with every checksum, replay it, compare the members
  snapshot save FILE --data DIR    copy the store's state into one file, also while it runs
  snapshot save FILE --endpoints HOST:PORT[,...]   the same of a store anywhere, over etcd's API
  snapshot status FILE             what such a copy holds
  restore FILE --data DIR          a new cluster from a copy: then start it with `actorkube cluster --data DIR`
  member list|add|remove|promote|demote   who belongs to the store of a cluster that runs (--data DIR)
  move-leader NAME --data DIR      let this member lead
  member join-file NAME FILE --data DIR   what it needs to run on another machine (`etcd serve --peer-port`)
  join NAME --data DIR --dir OWN   run a member that was added; --join FILE: on another machine
"""


def add_commands(parser: argparse.ArgumentParser) -> None:
    parser.description = "Look after the files of a store."
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    from actorkube.cli.etcd_copy import add_copy_arguments
    from actorkube.cli.etcd_serve import add_arguments

    commands = parser.add_subparsers(required=True, metavar="WHAT")
    _add(commands, "inspect", _inspect).add_argument("dir", metavar="DIR")
    _add(commands, "verify", _verify).add_argument("dir", metavar="DIR")
    snapshot = commands.add_parser("snapshot").add_subparsers(required=True, metavar="save|status")
    save = _add(snapshot, "save", _save)
    save.add_argument("file", metavar="FILE")
    add_copy_arguments(save)
    _add(snapshot, "status", _status).add_argument("file", metavar="FILE")
    _add_member_commands(commands)
    add_arguments(_add(commands, "serve", _serve))
    restore = _add(commands, "restore", _restore)
    restore.add_argument("file", metavar="FILE")
    restore.add_argument("--data", required=True, metavar="DIR", help="of the new cluster: empty, or not there yet")
    restore.add_argument("--etcd", type=int, default=3, choices=range(1, 8), metavar="N", help="replicas (default 3)")
    restore.add_argument(
        "--bump-revision",
        type=int,
        default=0,
        metavar="N",
        help="let revisions go on so much later, and compact all before: who watched the old cluster reads again",
    )


def _serve(options: argparse.Namespace) -> int:
    from actorkube.cli.etcd_serve import command

    return command(options)


def _add_member_commands(commands: Any) -> None:
    from actorkube.cli.etcd_peers import add_peer_arguments
    from actorkube.cli.etcd_serve import add_tls_arguments

    member = commands.add_parser("member").add_subparsers(
        required=True, metavar="list|add|remove|promote|demote|join-file"
    )
    for within, action, named in (
        (member, "list", False),
        (member, "add", True),
        (member, "remove", True),
        (member, "promote", True),
        (member, "demote", True),
        (member, "join-file", True),
        (commands, "move-leader", True),
        (commands, "join", True),
    ):
        parser = _add(within, action, _members_command)
        parser.set_defaults(action=action)
        whence = parser.add_mutually_exclusive_group(required=True) if action == "join" else parser
        needed: dict[str, Any] = {} if action == "join" else {"required": True}
        whence.add_argument("--data", metavar="DIR", help="the running cluster's data directory", **needed)
        if named:
            parser.add_argument("name", metavar="NAME")
        if action == "add":
            parser.add_argument("--wait", action="store_true", help="until it has caught up, then give it a vote")
        if action == "join-file":
            parser.add_argument("file", metavar="FILE", help="written for this member, with a certificate: a secret")
        if action == "join":
            whence.add_argument("--join", metavar="FILE", help="on another machine: its join file")
            parser.add_argument(
                "--peer", action="append", default=[], metavar="NAME=HOST:PORT", help="another member that is elsewhere"
            )
            add_peer_arguments(parser, "with --join: for members elsewhere that --peer names this one to")
            parser.add_argument("--dir", required=True, metavar="OWN", help="the member's own: empty when it joins")
            parser.add_argument("--client-port", type=int, metavar="PORT", help="open to etcd's clients there")
            add_tls_arguments(parser)


def _members_command(options: argparse.Namespace) -> int:
    from actorkube.cli.etcd_members import command

    return command(options)


def _add(commands: Any, name: str, command: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name)
    parser.set_defaults(command=command)
    return parser


# -- reading ----------------------------------------------------------------------------------------------------------


def _inspect(options: argparse.Namespace) -> int:
    for member in _members(options.dir):
        last, store = member.last, member.store()
        print(f"{member.member or '?'}  {member.path}")
        print(f"  term {member.state.term}  voted for {member.state.vote or 'nobody'}  commit {member.state.commit}")
        print(f"  entries {member.mark.index + 1} to {last.index}, behind a snapshot of entry {member.mark.index}")
        _print_store(store)
        for name, size in sorted(member.sizes.items()):
            print(f"  {name:24} {size:12,} bytes")
    return 0


def _verify(options: argparse.Namespace) -> int:
    """Every member on its own, then what they have in common."""
    files, failed, replayed = _files(), False, {}
    for path in _directories(options.dir):
        try:
            member = files.read_member(path)
        except files.Unsound as error:
            print(f"DAMAGED  {error}")
            failed = True
            continue
        store, _ = replayed[member.member or str(path)] = member.replay()
        print(f"sound    {path}: entries up to {member.last.index}, revision {store.revision}")
    if len(replayed) > 1:
        stores = {member: store for member, (store, _) in replayed.items()}
        failed = _differ(stores, min(settled for _, settled in replayed.values())) or failed
    return 1 if failed else 0


def _differ(stores: dict[str, Any], revision: int) -> bool:
    """Whether their keys differ at a revision that all of them know to be committed, and say so."""
    if revision < max(store.compacted for store in stores.values()):
        print("the members have no revision in common that is not compacted: nothing to compare")
        return False
    hashes = {member: _files().hash_at(store, revision) for member, store in stores.items()}
    if len(set(hashes.values())) == 1:
        print(f"equal    at revision {revision}: hash {next(iter(hashes.values())):08x}")
        return False
    for member, found in hashes.items():
        print(f"DIFFERS  {member} at revision {revision}: hash {found:08x}")
    return True


def _status(options: argparse.Namespace) -> int:
    path = Path(options.file).expanduser()
    _print_store(_read_copy(path).store)
    print(f"  {path.stat().st_size:,} bytes")
    return 0


def _print_store(store: Any) -> None:
    keys, revision = len(store.keyspace), store.revision
    print(f"  revision {revision}  compacted before {max(store.compacted, 0)}  keys {keys:,}  hash", end=" ")
    print(f"{_files().hash_at(store, revision):08x}")
    print(f"  {store.keyspace.bytes:,} bytes in memory, about  leases {len(list(store.leases.all())):,}")
    for alarm in store.alarms:
        print(f"  ALARM {alarm.kind} of {alarm.member}")


# -- writing ----------------------------------------------------------------------------------------------------------


def _save(options: argparse.Namespace) -> int:
    from actorkube.cli.etcd_copy import save_over_network

    target = Path(options.file).expanduser()
    if options.endpoints:
        return save_over_network(options, target)
    members = _members(options.data)
    newest = _files().newest(members)
    store = newest.store()
    _write(target, b"".join(_files().encode_copy(store, newest.last)))
    print(f"{target}: revision {store.revision}, {len(store.keyspace):,} keys, from {newest.member or newest.path}")
    return 0


def _restore(options: argparse.Namespace) -> int:
    if options.bump_revision < 0:
        raise CliError(f"a revision cannot go back by {-options.bump_revision}", "give a number that is not negative")
    loaded = _read_copy(Path(options.file).expanduser())
    target = Path(options.data).expanduser()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise CliError(f"{target} is not empty", "restore into a new directory, and start the cluster from there")
    _files().found_cluster(loaded.store, options.bump_revision)
    data = DataDirectory(str(target))
    try:
        data.begin_store(options.etcd)
        for number in range(options.etcd):
            _restore_member(data.path, f"etcd-{number}", loaded.store)
    except OSError as error:
        raise CliError(f"cannot write {target}: {error.strerror}", "make room, or choose another directory") from None
    finally:
        data.close()
    print(f"{target}: {options.etcd} members at revision {loaded.store.revision}")
    print(f"start it: python -m actorkube cluster --data {target}")
    return 0


def _restore_member(data: Path, member: str, store: Any) -> None:
    directory = data / member / "etcd"
    directory.mkdir(parents=True, mode=0o700)
    for name, content in _files().member_files(store, member):
        _write(directory / name, content)


def _write(path: Path, content: bytes) -> None:
    try:
        write_whole(path, content)
    except OSError as error:
        raise CliError(f"cannot write {path}: {error.strerror}", "choose another place, with room") from None


# -- files ------------------------------------------------------------------------------------------------------------


def _files() -> Any:
    """Loaded by name: this layer knows no component."""
    return importlib.import_module("actors.etcd.files")


def _directories(text: str) -> list[Path]:
    try:
        found: list[Path] = _files().member_directories(Path(text).expanduser())
    except _files().Unsound as error:
        raise CliError(str(error), "name a cluster's data directory, or a member's (DIR/etcd-0/etcd)") from None
    except OSError as error:
        raise CliError(f"cannot read {text}: {error.strerror}", "name a directory that you may read") from None
    return found


def _members(text: str) -> list[Any]:
    try:
        return [_files().read_member(path) for path in _directories(text)]
    except _files().Unsound as error:
        raise CliError(str(error), "`actorkube etcd verify` says which members are sound") from None
    except OSError as error:
        raise CliError(
            f"cannot read {error.filename}: {error.strerror}", "name a directory that you may read"
        ) from None


def _read_copy(path: Path) -> Any:
    try:
        return _files().read_copy(path)
    except _files().Unsound as error:
        raise CliError(str(error), "give a file that `actorkube etcd snapshot save` wrote") from None
    except OSError as error:
        raise CliError(f"cannot read {path}: {error.strerror}", "give a file that you may read") from None
