"""Jobs in a whole cluster: API server, store, scheduler, kubelets and controllers, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from actorkube.testing import Cluster
from protocols.objects import Object
from protocols.rules.conditions import condition_is


def job(name: str, exit_after: str = "5", exit_code: str = "0", **spec: Any) -> Object:
    scripted = {"actorkube.dev/sim-exit-after": exit_after, "actorkube.dev/sim-exit-code": exit_code}
    template = {
        "metadata": {"annotations": scripted},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}]},
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {**spec, "template": template}}


@pytest.mark.slow
@pytest.mark.actorkube(nodes=2, etcd=1)
def test_a_job_survives_its_controller_and_a_node(cluster: Cluster) -> None:
    cluster.apply(job("shards", completions=4, parallelism=2, completionMode="Indexed", exit_after="30"))
    cluster.eventually(lambda: cluster.get("job/shards")["status"].get("ready") == 2, within="2m")
    cluster.kill("controller-manager")
    cluster.clock.advance("35s")
    cluster.restart("controller-manager")
    cluster.eventually(lambda: cluster.get("job/shards")["status"].get("succeeded") == 2, within="2m")
    cluster.eventually(lambda: cluster.get("job/shards")["status"].get("ready") == 2, within="2m")
    lost = cluster.list("pods", fields="status.phase=Running")[0]["spec"]["nodeName"]
    cluster.kill(lost)
    cluster.eventually(lambda: condition_is(cluster.get("job/shards"), "SuccessCriteriaMet"), within="30m")
    assert not condition_is(cluster.get("job/shards"), "Complete")  # who knows what still runs there?
    cluster.restart(lost)
    cluster.eventually(lambda: condition_is(cluster.get("job/shards"), "Complete"), within="10m")

    status = cluster.get("job/shards")["status"]
    assert (status["completedIndexes"], status["succeeded"]) == ("0-3", 4)


@pytest.mark.slow
@pytest.mark.actorkube(nodes=1, etcd=1)
def test_what_fails_for_good_is_told_by_its_code(cluster: Cluster) -> None:
    rules = [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}]
    cluster.apply(job("broken", exit_code="42", podFailurePolicy={"rules": rules}))
    cluster.eventually(lambda: condition_is(cluster.get("job/broken"), "Failed"), within="2m")

    [pod] = cluster.list("pods")
    status = cluster.get("job/broken")["status"]
    why = f"Container main for pod default/{pod['metadata']['name']} failed with exit code 42"
    assert status["conditions"][-1]["message"] == f"{why} matching FailJob rule at index 0"
    assert (status["failed"], pod["status"]["phase"]) == (1, "Failed")


@pytest.mark.actorkube(nodes=1, etcd=1)
def test_a_cron_job_runs_by_the_clock_and_its_old_jobs_go(cluster: Cluster) -> None:
    spec = {"schedule": "*/10 * * * *", "successfulJobsHistoryLimit": 2, "jobTemplate": {"spec": job("x")["spec"]}}
    cluster.apply({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick"}, "spec": spec})
    cluster.clock.advance("45m")

    cron_job = cluster.get("cronjob/tick")
    assert cron_job["status"]["lastScheduleTime"] == "2026-01-01T00:40:00Z"
    assert "active" not in cron_job["status"]
    minutes = [int(each["metadata"]["name"].removeprefix("tick-")) for each in cluster.list("jobs")]
    assert [minute % 60 for minute in minutes] == [30, 40]
    assert len(cluster.list("pods")) == 2
