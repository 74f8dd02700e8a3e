"""What every namespace has: an account called default, and the CA by which pods know the API server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.controllers import root_ca, service_account
from actors.controllers.essence import ROOT_CA
from protocols.objects import meta, uid_of
from tests.controllers.virtual_time import run
from tests.controllers.world import World

PEM = "-----BEGIN CERTIFICATE-----\n..."


def in_world(scenario: Any, seed: int = 0) -> None:
    async def play() -> None:
        async with World(service_account.controller(), root_ca.controller(PEM), seed=seed) as world:
            await scenario(world)

    run(play())


def open_namespace(world: World, name: str) -> None:
    world.create("namespaces", {"metadata": {"name": name}})


def test_every_namespace_has_them() -> None:
    async def scenario(world: World) -> None:
        open_namespace(world, "old")
        await world.settled()
        open_namespace(world, "new")
        await world.settled()

        for name in ("old", "new"):
            assert world.find("serviceaccounts", "default", name)
            assert world.get("configmaps", ROOT_CA, name)["data"] == {"ca.crt": PEM}

    in_world(scenario)


def test_they_come_back_when_they_are_deleted() -> None:
    async def scenario(world: World) -> None:
        open_namespace(world, "a")
        await world.settled()
        before = uid_of(world.get("serviceaccounts", "default", "a"))
        world.delete("serviceaccounts", "default", "a")
        world.delete("configmaps", ROOT_CA, "a")
        await world.settled()

        assert uid_of(world.get("serviceaccounts", "default", "a")) != before
        assert world.find("configmaps", ROOT_CA, "a")

    in_world(scenario)


@pytest.mark.parametrize("change", [{"ca.crt": "forged"}, {"more": "data"}, {"ca.crt": None}])
def test_the_ca_is_restored_when_somebody_changes_it(change: dict[str, str | None]) -> None:
    async def scenario(world: World) -> None:
        open_namespace(world, "a")
        await world.settled()
        world.patch("configmaps", ROOT_CA, {"data": change, "metadata": {"labels": {"mine": "x"}}}, "a")
        await world.settled()

        published = world.get("configmaps", ROOT_CA, "a")
        assert published["data"] == {"ca.crt": PEM}
        assert meta(published)["labels"] == {"mine": "x"}

    in_world(scenario)


def test_an_account_that_is_there_already_is_left_as_it_is() -> None:
    async def scenario(world: World) -> None:
        mine = {"metadata": {"name": "default", "namespace": "a"}, "imagePullSecrets": [{"name": "s"}]}
        world.create("serviceaccounts", mine)
        open_namespace(world, "a")
        await world.settled()

        assert world.get("serviceaccounts", "default", "a")["imagePullSecrets"] == [{"name": "s"}]

    in_world(scenario)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.sampled_from(["open", "account", "ca", "forge", "end"]), max_size=6))
def test_settles_with_both_in_every_namespace_that_lives(seed: int, operations: list[str]) -> None:
    async def scenario(world: World) -> None:
        for name in ("a", "b"):
            open_namespace(world, name)
        await world.unrest(30, [lambda n=n, o=o: operate(world, n, o) for n, o in enumerate(operations)])  # type: ignore[misc]
        await world.settled()

        for namespace in world.list("namespaces"):
            name = meta(namespace)["name"]
            if "deletionTimestamp" not in meta(namespace):
                assert world.find("serviceaccounts", "default", name)
                assert world.get("configmaps", ROOT_CA, name)["data"] == {"ca.crt": PEM}
        revision = world.revision()
        await asyncio.sleep(600)
        assert world.revision() == revision

    in_world(scenario, seed)


def operate(world: World, number: int, operation: str) -> None:
    match operation:
        case "open":
            open_namespace(world, f"n{number}")
        case "account" if world.find("serviceaccounts", "default", "a"):
            world.delete("serviceaccounts", "default", "a")
        case "ca" if world.find("configmaps", ROOT_CA, "a"):
            world.delete("configmaps", ROOT_CA, "a")
        case "forge" if world.find("configmaps", ROOT_CA, "a"):
            world.patch("configmaps", ROOT_CA, {"data": {"ca.crt": "forged"}}, "a")
        case "end":
            world.delete("namespaces", "b", "")
