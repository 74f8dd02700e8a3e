"""`actorkube etcd serve` and etcd's own client (Debian: etcd-client)."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorkube.cli.errors import CliError
from actorkube.cli.etcd_serve import add_tls_arguments, tls_of
from tests.etcd.served import Served, certificate, needs_etcdctl

pytestmark = [
    pytest.mark.cluster,
    needs_etcdctl,
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    found = Served(tmp_path_factory.mktemp("store"))
    yield found
    found.stop()


def test_what_one_member_is_told_every_member_says(served: Served) -> None:
    served.ctl("put", "all/a", "1", member=0)
    served.ctl("put", "all/b", "2", member=1)

    said = [served.ctl("get", "--prefix", "all/", member=member) for member in range(3)]

    assert said == ["all/a\n1\nall/b\n2\n"] * 3


def test_a_transaction_takes_the_branch_that_its_comparisons_say(served: Served) -> None:
    create = 'mod("txn") = "0"\n\nput txn first\n\nget txn\n\n'

    first, second = served.ctl("txn", stdin=create), served.ctl("txn", stdin=create)

    assert first.split() == ["SUCCESS", "OK"]
    assert second.split() == ["FAILURE", "txn", "first"]


def test_a_range_is_deleted_and_says_how_much(served: Served) -> None:
    for key in "abc":
        served.ctl("put", f"del/{key}", key)

    deleted = served.ctl("del", "--prefix", "--prev-kv", "del/")

    assert deleted.split() == ["3", "del/a", "a", "del/b", "b", "del/c", "c"]


def test_a_watch_from_the_past_sees_all_that_came_with_what_was_there(served: Served) -> None:
    served.ctl("put", "seen", "1")
    revision = served.ctl("get", "seen", "-w", "fields").split('"Revision" : ')[1].split()[0]
    served.ctl("put", "seen", "2")
    served.ctl("del", "seen")
    watch = subprocess.Popen(
        ["etcdctl", "--endpoints", f"127.0.0.1:{served.port + 2}", "watch", "--prev-kv", "--rev", revision, "seen"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "ETCDCTL_API": "3"},
    )
    assert watch.stdout is not None

    lines = [watch.stdout.readline().strip() for _ in range(12)]
    watch.kill()
    watch.wait()
    watch.stdout.close()

    assert [line for line in lines if line] == [
        "PUT",
        "seen",
        "1",
        "PUT",
        "seen",
        "1",
        "seen",
        "2",
        "DELETE",
        "seen",
        "2",
        "seen",
    ]


def test_a_revoked_lease_takes_its_keys_along(served: Served) -> None:
    lease = served.ctl("lease", "grant", "60").split()[1]
    served.ctl("put", "--lease", lease, "leased", "1")

    kept = served.ctl("lease", "keep-alive", "--once", lease)
    served.ctl("lease", "revoke", lease)

    assert "TTL(60)" in kept
    assert served.ctl("get", "leased") == ""
    assert "already expired" in served.ctl("lease", "timetolive", lease)


def test_a_lock_is_taken_and_given_back(served: Served) -> None:
    assert served.ctl("lock", "mutex", "echo", "mine") == "mine\n"
    assert served.ctl("get", "--prefix", "mutex") == ""


def test_what_is_refused_is_refused_in_etcds_words(served: Served) -> None:
    served.ctl("put", "old", "1")
    served.ctl("put", "old", "2")
    revision = int(served.ctl("get", "old", "-w", "fields").split('"Revision" : ')[1].split()[0])
    served.ctl("compact", str(revision))

    assert "mvcc: required revision has been compacted" in served.ctl("get", "old", "--rev", "1", check=False)
    assert "mvcc: required revision is a future revision" in served.ctl("get", "old", "--rev", "999999", check=False)
    assert "requested lease not found" in served.ctl("lease", "revoke", "7", check=False)


def test_members_are_listed_healthy_and_of_one_hash(served: Served) -> None:
    members = served.ctl("member", "list").splitlines()
    hashes = {served.ctl("endpoint", "hashkv", member=member).split()[-1] for member in range(3)}

    assert [line.split(", ")[2] for line in members] == ["etcd-0", "etcd-1", "etcd-2"]
    assert len(hashes) == 1
    assert "3.6.0" in served.ctl("endpoint", "status")


def test_the_ready_line_says_where_it_is(served: Served) -> None:
    assert f"127.0.0.1:{served.port}" in served.ready


def test_a_snapshot_is_saved_with_its_hash_and_the_member_goes_on(served: Served, tmp_path: Path) -> None:
    served.ctl("put", "before", "1")

    served.ctl("snapshot", "save", str(tmp_path / "copy"))

    copy = (tmp_path / "copy").read_bytes()
    assert hashlib.sha256(copy[:-32]).digest() == copy[-32:]
    assert len(copy) % 512 == 32
    assert served.ctl("get", "before") == "before\n1\n"


def test_over_tls_only_who_has_a_certificate_of_the_authority_is_served(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    served = Served(tmp_path / "data", "--cert-file", cert, "--key-file", key, "--trusted-ca-file", cert)

    try:
        served.ctl("--cacert", cert, "--cert", cert, "--key", key, "put", "secret", "1", member=1)
        told = served.ctl("--cacert", cert, "--cert", cert, "--key", key, "get", "secret", member=2)
        health = page(f"https://127.0.0.1:{served.port}/health", cert, key)
        refused = served.ctl(
            "--cacert", cert, "--dial-timeout", "1s", "--command-timeout", "1s", "get", "secret", check=False
        )
    finally:
        served.stop()

    assert told == "secret\n1\n"
    assert "secret" not in refused
    assert health == '{"health":"true","reason":""}'


def page(url: str, cert: str, key: str) -> str:
    context = ssl.create_default_context(cafile=cert)
    context.load_cert_chain(cert, key)
    with urllib.request.urlopen(url, timeout=20, context=context) as answer:
        read: bytes = answer.read()
    return read.decode()


@pytest.mark.slow
def test_etcdctl_checks_what_many_keys_take(served: Served) -> None:
    done = served.ctl("check", "datascale", "--load=s", "--auto-compact", "--auto-defrag", both=True)

    assert "PASS: Approximate system memory used" in done


def test_progress_that_is_asked_for_is_told(served: Served) -> None:
    served.ctl("put", "progressing", "1")
    revision = served.ctl("get", "progressing", "-w", "fields").split('"Revision" : ')[1].split()[0]
    watch = subprocess.Popen(
        ["etcdctl", "--endpoints", f"127.0.0.1:{served.port + 1}", "watch", "-i"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "ETCDCTL_API": "3"},
    )
    assert watch.stdin is not None and watch.stdout is not None

    watch.stdin.write(f"watch --rev {revision} progressing\n")
    watch.stdin.flush()
    put = [watch.stdout.readline().strip() for _ in range(3)]
    watch.stdin.write("progress\n")
    watch.stdin.flush()
    told = watch.stdout.readline()
    watch.kill()
    watch.wait()
    watch.stdin.close()
    watch.stdout.close()

    assert put == ["PUT", "progressing", "1"]
    assert told.startswith("progress notify: ")


def test_a_member_is_added_and_removed_by_etcdctl(served: Served) -> None:
    added = served.ctl("member", "add", "etcd-9", "--learner", "--peer-urls=http://etcd-9:2380")
    number = added.split()[1]
    refused = served.ctl("member", "promote", number, check=False)
    served.ctl("member", "update", number, "--peer-urls=http://etcd-9:2380")
    removed = served.ctl("member", "remove", number)

    assert "added to cluster" in added and "removed from cluster" in removed
    assert "can only promote a learner member which is in sync with leader" in refused
    assert len(served.ctl("member", "list").splitlines()) == 3


def test_the_leadership_moves_where_etcdctl_says(served: Served) -> None:
    members = [line.split(", ")[0] for line in served.ctl("member", "list").splitlines()]
    statuses = [json.loads(served.ctl("endpoint", "status", "-w", "json", member=number)) for number in range(3)]
    leader = next(number for number in range(3) if f"{statuses[number][0]['Status']['leader']:x}" == members[number])
    target = members[(leader + 1) % 3]

    moved = served.ctl("move-leader", target, member=leader)

    assert moved == f"Leadership transferred from {members[leader]} to {target}\n"


def test_auth_is_off_and_etcdctl_says_so(served: Served) -> None:
    assert "root user does not exist" in served.ctl("auth", "enable", check=False)
    assert served.ctl("user", "list") == served.ctl("role", "list") == ""
    assert "user name not found" in served.ctl("user", "get", "root", check=False)


def test_upkeep_is_done_by_etcdctl(served: Served) -> None:
    served.ctl("put", "kept", "1")

    assert "Finished defragmenting" in served.ctl("defrag")
    assert served.ctl("alarm", "list") == served.ctl("alarm", "disarm") == ""
    assert "is healthy" in served.ctl("endpoint", "health", both=True)
    assert served.ctl("get", "kept") == "kept\n1\n"


def test_a_leader_is_elected_among_clients_and_listened_to(served: Served) -> None:
    environment = {**os.environ, "ETCDCTL_API": "3"}
    command = ["etcdctl", "--endpoints", f"127.0.0.1:{served.port}", "elect"]
    with subprocess.Popen([*command, "office", "me"], stdout=subprocess.PIPE, text=True, env=environment) as candidate:
        assert candidate.stdout is not None
        elected = [candidate.stdout.readline().strip() for _ in range(2)]
        listening = [*command, "--listen", "office"]
        with subprocess.Popen(listening, stdout=subprocess.PIPE, text=True, env=environment) as listener:
            assert listener.stdout is not None
            heard = [listener.stdout.readline().strip() for _ in range(2)]
            listener.kill()
        candidate.kill()

    assert elected == heard
    assert elected[1] == "me"


def test_a_prefix_is_mirrored_into_another_store(served: Served, tmp_path: Path) -> None:
    served.ctl("put", "mirrored/a", "1")
    other = Served(tmp_path, "--replicas", "1")
    try:
        command = ["etcdctl", "--endpoints", f"127.0.0.1:{served.port}", "make-mirror", "--prefix", "mirrored/"]
        environment = {**os.environ, "ETCDCTL_API": "3"}
        with subprocess.Popen(
            [*command, f"127.0.0.1:{other.port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        ) as mirror:
            served.ctl("put", "mirrored/b", "2")
            with subprocess.Popen(
                ["etcdctl", "--endpoints", f"127.0.0.1:{other.port}", "watch", "--rev", "1", "mirrored/b"],
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            ) as watch:
                assert watch.stdout is not None
                seen = [watch.stdout.readline().strip() for _ in range(3)]
                watch.kill()
            mirror.kill()
        copied = other.ctl("get", "--prefix", "mirrored/")
    finally:
        other.stop()

    assert seen == ["PUT", "mirrored/b", "2"]
    assert copied == "mirrored/a\n1\nmirrored/b\n2\n"


@pytest.mark.parametrize("missing", ["--cert-file", "--key-file", "--trusted-ca-file"])
def test_files_with_which_tls_cannot_begin_are_refused_at_once(tmp_path: Path, missing: str) -> None:
    cert, key = certificate(tmp_path)
    files = {"--cert-file": cert, "--key-file": key, "--trusted-ca-file": cert}
    other = tmp_path / "other"
    other.write_text("no PEM")
    parser = argparse.ArgumentParser()
    add_tls_arguments(parser)

    for wrong in (tmp_path / "none", other):
        options = [word for pair in (files | {missing: str(wrong)}).items() for word in pair]
        with pytest.raises(CliError, match=f"no TLS with .*{wrong}"):
            tls_of(parser.parse_args(options))
