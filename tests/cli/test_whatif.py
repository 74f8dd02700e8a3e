"""`actorkube whatif`: batches on imaginary and on recorded clusters, and what is said of bad input."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from actorkube.cli import main
from tests.cli.test_why import node, pod, state

WEB = str(Path(__file__).parents[2] / "examples" / "web.yaml")


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert main(["whatif", *words]) == 0
    return capsys.readouterr().out.splitlines()


def test_an_imaginary_cluster_needs_no_real_one(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "-f", WEB, "--nodes", "3", "--zones", "3")

    assert text[0] == "3 of 3 pods would find a node (seed 0)"
    assert re.fullmatch(r"Deployment/web +3  node-\d, node-\d, node-\d", text[3])
    assert [line.split()[0] for line in text[-4:]] == ["node-1", "node-2", "node-3", "all"]


ORIGINS = ("DaemonSet/agent", "CronJob/tidy")


def test_a_recorded_cluster_is_tried_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = state(tmp_path / "state.json", node("full", "1"), node("free", "1"), pod("old", "1", node="full"))

    found = json.loads("\n".join(printed(capsys, "-f", WEB, "--state", file, "-o", "json")))

    assert {each["node"] for each in found["placed"]} == {"free"}
    assert found["total"]["resources"]["cpu"] == {"before": 1000, "after": 1300, "capacity": 2000}


def test_what_is_recorded_can_be_tried_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = state(tmp_path / "state.json", node("n", "1"), pod("waits", "2"))
    again = str(tmp_path / "again.json.gz")

    assert printed(capsys, "--record", again, "--state", file) == [f"2 objects in {again}"]
    assert "0 of 1 pod would find a node" in printed(capsys, "--pending", "--state", again)[0]
    assert "1 of 1 pod would find a node" in printed(capsys, "--pending", "--state", again, "--add-nodes", "1")[0]
    assert (tmp_path / "again.json.gz").stat().st_mode & 0o777 == 0o600


def test_other_nodes_in_the_place_of_the_clusters_get_all_its_pods(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon = pod("daemon", "1", node="old")
    owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "u", "controller": True}
    daemon["metadata"]["ownerReferences"] = [owner]
    file = state(tmp_path / "state.json", node("old", "8"), daemon, *(pod(f"p{n}", "1", node="old") for n in range(4)))

    text = printed(capsys, "--pending", "--state", file, "--nodes", "2", "--node-size", "cpu=2")

    assert text[0] == "4 of 4 pods would find a node (seed 0)"
    assert "node-1   0→2" in "\n".join(text)


def test_a_pod_that_is_there_already_is_not_placed_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = state(tmp_path / "state.json", node("n"), pod("p", "1", node="n"))
    mine = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}]}}
    mine["spec"]["containers"][0]["image"] = "i"  # type: ignore[index]
    manifest = state(tmp_path / "mine.json", mine)

    assert main(["whatif", "-f", manifest, "--state", file]) == 0

    out, err = capsys.readouterr()
    assert err == "actorkube: pod default/p is there already\n"
    assert out.startswith("0 of 0 pods")


def test_a_daemon_set_is_placed_on_every_node_also_on_those_that_are_added_and_a_cron_job_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    container = {"name": "main", "image": "i", "resources": {"requests": {"cpu": "500m"}}}
    labels = {"metadata": {"labels": {"app": "d"}}}
    daemon = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent"}}
    daemon["spec"] = {
        "selector": {"matchLabels": {"app": "d"}},
        "template": {**labels, "spec": {"containers": [container]}},
    }
    once = {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
    cron = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tidy"}}
    cron["spec"] = {"schedule": "@daily", "jobTemplate": {"spec": once}}
    file = state(tmp_path / "state.json", node("n"))
    manifests = [state(tmp_path / f"{each['kind']}.json", each) for each in (daemon, cron)]
    words = [word for manifest in manifests for word in ("-f", manifest)]

    found = json.loads("\n".join(printed(capsys, *words, "--state", file, "--add-nodes", "2", "-o", "json")))

    nodes = {origin: sorted(e["node"] for e in found["placed"] if e["origin"] == origin) for origin in ORIGINS}
    assert nodes["DaemonSet/agent"] == ["added-1", "added-2", "n"]
    assert len(nodes["CronJob/tidy"]) == 1
    assert found["unplaced"] == []


def test_the_score_table_shows_what_put_the_first_pod_of_each_workload_where_it_went(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = state(tmp_path / "state.json", node("busy", "4"), node("free", "4"), pod("old", "3", node="busy"))

    text = printed(capsys, "-f", WEB, "--state", file, "--score-table")
    found = json.loads("\n".join(printed(capsys, "-f", WEB, "--state", file, "--score-table", "-o", "json")))

    at = next(index for index, line in enumerate(text) if line.startswith("Deployment/web: the scores when"))
    assert text[at + 1].split()[:3] == ["NODE", "NodeResourcesFit", "×1"]
    assert [line.split()[0] for line in text[at + 2 :]] == ["free", "busy"] and text[at + 2].split()[1] == "*"
    rated = found["scored"]["Deployment/web"]["scores"]
    assert text[at + 2].split()[-1] == str(rated[0]["total"])
    assert [each["node"] for each in rated] == ["free", "busy"] and rated[0]["total"] > rated[1]["total"]
    assert not any("the scores when" in line for line in printed(capsys, "-f", WEB, "--state", file))


def test_who_has_read_enough_may_leave() -> None:
    """As `whatif ... | head -1`."""
    words = ["whatif", "-f", WEB, "--nodes", "3"]
    process = subprocess.Popen(
        [sys.executable, "-m", "actorkube", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()

    said = process.stderr.read()
    process.stderr.close()

    assert (process.wait(), said) == (128 + signal.SIGPIPE, b"")


def test_the_same_seed_gives_the_same_answer(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["-f", WEB, "--nodes", "50", "--seed", "7"]

    first, second = printed(capsys, *words), printed(capsys, *words)
    other = printed(capsys, "-f", WEB, "--nodes", "50", "--seed", "8")

    assert first == second != other


def test_it_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys, "-f", WEB, "--nodes", "2", "--picture", str(tmp_path / "p.svg"))

    root = ElementTree.parse(tmp_path / "p.svg").getroot()
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"node-1", "node-2", "all"} <= set(texts)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "there are no pods to place; name manifests with -f FILE, or say --pending"),
        (["-f", "/nowhere", "--nodes", "1"], "cannot read /nowhere: No such file or directory; it wants manifests"),
        (["-f", WEB, "--nodes", "0"], "0 nodes cannot be looked at; say a number from 1 to 20000"),
        (
            ["-f", WEB, "--nodes", "/nowhere"],
            "cannot read /nowhere: No such file or directory; say a number, or a file",
        ),
        (["-f", WEB, "--nodes", WEB], f"there is no node in {WEB}"),
        (["-f", WEB, "--nodes", "1", "--zones", "-1"], "-1 zones cannot be; say 0 for none"),
        (
            ["-f", WEB, "--nodes", "1", "--node-size", "huge"],
            "'huge' is no size of a node; say such as --node-size cpu=8,memory=64Gi",
        ),
        (["-f", WEB, "--nodes", "1", "--picture", "/nowhere/x"], "cannot write /nowhere/x: No such file or directory"),
        (["-f", WEB, "--nodes", "1", "--scheduler-config", "/nowhere"], "cannot read /nowhere"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["whatif", *words]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_manifest_that_the_api_server_would_refuse_is_refused_in_its_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": []}}

    assert main(["whatif", "-f", state(tmp_path / "bad", bad), "--nodes", "1"]) == 1

    assert "spec.containers: Required value; mend it and try again" in capsys.readouterr().err
