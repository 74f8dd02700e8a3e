"""Admission of bindings, evictions and requests for tokens; and the labels that a pod gets with its node."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocols.api import Bind, Binding
from protocols.errors import Forbidden, Invalid, decode_error
from protocols.objects import Object, labels_of
from tests.apiserver.admission import test_mutations as mutations
from tests.apiserver.admission import test_policies as policies
from tests.apiserver.test_subresources import binding, eviction, running_pod
from tests.apiserver.world import World, namespace, pod, world

ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
PLACE = {ZONE: "a-1", REGION: "a"}


async def node(api: World, name: str, **labels: str) -> None:
    metadata = {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}}
    await api.create("nodes", {"apiVersion": "v1", "kind": "Node", "metadata": metadata})


async def bind(api: World, name: str, to: str, **labels: str) -> Object:
    made = binding(name, to)
    made["metadata"].update({"labels": labels} if labels else {})
    await api.create("pods", made, subresource="binding", name=name)
    return await api.get("pods", name)


async def bind_together(api: World, *pairs: tuple[str, str]) -> list[Exception | None]:
    outcomes = await api.ask(Bind(tuple(Binding("default", name, to) for name, to in pairs)))
    return [decode_error(error) if error else None for error in outcomes.errors]


# -- labels -----------------------------------------------------------------------------------------------------------


async def test_a_pod_gets_the_place_of_its_node_as_labels(api: World) -> None:
    await node(api, "n1", **PLACE)
    await node(api, "n2", **{ZONE: "b-1"})
    for name in ("alone", "one", "other"):
        await api.create("pods", pod(name, labels={"app": "web", ZONE: "elsewhere"}))

    alone = await bind(api, "alone", "n1")
    errors = await bind_together(api, ("one", "n1"), ("other", "n2"))

    one, other = [await api.get("pods", name) for name in ("one", "other")]
    assert errors == [None, None]
    assert labels_of(alone) == labels_of(one) == {"app": "web", **PLACE}
    assert labels_of(other) == {"app": "web", ZONE: "b-1"}


async def test_a_place_that_changes_holds_for_pods_that_are_bound_then(api: World) -> None:
    await node(api, "n1", **{ZONE: "a-1"})
    for name in ("before", "after"):
        await api.create("pods", pod(name))

    await bind_together(api, ("before", "n1"))
    await api.patch("nodes", "n1", {"metadata": {"labels": {ZONE: "a-2"}}}, namespace="")
    await bind_together(api, ("after", "n1"))

    assert labels_of(await api.get("pods", "before")) == {ZONE: "a-1"}
    assert labels_of(await api.get("pods", "after")) == {ZONE: "a-2"}


async def test_a_binding_that_says_a_place_is_believed(api: World) -> None:
    await node(api, "n1", **PLACE)
    await api.create("pods", pod("web"))

    bound = await bind(api, "web", "n1", **{ZONE: "rack-7", "team": "blue"})

    assert labels_of(bound) == {ZONE: "rack-7", REGION: "a", "team": "blue"}


async def test_a_pod_that_comes_with_its_node_keeps_the_labels_it_brings(api: World) -> None:
    await node(api, "n1", **PLACE)

    created = await api.create("pods", pod("web", node="n1", labels={ZONE: "mine"}))
    nowhere = await api.create("pods", pod("lost", node="gone"))

    assert labels_of(created) == {ZONE: "mine", REGION: "a"}
    assert labels_of(nowhere) == {}


async def test_before_1_35_a_node_does_not_label_its_pods(tmp_path: Path) -> None:
    async with world(tmp_path, kubernetes_version="1.34") as api:
        await node(api, "n1", **PLACE)
        for name in ("alone", "together"):
            await api.create("pods", pod(name))

        alone = await bind(api, "alone", "n1", team="blue")
        await bind_together(api, ("together", "n1"))
        created = await api.create("pods", pod("created", node="n1"))

        together = await api.get("pods", "together")
        assert [labels_of(each) for each in (alone, together, created)] == [{}, {}, {}]


# -- policies ---------------------------------------------------------------------------------------------------------


async def test_a_policy_refuses_bindings_one_by_one_and_together(api: World) -> None:
    rule = "object.target.name != 'n2' && request.subResource == 'binding' && request.kind.kind == 'Binding'"
    await policies.enact(api, policies.policy(rule, resources=("pods/binding",)))
    for name in ("a", "b", "c"):
        await api.create("pods", pod(name))

    errors = await bind_together(api, ("a", "n1"), ("b", "n2"))
    with pytest.raises(Invalid, match="ValidatingAdmissionPolicy 'p' with binding 'b' denied request"):
        await bind(api, "c", "n2")

    assert errors[0] is None and isinstance(errors[1], Invalid)
    nodes = {name: (await api.get("pods", name))["spec"].get("nodeName") for name in ("a", "b", "c")}
    assert nodes == {"a": "n1", "b": None, "c": None}


async def test_a_policy_about_bindings_alone_holds_for_the_resource_bindings(api: World) -> None:
    await policies.enact(api, policies.policy("object.target.name != 'n2'", resources=("bindings",)))
    await api.create("pods", pod("web"))

    with pytest.raises(Invalid, match="denied request"):
        await api.create("bindings", binding("web", "n2"))
    await api.create("bindings", binding("web", "n1"))

    assert (await api.get("pods", "web"))["spec"]["nodeName"] == "n1"


@pytest.mark.parametrize(
    "mutation",
    [
        mutations.apply("Object{metadata: Object.metadata{labels: {'rack': object.target.name + '-7'}}}"),
        mutations.patch("[JSONPatch{op: 'add', path: '/metadata/labels', value: {'rack': object.target.name + '-7'}}]"),
    ],
)
async def test_what_a_policy_labels_a_binding_with_becomes_the_pods(api: World, mutation: Object) -> None:
    await mutations.enact(api, mutations.policy(mutation, resources="pods/binding"))
    for name in ("a", "b"):
        await api.create("pods", pod(name))

    alone = await bind(api, "a", "n1")
    await bind_together(api, ("b", "n2"))

    assert labels_of(alone) == {"rack": "n1-7"}
    assert labels_of(await api.get("pods", "b")) == {"rack": "n2-7"}


async def test_a_policy_may_send_a_pod_to_another_node(api: World) -> None:
    await node(api, "n2", **PLACE)
    change = mutations.patch("[JSONPatch{op: 'replace', path: '/target/name', value: 'n2'}]")
    await mutations.enact(api, mutations.policy(change, resources="pods/binding"))
    await api.create("pods", pod("web"))

    await bind_together(api, ("web", "n1"))

    bound = await api.get("pods", "web")
    assert bound["spec"]["nodeName"] == "n2" and labels_of(bound) == PLACE


async def test_a_policy_refuses_evictions_and_is_not_asked_about_the_delete(api: World) -> None:
    made = policies.policy("request.operation == 'CREATE' && object.metadata.name != 'kept'", resources=("pods/*",))
    made["spec"]["matchConstraints"]["resourceRules"][0]["operations"] = ["*"]
    for name in ("kept", "gone"):
        await running_pod(api, name)
    await policies.enact(api, made)

    with pytest.raises(Invalid, match="denied request"):
        await api.create("pods", eviction("kept"), subresource="eviction", name="kept")
    await api.create("pods", eviction("gone"), subresource="eviction", name="gone")

    assert "deletionTimestamp" not in (await api.get("pods", "kept"))["metadata"]
    assert "deletionTimestamp" in (await api.get("pods", "gone"))["metadata"]


async def test_nothing_is_bound_in_a_namespace_that_ends(api: World) -> None:
    await api.create("namespaces", namespace("late"))
    await api.create("pods", pod("web", "late"))
    await api.delete("namespaces", "late", namespace="")

    errors = await api.ask(Bind((Binding("late", "web", "n1"),)))

    assert isinstance(error := decode_error(errors.errors[0]), Forbidden)
    assert "because it is being terminated" in str(error)
