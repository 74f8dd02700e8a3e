"""Scale, binding, eviction, and reviews."""

from __future__ import annotations

import asyncio

import pytest

from protocols.api import Bind, Binding
from protocols.errors import AlreadyExists, BadRequest, Conflict, Invalid, NotFound, TooManyRequests, decode_error
from protocols.objects import Object, revision_of, uid_of
from tests.apiserver.world import World, deployment, pod


async def test_a_scale_shows_and_sets_the_replicas(api: World) -> None:
    await api.create("deployments.apps", deployment("web", replicas=2))
    scale = await api.get("deployments.apps", "web", subresource="scale")
    assert (scale["kind"], scale["spec"], scale["status"]) == (
        "Scale",
        {"replicas": 2},
        {"replicas": 0, "selector": "app=web"},
    )

    answer = await api.update("deployments.apps", {**scale, "spec": {"replicas": 5}}, "scale")

    scaled = await api.get("deployments.apps", "web")
    assert answer["spec"] == {"replicas": 5} and scaled["spec"]["replicas"] == 5
    assert scaled["metadata"]["generation"] == 2
    with pytest.raises(Conflict, match="the object has been modified"):
        await api.update("deployments.apps", {**scale, "spec": {"replicas": 7}}, "scale")


@pytest.mark.parametrize(
    ("type", "patch"),
    [
        ("merge", {"spec": {"replicas": 0}}),
        ("strategic", {"spec": {"replicas": 0}}),
        ("json", [{"op": "replace", "path": "/spec/replicas", "value": 0}]),
    ],
)
async def test_a_scale_can_be_patched_down_to_nothing(api: World, type: str, patch: object) -> None:
    await api.create("deployments.apps", deployment("web"))

    await api.patch("deployments.apps", "web", patch, type=type, subresource="scale")

    assert (await api.get("deployments.apps", "web"))["spec"]["replicas"] == 0


async def test_a_scale_that_makes_no_sense_is_refused(api: World) -> None:
    await api.create("deployments.apps", deployment("web"))

    with pytest.raises(Invalid, match=r'Scale\.autoscaling "web" is invalid: spec\.replicas'):
        await api.patch("deployments.apps", "web", {"spec": {"replicas": -1}}, subresource="scale")
    with pytest.raises(Invalid, match="cannot unmarshal"):
        await api.patch("deployments.apps", "web", {"spec": {"replicas": "x"}}, subresource="scale")
    with pytest.raises(NotFound):
        await api.patch("deployments.apps", "other", {"spec": {"replicas": 1}}, subresource="scale")


def binding(name: str, node: str, uid: str = "") -> Object:
    metadata = {"name": name, "namespace": "default", **({"uid": uid} if uid else {})}
    target = {"apiVersion": "v1", "kind": "Node", "name": node}
    return {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}


async def test_a_binding_gives_a_pod_its_node_once(api: World) -> None:
    await api.create("pods", pod("web"))

    await api.create("pods", binding("web", "n1"), subresource="binding", name="web")

    bound = await api.get("pods", "web")
    assert bound["spec"]["nodeName"] == "n1"
    conditions = {condition["type"]: condition["status"] for condition in bound["status"]["conditions"]}
    assert conditions == {"PodScheduled": "True"}
    with pytest.raises(Conflict, match='pod web is already assigned to node "n1"'):
        await api.create("pods", binding("web", "n2"), subresource="binding", name="web")


async def test_a_pod_that_has_its_node_waits_for_none(api: World) -> None:
    await api.create("pods", pod("web"))
    await api.patch("pods", "web", {"status": {"nominatedNodeName": "n1"}}, subresource="status")

    await api.create("pods", binding("web", "n1"), subresource="binding", name="web")

    status = (await api.get("pods", "web"))["status"]
    assert "nominatedNodeName" not in status and status["phase"] == "Pending"


