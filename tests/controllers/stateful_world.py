"""Stateful sets for tests of their controller, in the small world of controllers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from actorkube.kube import Controller
from actors.controllers import garbage_collector, statefulset
from protocols.objects import Object, decode_object, meta, name_of
from tests.controllers.virtual_time import run
from tests.controllers.world import World

SETS = "statefulsets.apps"
CLAIMS = "persistentvolumeclaims"
REVISIONS = "controllerrevisions.apps"


def stateful_set(name: str = "web", replicas: int = 3, claims: tuple[str, ...] = (), **spec: Any) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "serviceName": "nginx",
            "selector": {"matchLabels": {"app": name}},
            "template": template(name),
            "podManagementPolicy": "OrderedReady",
            "updateStrategy": rolling(),
            "revisionHistoryLimit": 10,
            "volumeClaimTemplates": [claim_template(each) for each in claims],
            **spec,
        },
    }


def template(name: str = "web", image: str = "one", **spec: Any) -> Object:
    containers = [{"name": "c", "image": image}]
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers, **spec}}


def rolling(partition: int = 0, **more: Any) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdate": {"partition": partition, **more}}


def claim_template(name: str) -> Object:
    return {
        "metadata": {"name": name, "labels": {"tier": name}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def in_world(scenario: Callable[[World], Awaitable[None]], *others: Controller, seed: int = 0) -> None:
    async def play() -> None:
        async with World(statefulset.controller(), *others, seed=seed, together=True) as world:
            await scenario(world)

    run(play())


def with_garbage_collector(scenario: Callable[[World], Awaitable[None]], seed: int = 0) -> None:
    in_world(scenario, garbage_collector.controller(), seed=seed)


def names(objects: list[Object]) -> list[str]:
    return [name_of(each) for each in objects]


def status(world: World, name: str = "web") -> dict[str, Any]:
    found: dict[str, Any] = world.get(SETS, name).get("status") or {}
    return found


def revisions_of_pods(world: World) -> dict[str, str]:
    return {name_of(pod): meta(pod)["labels"]["controller-revision-hash"] for pod in world.list("pods")}


def images(world: World) -> dict[str, str]:
    return {name_of(pod): pod["spec"]["containers"][0]["image"] for pod in world.list("pods")}


def set_image(world: World, image: str, name: str = "web") -> None:
    world.patch(SETS, name, {"spec": {"template": template(name, image)}})


def told(world: World) -> list[tuple[str, str, str]]:
    """What was said about sets, in the order of its beginning."""
    events = [e for e in world.list("events") if e["involvedObject"]["kind"] == "StatefulSet"]
    return [(e["type"], e["reason"], e["message"]) for e in sorted(events, key=name_of)]


def history_of(world: World, resource: str = "pods") -> list[tuple[str, str]]:
    """What came and went, in order; `going` is when its deletion was asked for."""
    seen: list[tuple[str, str]] = []
    going: set[str] = set()
    for kind, event in world.store.log:
        if kind != resource:
            continue
        obj = decode_object(event.body)
        name, uid = name_of(obj), meta(obj)["uid"]
        if event.type == "MODIFIED" and "deletionTimestamp" in meta(obj) and uid not in going:
            going.add(uid)
            seen.append(("going", name))
        elif event.type != "MODIFIED":
            seen.append(({"ADDED": "came", "DELETED": "gone"}[event.type], name))
    return seen
