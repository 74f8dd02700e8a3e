"""A pod that is cast in a mould is, byte for byte, the one that goes the whole way; and whatever decides is seen."""

from __future__ import annotations

import asyncio
import copy
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from actors.apiserver.actor import ApiServer
from actors.apiserver.callers import ADMIN
from actors.apiserver.calls import Call
from actors.apiserver.moulds import KEPT_MAX, _Kept
from actors.apiserver.schema.resources import find
from protocols.errors import AlreadyExists, Answer, Forbidden, Invalid
from protocols.objects import Object, encode_object, meta
from tests.apiserver.admission.test_plugins import limit_range
from tests.apiserver.admission.test_policies import enact, policy
from tests.apiserver.rest_client import rest
from tests.apiserver.world import World, pod, world
from tests.effort import examples

PODS = find("pods")
assert PODS is not None
PODS_PATH = "/api/v1/namespaces/default/pods"


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Object]:
    return st.fixed_dictionaries({}, optional=fields)


CONTAINER = st.fixed_dictionaries(
    {"name": st.just("main"), "image": st.sampled_from(["a", "a:1", "", 7])},
    optional={
        "env": st.just([{"name": "A", "value": "b"}]),
        "ports": st.just([{"containerPort": 80}]),
        "resources": st.just({"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}}),
        "noSuchField": st.just(1),
    },
)
METADATA = some(
    labels=st.dictionaries(st.sampled_from(["app", "pod-template-hash"]), st.sampled_from(["web", "not a label"])),
    annotations=st.just({"a": "b"}),
    ownerReferences=st.just([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a", "uid": "u"}]),
    finalizers=st.just(["example.com/f"]),
)
SPEC = st.fixed_dictionaries(
    {"containers": st.lists(CONTAINER, min_size=1, max_size=1)},
    optional={
        "nodeName": st.just("nowhere"),
        "hostNetwork": st.just(True),
        "schedulerName": st.none() | st.just("mine"),
        "serviceAccountName": st.just("default"),
        "priority": st.sampled_from([0, 7, "high"]),
        "priorityClassName": st.sampled_from(["system-node-critical", "unheard"]),
        "tolerations": st.just([{"operator": "Exists"}]),
        "volumes": st.just([{"name": "v", "emptyDir": {}}]),
        "noSuchField": st.just(1),
    },
)
TEMPLATES = st.builds(lambda metadata, spec, rest: {"metadata": metadata, "spec": spec, **rest}, METADATA, SPEC, some(
    kind=st.sampled_from(["Pod", "Service"]), apiVersion=st.just("v1"), status=st.just({"phase": "Running"}),
))  # fmt: skip


def casts(api: World) -> int:
    """How many pods were made from a mould that was there already."""
    server = api.systems["apiserver"].actor("api")
    assert isinstance(server, ApiServer)
    return sum(kept.uses for kept in server._pipeline._moulds._kept.values())


def shared(pod: Object) -> Object:
    """All of it that another pod of its template has, too, in its order."""
    pod = copy.deepcopy(pod)
    for own in ("name", "uid", "creationTimestamp", "resourceVersion"):
        assert pod["metadata"].pop(own, None) is not None or own == "resourceVersion"
    for entry in pod["metadata"].get("managedFields") or ():
        del entry["time"]
    return pod


async def outcome(api: World, obj: Object) -> tuple[bytes, str]:
    """What is stored of it, but for what is its own; or how it is refused."""
    try:
        return encode_object(shared(await api.create("pods", copy.deepcopy(obj)))), ""
    except Answer as refusal:
        return b"", repr(refusal).replace(meta(obj)["name"], "")


def called(name: str, obj: Object) -> Object:
    return {**obj, "metadata": {**obj["metadata"], "name": name}}


@pytest.mark.slow
@settings(max_examples=examples(4), phases=[Phase.explicit, Phase.generate])  # shrinking takes a server for each step
@given(st.lists(TEMPLATES, min_size=20, max_size=30))
def test_pods_that_are_cast_are_those_that_went_the_whole_way(templates: list[Object]) -> None:
    async def scenario(directory: Path) -> None:
        async with world(directory) as api:
            for number, template in enumerate([*templates, pod("a", labels={"app": "web"})]):
                template["metadata"]["namespace"] = "default"
                found = [await outcome(api, called(f"{name}{number}", template)) for name in ("x", "y", "z-z", "-")]
                assert found[0] == found[1] == found[2]
                assert found[3][1]  # that is no name
            assert casts(api)

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(scenario(Path(directory)))


async def test_rest_shows_a_pod_that_was_cast_as_it_is_stored(tmp_path: Path) -> None:
    async with rest(tmp_path) as api:
        answers = [
            await api.send("POST", PODS_PATH, {**pod(name, labels={"app": "web"}), "odd": 1}, User_Agent=agent)
            for name, agent in (("a", "one/1"), ("b", "one/1"), ("c", "one/1"), ("d", "two/1"), ("e", "two/1"))
        ]
        stored = [await api.get(f"{PODS_PATH}/{name}") for name in "abcde"]

        assert [answer.body for answer in answers] == [answer.body for answer in stored]
        assert casts(api.world) == 1
        assert shared(answers[0].json) == shared(answers[1].json) == shared(answers[2].json)
        assert {answer.headers["Warning"] for answer in answers} == {'299 - "unknown field \\"odd\\""'}
        assert all(
            meta(pod)["managedFields"][0]["time"] == meta(pod)["creationTimestamp"]
            for pod in (answer.json for answer in answers)
        )
        managers = [meta(answer.json)["managedFields"][0]["manager"] for answer in answers]
        assert managers == ["one", "one", "one", "two", "two"]


async def test_a_pod_that_was_cast_is_warned_of_as_the_others_of_its_template_are(tmp_path: Path) -> None:
    async with rest(tmp_path) as api:
        twice = {"containers": [{"name": "main", "image": "a", "env": [{"name": "A", "value": "b"}] * 2}]}
        answers = [await api.send("POST", PODS_PATH, {**pod(name), "spec": twice}) for name in ("a", "b", "c", "d.e")]

        said = [answer.headers.getall("Warning") for answer in answers]
        hidden = (
            'spec.containers[0].env[1]: hides previous definition of \\"A\\", which may be dropped when using apply'
        )
        hides = f'299 - "{hidden}"'
        assert casts(api.world) == 1
        assert said[0] == said[1] == said[2] == [hides]
        assert (
            said[3][0].startswith("299 - \"metadata.name: this is used in the Pod's hostname") and said[3][1] == hides
        )


async def test_what_was_looked_at_for_a_mould_is_looked_at_again_when_it_changes(api: World) -> None:
    for name in "abc":
        await api.create("pods", pod(name))
    before = casts(api)
    await api.create("limitranges", limit_range(defaultRequest={"cpu": "100m"}))

    late = await api.create("pods", pod("d"))

    assert before == 1
    assert late["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "100m"}}


async def test_a_quota_counts_pods_of_a_template_that_has_a_mould(api: World) -> None:
    for name in "abc":
        await api.create("pods", pod(name))
    head = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "quota", "namespace": "default"}}
    await api.create("resourcequotas", {**head, "spec": {"hard": {"pods": "3"}}})

    with pytest.raises(Forbidden, match="exceeded quota"):
        await api.create("pods", pod("d"))


async def test_a_name_that_is_taken_is_refused_and_so_is_what_is_no_name(api: World) -> None:
    for name in "abc":
        await api.create("pods", pod(name))

    with pytest.raises(AlreadyExists, match='pods "b" already exists'):
        await api.create("pods", pod("b"))
    with pytest.raises(Invalid, match='Invalid value: "D": a lowercase RFC 1123 subdomain'):
        await api.create("pods", pod("D"))


async def test_nothing_is_cast_into_a_namespace_that_is_to_go(api: World) -> None:
    await api.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "short"}})
    for name in "abc":
        await api.create("pods", pod(name, "short"))
    await api.delete("namespaces", "short", "")

    with pytest.raises(Forbidden, match="because it is being terminated"):
        await api.create("pods", pod("d", "short"))


async def test_a_policy_hears_of_pods_of_a_template_that_had_a_mould(api: World) -> None:
    for name in "abc":
        await api.create("pods", pod(name))
    await enact(api, policy("object.metadata.name != 'd'", resources=("pods",)))

    with pytest.raises(Invalid, match="denied request"):
        await api.create("pods", pod("d"))


def test_a_mould_that_hardly_serves_is_made_the_more_seldom() -> None:
    kept = _Kept()

    made = [number for number in range(40) if kept.is_due()]

    assert made == [0, 2, 6, 14, 30]


def test_a_mould_that_served_well_is_made_again_at_once() -> None:
    kept = _Kept()
    for _ in range(10):
        kept.is_due()
    kept.uses = 8

    assert kept.is_due()


async def test_no_more_templates_are_remembered_than_there_is_room_for(api: World) -> None:
    server = api.systems["apiserver"].actor("api")
    assert isinstance(server, ApiServer)
    call = Call(ADMIN, PODS, "default")

    for number in range(KEPT_MAX + 10):
        server._pipeline._moulds.find(call, pod("a", labels={"n": str(number)}))

    assert len(server._pipeline._moulds._kept) == KEPT_MAX
