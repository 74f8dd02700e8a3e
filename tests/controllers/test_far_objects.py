"""Owners and namespaces end before a real API server, also where another API server keeps the objects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from actorkube.kube import ControllerActor
from actors.controllers import controllers
from protocols.api import Delete, Get, List, Watch
from protocols.errors import AskError, BadRequest, Conflict, Expired, NotFound, ServiceUnavailable
from protocols.objects import Object, decode_object, meta, name_of, uid_of
from protocols.rules.api_services import SERVED, FarResource, noted, served_by
from protocols.rules.conditions import find_condition
from tests.apiserver.aggregation.farm import APPLES, GROUP, KINDS, PEARS, Farm
from tests.apiserver.aggregation.orchard import SERVICES, api_service, available
from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.tls_server import behind_service, serving
from tests.apiserver.world import World, config_map, namespace
from tests.controllers.test_real_api import ends

WAIT_S = 30.0
NAMES = ("garbage-collector", "namespace")


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as made:
        await made.world.create("namespaces", namespace("team"))
        yield made


@pytest.fixture
async def farm(client: Rest, tmp_path: Path) -> AsyncIterator[Farm]:
    """It is registered and available, and controllers are at work."""
    made, ca = Farm(), client.config.proxy_ca_file
    async with serving(tmp_path / "farm", made.serve, "orchard.default.svc", callers=ca) as server:
        await behind_service(client, "orchard", server.port)
        await client.create(SERVICES, api_service(server))
        await available(client, f"v1.{GROUP}", "True")
        actor = ControllerActor(controllers(NAMES, root_ca="PEM"))
        await client.world.actor("controller-manager", "controllers", actor)
        yield made
        made.hang_up()


def owned_by(owner: Object) -> Object:
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": name_of(owner), "uid": uid_of(owner)}
    return {"ownerReferences": [{**reference, "blockOwnerDeletion": True}]}


async def until(world: World, resource: str, enough: Callable[[list[Object]], bool]) -> list[Object]:
    """What is there, as soon as it is enough."""
    there: dict[str, Object] = {}
    async with asyncio.timeout(WAIT_S), world.stream(Watch(resource)) as events:
        async for event in events:
            if event.body:
                obj = decode_object(event.body, event.revision)
                there[name_of(obj)] = obj
                if event.type == "DELETED":
                    del there[name_of(obj)]
            if (event.type == "BOOKMARK" or there) and enough(list(there.values())):
                return list(there.values())
    raise AssertionError(there)


def condition(obj: Object, type: str = "NamespaceDeletionDiscoveryFailure") -> Object | None:
    found = find_condition((obj.get("status") or {}).get("conditions"), type)
    return dict(found) if found is not None else None


# -- owners -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_dependents_of_another_server_go_with_their_owner(client: Rest, farm: Farm) -> None:
    parent = await client.world.create("configmaps", config_map("parent", "team"))
    for name in ("a", "b", "c"):
        farm.plant(name, **owned_by(parent))
    farm.plant("mine")

    await client.world.delete("configmaps", "parent", "team", propagation="Background")
    await until(client.world, APPLES, lambda there: [name_of(each) for each in there] == ["mine"])

    assert farm.names() == {"mine"}
    agents = {request.headers["X-Remote-User"] for request in farm.asked if request.method == "DELETE"}
    assert agents == {"system:kube-controller-manager"}


@pytest.mark.slow
async def test_dependents_go_with_an_owner_of_another_server(client: Rest, farm: Farm) -> None:
    apple = farm.plant("tree")
    await client.world.create("configmaps", config_map("leaf", "team", **owned_by(apple)))
    pear = {"apiVersion": f"{GROUP}/v1", "kind": "Pear", "metadata": {"name": "p", "uid": "nobody"}}
    await client.world.create("configmaps", config_map("unknown", "team", **owned_by(pear)))

    await client.send("DELETE", f"/apis/{GROUP}/v1/namespaces/team/apples/tree")
    await ends(client.world, "configmaps", "leaf")

    assert name_of(await client.world.get("configmaps", "unknown", "team")) == "unknown"


@pytest.mark.slow
async def test_an_owner_waits_for_dependents_of_another_server_or_leaves_them(client: Rest, farm: Farm) -> None:
    waiting = await client.world.create("configmaps", config_map("waiting", "team"))
    leaving = await client.world.create("configmaps", config_map("leaving", "team"))
    farm.plant("held", finalizers=["example.com/hold"], **owned_by(waiting))
    farm.plant("left", **owned_by(leaving))
    await client.world.delete("configmaps", "waiting", "team", propagation="Foreground")
    await client.world.delete("configmaps", "leaving", "team", propagation="Orphan")

    await ends(client.world, "configmaps", "leaving")
    await until(client.world, APPLES, lambda there: any("deletionTimestamp" in meta(each) for each in there))
    assert name_of(await client.world.get("configmaps", "waiting", "team")) == "waiting"
    await client.world.patch(APPLES, "held", {"metadata": {"finalizers": None}}, "team")
    await ends(client.world, "configmaps", "waiting")

    assert farm.names() == {"left"} and "ownerReferences" not in meta(farm.objects["apples", "team", "left"])


# -- namespaces -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_namespace_takes_along_what_another_server_has_in_it(client: Rest, farm: Farm) -> None:
    for name in ("a", "b", "c"):
        farm.plant(name)
    farm.plant("held", finalizers=["example.com/hold"])
    farm.plant("elsewhere", "default")
    farm.plant("pear", plural="pears")
    await client.world.delete("namespaces", "team", "")

    def remains(there: list[Object]) -> bool:
        found = [condition(each, "NamespaceContentRemaining") for each in there if name_of(each) == "team"]
        return any(each is not None and f"{APPLES} has 1 resource instances" in each["message"] for each in found)

    await until(client.world, "namespaces", remains)
    await client.world.patch(APPLES, "held", {"metadata": {"finalizers": None}}, "team")
    await ends(client.world, "namespaces", "team")

    assert farm.names() == {"elsewhere"} and farm.names("pears") == set()


@pytest.mark.slow
async def test_a_namespace_waits_for_a_server_that_does_not_answer(client: Rest, farm: Farm) -> None:
    farm.plant("a")
    await client.world.create("configmaps", config_map("mine", "team"))
    farm.hang_up()
    await _touch(client)
    await available(client, f"v1.{GROUP}", "False")

    await client.world.delete("namespaces", "team", "")
    await ends(client.world, "configmaps", "mine")
    namespaces = await until(client.world, "namespaces", lambda there: any(condition(each) for each in there))
    (found,) = (each for each in namespaces if name_of(each) == "team")
    farm.refusing = False
    await _touch(client)
    await ends(client.world, "namespaces", "team")

    said = condition(found)
    assert said is not None and (said["status"], said["reason"]) == ("True", "DiscoveryFailed")
    assert said["message"] == (
        "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: "
        f"{GROUP}/v1: stale GroupVersion discovery: {GROUP}/v1"
    )
    assert farm.names() == set()


async def _touch(client: Rest) -> None:
    patch = {"metadata": {"annotations": {"touched": str(asyncio.get_running_loop().time())}}}
    path = f"{SERVICES}/v1.{GROUP}"
    await client.send("PATCH", path, patch, content_type="application/merge-patch+json")


# -- by message -------------------------------------------------------------------------------------------------------


async def test_actors_ask_another_server_as_they_ask_this_one(client: Rest, farm: Farm) -> None:
    for name in ("a", "b", "c", "d", "e"):
        farm.plant(name)

    listed = await client.world.ask(List(APPLES, "team"))
    got = await client.world.get(APPLES, "c", "team")
    with pytest.raises(Conflict):
        await client.world.ask(Delete(APPLES, "c", "team", uid="another"))
    with pytest.raises(NotFound):
        await client.world.ask(Get(APPLES, "z", "team"))
    await client.world.ask(Delete(APPLES, "c", "team", uid="apples-c"))

    assert [name_of(decode_object(each.body)) for each in listed.items] == ["a", "b"] and listed.continue_token == "2"
    assert (got["kind"], got["apiVersion"], got["metadata"]["resourceVersion"]) == ("Apple", f"{GROUP}/v1", "103")
    assert farm.names() == {"a", "b", "d", "e"}


async def test_a_watch_begins_with_all_pages_and_goes_on_with_what_happens(client: Rest, farm: Farm) -> None:
    for name in ("a", "b", "c"):
        farm.plant(name)
    seen: list[tuple[str, str]] = []

    async with asyncio.timeout(WAIT_S), client.world.stream(Watch(APPLES), window=1) as events:
        async for event in events:
            seen.append((event.type, name_of(decode_object(event.body)) if event.body else str(event.revision)))
            if event.type == "BOOKMARK":
                farm.plant("d")
                farm._delete(("apples", "team", "a"))
            if event.type == "DELETED":
                break

    assert seen[:3] == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c")]
    assert seen[3:] == [("BOOKMARK", "103"), ("ADDED", "d"), ("DELETED", "a")]


async def test_what_nobody_serves_and_who_does_not_answer(client: Rest, farm: Farm) -> None:
    with pytest.raises(BadRequest, match="there is no resource"):
        await client.world.ask(List(f"plums.{GROUP}"))
    assert not (await client.world.ask(List(f"seasons.{GROUP}"))).items  # nothing of it can be deleted
    farm.hang_up()
    await _touch(client)
    await available(client, f"v1.{GROUP}", "False")

    with pytest.raises(ServiceUnavailable):
        await client.world.ask(List(PEARS))
    with pytest.raises((ServiceUnavailable, Expired, AskError)):
        async with client.world.stream(Watch(APPLES)) as events:
            await anext(events)


def test_what_is_noted_is_what_is_read() -> None:
    apples, pears, seasons = served_by({"metadata": {"annotations": {SERVED: noted(KINDS)}}})

    assert pears == FarResource("pears", "Pear", True, ("delete", "get", "list"))
    assert apples.can("watch", "deletecollection", "create", "update") and not pears.can("watch")
    assert (seasons.namespaced, seasons.verbs) == (False, ("get", "list"))
    for bad in ("", "[", "{}", "[1]", '[["a"]]', '[["a","b",true,1]]'):
        assert served_by({"metadata": {"annotations": {SERVED: bad}}}) == ()
