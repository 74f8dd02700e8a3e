"""Hypothesis strategies for what a user does to a cluster, and what it must come to in the end.

    @given(acts(), schedules(HOSTS))                       # faults: actorkube.sim.strategies
    def test_the_cluster_settles(acts, faults):
        ...
        assert await reached(cluster, wanted(acts))

An act is data: it prints, replays and shrinks. What it does not apply to (scaling what is not there) it leaves alone,
so every part of a sequence is a sequence too. Imports hypothesis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from hypothesis import strategies as st

from protocols.objects import Object, labels_of, meta, name_of
from protocols.rules.conditions import condition_is

if TYPE_CHECKING:
    from actorkube.testing.simulated import SimulatedCluster

Kind = Literal["deploy", "scale", "version", "delete", "note"]
KINDS: tuple[Kind, ...] = ("deploy", "deploy", "scale", "version", "delete", "note")
REPLICAS_MAX = 4
PAUSES_S = (0.0, 0.5, 5.0)


@dataclass(frozen=True)
class Act:
    """One thing that the user does, after a pause. deploy: so many replicas; version: that template; note: a
    ConfigMap that must never be lost."""

    kind: Kind
    name: str
    number: int
    after_s: float


@dataclass(frozen=True)
class Wanted:
    """A deployment as the user left it."""

    replicas: int
    version: str = "v1"


def acts(
    names: Sequence[str] = ("web", "db"),
    *,
    kinds: Sequence[Kind] = KINDS,
    acts_max: int = 6,
    pauses_s: Sequence[float] = PAUSES_S,
) -> st.SearchStrategy[list[Act]]:
    act = st.builds(
        Act, st.sampled_from(kinds), st.sampled_from(names), st.integers(0, REPLICAS_MAX), st.sampled_from(pauses_s)
    )
    return st.lists(act, max_size=acts_max)


def wanted(acts: Sequence[Act]) -> dict[str, Wanted]:
    """The deployments that there must be when all is done, and how."""
    found: dict[str, Wanted] = {}
    for act in acts:
        there = found.get(act.name)
        match act.kind:
            case "deploy" if there is None:
                found[act.name] = Wanted(act.number)
            case "scale" if there is not None:
                found[act.name] = replace(there, replicas=act.number)
            case "version" if there is not None:
                found[act.name] = replace(there, version=f"v{act.number}")
            case "delete":
                found.pop(act.name, None)
    return found


def notes(acts: Sequence[Act]) -> list[str]:
    """The names of the ConfigMaps that were written."""
    return [f"note-{number}" for number, act in enumerate(acts) if act.kind == "note"]


async def perform(cluster: SimulatedCluster, acts: Sequence[Act]) -> None:
    """Do them one after the other, each until it is known to have happened."""
    for number, act in enumerate(acts):
        await asyncio.sleep(act.after_s)
        before, after = wanted(acts[:number]).get(act.name), wanted(acts[: number + 1]).get(act.name)
        if act.kind == "note":
            await cluster.apply(note(f"note-{number}"))
        elif after is None and before is not None:
            await cluster.delete(f"deployments.apps/{act.name}")
        elif after is not None and after != before:
            await cluster.apply(deployment(act.name, after.replicas, after.version))


async def missing(cluster: SimulatedCluster, wanted: dict[str, Wanted]) -> list[str]:
    """What is not yet as it should be, in words."""
    pods = [pod for pod in await cluster.list("pods") if "deletionTimestamp" not in meta(pod)]
    apps = [labels_of(pod).get("app", "") for pod in pods]
    complaints = [f"pod {name_of(p)} belongs to nobody" for p, app in zip(pods, apps, strict=True) if app not in wanted]
    for name, goal in wanted.items():
        mine = [pod for pod, app in zip(pods, apps, strict=True) if app == name]
        good = [pod for pod in mine if condition_is(pod, "Ready") and _version(pod) == goal.version]
        if not len(good) == len(mine) == goal.replicas:
            complaints.append(f"{name}: {len(good)} serving of {len(mine)}, wanted {goal}")
    return complaints


def _version(pod: Object) -> str:
    return str((meta(pod).get("annotations") or {}).get("version", ""))


def deployment(name: str, replicas: int, version: str = "v1") -> Object:
    template = {
        "metadata": {"labels": {"app": name}, "annotations": {"version": version}},
        "spec": {
            "terminationGracePeriodSeconds": 2,
            "containers": [{"name": "main", "image": "sim", "command": ["serve"], "ports": [{"containerPort": 80}]}],
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
    }


def note(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}}
