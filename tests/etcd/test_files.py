"""`actorkube etcd`: what it says of a store's files, and that a copy, restored, has all that was acknowledged."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from actorkube.cli import main
from actorkube.testing import World, run_in
from actors.etcd.files import member_files, read_copy, read_member
from protocols.etcd import Compacted, LeaseGrant, LeaseTimeToLive, Op, Range, Txn, WatchKeys
from tests.etcd.cluster import MEMBERS, QUICK, Client, boot, leader

IN_THE_FIRST_RECORD = 14  # a file's second half may be zeros that nobody has written over yet


def put(key: bytes, value: bytes = b"v", lease: int = 0) -> Txn:
    return Txn((), (Op("put", key, value, lease=lease),))


async def fill(world: World) -> None:
    """So much that there is a snapshot and a log behind it."""
    patient = dataclasses.replace(QUICK, election_s=(10.0, 20.0))  # one leader, however slow the machine is
    system = await boot(world, patient)
    client = Client(system)
    await client.ask(LeaseGrant(600, 7))
    await client.ask(put(b"leased", lease=7))
    for number in range(150):
        await client.ask(put(b"key %d" % (number % 40), b"%d" % number))
    revision = (await client.ask(put(b"last", b"acknowledged"))).revision
    assert revision == 153


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data of three members that are at rest."""
    run_in("local", fill, tmp_path / "old")
    return tmp_path / "old"


def directory(data: Path, member: str) -> Path:
    return data / member / "etcd"


def flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


@pytest.mark.slow
def test_inspect_says_what_there_is(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["etcd", "inspect", str(data)])

    said = capsys.readouterr().out
    assert code == 0
    for member in MEMBERS:
        assert f"{member}  {directory(data, member)}" in said
    assert "revision 153" in said and "keys 42" in said and ".snap" in said and ".wal" in said


def test_verify_finds_sound_members_equal(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file: file.read_bytes() for file in data.rglob("*") if file.is_file()}

    code = main(["etcd", "verify", str(data)])

    said = capsys.readouterr().out.splitlines()
    assert code == 0
    assert [line.split()[0] for line in said] == ["sound", "sound", "sound", "equal"]
    assert {file: file.read_bytes() for file in data.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("kind", ["snap", "wal"])
def test_verify_names_the_file_that_is_damaged(data: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    damaged = sorted(directory(data, "etcd-1").glob(f"*.{kind}"))[0]
    flip(damaged, IN_THE_FIRST_RECORD)  # what is behind it shows that it was not the end

    code = main(["etcd", "verify", str(data)])

    assert code == 1
    assert f"DAMAGED  {directory(data, 'etcd-1')}: {damaged.name}" in capsys.readouterr().out


def test_a_copy_of_damaged_files_is_refused_with_a_hint(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = sorted(directory(data, "etcd-1").glob("*.snap"))[0]
    flip(damaged, damaged.stat().st_size // 2)

    code = main(["etcd", "snapshot", "save", str(data / "copy"), "--data", str(data)])

    assert code == 1
    assert capsys.readouterr().err.strip().endswith("; `actorkube etcd verify` says which members are sound")
    assert not (data / "copy").exists()


@pytest.mark.slow
@pytest.mark.parametrize("bump", [0, 1_000])
def test_what_was_copied_and_restored_is_a_cluster_with_all_that_was_acknowledged(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], bump: int
) -> None:
    copy, new = tmp_path / "copy", tmp_path / "new"

    codes = [
        main(["etcd", "snapshot", "save", str(copy), "--data", str(data)]),
        main(["etcd", "snapshot", "status", str(copy)]),
        main(["etcd", "restore", str(copy), "--data", str(new), "--bump-revision", str(bump)]),
        main(["etcd", "verify", str(new)]),
    ]

    said = capsys.readouterr().out
    assert codes == [0, 0, 0, 0]
    assert "revision 153" in said and f"--data {new}" in said
    clusters = [read_member(directory(new, member)).store().cluster for member in MEMBERS]
    assert clusters[0] and len(set(clusters)) == 1

    async def scenario(world: World) -> None:
        system = await boot(world)
        client = Client(system)
        found = await client.ask(Range(b"last"))
        assert (found.revision, found.kvs[0].value, found.kvs[0].mod_revision) == (153 + bump, b"acknowledged", 153)
        assert (await client.ask(Range(b"\0", b"\0"))).count == 42
        assert (await client.ask(LeaseTimeToLive(7, keys=True))).keys == (b"leased",)
        assert (await client.ask(put(b"more"))).revision == 154 + bump
        ref = system.ref(f"{await leader(system, world)}/etcd")
        if not bump:
            assert (await client.ask(Range(b"key 1", revision=150))).count == 1
            return
        with pytest.raises(Compacted):
            async with system.stream(ref, WatchKeys(b"last", start_revision=154)) as stream:
                await anext(stream)

    run_in("local", scenario, new)


def test_the_most_up_to_date_log_is_copied(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    behind = directory(data, "etcd-0")
    newest = sorted(behind.glob("*.wal"))[-1]
    content = newest.read_bytes().rstrip(b"\0")  # the file ends in zeros that wait to be written
    newest.write_bytes(content[: len(content) // 2])  # what was torn off was never acknowledged by this one

    code = main(["etcd", "snapshot", "save", str(tmp_path / "copy"), "--data", str(data)])

    assert code == 0
    assert "revision 153, 42 keys" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["inspect", "nowhere"], "nowhere is not a directory; name a cluster's data directory"),
        (["inspect", "."], " holds no store; name a cluster's data directory"),
        (["snapshot", "status", "nothing"], "cannot read nothing: No such file or directory; give a file"),
        (["snapshot", "status", "text"], "text: the snapshot is damaged at byte 0; give a file"),
        (["restore", "text", "--data", "new"], "text: the snapshot is damaged"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line_with_a_hint(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("hello")

    code = main(["etcd", *arguments])

    said = capsys.readouterr().err.strip()
    assert code == 1
    assert says in said and said.startswith("actorkube: ") and "\n" not in said
    assert not (tmp_path / "new").exists()


def test_a_store_is_not_restored_over_anything(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy"
    main(["etcd", "snapshot", "save", str(copy), "--data", str(data)])

    code = main(["etcd", "restore", str(copy), "--data", str(data)])

    assert code == 1
    assert f"{data} is not empty; restore into a new directory" in capsys.readouterr().err


def test_verify_finds_members_that_are_sound_and_differ(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, other = tmp_path / "copy", tmp_path / "other"
    main(["etcd", "snapshot", "save", str(copy), "--data", str(data)])
    main(["etcd", "restore", str(copy), "--data", str(other)])
    loaded = read_copy(copy)
    loaded.store.keyspace.put(b"last", b"something else", 0, 153)
    for name, content in member_files(loaded.store, "etcd-2"):
        (directory(other, "etcd-2") / name).write_bytes(content)
    capsys.readouterr()

    code = main(["etcd", "verify", str(other)])

    said = capsys.readouterr().out
    assert code == 1
    assert said.count("sound") == 3 and said.count("DIFFERS") == 3
