"""The log of a kube-scheduler is read in the forms that its versions write; the worlds to compare in are real ones."""

from __future__ import annotations

from pathlib import Path

from actors.manifests import read
from bench.scheduler_compare import configuration, is_shifted, words
from bench.scheduler_compare_log import read_gate, read_scores
from bench.scheduler_compare_stock import claims_for, make_stock, path_of
from bench.scheduler_compare_world import make_nodes, make_pods

NEW = """\
I1 1 schedule_one.go:1] "Attempting to schedule pod" pod="default/p"
I1 1 schedule_one.go:2] "Plugin scored node for pod" pod="default/p" plugin="TaintToleration" node="a" score=300
I1 1 schedule_one.go:2] "Plugin scored node for pod" pod="default/p" plugin="TaintToleration" node="b" score=0
I1 1 schedule_one.go:2] "Plugin scored node for pod" pod="default/p" plugin="NodeResourcesFit" node="a" score=50
I1 1 schedule_one.go:2] "Plugin scored node for pod" pod="default/p" plugin="NodeResourcesFit" node="b" score=60
I1 1 schedule_one.go:2] "Plugin scored node for pod" pod="default/q" plugin="NodeResourcesFit" node="b" score=1
"""
OLD = """\
I1 1 generic_scheduler.go:1] Plugin TaintToleration scores on default/p => [{a 300} {b 0}]
I1 1 generic_scheduler.go:1] Plugin NodeResourcesFit scores on default/p => [{a 50} {b 60}]
I1 1 generic_scheduler.go:1] Plugin NodeResourcesFit scores on default/q => [{b 1}]
I1 1 generic_scheduler.go:2] Host a => Score 350
"""


def test_scores_are_read_from_the_logs_of_new_and_old_versions() -> None:
    for log in (NEW, OLD):
        found = read_scores(log, "default/p")

        assert found.by_plugin == {"TaintToleration": {"a": 300, "b": 0}, "NodeResourcesFit": {"a": 50, "b": 60}}
        assert (found.nodes, found.totals) == (["a", "b"], {"a": 350, "b": 60})
    assert read_scores(NEW, "default/r").nodes == []


def test_why_a_pod_is_not_tried_is_read_too() -> None:
    line = 'I1 1 q.go:1] "Status after running PreEnqueue plugin" pod="default/p" plugin="DynamicResources" status="{}"'
    log = "\n".join([line.format("first"), line.format('could not find ResourceClaim \\"default/x\\"')])

    assert (read_gate(log, "default/p"), read_gate(log, "default/q")) == (
        'could not find ResourceClaim "default/x"',
        "",
    )


def test_scores_are_equal_up_to_a_constant() -> None:
    assert is_shifted({"a": 1, "b": 5}, {"a": 101, "b": 105})
    assert not is_shifted({"a": 1, "b": 5}, {"a": 101, "b": 106})
    assert not is_shifted({"a": 1}, {"a": 1, "b": 1})


def test_what_is_said_of_preemption_is_not_compared() -> None:
    for more in ("preemption: 0/1 nodes", "no new claims to deallocate, preemption: 0/1 nodes"):
        assert words(f"0/1 nodes are available: 1 Too many pods. {more}") == words(
            "0/1 nodes are available: 1 Too many pods."
        )


def test_the_configuration_is_one_that_the_version_reads() -> None:
    versions = {minor: configuration(Path("k"), minor) for minor in (20, 23, 36)}

    assert [version["apiVersion"].rpartition("/")[2] for version in versions.values()] == ["v1beta1", "v1beta2", "v1"]
    assert "NodeResourcesLeastAllocated" in str(versions[20]) and "NodeResourcesFit" in str(versions[36])


def test_every_api_server_takes_the_pods_and_nodes_and_the_same_seed_makes_the_same() -> None:
    pods, nodes = make_pods(100, 3, "mine"), make_nodes(20, 3)
    stock, claims = make_stock(nodes, 3), [claim for pod in pods for claim in claims_for(pod)]

    found = read([*stock, *pods, *nodes, *claims], "default", [])

    assert len(found.pods) == 100
    assert {obj["kind"] for obj in found.others} >= {"Namespace", "Node", "Service"}
    assert {path_of(obj).startswith("/") for obj in (*stock, *claims)} == {True}
    assert pods == make_pods(100, 3, "mine") != make_pods(100, 4, "mine")
