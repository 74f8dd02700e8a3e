"""The kubeconfig is what YAML readers expect, and nobody else can read it."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import yaml

from actorkube.cli.kubeconfig import data_of, write_kubeconfig


def write(path: Path, data: Path) -> None:
    servers = ["https://127.0.0.1:6443"]
    write_kubeconfig(path, servers=servers, data=data, ca_pem=b"ca", cert_pem=b"cert", key_pem=b"key")


def test_names_the_server_and_carries_the_credentials(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config"

    write(path, tmp_path)

    config = yaml.safe_load(path.read_text())
    context = {entry["name"]: entry["context"] for entry in config["contexts"]}[config["current-context"]]
    cluster = {entry["name"]: entry["cluster"] for entry in config["clusters"]}[context["cluster"]]
    user = {entry["name"]: entry["user"] for entry in config["users"]}[context["user"]]
    assert cluster["server"] == "https://127.0.0.1:6443"
    assert base64.b64decode(cluster["certificate-authority-data"]) == b"ca"
    assert base64.b64decode(user["client-certificate-data"]) == b"cert"
    assert base64.b64decode(user["client-key-data"]) == b"key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_tells_other_commands_where_the_cluster_keeps_its_data(tmp_path: Path) -> None:
    data = tmp_path / 'a "strange" place'

    write(tmp_path / "config", data)

    assert data_of(tmp_path / "config") == data


def test_a_kubeconfig_of_another_cluster_names_no_data_of_ours(tmp_path: Path) -> None:
    for text in ("", "{", "a: b", "contexts: 3\ncurrent-context: x", "contexts: []\ncurrent-context: x"):
        (tmp_path / "config").write_text(text)
        assert data_of(tmp_path / "config") is None
    assert data_of(tmp_path / "nowhere") is None
