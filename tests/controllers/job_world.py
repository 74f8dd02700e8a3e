"""Jobs as the API server stores them, and what is true of them in every state of the store."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from actors.controllers import job
from actors.controllers.job_pods import FINALIZER, INDEX
from protocols.objects import Object, decode_object, meta, uid_of
from protocols.rules.conditions import find_condition
from protocols.rules.owners import controller_uid, is_deleting
from protocols.rules.pods import is_terminated, phase_of
from tests.controllers.virtual_time import run
from tests.controllers.world import World

JOBS = "jobs.batch"
FOREVER = 2**31 - 1


def a_job(name: str = "pi", **spec: Any) -> Object:
    """Defaulted: with neither completions nor parallelism it is one pod that has to succeed."""
    policy = spec.pop("restartPolicy", "Never")
    whole = {
        "parallelism": 1,
        "completions": 1,
        "backoffLimit": FOREVER if "backoffLimitPerIndex" in spec else 6,
        "completionMode": "NonIndexed",
        "suspend": False,
        "podReplacementPolicy": "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed",
        "selector": {"matchLabels": {"job-name": name}},
        "template": {
            "metadata": {"labels": {"job-name": name}},
            "spec": {"restartPolicy": policy, "containers": [{"name": "c", "image": "i"}]},
        },
        **spec,
    }
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": whole}


def indexed(completions: int, **spec: Any) -> Object:
    return a_job(completionMode="Indexed", **{"completions": completions, "parallelism": completions, **spec})


def in_world(scenario: Callable[[World], Any], ends: tuple[float, int] | None = (3.0, 0), seed: int = 0) -> None:
    """`ends`: when and how each pod ends, unless the scenario says otherwise."""

    async def play() -> None:
        async with World(job.controller(), seed=seed) as world:
            world.ends = lambda pod: ends
            await scenario(world)

    run(play())


def status(world: World, name: str = "pi") -> Object:
    return world.get(JOBS, name).get("status") or {}


def condition(world: World, type: str, name: str = "pi") -> Object | None:
    return find_condition(status(world, name).get("conditions"), type)


def reason(world: World, type: str, name: str = "pi") -> str | None:
    """None: it has no such condition, or that does not hold."""
    found = condition(world, type, name)
    return found["reason"] if found is not None and found["status"] == "True" else None


def events(world: World) -> list[str]:
    return [f"{e['type']} {e['reason']}: {e['message']}" for e in world.list("events")]


def index_of(pod: Object) -> int:
    return int(meta(pod)["annotations"][INDEX])


class History:
    """Everything that ever happened to one job and its pods, read from the store's log: slow, and obviously right."""

    def __init__(self, world: World, name: str = "pi") -> None:
        self.job = world.get(JOBS, name)
        self.pods: dict[str, Object] = {}  # by uid, as each was last seen
        self.let_go: dict[str, None] = {}
        self.stopped: dict[str, None] = {}  # was asked to go before it had ended: that may be how it ended
        self.most_active = 0
        self.counts: list[tuple[int, int]] = []
        for resource, event in world.store.log:
            obj = decode_object(event.body)
            if resource == "pods" and controller_uid(obj) == uid_of(self.job):
                self._pod(obj)
            elif resource == JOBS and uid_of(obj) == uid_of(self.job):
                counted = obj.get("status") or {}
                self.counts.append((counted.get("succeeded", 0), counted.get("failed", 0)))
            self.most_active = max(self.most_active, self._active())

    def _pod(self, pod: Object) -> None:
        self.pods[uid_of(pod)] = pod
        if is_deleting(pod) and not is_terminated(pod):
            self.stopped[uid_of(pod)] = None
        if FINALIZER not in (meta(pod).get("finalizers") or ()):
            self.let_go[uid_of(pod)] = None

    def _active(self) -> int:
        return sum(not is_deleting(pod) and not is_terminated(pod) for pod in self.pods.values())

    def ended(self, phase: str) -> int:
        """How many did so by themselves."""
        return sum(phase_of(pod) == phase for uid, pod in self.pods.items() if uid not in self.stopped)

    def check(self) -> None:
        """No count ever goes down, and each pod is in one of them once it is let go."""
        assert self.counts == sorted(self.counts)
        assert all(one[1] <= other[1] for one, other in pairwise(self.counts))
        assert sum(self.counts[-1]) == len(self.let_go) == len(self.pods)
