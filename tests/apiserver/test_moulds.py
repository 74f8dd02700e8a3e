"""A pod that is cast in a mould is, byte for byte, the one that goes the whole way; and whatever decides is seen."""

from __future__ import annotations

import asyncio
import copy
import json
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
from actors.apiserver.open_texts import OPEN_MAX, closed, opened
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


def bodies() -> st.SearchStrategy[Object]:
    """Of all kinds of wrong forms, too."""
    text = st.sampled_from(["", "web", "not a label", "a.b", "\N{SNOWMAN}", "x" * 2000]) | st.none() | st.just(7)
    values = st.none() | st.dictionaries(st.sampled_from(["a", "example.com/b", "kubernetes.io/c"]), text)
    variable = st.just("odd") | st.fixed_dictionaries(
        {"name": st.just("A")}, optional={"value": text, "valueFrom": text}
    )
    container = st.just(1) | some(env=st.none() | st.lists(variable, max_size=50))
    containers = st.none() | st.lists(container, max_size=4)
    spec = st.none() | some(hostname=text, containers=containers, initContainers=containers)
    return some(metadata=st.just([]) | some(labels=values, annotations=values), spec=spec, kind=text)


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


async def outcome(api: World, obj: Object, said: str = "b") -> tuple[bytes, str]:
    """What is stored of it, but for what is its own; or how it is refused."""
    try:
        return encode_object(saying("b", shared(await api.create("pods", copy.deepcopy(obj))), said)), ""
    except Answer as refusal:
        return b"", repr(refusal).replace(meta(obj)["name"], "")


def saying(text: str, obj: Object, instead_of: str = "b") -> Object:
    """The object with that as the value of its variable and of its annotation."""
    replaced: Object = json.loads(json.dumps(obj).replace(f'"{instead_of}"', f'"{text}"'))
    return replaced


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
                found = [
                    await outcome(api, called(f"{name}{number}", template)) for name in ("x", "y", "z-z", "w", "-")
                ]
                assert found[0] == found[1] == found[2] == found[3]
                assert found[4][1]  # that is no name
                own = [called(f"own-{name}{number}", saying(name, template)) for name in "xyzw"]
                assert [await outcome(api, obj, name) for name, obj in zip("xyzw", own, strict=True)] == [found[0]] * 4
            assert casts(api)

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(scenario(Path(directory)))


async def test_rest_shows_a_pod_that_was_cast_as_it_is_stored(tmp_path: Path) -> None:
    async with rest(tmp_path) as api:
        answers = [
            await api.send("POST", PODS_PATH, {**pod(name, labels={"app": "web"}), "odd": 1}, User_Agent=agent)
            for name, agent in zip("abcdef", ["one/1"] * 4 + ["two/1"] * 2, strict=True)
        ]
        stored = [await api.get(f"{PODS_PATH}/{name}") for name in "abcdef"]

        assert [answer.body for answer in answers] == [answer.body for answer in stored]
        assert casts(api.world) == 1
        assert shared(answers[0].json) == shared(answers[1].json) == shared(answers[2].json)
        assert {answer.headers["Warning"] for answer in answers} == {'299 - "unknown field \\"odd\\""'}
        assert all(
            meta(pod)["managedFields"][0]["time"] == meta(pod)["creationTimestamp"]
            for pod in (answer.json for answer in answers)
        )
        managers = [meta(answer.json)["managedFields"][0]["manager"] for answer in answers]
        assert managers == ["one", "one", "one", "one", "two", "two"]


def with_texts(owner: str) -> Object:
    """All that may be a pod's own, and a place to which a label's value is copied."""
    obj = pod(owner, labels={"app": "web", "index": f"{owner}text"})
    obj["metadata"]["annotations"] = {"seed": f"{owner}text", "batch.kubernetes.io/job-completion-index": "7"}
    variables = [{"name": "SEED", "value": f"{owner}text"}, {"name": "EMPTY", "value": ""}, {"name": "NONE"}]
    variables += [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]
    spread = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "matchLabelKeys": ["index"]}
    obj["spec"]["hostname"] = f"{owner}text"
    obj["spec"]["topologySpreadConstraints"] = [{**spread, "labelSelector": {"matchLabels": {"app": "web"}}}]
    obj["spec"]["containers"][0]["env"] = copy.deepcopy(variables)
    obj["spec"]["initContainers"] = [{"name": "first", "image": "example", "env": variables}]
    return obj


