"""What a kube-apiserver 1.36.2 answered to logs, commands and ports that could not be had; ours answers the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.world import pod

pytestmark = pytest.mark.slow  # a server for each answer

PODS = "/api/v1/namespaces/default/pods"
SPDY = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": "v4.channel.k8s.io"}
STREAM = 'PodLogOptions "a" is invalid: stream: Forbidden: may not be specified'


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


def with_two(name: str, node: str = "") -> Any:
    containers = [{"name": container, "image": "i"} for container in ("a", "b")]
    made = pod(name, node=node)
    return {**made, "spec": {**made["spec"], "containers": containers}}


@pytest.mark.parametrize("subresource", ["exec", "attach"])
@pytest.mark.parametrize("node", ["", "nowhere"])
@pytest.mark.parametrize(
    ("container", "words"),
    [
        ("", "a container name must be specified for pod a, choose one of: [a b]"),
        ("&container=zz", "container zz is not valid for pod a"),
    ],
)
async def test_the_container_is_looked_for_before_anything_else(
    api: Rest, subresource: str, node: str, container: str, words: str
) -> None:
    await api.create(PODS, with_two("a", node))

    answer = await api.send("POST", f"{PODS}/a/{subresource}?x=1{container}")

    assert (answer.code, answer.json["message"]) == (400, words)


@pytest.mark.parametrize(("method", "what"), [("GET", "log"), ("POST", "exec?command=ls&stdout=1")])
async def test_where_a_node_is_not_there_it_is_said_of_a_pod(api: Rest, method: str, what: str) -> None:
    await api.create(PODS, pod("a", node="nowhere"))

    answer = await api.send(method, f"{PODS}/a/{what}", **(SPDY if method == "POST" else {}))

    assert (answer.code, answer.json["message"]) == (404, 'pods "nowhere" not found')


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_how_no_command_is_run(api: Rest, method: str) -> None:
    answer = await api.send(method, f"{PODS}/a/exec?command=ls")

    said = "the server does not allow this method on the requested resource"
    assert (answer.code, answer.json["message"]) == (405, said)


@pytest.mark.parametrize(
    ("ports", "why"),
    [("abc", 'parsing "abc": invalid syntax'), ("80,70000", 'parsing "70000": value out of range')],
)
async def test_what_is_no_port(api: Rest, ports: str, why: str) -> None:
    await api.create(PODS, pod("a"))

    answer = await api.send("POST", f"{PODS}/a/portforward?ports={ports}")

    assert (answer.code, answer.json["message"]) == (400, f"cannot convert to []int32: strconv.ParseUint: {why}")


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("stream=Stdout", 422, STREAM),
        ("stream=Nope&tailLines=1", 422, STREAM),
        ("sinceTime=abc", 400, 'parsing time "abc" as "2006-01-02T15:04:05Z07:00": cannot parse "abc" as "2006"'),
    ],
)
async def test_which_logs_cannot_be_asked_for(api: Rest, query: str, code: int, words: str) -> None:
    await api.create(PODS, pod("a"))

    answer = await api.get(f"{PODS}/a/log?{query}")

    assert (answer.code, answer.json["message"]) == (code, words)


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("tailLines=x", 400, 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("stream=Stdout", 422, STREAM),
        ("sinceTime=abc", 400, 'parsing time "abc" as "2006-01-02T15:04:05Z07:00": cannot parse "abc" as "2006"'),
    ],
)
async def test_a_logs_options_are_read_before_its_pod_is_looked_for(
    api: Rest, query: str, code: int, words: str
) -> None:
    answer = await api.get(f"{PODS}/a/log?{query}")

    assert (answer.code, answer.json["message"]) == (code, words)


@pytest.mark.parametrize(
    ("subresource", "body"),
    [
        ("binding", {"target": {"kind": "Node", "name": "n"}}),
        ("binding", {"metadata": {"name": "b"}, "target": {"kind": "Node", "name": "n"}}),
        ("eviction", {}),
        ("eviction", {"metadata": {"name": "b"}}),
    ],
)
async def test_who_is_bound_or_evicted_is_named_twice(api: Rest, subresource: str, body: Any) -> None:
    await api.create(PODS, pod("a"))

    answer = await api.send("POST", f"{PODS}/a/{subresource}", body)

    said = f"name in URL does not match name in {subresource.capitalize()} object"
    assert (answer.code, answer.json["message"]) == (400, said)


async def test_old_evictions_are_taken(api: Rest) -> None:
    await api.create(PODS, pod("a"))
    eviction = {"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": "a"}}

    assert (await api.send("POST", f"{PODS}/a/eviction", eviction)).code == 201
    assert (await api.get(f"{PODS}/a")).code == 404
