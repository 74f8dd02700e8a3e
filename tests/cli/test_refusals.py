"""What the command line says when it cannot do what was asked: one line, what to do, and a code that is not 0."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from actorkube.cli import main
from actorkube.cli.addresses import listen_for_api, take_block
from actorkube.cli.composition import composition
from actorkube.cli.data import FORMAT, DataDirectory
from actorkube.cli.errors import CliError
from actors.cluster import ClusterSpec, cluster_hosts


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.strip().splitlines()
    return lines[-1]


def test_a_data_directory_in_use_is_refused_with_the_owner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = DataDirectory(str(tmp_path / "d"))

    code = main(["cluster", "--data", str(tmp_path / "d")])

    assert code == 1
    assert last_line(capsys) == (
        f"actorkube: the data directory {tmp_path / 'd'} is in use by another cluster (process {os.getpid()});"
        " stop that one, or choose another directory with --data"
    )
    first.close()


def test_only_components_that_somebody_else_may_bring_can_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["cluster", "--without", "scheduler,etcd"])

    assert "'etcd' is none of scheduler, controller-manager, cloud-controller-manager" in last_line(capsys)
    left = {host.name for host in cluster_hosts(ClusterSpec(nodes=0, without=frozenset({"scheduler"})))}
    assert left == {"apiserver", "etcd-0", "etcd-1", "etcd-2", "controller-manager", "cloud-controller-manager"}
    less = ClusterSpec(nodes=0, without=frozenset({"controller-manager", "cloud-controller-manager"}))
    assert [host.name for host in cluster_hosts(less)][-1] == "scheduler"


def test_data_of_another_version_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "VERSION").write_text("actorkube-data 999\n")

    code = main(["cluster", "--data", str(tmp_path)])

    assert code == 1
    assert "holds data of another version ('actorkube-data 999'" in last_line(capsys)


def test_a_directory_with_other_things_in_it_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").write_text("precious")

    code = main(["cluster", "--data", str(tmp_path)])

    assert code == 1
    assert "is not a cluster's data" in last_line(capsys)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lock", "thesis.tex"]


def test_a_file_as_data_directory_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")

    code = main(["cluster", "--data", str(tmp_path / "file")])

    assert code == 1
    assert "cannot keep data in" in last_line(capsys)


def test_a_place_where_no_directory_can_be_made_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["cluster", "--data", "/proc/actorkube"])

    assert code == 1
    assert "cannot keep data in /proc/actorkube" in last_line(capsys)


def test_a_port_in_use_is_refused_when_it_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        code = main(["cluster", "--data", str(tmp_path / "d"), "--api-port", str(port)])

    assert code == 1
    assert last_line(capsys) == (
        f"actorkube: port {port} is in use; stop what listens there, or choose another with --api-port"
    )


def test_the_port_of_the_last_run_is_used_again(tmp_path: Path) -> None:
    first = listen_for_api(None, tmp_path)
    port = first.getsockname()[1]
    first.close()

    with listen_for_api(None, tmp_path) as second:
        assert second.getsockname()[1] == port


def test_two_clusters_take_different_blocks_of_addresses_and_each_keeps_its_own(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    first, held_first = take_block(one)
    second, held_second = take_block(two)

    held_second.close()
    again, held_again = take_block(two)

    assert first != second
    assert again == second
    held_first.close()
    held_again.close()


def test_the_data_directory_of_a_cluster_is_stamped_private_and_opens_again(tmp_path: Path) -> None:
    first = DataDirectory(str(tmp_path / "d"))
    key = first.cluster_key()
    first.close()

    second = DataDirectory(str(tmp_path / "d"))

    assert (tmp_path / "d" / "VERSION").read_text().strip() == FORMAT
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "d" / "cluster.key").stat().st_mode & 0o777 == 0o600
    assert second.cluster_key() == key
    second.close()


def test_a_join_file_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "join.json").write_text("{}")

    codes = [main(["run", "node", "--join", str(tmp_path / name)]) for name in ("join.json", "absent.json")]

    assert codes == [1, 1]
    assert "absent.json: No such file or directory; give the join.json" in last_line(capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        ["cluster", "--nodes", "many"],
        ["cluster", "--pod-eviction-timeout", "soon"],
        ["run", "toaster", "--join", "x"],
        [],
    ],
)
def test_a_wrong_command_line_ends_with_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert "actorkube" in capsys.readouterr().err


def test_an_error_names_the_problem_and_a_way_out() -> None:
    assert str(CliError("it is broken", "mend it")) == "it is broken; mend it"


def test_a_store_is_begun_once_with_its_number_of_replicas(tmp_path: Path) -> None:
    data = DataDirectory(str(tmp_path / "d"))

    assert data.begin_store() == 3
    assert data.begin_store(3) == data.begin_store() == 3
    with pytest.raises(CliError, match="was begun with 3 replicas, not 5; leave the number out"):
        data.begin_store(5)
    data.close()


def test_of_a_store_that_does_not_say_it_the_members_directories_are_counted(tmp_path: Path) -> None:
    data = DataDirectory(str(tmp_path / "d"))
    (tmp_path / "d" / "etcd-0" / "etcd").mkdir(parents=True)
    for segment in ("00000001.wal", "00000002.wal"):
        (tmp_path / "d" / "etcd-0" / "etcd" / segment).touch()

    with pytest.raises(CliError, match="was begun with 1 replica, not 3"):
        data.begin_store(3)
    assert data.begin_store() == 1
    data.close()


def test_a_number_of_replicas_that_is_none_is_refused(tmp_path: Path) -> None:
    data = DataDirectory(str(tmp_path / "d"))
    (tmp_path / "d" / "etcd-replicas").write_text("three\n")

    with pytest.raises(CliError, match="says 'three', which is no number of replicas"):
        data.begin_store()
    data.close()


@pytest.mark.parametrize("version", ["1.26", "v1.99", "2.0", "latest"])
def test_an_api_that_is_not_carried_is_refused_with_those_that_are(
    capsys: pytest.CaptureFixture[str], version: str
) -> None:
    code = main(["cluster", "--kubernetes-version", version])

    assert code == 1
    line = last_line(capsys)
    assert line.startswith(
        f"actorkube: there is no API of Kubernetes {version} here; --kubernetes-version takes 1.27 to"
    )


@pytest.mark.parametrize("text", ["1.33", "v1.33", "1.33.4"])
def test_a_version_may_be_said_as_people_say_it(text: str) -> None:
    assert composition().kubernetes_version(text) == "1.33"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: Other", "it must be of kind AuthenticationConfiguration"),
        ("{", "not YAML"),
        (None, "cannot read"),
    ],
)
def test_a_file_of_issuers_that_makes_no_sense_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, says: str
) -> None:
    file = tmp_path / "authentication.yaml"
    if text is not None:
        file.write_text(text)

    code = main(["cluster", "--data", str(tmp_path / "d"), "--authentication-config", str(file)])

    assert code == 1 and says in last_line(capsys)


def test_issuers_are_named_in_one_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = ["--oidc-issuer-url", "https://a", "--oidc-client-id", "b", "--authentication-config", "file"]

    assert main(["cluster", "--data", str(tmp_path / "d"), *both]) == 1
    assert "leave one of them out" in capsys.readouterr().err


def test_an_option_that_a_command_does_not_have_is_answered_with_those_that_it_has(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["top", "--port", "7"])

    said = capsys.readouterr().err
    assert "actorkube top: error: unrecognized arguments: --port 7" in said
    assert "--interval" in said