async def test_of_two_bindings_at_the_same_time_one_wins(api: World) -> None:
    await api.create("pods", pod("web"))

    outcomes = await asyncio.gather(
        *(api.create("pods", binding("web", f"n{i}"), subresource="binding", name="web") for i in range(8)),
        return_exceptions=True,
    )

    won = [outcome for outcome in outcomes if not isinstance(outcome, Conflict)]
    assert len(won) == 1 and isinstance(won[0], dict)
    assert (await api.get("pods", "web"))["spec"]["nodeName"] == won[0]["spec"]["nodeName"]


async def test_a_binding_is_for_the_pod_it_names_and_not_for_one_that_is_going(api: World) -> None:
    await api.create("pods", pod("web"))
    await api.create("pods", pod("going", finalizers=["example.com/held"]))
    await api.delete("pods", "going")

    with pytest.raises(Conflict, match="UID in precondition: other"):
        await api.create("pods", binding("web", "n1", uid="other"), subresource="binding", name="web")
    with pytest.raises(Conflict, match="is being deleted, cannot be assigned to a host"):
        await api.create("pods", binding("going", "n1"), subresource="binding", name="going")
    with pytest.raises(Invalid, match=r"target.name: Required value"):
        await api.create("pods", binding("web", ""), subresource="binding", name="web")
    with pytest.raises(BadRequest, match="does not match the name on the URL"):
        await api.create("pods", binding("web", "n1"), subresource="binding", name="other")


async def test_bindings_of_one_message_are_each_by_itself(api: World) -> None:
    pods = {name: await api.create("pods", pod(name)) for name in ("a", "b", "bound")}
    await api.create("pods", binding("bound", "n1"), subresource="binding", name="bound")
    asked = [
        ("a", "n1", uid_of(pods["a"])),
        ("b", "n2", ""),
        ("bound", "n2", ""),
        ("a", "n2", ""),
        ("nobody", "n1", ""),
    ]

    outcomes = await api.ask(Bind(tuple(Binding("default", *each) for each in asked)))

    errors = [decode_error(error) if error else None for error in outcomes.errors]
    assert [type(error) for error in errors] == [type(None), type(None), Conflict, Conflict, NotFound]
    assert 'pod bound is already assigned to node "n1"' in str(errors[2])
    bound = {name: await api.get("pods", name) for name in pods}
    assert {name: obj["spec"]["nodeName"] for name, obj in bound.items()} == {"a": "n1", "b": "n2", "bound": "n1"}
    assert len({revision_of(obj) for obj in bound.values()}) == 3, "a watch that is cut goes on between any two"
    alone = {condition["type"]: condition["status"] for condition in bound["a"]["status"]["conditions"]}
    assert alone == {"PodScheduled": "True"}


async def test_a_message_of_too_many_bindings_is_refused(api: World) -> None:
    with pytest.raises(BadRequest, match="at most 256 bindings"):
        await api.ask(Bind((Binding("default", "web", "n1"),) * 257))


async def test_a_binding_is_for_the_pod_of_its_uid_also_in_a_message_of_several(api: World) -> None:
    await api.create("pods", pod("web"))

    outcomes = await api.ask(Bind((Binding("default", "web", "n1", "other"), Binding("default", "web", "", ""))))

    assert [type(decode_error(error)) for error in outcomes.errors] == [Conflict, Invalid]
    assert not (await api.get("pods", "web"))["spec"].get("nodeName")


def eviction(name: str) -> Object:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}


async def running_pod(api: World, name: str) -> None:
    await api.create("pods", pod(name, node="n1", labels={"app": "web"}))
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    await api.patch("pods", name, {"status": ready}, subresource="status")


async def test_an_eviction_is_a_delete_where_no_budget_speaks_against_it(api: World) -> None:
    await running_pod(api, "web")

    await api.create("pods", eviction("web"), subresource="eviction", name="web")

    evicted = await api.get("pods", "web")
    assert evicted["metadata"]["deletionTimestamp"]
    why = next(each for each in evicted["status"]["conditions"] if each["type"] == "DisruptionTarget")
    expected = {"status": "True", "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"}
    assert {key: why[key] for key in expected} == expected


