"""Generic ephemeral volumes: each has a claim of its own, the pod's, and never another's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.controllers import ephemeral_volume, garbage_collector
from protocols.objects import Object, meta, name_of, uid_of
from protocols.rules.owners import owner_references
from tests.controllers.volume_world import CLAIMS, claim, in_world, told
from tests.controllers.world import World
from tests.effort import examples

ONLY = (ephemeral_volume.controller(),)
ALL = (*ONLY, garbage_collector.controller())


def pod(name: str, *volumes: str) -> Object:
    template: dict[str, Any] = {
        "metadata": {"labels": {"app": name}, "annotations": {"note": "x"}},
        "spec": claim()["spec"],
    }
    ephemeral = [{"name": each, "ephemeral": {"volumeClaimTemplate": template}} for each in volumes]
    containers = [{"name": "main", "image": "none"}]
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": containers, "volumes": [{"name": "tmp", "emptyDir": {}}, *ephemeral]},
    }


def test_each_volume_has_a_claim_that_is_called_after_it_and_owned_by_its_pod() -> None:
    async def scenario(world: World) -> None:
        made = world.create("pods", pod("web", "data", "logs"))
        await world.settled()

        claims = {name_of(each): each for each in world.list(CLAIMS)}
        assert sorted(claims) == ["web-data", "web-logs"]
        data = claims["web-data"]
        assert (meta(data)["labels"], meta(data)["annotations"]) == ({"app": "web"}, {"note": "x"})
        assert data["spec"] == claim()["spec"]
        assert owner_references(data) == [
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": "web",
                "uid": uid_of(made),
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]

    in_world(ONLY, scenario)


def test_a_claim_of_that_name_which_is_anothers_is_left_alone_and_said_to_be() -> None:
    async def scenario(world: World) -> None:
        world.create(CLAIMS, claim("web-data"))
        world.create("pods", pod("web", "data", "logs"))
        await world.settled()

        assert owner_references(world.get(CLAIMS, "web-data")) == []
        why = "PVC default/web-data was not created for pod default/web (pod is not owner)"
        assert told(world, "web")[-1] == ("Warning", "FailedBinding", f"ephemeral volume data: {why}")

        world.delete(CLAIMS, "web-data")
        await world.settled()
        assert sorted(name_of(each) for each in world.list(CLAIMS)) == ["web-data", "web-logs"]
        assert owner_references(world.get(CLAIMS, "web-data"))[0]["name"] == "web"

    in_world(ONLY, scenario)


def test_a_claim_that_somebody_deletes_is_made_again_but_not_for_a_pod_that_is_to_go() -> None:
    async def scenario(world: World) -> None:
        world.gone_after_s = 1000.0
        world.store.pod_grace_s = 30
        world.create("pods", pod("stays", "data"))
        world.create("pods", pod("goes", "data"))
        await world.settled()
        world.delete("pods", "goes")
        world.delete(CLAIMS, "stays-data")
        world.delete(CLAIMS, "goes-data")
        await world.settled()

        assert [name_of(each) for each in world.list(CLAIMS)] == ["stays-data"]

    in_world(ONLY, scenario)


steps = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["create", "create", "delete"])), max_size=12)


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None)
@given(steps, st.integers(0, 999))
def test_after_any_unrest_each_pod_has_its_claims_and_nobody_else_has(steps: list[tuple[str, str]], seed: int) -> None:
    async def scenario(world: World) -> None:
        def happen(name: str, deed: str) -> None:
            if deed == "delete" and world.find("pods", name) is not None:
                world.delete("pods", name)
            elif deed == "create" and world.find("pods", name) is None:
                world.create("pods", pod(name, "data"))

        await world.unrest(30, [lambda name=name, deed=deed: happen(name, deed) for name, deed in steps])
        await world.settled()

        owners = {name_of(each): owner_references(each)[0]["uid"] for each in world.list(CLAIMS)}
        assert owners == {f"{name_of(each)}-data": uid_of(each) for each in world.list("pods")}

    in_world(ALL, scenario, seed)
