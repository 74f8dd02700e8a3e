"""`actorkube time` and `host`: what the words mean, and what is said when there is nobody to say it to."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from actorkube.cli import main, parser
from actorkube.cli.data import CLOCK, DataDirectory
from actorkube.cli.errors import CliError
from actorkube.cli.host import host_request
from actorkube.cli.kubeconfig import write_kubeconfig
from actorkube.cli.time import time_request


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        ("", {"do": "show"}),
        ("show", {"do": "show"}),
        ("pause", {"do": "pause"}),
        ("resume", {"do": "run", "rate": 1}),
        ("step", {"do": "step"}),
        ("settle", {"do": "settle"}),
        ("advance 1h30m", {"do": "advance", "seconds": 5400}),
        ("x10", {"do": "run", "rate": 10}),
        ("x0.5", {"do": "run", "rate": 0.5}),
    ],
)
def test_words_say_what_to_do(words: str, request_: dict[str, Any]) -> None:
    assert time_request(words.split()) == request_


@pytest.mark.parametrize("words", ["fly", "advance", "advance soon", "x", "x-1", "10x", "pause 5m", "advance 5m now"])
def test_other_words_are_refused_with_those_that_there_are(words: str) -> None:
    with pytest.raises(CliError, match=r"say show, pause, resume|as in advance 5m"):
        time_request(words.split())


def test_a_cluster_in_real_time_has_no_clock_to_control(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["time", "pause", "--data", str(tmp_path)])

    assert code == 1
    assert capsys.readouterr().err == (
        f"actorkube: no cluster with a clock of its own runs there ({tmp_path}); start it with --time virtual\n"
    )


def test_the_cluster_is_that_of_kubectl(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    data = tmp_path / "data"
    write_kubeconfig(config, servers=["https://127.0.0.1:1"], data=data, ca_pem=b"", cert_pem=b"", key_pem=b"")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'other'}:{config}")

    assert main(["time"]) == 1
    assert f"({data})" in capsys.readouterr().err

    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "other"))
    assert main(["host", "list"]) == 1
    assert "which cluster?" in capsys.readouterr().err


def test_hosts_need_a_name_to_be_killed_by(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["host", "kill"]) == 1
    assert "say host list, host kill NAME or host start NAME" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        ("host list", {"do": "hosts"}),
        ("host start node-1", {"do": "start", "name": "node-1"}),
        ("host partition a", {"do": "partition", "one": "a", "other": "", "both_ways": True}),
        ("host partition a b --one-way", {"do": "partition", "one": "a", "other": "b", "both_ways": False}),
        ("host skew node-1 5m", {"do": "skew", "name": "node-1", "seconds": 300}),
        ("host skew node-1 1h --behind", {"do": "skew", "name": "node-1", "seconds": -3600}),
        ("host heal", {"do": "heal"}),
    ],
)
def test_words_say_what_becomes_of_hosts(words: str, request_: dict[str, Any]) -> None:
    options = parser().parse_args(words.split())

    asked = host_request(options.action, options.names, one_way=options.one_way, behind=options.behind)

    assert asked == request_


@pytest.mark.parametrize("words", ["list x", "kill", "partition", "partition a b c", "skew a", "skew a soon", "heal a"])
def test_other_words_about_hosts_are_refused_with_those_that_there_are(words: str) -> None:
    action, *names = words.split()

    with pytest.raises(CliError, match=r"say host list, host kill|as in skew node-1 5m"):
        host_request(action, names)


def test_one_clock_cannot_rule_many_processes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", "--time", "virtual", "--processes", "many"]) == 1
    assert "one clock rules one process" in capsys.readouterr().err


def start_in_vain(data: Path) -> None:
    """As far as it gets before a port that is no port of ours ends it."""
    taken = socket.create_server(("127.0.0.1", 0))
    with taken:
        assert main(["cluster", "--data", str(data), "--api-port", str(taken.getsockname()[1])]) == 1


def test_who_starts_data_of_a_clock_that_is_ahead_in_real_time_is_warned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = DataDirectory(str(tmp_path / "data"))
    data.close()
    clock = data.path / CLOCK

    clock.write_text("3600.0\n")
    start_in_vain(data.path)
    ahead = capsys.readouterr().err
    os.utime(clock, (0, 0))  # long ago: real time has got there
    start_in_vain(data.path)
    caught_up = capsys.readouterr().err

    assert re.search(r"the clock of these data is (1h0m0s|59m5\d\S*) ahead", ahead)
    assert "the clock of these data" not in caught_up


def test_data_without_a_clock_of_their_own_are_not_ahead(tmp_path: Path) -> None:
    data = DataDirectory(str(tmp_path / "data"))

    ahead_s = data.ahead_s(1e9)

    data.close()
    assert ahead_s == 0.0
