"""kubectl logs: the kubelet of the pod's node is asked, and what it sends is passed on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest

from actorkube.runtime import Actor
from actors.apiserver.rest.logs import choose_container, log_request
from actors.apiserver.rest.params import Params
from protocols.api import LogChunk, ReadLog
from protocols.errors import BadRequest, NotFound
from protocols.message import Message
from protocols.objects import Object
from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.world import pod

PODS = "/api/v1/namespaces/default/pods"


class Kubelet(Actor):
    """Sends what it was asked for as the log."""

    concurrency = 8

    def receive(self, message: Message) -> object:
        assert isinstance(message, ReadLog)
        if message.previous:
            raise NotFound(f'previous terminated container "{message.container}" in pod "{message.pod}" not found')
        return self._log(message)

    async def _log(self, message: ReadLog) -> AsyncGenerator[LogChunk, None]:
        for number in range(3):
            yield LogChunk(f"{message.pod}/{message.container} {number} tail={message.tail_lines}\n".encode())


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        await client.world.actor("n1-kubelet", "kubelet", Kubelet())
        yield client


@pytest.mark.slow
async def test_a_log_is_what_the_kubelet_sends(api: Rest) -> None:
    await api.create(PODS, pod("web", node="n1"))

    answer = await api.get(f"{PODS}/web/log?tailLines=5&follow=true")

    assert answer.code == 200 and answer.headers["Content-Type"] == "text/plain"
    assert answer.body == b"web/main 0 tail=5\nweb/main 1 tail=5\nweb/main 2 tail=5\n"


async def test_logs_that_there_cannot_be_are_refused(api: Rest) -> None:
    await api.create(PODS, pod("web", node="n1"))
    await api.create("/api/v1/nodes", {"metadata": {"name": "n9"}})
    await api.create(PODS, pod("lost", node="n9"))

    answers = {
        path: await api.get(f"{PODS}/{path}")
        for path in ("web/log?container=other", "web/log?previous=true", "lost/log", "nobody/log")
    }

    messages = [(answer.code, answer.json["message"]) for answer in answers.values()]
    assert messages[0] == (400, "container other is not valid for pod web")
    assert messages[1] == (404, 'previous terminated container "main" in pod "web" not found')
    assert messages[2][0] == 500 and "the kubelet of node n9 does not answer" in messages[2][1]
    assert messages[3] == (404, 'pods "nobody" not found')


def with_containers(*names: str, **annotations: str) -> Object:
    spec = {"containers": [{"name": name} for name in names], "initContainers": [{"name": "setup"}]}
    return {"metadata": {"name": "web", "namespace": "default", "annotations": annotations}, "spec": spec}


def test_the_container_is_the_only_one_the_default_one_or_must_be_named() -> None:
    annotated = with_containers("a", "b")
    annotated["metadata"]["annotations"] = {"kubectl.kubernetes.io/default-container": "b"}

    assert choose_container(with_containers("only"), "") == "only"
    assert choose_container(annotated, "") == "b"
    assert choose_container(with_containers("a", "b"), "setup") == "setup"
    with pytest.raises(BadRequest, match=r"choose one of: \[a b\] or one of the init containers: \[setup\]"):
        choose_container(with_containers("a", "b"), "")


def test_times_are_asked_for_as_an_age() -> None:
    at = 1_767_225_600.0  # 2026-01-01T00:00:00Z

    since = log_request(with_containers("a"), Params({"sinceTime": "2026-01-01T00:00:00Z"}), at + 90)
    plain = log_request(with_containers("a"), Params({"sinceSeconds": "5", "timestamps": "true"}), at)

    assert since.since_s == 90 and (plain.since_s, plain.timestamps, plain.tail_lines) == (5, True, -1)
    with pytest.raises(BadRequest, match="parsing time"):
        log_request(with_containers("a"), Params({"sinceTime": "yesterday"}), at)
