"""etcdctl says the same of our store as of a real etcd, with whatever flags, and ends with the same code."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.etcd.real_etcd import needs_etcd, real_etcd
from tests.etcd.served import Served, needs_etcdctl

pytestmark = [pytest.mark.cluster, needs_etcd, needs_etcdctl]
PATIENT = ("--dial-timeout", "60s", "--command-timeout", "60s")  # how busy a machine is decides no test
FORMATS = ("simple", "json", "fields", "table")
NUMBERS = re.compile(r'("(?:cluster_id|member_id|raft_term|ClusterID|MemberID|RaftTerm)" ?: ?)\d+')
LONG = re.compile(r"\b(?:\d{17,20}|[0-9a-f]{15,16})\b")


class Said(NamedTuple):
    code: int
    out: str
    errors: tuple[str, ...]


class Both:
    def __init__(self, ports: tuple[int, int]) -> None:
        self._ports = ports

    def differ(self, commands: list[str | tuple[str, str]]) -> dict[str, tuple[Said, Said]]:
        """Those commands of which the two say different things; what is behind one, is what it reads."""
        found = {}
        for command in commands:
            line, stdin = command if isinstance(command, tuple) else (command, "")
            theirs, ours = (said(port, line, stdin) for port in self._ports)
            if theirs != ours:
                found[f"{line} <<< {stdin}"] = (theirs, ours)
        return found


def said(port: int, line: str, stdin: str) -> Said:
    """Without what belongs to one cluster alone: its numbers, and those of its leases."""
    done = subprocess.run(
        ["etcdctl", "--endpoints", f"127.0.0.1:{port}", *PATIENT, *[word.strip("'") for word in line.split(" ")]],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "ETCDCTL_API": "3"},
    )
    errors = tuple(each for each in done.stderr.splitlines() if each.startswith(("Error", "watch ", "Failed")))
    return Said(done.returncode, plain(done.stdout, port), tuple(plain(error, port) for error in errors))


def plain(text: str, port: int) -> str:
    return LONG.sub("N", NUMBERS.sub(r"\1N", text.replace(f"127.0.0.1:{port}", "it")))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Which begin empty, and are told the same from then on."""
    served = Served(tmp_path_factory.mktemp("store"), "--replicas", "1")
    with real_etcd(tmp_path_factory.mktemp("etcd")) as etcd:
        yield Both((int(etcd.url.rpartition(":")[2]), served.port))
    served.stop()


def in_all_formats(*commands: str | tuple[str, str]) -> list[str | tuple[str, str]]:
    return [
        (f"{command[0]} -w {form}", command[1]) if isinstance(command, tuple) else f"{command} -w {form}"
        for form in FORMATS
        for command in commands
    ]


def test_keys_and_ranges(both: Both) -> None:
    keys: list[str | tuple[str, str]] = [f"put {key} {key}{key}" for key in ("a", "b", "c", "d/1", "d/2", "zz")]
    sorts = ("KEY", "CREATE", "MODIFY", "VALUE", "VERSION", "bad")
    sorted_ = [f"get --prefix '' --order {order} --sort-by {sort}" for order in ("ASCEND", "DESCEND") for sort in sorts]

    differ = both.differ(
        [
            *keys,
            *in_all_formats("put x 1 --prev-kv", "get x", "get nope", "get --prefix d/", "get a c", "get a --rev 3"),
            *in_all_formats("get --prefix '' --keys-only --limit 2", "get --from-key b", "del nope", "del x --prev-kv"),
            *sorted_,
            *("get", "get ''", "get a --rev 99999", "get a --rev -1", "get a --limit -1", "get --prefix '' --limit 0"),
            *("get a --consistency s", "get a --consistency x", "get --prefix '' --print-value-only", "get b a"),
            *("get --prefix --from-key a", "get a z --prefix", "get --prefix d/ --hex", "get a z --order bad"),
            *("put", "put '' x", "put k v --lease 77", "put nope --ignore-value", "put nope v --ignore-lease"),
            *("put a v --ignore-value", "put a v --ignore-lease --lease 7", "put a v --prev-kv"),
            ("put k", "from a pipe\n"),
            *(
                "del",
                "del ''",
                "del a c",
                "del c a",
                "del --prefix d/ --prev-kv",
                "del --from-key zz",
                "del --prefix ''",
            ),
        ]
    )

    assert not differ