async def test_pods_of_a_template_may_each_have_texts_that_decide_nothing(tmp_path: Path) -> None:
    async with rest(tmp_path) as api:
        answers = [await api.send("POST", PODS_PATH, with_texts(name)) for name in "abcd"]
        stored = [await api.get(f"{PODS_PATH}/{name}") for name in "abcd"]

        assert [answer.body for answer in answers] == [answer.body for answer in stored]
        assert casts(api.world) == 2
        alike = [
            json.dumps(shared(answer.json)).replace(f'"{name}text"', '"text"')
            for name, answer in zip("abcd", answers, strict=True)
        ]
        assert len(set(alike)) == 1
        assert alike[0].count('"text"') == 6


async def test_a_text_that_may_not_stand_there_is_refused_all_the_same(api: World) -> None:
    for name in "abcd":
        await api.create("pods", with_texts(name))
    label, host, both = with_texts("e"), with_texts("e"), with_texts("e")
    label["metadata"]["labels"]["index"] = "not a label"
    host["spec"]["hostname"] = "No-Host"
    both["spec"]["containers"][0]["env"][3]["value"] = "one too much"

    for wrong, message in ((label, "metadata.labels"), (host, "spec.hostname"), (both, "may not be specified when")):
        with pytest.raises(Invalid, match=message):
            await api.create("pods", wrong)


def test_annotations_that_kubernetes_gives_a_meaning_are_not_open() -> None:
    index, profile = "batch.kubernetes.io/job-completion-index", "container.apparmor.security.beta.kubernetes.io/main"

    _, texts = opened({"metadata": {"annotations": {"seed": "own", index: "7", profile: "unconfined"}}})

    assert texts == ("own", "7")


def test_a_variable_that_takes_up_another_is_not_open() -> None:
    variables = [{"name": "A", "value": "own"}, {"name": "A", "value": "$(A) and more"}]

    _, texts = opened({"spec": {"containers": [{"env": variables}]}})

    assert texts == ("own",)


async def test_pods_that_have_their_texts_in_common_come_from_a_mould_with_nothing_open(api: World) -> None:
    for name in "abcde":
        await api.create("pods", pod(name, labels={"app": "web"}))

    server = api.systems["apiserver"].actor("api")
    assert isinstance(server, ApiServer)
    assert {key[1]: kept.uses for key, kept in server._pipeline._moulds._kept.items()} == {1: 0, 0: 2}


@given(bodies())
def test_what_is_taken_out_of_a_body_can_be_put_in_again(body: Object) -> None:
    before = copy.deepcopy(body)

    left, texts = opened(body)

    assert body == before
    assert closed(left, texts) == body
    assert not texts or left != body
    assert len(texts) <= OPEN_MAX


async def test_a_pod_that_was_cast_is_warned_of_as_the_others_of_its_template_are(tmp_path: Path) -> None:
    async with rest(tmp_path) as api:
        twice = {"containers": [{"name": "main", "image": "a", "env": [{"name": "A", "value": "b"}] * 2}]}
        answers = [
            await api.send("POST", PODS_PATH, {**pod(name), "spec": twice}) for name in ("a", "b", "c", "d", "d.e")
        ]

        said = [answer.headers.getall("Warning") for answer in answers]
        hidden = (
            'spec.containers[0].env[1]: hides previous definition of \\"A\\", which may be dropped when using apply'
        )
        hides = f'299 - "{hidden}"'
        assert casts(api.world) == 1
        assert said[:4] == [[hides]] * 4
        assert (
            said[4][0].startswith("299 - \"metadata.name: this is used in the Pod's hostname") and said[4][1] == hides
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
    kept = _Kept(())

    made = [number for number in range(40) if kept.is_due()]

    assert made == [0, 2, 6, 14, 30]


def test_a_mould_that_served_well_is_made_again_at_once() -> None:
    kept = _Kept(())
    for _ in range(10):
        kept.is_due()
    kept.uses = 8

    assert kept.is_due()


async def test_no_more_templates_are_remembered_than_there_is_room_for(api: World) -> None:
    server = api.systems["apiserver"].actor("api")
    assert isinstance(server, ApiServer)
    call = Call(ADMIN, PODS, "default")

    for number in range(KEPT_MAX + 10):
        spec = {"containers": [{"name": "main", "image": f"image:{number}"}]}
        server._pipeline._moulds.find(call, {**pod("a"), "spec": spec})

    assert len(server._pipeline._moulds._kept) == KEPT_MAX
