"""Where a cluster's processes listen for each other, and what those get who join from outside."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorkube.cli import main
from actorkube.cli.data import DataDirectory
from actorkube.cli.errors import CliError
from actorkube.cli.join import Join
from actorkube.cli.sockets import PATH_MAX, Sockets
from actors.cluster import ClusterSpec
from actors.cluster_access import make_link_certificates


def joined(data: Path) -> Join:
    spec = ClusterSpec(data=data, cluster="actorkube-1")
    make_link_certificates(spec, time.time())
    links = data / "pki" / "links"
    pems = [(links / name).read_text() for name in ("ca.crt", "guests.crt", "guests.key")]
    return Join(("127.0.0.1", 7000), 64, "actorkube-1", *pems)


@pytest.fixture
def short_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        yield Path(path)


def test_sockets_lie_in_a_directory_of_their_user_alone_and_go_with_the_run(short_path: Path) -> None:
    sockets = Sockets(short_path)

    with sockets.listen("etcd-0") as listener, socket.socket(socket.AF_UNIX) as caller:
        caller.connect(listener.getsockname())
        mode = stat.S_IMODE((short_path / "sockets").stat().st_mode)
    sockets.close()

    assert mode == 0o700
    assert not (short_path / "sockets").exists()


def test_sockets_that_a_killed_run_left_are_bound_again(short_path: Path) -> None:
    Sockets(short_path).listen("etcd-0").close()

    sockets = Sockets(short_path)
    with sockets.listen("etcd-0") as listener, socket.socket(socket.AF_UNIX) as caller:
        caller.connect(listener.getsockname())
    sockets.close()


def test_a_data_directory_whose_path_is_too_long_for_sockets_has_them_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    deep.mkdir(parents=True)
    sockets = Sockets(deep)

    with sockets.listen("cloud-controller-manager") as listener:
        path = Path(listener.getsockname())
    mode = stat.S_IMODE(path.parent.stat().st_mode)
    sockets.close()

    assert len(os.fsencode(path)) <= PATH_MAX and deep not in path.parents
    assert mode == 0o700 and not path.parent.exists()


def test_a_system_whose_name_is_too_long_for_a_socket_can_be_called(short_path: Path) -> None:
    sockets = Sockets(short_path)

    with sockets.listen("node-" + "x" * 200) as listener, socket.socket(socket.AF_UNIX) as caller:
        caller.connect(listener.getsockname())
    sockets.close()


def test_a_join_file_is_private_and_says_all_that_was_written(tmp_path: Path) -> None:
    join = joined(tmp_path)

    join.write(tmp_path / "join.json")

    assert stat.S_IMODE((tmp_path / "join.json").stat().st_mode) == 0o600
    assert Join.read(tmp_path / "join.json") == join


def test_a_join_file_does_not_give_away_what_the_clusters_own_systems_use(tmp_path: Path) -> None:
    data = DataDirectory(str(tmp_path / "data"))
    join = joined(data.path)

    join.write(data.path / "join.json")
    text = (data.path / "join.json").read_text()
    secrets = [data.cluster_key().hex(), *((data.path / "pki" / "links").glob("[!g]*.key"))]
    data.close()

    assert len(secrets) == 3
    assert not any((s if isinstance(s, str) else s.read_text().splitlines()[1]) in text for s in secrets)


def test_a_scheduler_does_not_join_where_the_clusters_own_does_not_wait_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joined(tmp_path).write(tmp_path / "join.json")
    run = ["run", "scheduler", "--join", str(tmp_path / "join.json"), "--data", str(tmp_path / "own")]

    code = main(run)
    alone = capsys.readouterr().err
    dataclasses.replace(joined(tmp_path), elects=True).write(tmp_path / "join.json")
    main([*run, "--name", "mine"])

    assert code == 1
    assert "takes no lease, so both would place the same pods; start the cluster with --schedulers 2" in alone
    assert "'mine' is no name for a scheduler" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["apiserver", "cluster", "ca", "signer", "signer_key", "octet"])
def test_a_join_file_with_something_missing_is_refused(missing: str, tmp_path: Path) -> None:
    joined(tmp_path).write(tmp_path / "join.json")
    fields = json.loads((tmp_path / "join.json").read_text())
    del fields[missing]
    (tmp_path / "join.json").write_text(json.dumps(fields))

    with pytest.raises(CliError, match="is not a join file"):
        Join.read(tmp_path / "join.json")