def test_compaction_and_the_past(both: Both) -> None:
    differ = both.differ(
        [
            *[f"put past {number}" for number in range(6)],
            *("compaction 3", "compaction 0", "compaction -1", "compaction 99999", "compaction x", "compaction"),
            *("compaction 3", "compaction 5 --physical", "get past --rev 2", "get past --rev 5"),
            *in_all_formats("watch past --rev 1", "watch c a --rev 6"),
            *in_all_formats("endpoint hashkv --rev 99999", "compaction 2", "move-leader 77", "member remove 77"),
            *in_all_formats("member promote 77", "member update 77 --peer-urls http://x:1"),
            *("alarm list", "alarm disarm", "defrag", "member add m --peer-urls zz"),
        ]
    )

    assert not differ


def test_leases(both: Both) -> None:
    asked = ("lease grant 300", "lease timetolive 77 --keys", "lease revoke 77", "lease keep-alive 77 --once")
    differ = both.differ(
        [
            *in_all_formats(*asked),
            *("lease grant 0", "lease grant -5", "lease grant 9000000001", "lease grant x", "lease grant"),
            *("lease revoke zz", "lease revoke", "lease timetolive zz", "lease keep-alive 77", "lease list -w json"),
        ]
    )

    assert not differ


def test_transactions(both: Both) -> None:
    bodies = [
        'value("t") = "1"\n\nput t 2\nget t\n\nput t 3\n\n',
        'mod("t") > "0"\n\nget t\ndel t --prev-kv\n\n\n',
        'ver("t") = "0"\n\nput t 9\n\nget t\n\n',
        'val("t") < "9"\nval("t") != "7"\n\nget --prefix ""\n\n\n',
        'create("t") = "0"\n\nput a 1\nput a 2\n\nget t\n\n',
        'val("") = "1"\n\nget t\n\n\n',
        'mod("t") = "x"\n\n\n\n',
        'bad("t") = "1"\n\n\n\n',
        "\n\n\n",
        "\nput t 5 --lease 99\n\n\n",
        '\nput "" x\n\n\n',
        "\nget t --rev 1\n\n\n",
        "\ndel --prefix t\nput t 1\n\n\n",
        "\nput t 1\ndel --prefix t\n\n\n",
        "\nput nokey --ignore-value\n\n\n",
    ]
    many = ["\n" + "".join(f"put m{number} 1\n" for number in range(count)) + "\n\n" for count in (128, 129)]

    differ = both.differ(["put t 1", *in_all_formats(*(("txn", body) for body in (*bodies, *many)))])

    assert not differ


def test_users_and_roles(both: Both) -> None:
    asked: list[str | tuple[str, str]] = [
        *("user add u:pw", "user add u:pw", "user get u", "user get nope", "user list"),
        *[(f"user passwd {name} --interactive=false", "new\n") for name in ("u", "nope")],
        *("role add r", "role add r", "role grant-permission r read k", "role grant-permission r write k z"),
        *("role grant-permission r readwrite p/ --prefix", "role grant-permission r read f --from-key"),
        *("role grant-permission r bad f", "role grant-permission nope read f", "role get r", "role get nope"),
        *("user grant-role u r", "user grant-role u nope", "user get u --detail", "user revoke-role u nope"),
        *("user revoke-role u r", "user revoke-role u r", "role revoke-permission r k", "role revoke-permission r k z"),
        *("role revoke-permission r nope", "role revoke-permission r p/ --prefix", "role list"),
        *("role delete r", "role delete r", "user delete u", "user delete u", "auth enable", "auth disable"),
    ]

    differ = both.differ([*in_all_formats(*asked), "user add :pw", "user add ''", "role add ''", "user get ''"])

    assert not differ
