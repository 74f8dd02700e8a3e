"""`actorkube etcd snapshot save --endpoints`: from our members and from a real etcd."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from actorkube.cli import main
from tests.etcd.real_etcd import RealEtcd, needs_etcd
from tests.etcd.served import Served, certificate, free_ports, needs_etcdctl

pytestmark = pytest.mark.cluster


@needs_etcdctl
def test_a_copy_over_the_network_is_restored_with_all_that_was_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = Served(tmp_path / "old", "--replicas", "1")
    served.ctl("put", "copied/a", "1")
    served.ctl("put", "copied/b", "2")
    nobody = free_ports(1)
    copy = str(tmp_path / "copy")

    saved = main(["etcd", "snapshot", "save", copy, "--endpoints", f"127.0.0.1:{nobody},127.0.0.1:{served.port}"])
    served.ctl("snapshot", "save", str(tmp_path / "of-etcdctl"))
    served.stop()
    read = main(["etcd", "snapshot", "status", str(tmp_path / "of-etcdctl")])
    restored = main(["etcd", "restore", copy, "--data", str(tmp_path / "new"), "--etcd", "1"])
    after = Served(tmp_path / "new", "--replicas", "1")
    found = after.ctl("get", "--prefix", "copied/")
    after.stop()

    assert saved == read == restored == 0
    assert "2 keys, from 127.0.0.1:" in capsys.readouterr().out
    assert found == "copied/a\n1\ncopied/b\n2\n"
    assert not list(tmp_path.glob("*.part"))


@needs_etcdctl
def test_over_tls_it_shows_its_certificate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cert, key = certificate(tmp_path)
    served = Served(
        tmp_path / "data", "--replicas", "1", "--cert-file", cert, "--key-file", key, "--trusted-ca-file", cert
    )
    save = ["etcd", "snapshot", "save", str(tmp_path / "copy"), "--endpoints", f"https://127.0.0.1:{served.port}"]

    shown = main([*save, "--cacert", cert, "--cert", cert, "--key", key])
    hidden = main([*save[:3], str(tmp_path / "other"), *save[4:], "--cacert", cert])
    served.stop()

    assert (shown, hidden != 0) == (0, True)
    assert (tmp_path / "copy").exists() and not (tmp_path / "other").exists()


@needs_etcd
@needs_etcdctl
def test_a_real_etcds_copy_is_its_own_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    etcd, copy = RealEtcd(tmp_path / "etcd"), tmp_path / "copy"
    try:
        saved = main(["etcd", "snapshot", "save", str(copy), "--endpoints", etcd.url.removeprefix("etcd://")])
    finally:
        etcd.close()

    environment = {**os.environ, "ETCDCTL_API": "3"}
    subprocess.run(["etcdctl", "snapshot", "status", str(copy)], check=True, capture_output=True, env=environment)
    assert saved == 0
    assert "a database of etcd's own" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("endpoints", "why"),
    [("127.0.0.1:{port}", "nobody answers"), ("ftp://127.0.0.1:1", "no endpoints"), ("a b:c", "is no HOST:PORT")],
)
def test_what_cannot_be_copied_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], endpoints: str, why: str
) -> None:
    save = ["etcd", "snapshot", "save", str(tmp_path / "copy"), "--endpoints", endpoints.format(port=free_ports(1))]

    code = main(save)

    assert code != 0
    assert why in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
