"""Every object that is drawn is valid, as our own API server says; what is done to a cluster comes to what it must."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from actorkube.sim.strategies import schedules
from actorkube.testing import Cluster, SimulatedCluster
from actorkube.testing.custom_objects import custom_objects
from actorkube.testing.objects import KINDS, deployments, objects, pods
from actorkube.testing.operations import Act, Wanted, acts, missing, notes, perform, wanted
from protocols.api import Create
from protocols.errors import StatusError
from protocols.objects import Object, encode_object, labels_of, meta
from tests.effort import examples

small = pytest.mark.actorkube(nodes=1, etcd=1)
unchanged = settings(
    deadline=None, max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.slow
@small
@pytest.mark.parametrize("kind", KINDS)
@unchanged
@given(data=st.data())
def test_every_object_that_is_drawn_is_accepted(cluster: Cluster, kind: str, data: st.DataObject) -> None:
    obj = data.draw(KINDS[kind]())
    resource = cluster.inside.resources.of(obj)
    request = Create(
        resource.group_resource, encode_object(obj), "default" if resource.namespaced else "", dry_run=True
    )

    stored = cluster.ask("apiserver/api", request)

    assert obj["kind"] == kind
    assert stored.body


@pytest.mark.slow
@small
@unchanged
@given(st.one_of(deployments(), pods()))
def test_the_same_objects_with_a_hole_are_refused(cluster: Cluster, obj: Object) -> None:
    """The property above could fail: the API server does look."""
    spec = obj["spec"] if obj["kind"] == "Pod" else obj["spec"]["template"]["spec"]
    del spec["containers"][0]["name"]

    with pytest.raises(StatusError, match="name: Required value"):
        cluster.create(obj)


@pytest.mark.slow
def test_they_are_of_many_kinds_and_meet() -> None:
    drawn: list[Object] = []

    @settings(max_examples=100, deadline=None, derandomize=True, phases=[Phase.generate])
    @given(objects())
    def collect(obj: Object) -> None:
        drawn.append(obj)

    collect()

    labels = [frozenset(labels_of(obj).items()) for obj in drawn if labels_of(obj)]
    assert len({obj["kind"] for obj in drawn}) > len(KINDS) / 2
    assert len(set(labels)) < len(labels)


def test_an_act_that_does_not_apply_is_left_alone() -> None:
    story = [
        Act("scale", "web", 3, 0.0),
        Act("deploy", "web", 1, 0.0),
        Act("deploy", "web", 4, 0.0),
        Act("version", "web", 2, 0.0),
        Act("deploy", "db", 2, 0.0),
        Act("note", "db", 0, 0.0),
        Act("delete", "db", 0, 0.0),
    ]

    assert wanted(story) == {"web": Wanted(1, "v2")}
    assert notes(story) == ["note-5"]


@pytest.mark.slow
@small
@settings(deadline=None, max_examples=3, suppress_health_check=list(HealthCheck))
@given(
    acts(acts_max=4), schedules(["apiserver", "scheduler", "controller-manager"], for_s=10, lasting_s=5, faults_max=2)
)
def test_whatever_is_done_on_a_copy_comes_to_what_it_must(cluster: Cluster, story: list[Act], faults: list) -> None:
    """Each example begins with the same cluster: what the one before did is forgotten."""
    assume(wanted(story))

    async def scenario(inside: SimulatedCluster) -> list[str]:
        for fault in faults:
            inside.world.loop.call_later(fault.at_s, fault.begin, inside.world)
            inside.world.loop.call_later(fault.at_s + fault.for_s, fault.end, inside.world)
        await perform(inside, story)
        await inside.world.sleep(20)
        await inside.recover()
        await inside.settled()
        left = await missing(inside, wanted(story))
        kept = {meta(cm)["name"] for cm in await inside.list("cm")}
        return left + [name for name in notes(story) if name not in kept]

    assert cluster.on_a_copy(lambda: cluster.run(scenario)) == []


GADGETS: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gadgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "required": ["spec"],
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["size", "colour"],
                                "properties": {
                                    "size": {"type": "integer", "minimum": 1, "maximum": 3},
                                    "share": {"type": "number", "minimum": 0, "maximum": 2, "exclusiveMinimum": True},
                                    "colour": {"type": "string", "enum": ["red", "green"]},
                                    "title": {"type": "string", "minLength": 3, "maxLength": 5, "nullable": True},
                                    "schedule": {"type": "string", "pattern": "^@[a-z]+$"},
                                    "since": {"type": "string", "format": "date-time"},
                                    "port": {"x-kubernetes-int-or-string": True},
                                    "on": {"type": "boolean"},
                                    "labels": {
                                        "type": "object",
                                        "additionalProperties": {"type": "string"},
                                        "maxProperties": 2,
                                    },
                                    "tags": {
                                        "type": "array",
                                        "minItems": 1,
                                        "x-kubernetes-list-type": "set",
                                        "items": {"type": "string", "maxLength": 4},
                                    },
                                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                                },
                            },
                            "status": {"type": "object", "properties": {"ready": {"type": "boolean"}}},
                        },
                    }
                },
            }
        ],
    },
}


@pytest.mark.slow
@small
@settings(unchanged, max_examples=examples(60))
@given(obj=custom_objects(GADGETS, given={"spec.schedule": st.just("@daily")}))
def test_every_custom_object_that_is_drawn_is_accepted(cluster: Cluster, obj: Object) -> None:
    if "gadgets" not in {definition["spec"]["names"]["plural"] for definition in cluster.list("crd")}:
        cluster.apply(GADGETS)

    cluster.on_a_copy(lambda: cluster.create(obj))

    assert obj["spec"]["size"] in {1, 2, 3}
    assert "status" not in obj
