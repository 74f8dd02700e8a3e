"""The slow reference says what the real kube-scheduler said of 300 random clusters: who may, who may not and why."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scheduler import fixtures
from tests.scheduler.reference import answer
from tests.scheduler.reference_cluster import Cluster


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.slow) for part in range(1, 10))])
def test_the_reference_answers_as_kube_scheduler_did(part: int) -> None:
    clusters = fixtures.clusters()[part::10]

    wrong = [step["pod"]["metadata"]["name"] for cluster in clusters for step in wrong_answers(cluster)]

    assert clusters and wrong == []


def wrong_answers(recorded: dict[str, Any]) -> list[dict[str, Any]]:
    cluster, wrong = Cluster(), []
    for node in recorded["nodes"]:
        cluster.set_node(node)
    for step in recorded["steps"]:
        if "remove" in step:
            del cluster.pods[fixtures.key_of_removed(recorded, step)]
            continue
        found, expected = answer(step["pod"], cluster), step["answer"]
        same = (sorted(found.feasible), found.reasons) == (sorted(expected["feasible"]), expected["reasons"])
        if not same or fixtures.difference(found.totals, expected["total"]) is None:
            wrong.append(step)
        if step["place"]:
            cluster.place(step["pod"], step["place"])
    return wrong
