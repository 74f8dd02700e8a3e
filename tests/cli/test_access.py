"""A kubeconfig is read as kubectl reads it: files merged, contexts, certificates, tokens, commands."""

from __future__ import annotations

import base64
import json
import os
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest

from actorkube.cli.access import find_access
from actorkube.cli.errors import CliError


def write(path: Path, *, user: dict[str, Any], server: str = "http://127.0.0.1:1", context: str = "c") -> Path:
    config = {
        "current-context": context,
        "contexts": [{"name": context, "context": {"cluster": f"{context}-cluster", "user": f"{context}-user"}}],
        "clusters": [{"name": f"{context}-cluster", "cluster": {"server": server}}],
        "users": [{"name": f"{context}-user", "user": user}],
    }
    path.write_text(json.dumps(config))
    return path


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({"token": "secret"}, "Bearer secret"),
        ({"username": "a", "password": "b"}, f"Basic {base64.b64encode(b'a:b').decode()}"),
        ({}, None),
    ],
)
def test_who_the_user_is_goes_into_a_header(tmp_path: Path, user: dict[str, Any], expected: str | None) -> None:
    access = find_access(str(write(tmp_path / "config", user=user)))

    assert (access.server, access.tls) == ("http://127.0.0.1:1", None)
    assert access.headers.get("Authorization") == expected


def test_files_are_found_beside_the_one_that_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "token").write_text("from a file\n")
    config = write(tmp_path / "deep" / "config", user={"tokenFile": "token"})
    monkeypatch.chdir(tmp_path)

    assert find_access(str(config)).headers == {"Authorization": "Bearer from a file"}


def test_a_command_prints_the_credential_and_is_told_what_for(tmp_path: Path) -> None:
    program = (
        "import json, os; info = json.loads(os.environ['KUBERNETES_EXEC_INFO']);"
        "print(json.dumps({'status': {'token': info['kind'] + os.environ['MORE']}}))"
    )
    command = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", program],
        "env": [{"name": "MORE", "value": "!"}],
    }

    access = find_access(str(write(tmp_path / "config", user={"exec": command})))

    assert access.headers == {"Authorization": "Bearer ExecCredential!"}


def test_a_command_that_prints_none_is_named(tmp_path: Path) -> None:
    command = {"apiVersion": "client.authentication.k8s.io/v1", "command": "/nowhere/login"}

    with pytest.raises(CliError, match=r"/nowhere/login printed no credential: .*; try it with kubectl first"):
        find_access(str(write(tmp_path / "config", user={"exec": command})))


def test_files_are_merged_and_the_first_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = write(tmp_path / "one", user={"token": "1"}, context="one")
    two = write(tmp_path / "two", user={"token": "2"}, context="two")
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join([str(tmp_path / "none"), str(one), str(two)]))

    assert find_access().headers["Authorization"] == "Bearer 1"
    assert find_access(None, "two").headers["Authorization"] == "Bearer 2"


def test_a_server_that_need_not_be_known_is_not_verified(tmp_path: Path) -> None:
    path = write(tmp_path / "config", user={"token": "t"}, server="https://127.0.0.1:1")
    config = json.loads(path.read_text())
    config["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True

    strict = find_access(str(path)).tls
    path.write_text(json.dumps(config))
    lax = find_access(str(path)).tls

    assert strict is not None and strict.verify_mode == ssl.CERT_REQUIRED
    assert lax is not None and lax.verify_mode == ssl.CERT_NONE


@pytest.mark.parametrize(
    ("text", "context", "message"),
    [
        ("{", "", "config is no kubeconfig; start a cluster, or name its file with --kubeconfig"),
        ("[]", "", "config is no kubeconfig"),
        ("{}", "", "config has no usable current context; see kubectl config get-contexts"),
        ("{}", "other", "config has no context 'other' with cluster and user"),
    ],
)
def test_what_is_no_kubeconfig_is_refused_in_one_line(tmp_path: Path, text: str, context: str, message: str) -> None:
    (tmp_path / "config").write_text(text)

    with pytest.raises(CliError) as refused:
        find_access(str(tmp_path / "config"), context)

    assert message in str(refused.value)


def test_credentials_that_are_none_are_refused(tmp_path: Path) -> None:
    user = {"client-certificate-data": "AAAA", "client-key": "absent"}
    path = write(tmp_path / "config", user=user, server="https://127.0.0.1:1")

    with pytest.raises(CliError, match=r"the credentials in .*config cannot be used: .*absent"):
        find_access(str(path))
