"""Jobs of real processes, as people run them with kubectl."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.kubectl import Kubectl, kubectl_binaries
from tests.cluster.live import LiveCluster

BINARIES = list(kubectl_binaries())
VERSIONS = list(dict.fromkeys([*BINARIES[:1], *BINARIES[-1:]])) or [None]  # the oldest and the newest


@pytest.fixture(params=VERSIONS)
def k(request: pytest.FixtureRequest, cluster: LiveCluster) -> Iterator[Kubectl]:
    """In a namespace of its own."""
    namespace = f"jobs-{str(request.param).replace('.', '-').replace(' ', '-').lower()}"
    admin = cluster.kubectl(request.param)
    admin("create", "namespace", namespace)
    yield cluster.kubectl(request.param, namespace)
    admin("delete", "namespace", namespace, "--wait=true", "--timeout=60s")


def job(name: str, script: str, restart: str = "Never", **spec: Any) -> str:
    container = {"name": "main", "image": "none", "command": ["sh", "-c", script]}
    template = {"spec": {"restartPolicy": restart, "containers": [container]}}
    whole = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {**spec, "template": template},
    }
    return json.dumps(whole)


def read(k: Kubectl, kind: str, name: str) -> Any:
    return json.loads(k("get", kind, name, "-o", "json"))


def test_a_job_completes_and_its_log_is_read(k: Kubectl) -> None:
    k("apply", "-f", "-", stdin=job("pi", "echo 3.14159"))
    k("wait", "--for=condition=complete", "job/pi", "--timeout=60s")

    assert k("logs", "job/pi") == "3.14159\n"
    assert k("get", "job", "pi", "--no-headers").split()[:3] == ["pi", "Complete", "1/1"]
    told = k("describe", "job", "pi")
    assert "SuccessfulCreate" in told
    assert "Job completed" in told
    k("delete", "job", "pi")
    k("wait", "--for=delete", "pod", "-l", "job-name=pi", "--timeout=60s")


def test_kubectl_creates_a_job_of_a_command(k: Kubectl) -> None:
    k("create", "job", "hello", "--image=none", "--", "echo", "hello")
    k("wait", "--for=condition=complete", "job/hello", "--timeout=60s")

    assert k("logs", "job/hello") == "hello\n"


def test_a_job_fails_at_its_limit(k: Kubectl) -> None:
    k("apply", "-f", "-", stdin=job("broken", "exit 3", backoffLimit=0))
    k("wait", "--for=condition=failed", "job/broken", "--timeout=60s")

    status = read(k, "job", "broken")["status"]
    assert (status["failed"], status["conditions"][-1]["reason"]) == (1, "BackoffLimitExceeded")
    [pod] = json.loads(k("get", "pods", "-l", "job-name=broken", "-o", "json"))["items"]
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    assert "finalizers" not in pod["metadata"]


def test_what_fails_at_first_is_started_again_in_its_pod(k: Kubectl, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    k("apply", "-f", "-", stdin=job("second", f"test -e {mark} && exit 0; touch {mark}; exit 1", "OnFailure"))
    k("wait", "--for=condition=complete", "job/second", "--timeout=90s")

    [pod] = json.loads(k("get", "pods", "-l", "job-name=second", "-o", "json"))["items"]
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 1


def test_each_pod_of_an_indexed_job_knows_its_index(k: Kubectl) -> None:
    spec = {"completions": 3, "parallelism": 2, "completionMode": "Indexed"}
    k("apply", "-f", "-", stdin=job("shards", 'echo "shard $JOB_COMPLETION_INDEX"', **spec))
    k("wait", "--for=condition=complete", "job/shards", "--timeout=60s")

    assert read(k, "job", "shards")["status"]["completedIndexes"] == "0-2"
    for index in range(3):
        assert k("logs", "-l", f"batch.kubernetes.io/job-completion-index={index}") == f"shard {index}\n"


def test_a_suspended_job_stops_its_processes_and_goes_on(k: Kubectl) -> None:
    k("apply", "-f", "-", stdin=job("long", "sleep 1000", parallelism=2, completions=2))
    k("wait", "--for=jsonpath={.status.ready}=2", "job/long", "--timeout=60s")
    k("patch", "job", "long", "-p", '{"spec":{"suspend":true}}')
    k("wait", "--for=condition=suspended", "job/long", "--timeout=60s")
    k("wait", "--for=delete", "pod", "-l", "job-name=long", "--timeout=60s")
    k("patch", "job", "long", "-p", '{"spec":{"suspend":false}}')
    k("wait", "--for=jsonpath={.status.ready}=2", "job/long", "--timeout=60s")

    assert "failed" not in read(k, "job", "long")["status"]
    k("delete", "job", "long", "--cascade=foreground")


def test_a_deadline_ends_the_processes(k: Kubectl) -> None:
    k("apply", "-f", "-", stdin=job("endless", "sleep 1000", activeDeadlineSeconds=2))
    k("wait", "--for=condition=failed", "job/endless", "--timeout=90s")

    assert read(k, "job", "endless")["status"]["conditions"][-1]["reason"] == "DeadlineExceeded"


def test_a_job_that_has_ended_goes_when_its_time_is_over(k: Kubectl) -> None:
    k("apply", "-f", "-", stdin=job("brief", "true", ttlSecondsAfterFinished=1))
    k("wait", "--for=delete", "job/brief", "--timeout=60s")

    k("wait", "--for=delete", "pod", "-l", "job-name=brief", "--timeout=60s")


def test_a_job_is_made_from_a_cron_job_by_hand(k: Kubectl) -> None:
    k("create", "cronjob", "yearly", "--image=none", "--schedule=0 0 1 1 *", "--", "echo", "a year has passed")
    k("create", "job", "now", "--from=cronjob/yearly")
    k("wait", "--for=condition=complete", "job/now", "--timeout=60s")

    assert k("logs", "job/now") == "a year has passed\n"
    assert k("get", "cronjob", "yearly", "--no-headers").split()[:6] == ["yearly", "0", "0", "1", "1", "*"]
    k("delete", "cronjob", "yearly")
    k("wait", "--for=delete", "job/now", "--timeout=60s")