async def test_an_eviction_of_another_pod_of_that_name_leaves_no_mark(api: World) -> None:
    await running_pod(api, "web")

    with pytest.raises(Conflict):
        asked = {**eviction("web"), "deleteOptions": {"preconditions": {"uid": "of-another"}}}
        await api.create("pods", asked, subresource="eviction", name="web")

    assert [each["type"] for each in (await api.get("pods", "web"))["status"]["conditions"]] == ["Ready"]


async def test_an_eviction_that_is_a_dry_run_evicts_nobody_and_spends_nothing(api: World) -> None:
    """kubectl drain --dry-run=server says so in the options of the deletion alone."""
    await running_pod(api, "web")
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    }
    await api.create("poddisruptionbudgets.policy", budget)
    counted = {"observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 1, "desiredHealthy": 0}
    await api.patch(
        "poddisruptionbudgets.policy", "web", {"status": {**counted, "expectedPods": 1}}, subresource="status"
    )

    dry = {**eviction("web"), "deleteOptions": {"dryRun": ["All"]}}
    await api.create("pods", dry, subresource="eviction", name="web")
    with pytest.raises(Invalid, match=r'Unsupported value: \["Some"\]: supported values: "All"'):
        strange = {**eviction("web"), "deleteOptions": {"dryRun": ["Some"]}}
        await api.create("pods", strange, subresource="eviction", name="web")

    assert "deletionTimestamp" not in (await api.get("pods", "web"))["metadata"]
    status = (await api.get("poddisruptionbudgets.policy", "web"))["status"]
    assert status["disruptionsAllowed"] == 1 and "disruptedPods" not in status


async def test_evictions_spend_a_disruption_budget_until_there_is_none_left(api: World) -> None:
    for name in ("a", "b"):
        await running_pod(api, name)
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    }
    await api.create("poddisruptionbudgets.policy", budget)
    with pytest.raises(TooManyRequests, match="violate the pod's disruption budget"):
        await api.create("pods", eviction("a"), subresource="eviction", name="a")  # nobody has counted yet
    counted = {
        "observedGeneration": 1,
        "disruptionsAllowed": 1,
        "currentHealthy": 2,
        "desiredHealthy": 1,
        "expectedPods": 2,
    }
    await api.patch("poddisruptionbudgets.policy", "web", {"status": counted}, subresource="status")

    await api.create("pods", eviction("a"), subresource="eviction", name="a")
    with pytest.raises(TooManyRequests) as refused:
        await api.create("pods", eviction("b"), subresource="eviction", name="b")

    assert refused.value.details["causes"][0]["reason"] == "DisruptionBudget"
    status = (await api.get("poddisruptionbudgets.policy", "web"))["status"]
    assert status["disruptionsAllowed"] == 0 and list(status["disruptedPods"]) == ["a"]
    assert "deletionTimestamp" not in (await api.get("pods", "b"))["metadata"]


async def test_events_of_both_versions_are_one_store(api: World) -> None:
    regarding = {"kind": "Pod", "namespace": "default", "name": "web"}
    event = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "e1", "namespace": "default"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "example.com/tests",
        "reportingInstance": "one",
        "action": "Test",
        "reason": "Tested",
        "type": "Normal",
        "note": "hello",
        "regarding": regarding,
    }

    await api.create("events.events.k8s.io", event)

    core = await api.get("events", "e1")
    assert (core["apiVersion"], core["message"], core["involvedObject"]) == ("v1", "hello", regarding)
    assert (await api.get("events.events.k8s.io", "e1"))["note"] == "hello"
    assert await api.names("events", fields="involvedObject.name=web,reason=Tested") == ["e1"]
    with pytest.raises(AlreadyExists):
        await api.create("events.events.k8s.io", event)


