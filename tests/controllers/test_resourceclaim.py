"""Claims of devices: made for pods from templates, reserved for who uses them, free when nobody does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.controllers import garbage_collector, resourceclaim
from protocols.objects import Object, meta, name_of, uid_of
from protocols.rules.device_claims import CLAIMS, DELETE_PROTECTION, TEMPLATES
from protocols.rules.owners import owner_references
from tests.controllers.volume_world import in_world, told
from tests.controllers.world import World
from tests.effort import examples

ONLY = (resourceclaim.controller(),)
ALL = (*ONLY, garbage_collector.controller())
GPU = {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu"}}]}}
ALLOCATION = {"devices": {"results": [{"request": "gpu", "driver": "gpu.example.com", "pool": "a", "device": "gpu-0"}]}}


def template(name: str = "one-gpu") -> Object:
    spec = {"metadata": {"labels": {"app": "x"}, "annotations": {"note": "y"}}, "spec": GPU}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


def claim(name: str, *users: Object, protected: bool = True) -> Object:
    reserved = [{"resource": "pods", "name": name_of(user), "uid": uid_of(user)} for user in users]
    metadata = {"name": name, "namespace": "default", **({"finalizers": [DELETE_PROTECTION]} if protected else {})}
    return {"metadata": metadata, "spec": GPU, "status": {"allocation": ALLOCATION, "reservedFor": reserved}}


def pod(name: str = "p", template: str = "", claim: str = "", node: str = "") -> Object:
    entry = {"resourceClaimTemplateName": template} if template else {"resourceClaimName": claim}
    spec: dict[str, Any] = {
        "containers": [{"name": "c", "image": "none"}],
        "resourceClaims": [{"name": "gpu", **entry}],
    }
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {**spec, **({"nodeName": node} if node else {})},
    }


def names(world: World) -> list[str]:
    return [name_of(each) for each in world.list(CLAIMS)]


def test_a_pod_gets_a_claim_of_its_own_from_the_template_and_its_status_tells_which() -> None:
    async def scenario(world: World) -> None:
        world.create(TEMPLATES, template())
        made = world.create("pods", pod(template="one-gpu"))
        await world.settled()

        (found,) = world.list(CLAIMS)
        assert name_of(found).startswith("p-gpu-")
        assert found["spec"] == GPU
        assert meta(found)["labels"] == {"app": "x"}
        assert meta(found)["annotations"] == {"note": "y", resourceclaim.POD_CLAIM_NAME: "gpu"}
        (owner,) = owner_references(found)
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("Pod", uid_of(made), True)
        status = world.get("pods", "p")["status"]
        assert status["resourceClaimStatuses"] == [{"name": "gpu", "resourceClaimName": name_of(found)}]

    in_world(ONLY, scenario)


def test_a_template_that_is_not_there_is_lamented_and_waited_for() -> None:
    async def scenario(world: World) -> None:
        world.create("pods", pod(template="one-gpu"))
        await world.settled()
        why = 'resource claim template "one-gpu": resourceclaimtemplate.resource.k8s.io "one-gpu" not found'
        assert told(world, "p")[-1] == ("Warning", "FailedResourceClaimCreation", f"PodResourceClaim gpu: {why}")

        world.create(TEMPLATES, template())
        await world.settled()
        assert len(names(world)) == 1

    in_world(ONLY, scenario)


def test_a_claim_that_somebody_deletes_is_made_again_but_not_for_a_pod_that_is_to_go() -> None:
    async def scenario(world: World) -> None:
        world.gone_after_s = 1000.0
        world.store.pod_grace_s = 30
        world.create(TEMPLATES, template())
        world.create("pods", pod("stays", template="one-gpu"))
        world.create("pods", pod("goes", template="one-gpu"))
        await world.settled()
        before = names(world)
        world.delete("pods", "goes")
        for name in before:
            world.delete(CLAIMS, name)
        await world.settled()

        (again,) = names(world)
        assert again.startswith("stays-gpu-")
        assert again not in before
        assert world.get("pods", "stays")["status"]["resourceClaimStatuses"][0]["resourceClaimName"] == again

    in_world(ONLY, scenario)


def test_names_that_are_too_long_are_cut_in_proportion() -> None:
    async def scenario(world: World) -> None:
        world.create(TEMPLATES, template())
        world.create("pods", pod("p" * 100, template="one-gpu"))
        await world.settled()

        (name,) = names(world)
        assert len(name) <= 63
        assert name.startswith("ppp")
        assert "p-g-" in name

    in_world(ONLY, scenario)


@pytest.mark.parametrize("deed", ["delete", "end"])
def test_devices_are_free_when_the_last_user_is_done(deed: str) -> None:
    async def scenario(world: World) -> None:
        users = [world.create("pods", pod(name, claim="shared", node="node-0")) for name in ("a", "b")]
        world.create(CLAIMS, claim("shared", *users))
        await world.settled()

        def end(name: str) -> None:
            if deed == "delete":
                world.delete("pods", name)
            else:
                world.exit(world.get("pods", name), 0)

        end("a")
        await world.settled()
        shared = world.get(CLAIMS, "shared")
        assert [user["name"] for user in shared["status"]["reservedFor"]] == ["b"]
        assert shared["status"]["allocation"] == ALLOCATION
        assert meta(shared)["finalizers"] == [DELETE_PROTECTION]

        end("b")
        await world.settled()
        shared = world.get(CLAIMS, "shared")
        assert shared["status"] == {}
        assert not meta(shared).get("finalizers")

    in_world(ONLY, scenario)


def test_devices_that_nobody_has_reserved_yet_stay_allocated() -> None:
    async def scenario(world: World) -> None:
        world.create(CLAIMS, claim("early"))
        await world.settled()
        assert world.get(CLAIMS, "early")["status"]["allocation"] == ALLOCATION

        world.delete(CLAIMS, "early")
        await world.settled()
        assert names(world) == []

    in_world(ONLY, scenario)


def test_a_claim_is_kept_for_a_user_that_is_not_seen_yet() -> None:
    async def scenario(world: World) -> None:
        await world.settled()
        world.api.withheld = "pods"
        user = world.create("pods", pod("a", claim="shared", node="node-0"))
        made = world.create(CLAIMS, claim("shared", user))
        await asyncio.sleep(5)
        assert [each["name"] for each in world.get(CLAIMS, "shared")["status"]["reservedFor"]] == ["a"]
        world.api.withheld = ""
        world.api.deliver()
        await world.settled()
        assert world.get(CLAIMS, "shared") == made

    in_world(ONLY, scenario)


def test_a_claim_that_was_made_for_a_pod_goes_when_the_pod_has_ended() -> None:
    async def scenario(world: World) -> None:
        world.create(TEMPLATES, template())
        made = world.create("pods", pod(template="one-gpu", node="node-0"))
        await world.settled()
        (name,) = names(world)
        allocated = claim(name, made)
        world.patch(CLAIMS, name, {"metadata": {"finalizers": [DELETE_PROTECTION]}})
        world.patch(CLAIMS, name, {"status": allocated["status"]}, subresource="status")
        await world.settled()
        assert names(world) == [name]

        world.exit(world.get("pods", "p"), 0)
        await world.settled()
        assert names(world) == []

    in_world(ONLY, scenario)


def test_a_pod_that_somebody_else_has_placed_gets_its_claims_reserved() -> None:
    async def scenario(world: World) -> None:
        world.create(CLAIMS, claim("shared"))
        made = world.create("pods", pod("a", claim="shared", node="node-0"))
        await world.settled()
        assert [user["uid"] for user in world.get(CLAIMS, "shared")["status"]["reservedFor"]] == [uid_of(made)]

    in_world(ONLY, scenario)


steps = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["create", "create", "end", "delete"])), max_size=12)


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None)
@given(steps, st.integers(0, 999))
def test_after_any_unrest_each_pod_that_runs_has_its_claim_and_nobody_else(
    steps: list[tuple[str, str]], seed: int
) -> None:
    async def scenario(world: World) -> None:
        world.create(TEMPLATES, template())
        world.create(CLAIMS, claim("shared"))

        def happen(name: str, deed: str) -> None:
            found = world.find("pods", name)
            if deed == "delete" and found is not None:
                world.delete("pods", name)
            elif deed == "end" and found is not None:
                world.exit(found, 0)
            elif deed == "create" and found is None:
                world.create("pods", pod(name, template="one-gpu"))
                if world.find("pods", f"{name}-too") is None:
                    world.create("pods", pod(f"{name}-too", claim="shared"))

        await world.unrest(30, [lambda name=name, deed=deed: happen(name, deed) for name, deed in steps])
        await world.settled()

        running = [each for each in world.list("pods") if each["status"].get("phase") == "Running"]
        own = {
            uid_of(each): each["status"]["resourceClaimStatuses"][0]["resourceClaimName"]
            for each in running
            if not name_of(each).endswith("-too")
        }
        made = {
            owner_references(each)[0]["uid"]: name_of(each) for each in world.list(CLAIMS) if owner_references(each)
        }
        assert made == own
        users = (world.get(CLAIMS, "shared").get("status") or {}).get("reservedFor") or []
        assert {user["name"] for user in users} == {name_of(e) for e in running if name_of(e).endswith("-too")}

    in_world(ALL, scenario, seed)
