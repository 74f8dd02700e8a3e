"""Owners and namespaces end before the real API server: what controllers ask of it, it understands as they mean it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actorkube.kube import ControllerActor
from actors.controllers import controllers
from actors.controllers.resources import DEFINITIONS
from protocols.api import Watch
from protocols.objects import Object, decode_object, meta, name_of, uid_of
from tests.apiserver.custom.widgets import WIDGETS, definition, widget
from tests.apiserver.world import World, config_map, namespace, world

NAMES = ("garbage-collector", "namespace", "service-account", "root-ca-certificate-publisher")


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as here:
        actor = ControllerActor(controllers(NAMES, root_ca="PEM"))
        await here.actor("controller-manager", "controllers", actor)
        await here.create("namespaces", namespace("team"))
        yield here


def owned(name: str, owner: Object, **metadata: Any) -> Object:
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": name_of(owner), "uid": uid_of(owner)}
    references = [{**reference, "blockOwnerDeletion": True}]
    return config_map(name, "team", ownerReferences=references, **metadata)


async def ends(cluster: World, resource: str, *names: str) -> None:
    """Wait until they are gone."""
    left: set[str] = set()
    listed = False
    async with asyncio.timeout(10), cluster.stream(Watch(resource)) as events:
        async for event in events:
            listed = listed or event.type == "BOOKMARK"
            if event.body:
                change = left.discard if event.type == "DELETED" else left.add
                change(name_of(decode_object(event.body)))
            if listed and not left & set(names):
                return


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
async def test_dependents_go_with_their_owner(cluster: World, propagation: str) -> None:
    parent = await cluster.create("configmaps", config_map("parent", "team"))
    child = await cluster.create("configmaps", owned("child", parent))
    await cluster.create("configmaps", owned("grandchild", child))
    await cluster.delete("configmaps", "parent", "team", propagation=propagation)

    await ends(cluster, "configmaps", "parent", "child", "grandchild")


@pytest.mark.slow
async def test_orphans_stay(cluster: World) -> None:
    parent = await cluster.create("configmaps", config_map("parent", "team"))
    await cluster.create("configmaps", owned("child", parent))
    await cluster.delete("configmaps", "parent", "team", propagation="Orphan")

    await ends(cluster, "configmaps", "parent")
    assert not meta(await cluster.get("configmaps", "child", "team")).get("ownerReferences")


@pytest.mark.slow
async def test_a_namespace_goes_with_its_content(cluster: World) -> None:
    await cluster.create("configmaps", config_map("mine", "team"))
    await cluster.create("configmaps", config_map("held", "team", finalizers=["example.com/hold"]))
    await cluster.delete("namespaces", "team", "")
    await ends(cluster, "configmaps", "mine")
    await cluster.patch("configmaps", "held", {"metadata": {"finalizers": None}}, "team")

    await ends(cluster, "namespaces", "team")
    for resource in ("configmaps", "serviceaccounts", "events"):
        assert await cluster.names(resource, "team") == []


@pytest.mark.slow
async def test_a_namespace_takes_objects_of_defined_kinds_along(cluster: World) -> None:
    await cluster.create(DEFINITIONS, definition())
    await cluster.create(WIDGETS, in_team(widget("free")))
    await cluster.create(WIDGETS, in_team(widget("held"), finalizers=["example.com/hold"]))
    await cluster.delete("namespaces", "team", "")
    await ends(cluster, WIDGETS, "free")
    waiting = await cluster.names("namespaces", "")
    await cluster.patch(WIDGETS, "held", {"metadata": {"finalizers": None}}, "team")

    await ends(cluster, "namespaces", "team")
    assert "team" in waiting
    assert await cluster.names(WIDGETS, "team") == []


async def test_defined_kinds_own_and_are_owned(cluster: World) -> None:
    await cluster.create(DEFINITIONS, definition())
    parent = await cluster.create("configmaps", config_map("parent", "team"))
    owner = await cluster.create(WIDGETS, in_team(widget("owned"), ownerReferences=[reference(parent)]))
    await cluster.create("configmaps", config_map("child", "team", ownerReferences=[reference(owner)]))
    await cluster.delete("configmaps", "parent", "team")

    await ends(cluster, "configmaps", "parent", "child")
    assert await cluster.names(WIDGETS, "team") == []


async def test_a_kind_that_is_defined_anew_is_looked_after_as_before(cluster: World) -> None:
    await cluster.create(DEFINITIONS, definition())
    await cluster.create(WIDGETS, in_team(widget("first")))
    await cluster.delete(DEFINITIONS, WIDGETS, "")
    await ends(cluster, DEFINITIONS, WIDGETS)
    await cluster.create(DEFINITIONS, definition())
    owner = await cluster.create(WIDGETS, in_team(widget("second")))
    await cluster.create("configmaps", config_map("child", "team", ownerReferences=[reference(owner)]))
    await cluster.delete(WIDGETS, "second", "team")

    await ends(cluster, "configmaps", "child")


def in_team(obj: Object, **metadata: Any) -> Object:
    return {**obj, "metadata": {**obj["metadata"], "namespace": "team", **metadata}}


def reference(owner: Object) -> Object:
    return {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": name_of(owner), "uid": uid_of(owner)}