async def test_reviews_answer_who_one_is_and_what_one_may(api: World) -> None:
    def review(kind: str, group: str, spec: Object) -> Object:
        return {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {}, "spec": spec}

    authorization, authentication = "authorization.k8s.io", "authentication.k8s.io"
    me = await api.create(f"selfsubjectreviews.{authentication}", review("SelfSubjectReview", authentication, {}))
    attributes = {"resourceAttributes": {"verb": "get", "resource": "pods"}}
    mine = await api.create(
        f"selfsubjectaccessreviews.{authorization}", review("SelfSubjectAccessReview", authorization, attributes)
    )
    others = await api.create(
        f"subjectaccessreviews.{authorization}",
        review("SubjectAccessReview", authorization, {"user": "jane", **attributes}),
    )
    token = await api.create(
        f"tokenreviews.{authentication}", review("TokenReview", authentication, {"token": "guess"})
    )

    assert me["status"]["userInfo"] == {
        "username": "system:admin",
        "groups": ["system:masters", "system:authenticated"],
    }
    assert mine["status"]["allowed"] is True and others["status"]["allowed"] is False
    assert "authenticated" not in token["status"]


# -- ephemeral containers ---------------------------------------------------------------------------------------------


def debugger(name: str = "debugger", **fields: object) -> Object:
    return {"name": name, "image": "label", "command": ["sh"], **fields}


async def add(api: World, *containers: Object) -> Object:
    patch = {"spec": {"ephemeralContainers": list(containers)}}
    return await api.patch("pods", "web", patch, type="strategic", subresource="ephemeralcontainers")


async def test_ephemeral_containers_are_added_by_their_own_way_alone(api: World) -> None:
    await api.create("pods", pod("web"))

    await add(api, debugger())
    both = await add(api, debugger("second"))

    assert [each["name"] for each in both["spec"]["ephemeralContainers"]] == ["second", "debugger"]
    assert both["spec"]["ephemeralContainers"][0]["terminationMessagePath"] == "/dev/termination-log"
    with pytest.raises(Invalid, match=r"spec.ephemeralContainers: Forbidden: cannot be set on create"):
        await api.create(
            "pods", {**pod("other"), "spec": {**pod("other")["spec"], "ephemeralContainers": [debugger()]}}
        )
    with pytest.raises(Invalid, match="pod updates may not change fields other than"):
        await api.patch("pods", "web", {"spec": {"ephemeralContainers": [debugger("third")]}}, type="strategic")


async def test_the_way_for_ephemeral_containers_changes_nothing_else(api: World) -> None:
    before = await api.create("pods", pod("web"))
    patch = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"ephemeralContainers": [debugger()], "activeDeadlineSeconds": 5},
        "status": {"phase": "Failed"},
    }

    changed = await api.patch("pods", "web", patch, type="strategic", subresource="ephemeralcontainers")

    assert changed["metadata"].get("labels") == before["metadata"].get("labels")
    assert changed["status"] == before["status"]
    assert {**changed["spec"], "ephemeralContainers": None} == {**before["spec"], "ephemeralContainers": None}


CHANGED = r"""existing ephemeral containers "debugger" may not be changed\n(.*\n)*\+ "Image": "other","""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("containers", "words"),
    [
        ([debugger(image="other")], CHANGED),
        ([], r'existing ephemeral containers "debugger" may not be removed'),
        ([debugger(), debugger("main")], r'spec.ephemeralContainers\[1\].name: Duplicate value: "main"'),
        ([debugger(), debugger("x", targetContainerName="nobody")], r"targetContainerName: Not found"),
        ([debugger(), debugger("x", ports=[{"containerPort": 80}])], r"cannot be set for an Ephemeral Container"),
    ],
)
async def test_ephemeral_containers_that_may_not_be_are_refused(
    api: World, containers: list[Object], words: str
) -> None:
    await api.create("pods", pod("web"))
    await add(api, debugger())
    current = await api.get("pods", "web")

    with pytest.raises(Invalid, match=words):
        spec = {**current["spec"], "ephemeralContainers": containers}
        await api.update("pods", {**current, "spec": spec}, "ephemeralcontainers")
