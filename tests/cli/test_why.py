"""`actorkube why` on recorded clusters: what the words mean, and what is said when it cannot be known."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from actorkube.cli import main
from tests.scheduler.worlds import make_node, make_pod

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "scheduler.yaml")


def state(path: Path, *objects: dict[str, Any]) -> str:
    """As kubectl prints it."""
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))
    return str(path)


def node(name: str, *arguments: Any, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Node", **make_node(name, *arguments, **more)}


def pod(name: str, *arguments: Any, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", **make_pod(name, *arguments, **more)}


def test_a_pod_of_a_recorded_cluster_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = state(tmp_path / "state.json", node("n", "1"), pod("web", "1300m"))

    assert main(["why", "pod/web", "--state", file]) == 0

    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "pod default/web waits: 0 of 1 node will do"
    assert "  - 300m cpu less, or a node with 300m more cpu than n" in printed


def test_programs_get_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = state(tmp_path / "state.json", node("n"), pod("web", "1", node="n"))

    assert main(["why", "web", "--state", file, "-o", "json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["node"], found["scores"][0]["node"]) == ("placed", "n", "n")


def test_the_score_table_has_a_column_for_each_plugin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = state(tmp_path / "state.json", node("n"), node("m", "2"), pod("web", "1"))

    assert main(["why", "pod/web", "--state", file, "--score-table"]) == 0

    printed = capsys.readouterr().out.splitlines()
    assert printed[-3].split() == ["NODE", "NodeResourcesFit", "×1", "NodeResourcesBalancedAllocation", "×1", "TOTAL"]
    assert printed[-2].split()[:2] == ["n", "*"]


def test_plugins_of_the_schedulers_configuration_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loud = node("n", labels={"example.com/noise": "11"})
    file = state(tmp_path / "state.json", loud, pod("web", "1"))

    assert main(["why", "pod/web", "--state", file, "--scheduler-config", EXAMPLE]) == 0

    printed = capsys.readouterr().out
    assert "QuietNodes  node(s) were too noisy  n" in printed
    assert "that QuietNodes accepts it (node(s) were too noisy)" in printed


def test_a_file_may_be_compressed_yaml_or_several_documents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n---\n".join(json.dumps(each) for each in (node("n"), pod("web", "1"))).replace("{", "{ ", 1)
    (tmp_path / "state.yaml.gz").write_bytes(gzip.compress(text.encode()))

    assert main(["why", "pod/web", "--state", str(tmp_path / "state.yaml.gz")]) == 0
    assert "the best is n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("what", "text", "message"),
    [
        ("deploy/web", "{}", "'deploy/web' is no pod; say pod/NAME, as in why pod/web-1; for others: trace why"),
        ("pod/", "{}", "'pod/' is no pod"),
        ("pod/web", '{"kind": "List"}', "there is no pod web in namespace default; see kubectl get pods -n default"),
        ("pod/web", "{}", "object 1 has no kind; it wants what `whatif --record FILE` writes"),
        ("pod/web", "a: [", "state:2: "),
        ("pod/web", '{"apiVersion": "v1", "kind": "Node"}', "state: Node/?: metadata.name: Required value"),
        (
            "pod/web",
            '{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"},'
            ' "status": {"allocatable": {"cpu": "much"}}}',
            "state: Node/n: quantities must match the regular expression",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, text: str, message: str
) -> None:
    (tmp_path / "state").write_text(text)

    assert main(["why", what, "--state", str(tmp_path / "state")]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "pod/web", "--state", "/nowhere"]) == 1
    assert "cannot read /nowhere: No such file or directory" in capsys.readouterr().err
