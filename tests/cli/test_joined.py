"""Faults of guests: who has joined is known by what it says of itself, or by the API server that it is linked to."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from actorkube.cli import main
from actorkube.cli.data import FAULTS, LOCK, cluster_name, write_private
from actorkube.cli.faults import begin_faults, change_faults, running
from actorkube.cli.join import Join
from actorkube.cli.joined import Listing, home_of, joined
from actorkube.runtime.faults import Faults
from protocols.errors import DeadlineExceeded
from tests.cli.test_guests import CallIn, Site, call, guests, run

KEY = "ab" * 32


@pytest.fixture
def home(tmp_path: Path) -> Path:
    data = tmp_path / "cluster"
    data.mkdir()
    begin_faults(data, ["apiserver", "node-1-kubelet"])
    write_private(data / "cluster.key", KEY.encode())
    write_private(data / "processes.json", b'{"apiserver": 1}')
    return data


@contextlib.contextmanager
def held(data: Path) -> Iterator[None]:
    """As by a run that goes on."""
    data.mkdir()
    with (data / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def kept(home: Path) -> Faults:
    return msgspec.json.decode((home / FAULTS).read_bytes(), type=Faults)


def join(cluster: str, data: str) -> Join:
    return Join(("127.0.0.1", 1), 1, cluster, "", "", "", data=data)


def test_a_run_is_listed_until_it_ends_and_one_that_was_killed_is_not(home: Path, tmp_path: Path) -> None:
    ran = tmp_path / "run"
    listing = Listing(home, "node-7", ran, ["node-7-kubelet"])
    with held(ran):
        listing.note("node-7-kubelet", {"event": "started", "pid": 7})
        assert running(home) == {"apiserver": 1, "node-7": os.getpid(), "node-7-kubelet": 7}
        listing.note("node-7-kubelet", {"event": "exited", "status": 0})
        assert running(home) == {"apiserver": 1, "node-7": os.getpid()}
    assert joined(home) == [] and list(home.glob("joined/*"))

    with held(tmp_path / "again"):
        again = Listing(home, "node-7", tmp_path / "again", ["node-7-kubelet"])
        again.note("node-7-kubelet", {"event": "started", "pid": 8})
        assert running(home)["node-7-kubelet"] == 8
        again.end()
        assert running(home) == {"apiserver": 1}


def test_the_home_of_a_join_file_is_believed_where_it_has_the_key_of_that_cluster(home: Path, tmp_path: Path) -> None:
    name = cluster_name(bytes.fromhex(KEY))

    assert home_of(join(name, str(home))) == home
    assert home_of(join("actorkube-another", str(home))) is None
    assert home_of(join(name, str(tmp_path / "elsewhere"))) is None
    assert home_of(join(name, "")) is None


def test_a_guest_is_one_of_everybody_and_its_faults_outlive_it(home: Path, tmp_path: Path) -> None:
    with held(tmp_path / "run"):
        listing = Listing(home, "node-7", tmp_path / "run", ["node-7-kubelet", "node-7-proxy"])
        for pid, host in enumerate(("node-7-kubelet", "node-7-proxy")):
            listing.note(host, {"event": "started", "pid": pid})
        change_faults(home, lambda faults: faults.partition("apiserver", both_ways=False))
        change_faults(home, lambda faults: faults.skew("node-7-proxy", 5))

    change_faults(home, lambda faults: faults.partition("node-1", "node-7-kubelet", both_ways=False))

    others = ("node-1-kubelet", "node-7-kubelet", "node-7-proxy")
    assert kept(home).cuts == {*(("apiserver", other) for other in others), ("node-1-kubelet", "node-7-kubelet")}
    assert kept(home).ahead_s == {"node-7-proxy": 5}
    change_faults(home, Faults.heal)
    with pytest.raises(KeyError, match="there is no host node-7; there are apiserver, node-1-kubelet"):
        change_faults(home, lambda faults: faults.partition("node-7", both_ways=True))


def test_of_a_guest_that_runs_elsewhere_what_it_says_is_lost_and_more_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scenario(site: Site) -> None:
        begin_faults(site.data, ["apiserver"])
        write_private(site.data / "processes.json", b'{"apiserver": 1}')
        await site.start()
        await guests(site.data, "add", "far")
        far = await site.join(site.data / "join-far.json", "node-9-kubelet", tmp_path)
        await call(far)
        capsys.readouterr()

        async def host(*words: str) -> int:
            return await asyncio.to_thread(main, ["host", *words, "--data", str(site.data)])

        assert await host("skew", "node-9", "5m") == 1
        assert await host("partition", "apiserver", "node-9", "--one-way") == 1
        refusals = capsys.readouterr().err
        assert refusals.count("node-9-kubelet runs elsewhere: only what it says can be lost") == 2
        assert kept(site.data).cuts == frozenset()

        assert await host("partition", "node-9") == 0
        with pytest.raises(DeadlineExceeded):
            await far.ask(far.ref("apiserver/porter"), CallIn(), timeout_s=0.2)
        assert await host("heal") == 0
        await call(far)
        assert capsys.readouterr().out.splitlines() == [
            "node-9 is cut off from everybody else",
            "node-9-kubelet runs elsewhere: it still hears the others until the link ends",
            "healed",
        ]

    run(tmp_path, scenario)
